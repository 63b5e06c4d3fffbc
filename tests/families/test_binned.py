"""Histograms as data, and limits; laws are in tests/laws."""

import jax
import numpy as np
import pytest
from scipy import optimize, stats

import jaxem
from jaxem import families

RNG = np.random.default_rng(0)
EDGES = np.array([-np.inf, -2, -1, 0, 1, 2, 3, 4, 5, np.inf])
NUMBERS = np.concatenate([RNG.normal(0, 0.8, 600), RNG.normal(3.2, 0.7, 400)])


@pytest.mark.slow
def test_counts_of_a_histogram_are_weights():
    """Two normal components, by a search of scipy's in the likelihood of the counts."""
    counts = np.histogram(NUMBERS, EDGES)[0]
    model = jaxem.Mixture(families.BinnedNormal(EDGES), 2)
    x = np.arange(len(counts))
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4, sample_weight=counts, tol=1e-12)

    def loss(t):
        p = [np.diff(stats.norm.cdf(EDGES, m, np.exp(s))) for m, s in (t[1:3], t[3:])]
        share = 1 / (1 + np.exp(-t[0]))
        return -(counts * np.log(share * p[0] + (1 - share) * p[1])).sum()

    found = optimize.minimize(loss, [0.4, 0.0, 0.0, 3.0, 0.0], method="BFGS")
    np.testing.assert_allclose(result.log_likelihood, -found.fun, rtol=1e-8)
    means = np.sort(np.ravel(result.params.components.means))
    np.testing.assert_allclose(means, found.x[[1, 3]], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: families.BinnedNormal([0.0, 2.0, 1.0]), "that increase"),
        (lambda: families.BinnedNormal(None), "three numbers or more"),
        (lambda: families.TruncatedNormal(1.0, 0.0), "give low < high"),
        (lambda: families.TruncatedNormal(-np.inf, np.inf), "one of them finite"),
        (lambda: families.TruncatedExponential(0.0, np.inf), r"families\.Exponential"),
    ],
)
def test_limits_that_are_none_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()
