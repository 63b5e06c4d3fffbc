"""What a model has unless it says otherwise is right for those that do say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core import emissions
from jaxem.core.contracts import Model
from jaxem.core.dataset import as_dataset
from jaxem.families import Poisson, PoissonParams
from laws.compare import close

MODEL = jaxem.Mixture(Poisson(), 2)
PARAMS = jaxem.MixtureParams(jnp.array([0.3, 0.7]), PoissonParams(jnp.array([[2.0], [5.0]])))


@pytest.mark.slow
def test_posteriors_row_by_row_and_parameters_like_a_start():
    rows = as_dataset(MODEL, np.arange(9.0), np.arange(9.0), np.array([0, 1, *[-1] * 7])).rows
    prepared = MODEL.prepare(PARAMS, None)
    close(Model.posterior(MODEL, prepared, rows), MODEL.posterior(prepared, rows))
    close(Model.as_params(MODEL, jax.device_get(PARAMS), rows), PARAMS, rtol=0, atol=0)
    close(Model.as_params(MODEL, jax.device_get(PARAMS), None), PARAMS, rtol=0, atol=0)


class Alone(Model):
    """Without a family."""

    n_components, constraints = 2, None

    def start(self, *_):
        raise NotImplementedError

    e_step = m_step = start


def test_health_is_of_parameters_that_are_numbers():
    counts = jnp.array([3.0, 6.0])
    alone = Alone()
    poisoned = PARAMS._replace(weights=jnp.array([jnp.nan, 1.0]))
    assert np.all(emissions.health(alone, PARAMS, counts, None).variance_ratio == np.inf)
    assert np.all(np.isnan(emissions.health(alone, poisoned, counts, None).variance_ratio))
