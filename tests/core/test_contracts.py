"""What a model has unless it says otherwise is right for those that do say."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem.core.contracts import Model
from jaxem.families import Poisson, PoissonParams
from laws.compare import close

MODEL = jaxem.Mixture(Poisson(), 2)
PARAMS = jaxem.MixtureParams(jnp.array([0.3, 0.7]), PoissonParams(jnp.array([[2.0], [5.0]])))


def test_posteriors_row_by_row_and_parameters_like_a_start():
    rows = MODEL.rows(np.arange(9.0), np.arange(9.0), np.array([0, 1, *[-1] * 7]))
    prepared = MODEL.prepare(PARAMS, None)
    close(Model.posterior(MODEL, prepared, rows), MODEL.posterior(prepared, rows))
    close(Model.as_params(MODEL, jax.device_get(PARAMS), rows), PARAMS, rtol=0, atol=0)
    close(Model.as_params(MODEL, jax.device_get(PARAMS), None), PARAMS, rtol=0, atol=0)


def test_health_is_of_parameters_that_are_numbers():
    counts = jnp.array([3.0, 6.0])
    poisoned = PARAMS._replace(weights=jnp.array([jnp.nan, 1.0]))
    assert np.all(Model.health(MODEL, PARAMS, counts, None).variance_ratio == np.inf)
    assert np.all(np.isnan(Model.health(MODEL, poisoned, counts, None).variance_ratio))
