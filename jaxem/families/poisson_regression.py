"""Counts that depend on regressors: y is Poisson of rate exp(eta).

log p(y | X; b) = y eta - exp(eta) - log y!
                = log p(y | log y) - y (exp(d) - 1 - d),    d = eta - log y

The second form, with Stirling's series in the first term, does not cancel: the terms of the other
are a hundred thousand times their sum for counts of a million (Loader 2000).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

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
        positive = y > 0
        safe = jnp.where(positive, y, 1)
        at_mean = -0.5 * jnp.log(2 * math.pi * safe) - _stirling(safe)
        some = at_mean - safe * _excess(eta - jnp.log(safe))
        return jnp.where(positive, some, -jnp.exp(jnp.where(positive, 0, eta)))

    def moments(self, eta: Array) -> tuple[Array, Array]:
        rate = jnp.exp(clip_log(eta))
        return rate, rate

    def draw(self, key: Array, eta: Array) -> Array:
        return jax.random.poisson(key, jnp.exp(eta)).astype(eta.dtype)


_NEAR, _LARGE = 0.25, 16.0  # within them the series below have all digits
_TERMS = [1 / math.factorial(i) for i in range(2, 13)]
_STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360]


def _excess(d: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """exp(d) - 1 - d, which is about d^2 / 2 near 0."""
    near = jnp.abs(d) < _NEAR
    small = jnp.where(near, d, 0)
    return jnp.where(near, small**2 * _polynomial(_TERMS, small), jnp.expm1(d) - d)


def _stirling(y: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The remainder of Stirling's formula for log y!, y > 0."""
    large = y >= _LARGE
    z = 1 / jnp.where(large, y, _LARGE)
    small = jnp.where(large, 1, y)
    direct = gammaln(small + 1) - (small + 0.5) * jnp.log(small) + small
    return jnp.where(large, z * _polynomial(_STIRLING, z**2), direct - 0.5 * math.log(2 * math.pi))


def _polynomial(coefficients: list[float], z: Float[Array, "*s"]) -> Float[Array, "*s"]:
    total = jnp.full_like(z, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total
