"""Yes and no that depend on regressors: y is 1 with probability 1 / (1 + exp(-eta)).

log p(y | X; b) = y eta - log(1 + exp(eta))
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from jaxem.core import placement
from jaxem.families.generalized_regression import GeneralizedRegression


class LogisticRegressionParams(NamedTuple):
    """coefficients (k, p) of the log odds, the intercept first where there is one."""

    coefficients: Array


@dataclass(frozen=True)
class LogisticRegression(GeneralizedRegression):
    """Answers y (n,), 0 or 1, that depend on regressors X (n, p): data (X, y); logit link.

    log p(y | X; b) = y eta - log(1 + exp(eta)),    eta = b' u,  u = (1, X)

    intercept: whether u has the 1. A row whose y is missing (NaN) carries no information.

    Where columns separate the answers, coefficients grow until the likelihood gains nothing more:
    the answer is finite, its size means nothing; a prior's precision is the remedy.
    Errors: ValueError for other y, and for NaN in X.
    """

    intercept: Any = True

    params_type = LogisticRegressionParams
    responses_are = "values that are not 0 or 1"

    def wrong(self, y: Any) -> Any:
        return ~(placement.is_nan(y) | (y == 0) | (y == 1))

    def log_density(self, eta: Array, y: Array) -> Array:
        return y * eta - jax.nn.softplus(eta)

    def mean_and_variance(self, eta: Array) -> tuple[Array, Array]:
        p = jax.nn.sigmoid(eta)
        return p, p * jax.nn.sigmoid(-eta)

    def draw(self, key: Array, eta: Array) -> Array:
        p = jax.nn.sigmoid(eta)
        return (jax.random.uniform(key, p.shape, p.dtype) < p).astype(p.dtype)
