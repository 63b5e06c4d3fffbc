"""Positive, strongly skewed sizes: independent inverse Gaussian columns.

log p(x; m, l) = 1/2 log l - 1/2 log 2 pi - 3/2 log x - l (x - m)^2 / (2 m^2 x)

From a pivot q, with e = (x - q)^2 / (q x), u = (x - q) / q and v = (m - q) / m, nothing cancels:

(x - m)^2 / (m^2 x) = (e - u v (2 - v) + v^2) / q

m = mean(x),  m / l = mean((x - m)^2 / (m x))      (Tweedie 1957)
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
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    spread_ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily


class InverseGaussianParams(NamedTuple):
    """means (k, d) and shapes (k, d): the variances are means^3 / shapes."""

    means: Array
    shapes: Array


class InverseGaussianPrior(NamedTuple):
    """`rows` rows seen before, of that mean and shape."""

    rows: Any = 0.0
    mean: Any = 1.0
    shape: Any = 1.0


@dataclass(frozen=True)
class InverseGaussian(PivotFamily):
    """Columns of positive numbers."""

    params_type, prior_type = InverseGaussianParams, InverseGaussianPrior
    constraints = tree(InverseGaussianParams, Positive(), Positive())
    cells_are = "values that are not above 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < math.inf)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x))

    def rough(self, x: Float[Array, "n d"], share: Float[Array, " n"]) -> InverseGaussianParams:
        """Of these means: any unit is far from some others."""
        mean = self.centre(jnp.where((share > 0)[:, None], x, jnp.nan))
        return InverseGaussianParams(mean, mean)

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.means

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return column_means(*observed_cells(x))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """e, u, and whether the cell is observed."""
        _, seen = observed_cells(x)
        known = jnp.where(seen > 0, x.T, pivot.T)
        away = known - pivot.T
        return jnp.concatenate([(away / pivot.T) * (away / known), away / pivot.T, seen])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        known, seen = observed_cells(x)
        logs = 1.5 * jnp.log(jnp.where(seen > 0, known, 1)) + 0.5 * math.log(2 * math.pi) * seen
        return -jnp.sum(logs, axis=0)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        m, shape = params
        away, half = (m - pivot) / m, shape / (2 * pivot)
        rest = 0.5 * jnp.log(shape) - half * away**2
        return jnp.concatenate([-half, half * away * (2 - away), rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        m, shape = params
        away = (m - pivot) / pivot
        return jnp.max(0.5 * (shape / m) * away**2 * (1 + pivot / m))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        excess, u, count = jnp.split(sums, 3, axis=1)
        there, away = new / old, (new - old) / old
        excess = there * excess + (away / there) * (count * away - u * (2 + away))
        return jnp.concatenate([excess, (u - count * away) / there, count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> InverseGaussianParams:
        return self.fixed_estimate(sums, params, parameters.free(params))

    def fixed_estimate(
        self, sums: Float[Array, "k f"], params: Any, fixed: Any
    ) -> InverseGaussianParams:
        _, u, count = jnp.split(sums, 3, axis=1)
        old, eps = params.means, jnp.finfo(u.dtype).eps
        shift = jnp.maximum(ratio(u, count, jnp.zeros_like(count)), eps - 1)
        means = jnp.where(jnp.isnan(fixed.means), old * (1 + shift), fixed.means)
        excess, *_ = jnp.split(self.moved(sums, old, means), 3, axis=1)
        # What rounding makes of the terms: a shape that this hides is found from the new mean.
        excess = jnp.maximum(ratio(excess, count, jnp.ones_like(u)), 64 * eps * shift**2 + eps**2)
        return InverseGaussianParams(means, jnp.where(count > 0, means / excess, params.shapes))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.shapes), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.means

    def expected(self, params: Any) -> Float[Array, "k f"]:
        m, shape = params
        return jnp.concatenate([m / shape, jnp.zeros_like(m), jnp.ones_like(m)], axis=1)

    def check_prior(self, prior: InverseGaussianPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.positive_array(prior.mean, "mean")
        checks.positive_array(prior.shape, "shape")

    def earlier_rows(self, prior: InverseGaussianPrior) -> Earlier:
        rows, mean, shape = prior
        sums = [rows * mean / shape, jnp.zeros_like(rows), rows]
        return Earlier(mean, jnp.concatenate(sums, axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> InverseGaussianParams:
        m, shape = params
        share = jnp.broadcast_to(share[:, None], m.shape)
        return InverseGaussianParams(share * (shape / m), 0.5 * share)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest squared coefficient of variation, m / l, relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior.sums, 3, axis=1)[2]
        return spread_ratio(params.means / params.shapes, weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        """One of the two roots of (x - m)^2 / (m^2 x) = y^2 / l (Michael, Schucany, Haas 1976)."""
        key_root, key_side = jax.random.split(key)
        m, shape = (leaf[labels] for leaf in params)
        w = (m / shape) * jax.random.normal(key_root, m.shape, m.dtype) ** 2
        root = 1 + 0.5 * w + jnp.sqrt(w + 0.25 * w**2)
        small = jax.random.uniform(key_side, m.shape, m.dtype) < root / (1 + root)
        return jnp.where(small, m / root, m * root)
