"""Best known log-likelihoods of classic data: R's mclust 6.0.0 and scikit-learn 1.9.1.

The figures are the highest regular optima that those programs found over hundreds of starts.
"""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import datasets
from jaxem.families import Gaussian

FAITHFUL = {
    ("full", 2): -1130.26396018, ("full", 3): -1114.43987290,
    ("tied", 2): -1140.18675944, ("tied", 3): -1126.31592782,
    ("diag", 2): -1147.80635254, ("diag", 3): -1127.00751919,
    ("spherical", 2): -1709.52928218, ("spherical", 3): -1637.43441800,
}  # fmt: skip
IRIS = {
    ("full", 2): -214.35470437, ("full", 3): -180.18547713,
    ("tied", 2): -296.44757477, ("tied", 3): -256.35404313,
    ("diag", 2): -386.18534693, ("diag", 3): -306.86046051,
    ("spherical", 2): -478.55909577, ("spherical", 3): -384.31409506,
}  # fmt: skip
GALAXIES = {
    ("full", 2): -220.19314360, ("full", 3): -203.48198015, ("full", 4): -197.71031124,
    ("tied", 3): -212.68022595, ("tied", 4): -208.24713059, ("tied", 6): -197.29000244,
}  # fmt: skip
CASES = [
    (name, *case, best)
    for name, table in (("faithful", FAITHFUL), ("iris", IRIS), ("galaxies", GALAXIES))
    for case, best in table.items()
]


@pytest.mark.slow(but=("galaxies-full-3--203.48198015",))
@pytest.mark.parametrize(("name", "covariance", "k", "best"), CASES)
def test_best_known_optimum(name, covariance, k, best):
    x = getattr(datasets, f"load_{name}")().x
    model = jaxem.Mixture(Gaussian(covariance), k)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=100, tol=1e-9, max_iter=5000)
    assert result.converged, result
    assert float(result.log_likelihood) >= best - 1e-6 * abs(best)
    np.testing.assert_allclose(float(result.log_likelihood), best, rtol=1e-6)
