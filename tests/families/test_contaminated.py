"""Outliers of contaminated normal components; laws are in tests/laws."""

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import jaxem
from jaxem import families

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (120, 2)), RNG.normal(8, 1, (120, 2)), 9 * np.eye(2)])
MODEL = jaxem.Mixture(families.ContaminatedNormal("full"), 2)


@pytest.mark.slow
def test_outlier_weights_are_probabilities_of_regular_rows():
    """Two rows far from both groups are outliers; the numbers by scipy's densities."""
    result = jaxem.fit(MODEL, X, key=jax.random.key(0), n_init=4)
    found = np.asarray(jaxem.outlier_weights(MODEL, result.params, X))
    assert np.all(found[240:] < 0.5) and np.mean(found[:240] < 0.5) < 0.05
    weights, own = jax.device_get(result.params)
    regular, joint = [], []
    for w, m, c, a, h in zip(weights, *own, strict=True):
        good = a * multivariate_normal.pdf(X, m, c)
        both = good + (1 - a) * multivariate_normal.pdf(X, m, h * c)
        regular.append(w * good)
        joint.append(w * both)
    np.testing.assert_allclose(found, np.sum(regular, 0) / np.sum(joint, 0), rtol=1e-9)


@pytest.mark.parametrize("covariance", ["tied", "EVE"])
def test_volumes_that_components_share_are_refused(covariance):
    with pytest.raises(ValueError, match="give one in which each has its own"):
        families.ContaminatedNormal(covariance)
