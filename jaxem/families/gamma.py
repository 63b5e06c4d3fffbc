"""Positive, skewed sizes: independent gamma columns.

log p(x; a, b) = a log b - log Gamma(a) + (a - 1) log x - b x

With m = a / b, u = (x - m) / m and the remainder of Stirling's formula, nothing cancels in it:

log p = a (log(1 + u) - u) + 1/2 log(a / 2 pi) - stirling(a) - log x

m = mean(x),  log a - digamma(a) = log(1 + mean(u)) - mean(u) - mean(log(1 + u) - u)
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, polygamma
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, placement
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Positive
from jaxem.core.numerics import einsum, from_log, to_log
from jaxem.core.parameters import Joint, tree
from jaxem.core.special import (
    log1p_excess,
    log_excess,
    log_less_digamma,
    solve_shape,
    stirling,
)
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    spread_ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily

_N_NEWTON = 6  # from Minka's start to the last digit


class GammaParams(NamedTuple):
    """shapes (k, d) and rates (k, d); the means are shapes / rates."""

    shapes: Array
    rates: Array


class GammaPrior(NamedTuple):
    """`rows` rows seen before, of that mean and mean logarithm."""

    rows: Any = 0.0
    mean: Any = 1.0
    mean_log: Any = -0.5


class ShapeAndMean(Joint):
    """Coordinates log shape and log mean, of which neither says anything of the other."""

    def to_unconstrained(self, value: Any) -> GammaParams:
        return GammaParams(to_log(value.shapes), to_log(value.shapes / value.rates))

    def from_unconstrained(self, coordinate: Any) -> GammaParams:
        shapes = from_log(coordinate.shapes)
        return GammaParams(shapes, shapes / from_log(coordinate.rates))


@dataclass(frozen=True)
class Gamma(PivotFamily):
    """Columns of positive numbers, (n, d), as sizes are; NaN is a missing cell.

    log p(x; a, b) = sum_j a[j] log b[j] - log Gamma(a[j]) + (a[j] - 1) log x[j] - b[j] x[j]

    Errors: ValueError for 0 and less.
    """

    params_type, prior_type = GammaParams, GammaPrior
    constraints: ClassVar[Any] = ShapeAndMean(tree(GammaParams, Positive(), Positive()))
    cells_are = "values that are not above 0"

    def describe(self, params: GammaParams, columns: Any, levels: Any) -> list[Line]:
        numbers = {"mean": params.shapes / params.rates, "shape": params.shapes}
        return [
            Line(name, what, values[:, j])
            for j, name in enumerate(columns)
            for what, values in numbers.items()
        ]

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < math.inf)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x))

    def rough(self, x: Float[Array, "n d"], share: Float[Array, " n"]) -> GammaParams:
        """Exponential columns of these means: any unit is far from some others."""
        total, count = (einsum("n,dn->d", share, of)[None] for of in observed_cells(x))
        one = jnp.ones_like(count)
        return GammaParams(one, ratio(count, total, one))

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.shapes / params.rates

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return column_means(*observed_cells(x))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """log(1 + u) - u, u, and whether the cell is observed."""
        seen, m = ~jnp.isnan(x.T), pivot.T
        known = jnp.where(seen, x.T, m)
        return jnp.concatenate([log_excess(known, m), (known - m) / m, seen.astype(x.dtype)])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        return -jnp.sum(jnp.log(jnp.where(jnp.isnan(x), 1, x)), axis=1)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        """With v = (m - pivot) / pivot: a, a v / (1 + v), and the terms without x."""
        a, m = params.shapes, self.location(params)
        away = (m - pivot) / pivot
        slope = a * away * (pivot / m)
        rest = 0.5 * jnp.log(a / (2 * math.pi)) - stirling(a)
        return jnp.concatenate([a, slope, rest - slope * away - a * log_excess(m, pivot)], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        m = self.location(params)
        return jnp.max(params.shapes * (m - pivot) / pivot * ((m - pivot) / m))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        excess, u, count = jnp.split(sums, 3, axis=1)
        away = (new - old) / old
        u = (u - count * away) * (old / new)
        return jnp.concatenate([excess - count * log_excess(new, old) + u * away, u, count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> GammaParams:
        excess, u, count = jnp.split(sums, 3, axis=1)
        eps = jnp.finfo(u.dtype).eps
        shift = jnp.maximum(ratio(u, count, jnp.zeros_like(count)), eps - 1)
        gap = log1p_excess(shift) - ratio(excess, count, -jnp.ones_like(count))
        # What rounding makes of the terms: a shape that this hides is found from the new mean.
        shape = solve_shape(jnp.maximum(gap, 64 * eps * shift**2 + 0.5 * eps**2))
        mean = self.location(params) * (1 + shift)
        rate, known = shape / mean, count > 0
        shape = rate * mean  # their ratio is the mean as well as rounding lets it be
        return GammaParams(
            jnp.where(known, shape, params.shapes), jnp.where(known, rate, params.rates)
        )

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> GammaParams:
        """b = a / mean(x) for a fixed shape a; digamma(a) = mean(log x) + log b for a rate b."""
        new, (excess, u, count) = self.estimate(sums, params), jnp.split(sums, 3, axis=1)
        m, rate_fixed = self.location(params), ~jnp.isnan(fixed.rates)
        rates = jnp.where(rate_fixed, fixed.rates, 1)
        mean_log = jnp.log(m * rates) + ratio(excess + u, count, jnp.zeros_like(count))
        shapes = jnp.where(rate_fixed & (count > 0), inverse_digamma(mean_log), new.shapes)
        shapes = jnp.where(jnp.isnan(fixed.shapes), shapes, fixed.shapes)
        return GammaParams(shapes, jnp.where(rate_fixed, rates, shapes / self.location(new)))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.shapes), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return self.location(params)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        a = params.shapes
        return jnp.concatenate([-log_less_digamma(a), jnp.zeros_like(a), jnp.ones_like(a)], axis=1)

    def check_prior(self, prior: GammaPrior) -> None:
        if not checks.is_concrete(prior):
            return
        rows, mean, logs = map(np.asarray, prior)
        if not (np.all(rows >= 0) and np.all(mean > 0) and np.all(np.log(mean) > logs)):
            raise ValueError(
                "the prior's rows must be from 0, its mean above 0, and its mean_log below "
                "log(mean), as the mean logarithm of any rows is"
            )

    def earlier_rows(self, prior: GammaPrior) -> Earlier:
        rows, mean, mean_log = prior
        sums = [rows * (mean_log - jnp.log(mean)), jnp.zeros_like(rows), rows]
        return Earlier(mean, jnp.concatenate(sums, axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> GammaParams:
        a, share = params.shapes, share[:, None]
        return GammaParams(share * (a**2 * polygamma(1, a) - a), share * a)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest variance of the logarithms, digamma'(shape), relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior.sums, 3, axis=1)[2]
        return spread_ratio(polygamma(1, params.shapes), weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        a, b = (leaf[labels] for leaf in params)
        return jax.random.gamma(key, a, dtype=a.dtype) / b


def inverse_digamma(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The a of digamma(a) = y, by Newton steps from Minka's start (2000, appendix C)."""
    far = -1 / (y - digamma(jnp.ones_like(y)))
    a = jnp.where(y >= -2.22, jnp.exp(y) + 0.5, far)

    def step(_: Array, a: Array) -> Array:
        return a - (digamma(a) - y) / polygamma(1, a)

    return lax.fori_loop(0, _N_NEWTON, step, a)
