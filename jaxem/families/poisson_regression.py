"""Counts that depend on regressors: y is Poisson of rate exp(eta).

log p(y | X; b) = y eta - exp(eta) - log y!
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array

from jaxem.core.numerics import clip_log
from jaxem.families.generalized_regression import GeneralizedRegression


class PoissonRegressionParams(NamedTuple):
    """coefficients (k, p) of the log rate, the intercept first where there is one."""

    coefficients: Array


@dataclass(frozen=True)
class PoissonRegression(GeneralizedRegression):
    """Data (X, y), y whole numbers from 0; log link."""

    intercept: Any = True

    params_type = PoissonRegressionParams
    responses_are = "values that are not whole numbers from 0"

    def wrong(self, y: np.ndarray) -> np.ndarray:
        return ~(np.isnan(y) | ((y >= 0) & (y == np.floor(y)) & (y < np.inf)))

    def log_density(self, eta: Array, y: Array) -> Array:
        return y * eta - jnp.exp(eta) - gammaln(y + 1)

    def moments(self, eta: Array) -> tuple[Array, Array]:
        rate = jnp.exp(clip_log(eta))
        return rate, rate

    def draw(self, key: Array, eta: Array) -> Array:
        return jax.random.poisson(key, jnp.exp(eta)).astype(eta.dtype)
