"""Lifetimes: independent Weibull columns.

log p(x; a, b) = log a - log x + y - exp(y),    y = a log(x / b)

Of a shape (1 + c) a the scale that fits best has b^((1 + c) a) = mean(x^((1 + c) a)), and c takes
a Newton step on what is left of the expected log-likelihood, from sums at the old parameters:

    E = sum r e^y,  f = sum r y e^y / E,  v = sum r y^2 e^y / E - f^2
    c = (1 + mean(y) - f) / (1 + v),    log mean e^((1 + c) y) = log mean e^y + c f + c^2 v / 2

Source: Johnson, Kotz and Balakrishnan (1994), chapter 21.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import Positive
from jaxem.core.numerics import clip_log
from jaxem.core.parameters import tree
from jaxem.core.special import log_ratio
from jaxem.families.independent_columns import ratio, spread_ratio, with_column_means
from jaxem.families.newton_form import NewtonFamily

_SPREAD = math.pi / math.sqrt(6)  # standard deviation of y
_FIRST = 1 - np.euler_gamma  # E y e^y, of e^y that is a standard exponential variable
_SECOND = _FIRST**2 + math.pi**2 / 6 - 1  # E y^2 e^y


class WeibullParams(NamedTuple):
    """shapes (k, d) and scales (k, d)."""

    shapes: Array
    scales: Array


@dataclass(frozen=True)
class Weibull(NewtonFamily):
    """Columns of positive numbers."""

    params_type = WeibullParams
    constraints = tree(WeibullParams, Positive(), Positive())
    cells_are = "values that are not above 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < math.inf)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x))

    def cells(self, params: Any, x: Float[Array, "1 d n"]) -> Float[Array, "k d n"]:
        y = params.shapes * log_ratio(x, params.scales)
        return jnp.log(params.shapes) - jnp.log(x) + y - jnp.exp(y)

    def terms(self, params: Any, x: Float[Array, "1 d n"]) -> list[Float[Array, "k d n"]]:
        """1, y, e^y, y e^y, y^2 e^y."""
        y = clip_log(params.shapes * log_ratio(x, params.scales))  # no row is of that component
        power = jnp.exp(y)
        return [jnp.ones_like(y), y, power, y * power, y**2 * power]

    def expected(self, params: Any) -> Float[Array, "k t d"]:
        row = [1, -np.euler_gamma, 1, _FIRST, _SECOND]
        sums = jnp.asarray(row, params.shapes.dtype)[None, :, None]
        return jnp.broadcast_to(sums, (params.shapes.shape[0], 5, params.shapes.shape[1]))

    def stepped(self, sums: Float[Array, "k t d"], params: Any, fixed: Any) -> WeibullParams:
        count, y, power, first, second = jnp.unstack(sums, axis=1)
        a, b = params
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        scale_free, shape_free = (jnp.isnan(of) for of in (fixed.scales, fixed.shapes))
        total = jnp.where(scale_free, power, count)  # of a known scale, mean e^y need not be 1
        first, second = (ratio(of, total, zero) for of in (first, second))
        slope = jnp.where(count > 0, 1 + ratio(y, count, zero) - first, 0)
        bend = second - jnp.where(scale_free, first**2, 0)
        change = jnp.clip(slope / (1 + bend), -0.75, 3)
        shapes = jnp.minimum((1 + change) * a, 1 / jnp.finfo(a.dtype).eps)
        shapes = jnp.where(shape_free, shapes, fixed.shapes)
        change = jnp.where(shape_free, change, jnp.where(shape_free, a, shapes) / a - 1)
        log_power = jnp.log(ratio(power, count, one)) + change * first + change**2 * bend / 2
        scales = jnp.where(scale_free & (count > 0), b * jnp.exp(log_power / shapes), b)
        return WeibullParams(shapes, jnp.where(scale_free, scales, fixed.scales))

    def rough(self, x: Float[Array, "d n"], share: Float[Array, "d n"]) -> WeibullParams:
        """By the mean and the standard deviation of log x, from a pivot amid the rows."""
        seen = share > 0
        middle = jnp.exp(jnp.sum(share * jnp.log(x), axis=1, keepdims=True))
        z = log_ratio(x, middle)
        mean = jnp.sum(share * z, axis=1, keepdims=True)
        deviation = jnp.sqrt(jnp.sum(share * (z - mean) ** 2, axis=1, keepdims=True))
        deviation = jnp.where(seen.any(axis=1, keepdims=True), deviation, 1)
        shapes = _SPREAD / jnp.maximum(deviation, 2 * jnp.finfo(x.dtype).eps)
        return WeibullParams(shapes.T, (middle * jnp.exp(mean + np.euler_gamma / shapes)).T)

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.shapes), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.scales * jnp.exp(gammaln(1 + 1 / params.shapes))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> WeibullParams:
        a, share = params.shapes, share[:, None]
        return WeibullParams(jnp.broadcast_to((1 + _SECOND) * share, a.shape), share * a**2)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: None
    ) -> Float[Array, " k"]:
        """Smallest variance of the logarithms, relative to the pooled one."""
        return spread_ratio((_SPREAD / params.shapes) ** 2, weights, None)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        a, b = (leaf[labels] for leaf in params)
        return b * jax.random.exponential(key, a.shape, a.dtype) ** (1 / a)
