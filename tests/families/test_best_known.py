"""The best known optimum of latent classes that are hard to find: R's poLCA 1.6.0."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import datasets, families


@pytest.mark.slow
def test_three_latent_classes_of_the_lsat():
    """1000 answers to 5 questions: the likelihood is flat, and EM slow."""
    model = jaxem.Mixture(families.Bernoulli(), 3)
    result = jaxem.fit(model, datasets.load_lsat().x, key=jax.random.key(0), n_init=15,
                       tol=1e-9, max_iter=5000)  # fmt: skip
    assert result.converged and int(result.n_free_parameters) == 17
    np.testing.assert_allclose(result.log_likelihood, -2464.65044791196, rtol=1e-9)
