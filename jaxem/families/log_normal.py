"""Positive sizes whose logarithms are normal: independent log-normal columns.

log p(x; m, s) = -log x - 1/2 log 2 pi - log s - 1/2 (log(x / m) / s)^2
log m = mean(log x),  s^2 = mean(log(x / m)^2)      (Johnson, Kotz and Balakrishnan 1994, ch. 14)

m, the median, has the digits of x, which its logarithm would lose where a column is narrow.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, placement
from jaxem.core.constraints import Positive
from jaxem.core.parameters import tree
from jaxem.core.special import log_ratio
from jaxem.families.independent_columns import (
    observed_cells,
    ratio,
    spread_ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily


class LogNormalParams(NamedTuple):
    """medians (k, d), exp of the mean logarithm; scales (k, d), standard deviations of it."""

    medians: Array
    scales: Array


class LogNormalPrior(NamedTuple):
    """`rows` rows seen before, of that median and scale."""

    rows: Any = 0.0
    median: Any = 1.0
    scale: Any = 1.0


@dataclass(frozen=True)
class LogNormal(PivotFamily):
    """Columns of positive numbers."""

    params_type, prior_type = LogNormalParams, LogNormalPrior
    constraints = tree(LogNormalParams, Positive(), Positive())
    cells_are = "values that are not above 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < math.inf)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x))

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.medians

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return jnp.exp(jnp.mean(self.coordinates(x), axis=0, keepdims=True))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """z^2 and z = log(x / pivot), and whether the cell is observed."""
        _, seen = observed_cells(x)
        z = log_ratio(jnp.where(seen > 0, x.T, pivot.T), pivot.T)
        return jnp.concatenate([z**2, z, seen])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        return -jnp.sum(jnp.log(jnp.where(jnp.isnan(x), 1, x)), axis=1)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        m, s = params
        away = log_ratio(m, pivot) / s
        rest = -jnp.log(s) - 0.5 * math.log(2 * math.pi) - 0.5 * away**2
        return jnp.concatenate([-0.5 / s**2, away / s, rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        m, s = params
        return jnp.max((log_ratio(m, pivot) / s) ** 2)

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        squares, z, count = jnp.split(sums, 3, axis=1)
        away = log_ratio(new, old)
        from_new = z - count * away
        return jnp.concatenate([squares - away * (z + from_new), from_new, count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> LogNormalParams:
        return self.fixed_estimate(sums, params, parameters.free(params))

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> LogNormalParams:
        squares, z, count = jnp.split(sums, 3, axis=1)
        known, zero, eps = count > 0, jnp.zeros_like(count), jnp.finfo(count.dtype).eps
        z, free, m = ratio(z, count, zero), jnp.isnan(fixed.medians), params.medians
        shift = jnp.where(free, z, log_ratio(jnp.where(free, m, fixed.medians), m))
        # What rounding makes of the terms: a scale that this hides is found from the new median.
        variance = ratio(squares, count, zero) - z**2 + (z - shift) ** 2
        scales = jnp.sqrt(jnp.maximum(variance, 64 * eps * shift**2 + eps**2))
        return LogNormalParams(m * jnp.exp(shift), jnp.where(known, scales, params.scales))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.scales), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.medians * jnp.exp(0.5 * params.scales**2)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        s = params.scales
        return jnp.concatenate([s**2, jnp.zeros_like(s), jnp.ones_like(s)], axis=1)

    def check_prior(self, prior: LogNormalPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.positive_array(prior.median, "median")
        checks.positive_array(prior.scale, "scale")

    def earlier_rows(self, prior: LogNormalPrior) -> Earlier:
        rows, median, scale = prior
        sums = [rows * scale**2, jnp.zeros_like(rows), rows]
        return Earlier(median, jnp.concatenate(sums, axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> LogNormalParams:
        s, share = params.scales, share[:, None]
        return LogNormalParams(share / s**2, jnp.broadcast_to(2 * share, s.shape))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest variance of the logarithms, relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior.sums, 3, axis=1)[2]
        return spread_ratio(params.scales**2, weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, s = (leaf[labels] for leaf in params)
        return m * jnp.exp(s * jax.random.normal(key, m.shape, m.dtype))
