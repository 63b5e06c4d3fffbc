"""A case of each regression: scipy's density of the responses, and the estimate in plain NumPy."""

import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from jaxem import families
from laws.family_case import FamilyCase, N, arrays, without_row_5


def _rows(draw, spread=1.0):
    rng = np.random.default_rng(20)
    X = spread * rng.normal(size=(N, 2)) + 3.0 * spread
    return X, draw(rng, X @ np.array([1.0, -0.5]))


def _design(X):
    return np.c_[np.ones(len(X)), np.asarray(X)]


def _hole(x):
    return x[0], without_row_5(x[1])


def linear(common_scale):
    def log_prob(params, x):
        pairs = zip(*map(np.asarray, params), strict=True)
        u, y = _design(x[0]), np.asarray(x[1])
        return np.array([stats.norm.logpdf(y, u @ b, s) for b, s in pairs])

    def mle(r, x):
        u, y = _design(x[0]), np.asarray(x[1])
        b = [np.linalg.lstsq(np.sqrt(w)[:, None] * u, np.sqrt(w) * y, rcond=None)[0] for w in r]
        squares = np.array([w @ (y - u @ own) ** 2 for w, own in zip(r, b, strict=True)])
        variance = squares.sum() / r.sum() if common_scale else squares / r.sum(1)
        return families.LinearRegressionParams(np.array(b), np.sqrt(variance * np.ones(len(r))))

    coefficients = [[1.0, 2.0, -1.0], [-2.0, 0.5, 1.0], [0.3, -1.0, 0.2]]
    scales = [1.2] * 3 if common_scale else [0.7, 1.2, 2.0]
    return FamilyCase(
        families.LinearRegression(common_scale=common_scale),
        families.LinearRegressionParams(*arrays(coefficients, scales)),
        arrays(*_rows(lambda rng, eta: eta + rng.normal(size=N))),
        log_prob,
        mle,
        families.LinearRegressionPrior(0.5, 2.0, 3.0, 0.7),
        families.LinearRegressionParams(False, common_scale),
        hole=_hole,
    )


def _newton(r, x, mean, variance):
    """Coefficients (k, p) by Newton steps from 0 (iteratively reweighted least squares)."""
    u, y, found = _design(x[0]), np.asarray(x[1]), []
    for w in r:
        b = np.zeros(u.shape[1])
        for _ in range(30):
            slope = u.T @ (w * (y - mean(u @ b)))
            b = b + np.linalg.solve((u.T * (w * variance(u @ b))) @ u, slope)
        found.append(b)
    return np.array(found)


def poisson():
    def log_prob(params, x):
        eta = np.asarray(params.coefficients) @ _design(x[0]).T
        return stats.poisson.logpmf(np.asarray(x[1]), np.exp(eta))

    return FamilyCase(
        families.PoissonRegression(),
        families.PoissonRegressionParams(
            jnp.array([[0.5, 1.0, -0.8], [1.0, 0.2, 0.3], [0.3, -0.5, 0.9]])
        ),
        arrays(*_rows(lambda rng, eta: rng.poisson(np.exp(eta)).astype(float), 0.5)),
        log_prob,
        lambda r, x: families.PoissonRegressionParams(_newton(r, x, np.exp, np.exp)),
        families.RegressionPrior(0.5, 2.0),
        families.PoissonRegressionParams(False),
        n_steps=30,
        hole=_hole,
    )


def logistic():
    def log_prob(params, x):
        eta = np.asarray(params.coefficients) @ _design(x[0]).T
        return stats.bernoulli.logpmf(np.asarray(x[1]), special.expit(eta))

    def variance(eta):
        return special.expit(eta) * special.expit(-eta)

    return FamilyCase(
        families.LogisticRegression(),
        families.LogisticRegressionParams(
            jnp.array([[0.5, 1.0, -0.8], [-1.0, 0.2, 0.3], [0.3, -0.5, 0.9]])
        ),
        arrays(*_rows(lambda rng, eta: (rng.random(N) < special.expit(eta - 1)).astype(float))),
        log_prob,
        lambda r, x: families.LogisticRegressionParams(_newton(r, x, special.expit, variance)),
        families.RegressionPrior(0.5, 2.0),
        families.LogisticRegressionParams(False),
        n_steps=30,
        hole=_hole,
    )


REGRESSION_CASES = {
    "linear_regression": lambda: linear(False),
    "linear_regression_of_one_scale": lambda: linear(True),
    "poisson_regression": poisson,
    "logistic_regression": logistic,
}
