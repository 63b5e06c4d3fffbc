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
from jaxtyping import Array

from jaxem.core import placement
from jaxem.core.numerics import clip_log
from jaxem.core.special import exp_excess, stirling
from jaxem.families.generalized_regression import GeneralizedRegression


class PoissonRegressionParams(NamedTuple):
    """coefficients (k, p) of the log rate, the intercept first where there is one."""

    coefficients: Array


@dataclass(frozen=True)
class PoissonRegression(GeneralizedRegression):
    """Counts y (n,) that depend on regressors X (n, p): data (X, y); log link.

    log p(y | X; b) = y eta - exp(eta) - log y!,    eta = b' u,  u = (1, X)

    intercept: whether u has the 1. A row whose y is missing (NaN) carries no information.
    Errors: ValueError for y that are no whole numbers from 0, and for NaN in X.
    """

    intercept: Any = True

    params_type = PoissonRegressionParams
    responses_are = "values that are not whole numbers from 0"

    def wrong(self, y: Any) -> Any:
        return ~(placement.is_nan(y) | ((y >= 0) & placement.is_whole(y)))

    def log_density(self, eta: Array, y: Array) -> Array:
        positive = y > 0
        safe = jnp.where(positive, y, 1)
        at_mean = -0.5 * jnp.log(2 * math.pi * safe) - stirling(safe)
        some = at_mean - safe * exp_excess(eta - jnp.log(safe))
        return jnp.where(positive, some, -jnp.exp(jnp.where(positive, 0, eta)))

    def mean_and_variance(self, eta: Array) -> tuple[Array, Array]:
        rate = jnp.exp(clip_log(eta))
        return rate, rate

    def draw(self, key: Array, eta: Array) -> Array:
        return jax.random.poisson(key, jnp.exp(eta)).astype(eta.dtype)
