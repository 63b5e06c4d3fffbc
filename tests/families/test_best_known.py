"""Best known log-likelihoods: R's poLCA 1.6.0 for latent classes, published Poisson mixtures."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import datasets, families

LSAT = {2: -2467.40552388861, 3: -2464.65044791196}  # poLCA, 100 repetitions
EARTHQUAKES = {1: -391.9189, 2: -360.3690, 3: -356.8489, 4: -356.7337}  # table 1.2
RATES = [12.736, 19.785, 31.629]


@pytest.mark.parametrize("k", LSAT)
def test_latent_classes_of_the_lsat(k):
    x = datasets.load_lsat().x
    ends = [
        jaxem.fit(jaxem.Mixture(family, k), x, key=jax.random.key(0), n_init=60, tol=1e-10,
                  max_iter=5000)
        for family in (families.Categorical(2), families.Bernoulli())
    ]  # fmt: skip
    for result in ends:
        assert result.converged
        np.testing.assert_allclose(result.log_likelihood, LSAT[k], rtol=1e-9)
        assert int(result.n_free_parameters) == 6 * k - 1


@pytest.mark.parametrize("k", EARTHQUAKES)
def test_poisson_mixtures_of_earthquakes(k):
    """Zucchini and MacDonald (2009), table 1.2."""
    counts = datasets.load_earthquakes().x[:, 1:]
    model = jaxem.Mixture(families.Poisson(), k)
    result = jaxem.fit(model, counts, key=jax.random.key(0), n_init=30, tol=1e-10, max_iter=5000)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, EARTHQUAKES[k], atol=6e-5)
    if k == 3:
        rates = np.sort(np.ravel(result.params.components.rates))
        np.testing.assert_allclose(rates, RATES, atol=1e-3)  # cut, not rounded, in the table
