"""Directions: unit vectors in d dimensions around those of the components.

log p(x; m, c) = c m'x + v log c - (v + 1) log 2 pi - log I_v(c),    v = d / 2 - 1
               = -c |x - m|^2 / 2 + v log c - (v + 1) log 2 pi - log(I_v(c) exp(-c))

m = R / |R|,  R = mean(x),   A(c) = I_(v+1)(c) / I_v(c) = |R|      (Banerjee et al. 2005)

Where vectors are near each other, A is near 1: what is kept is 1 - A, from |x - m|^2 / 2, whose
sums are measured from a pivot q:  |x - m|^2 = |x - q|^2 - 2 (x - q)'(m - q) + |m - q|^2
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, placement
from jaxem.core.bessel import log_bessel, ratio_gap
from jaxem.core.capabilities.describing import Line, by_column
from jaxem.core.constraints import NonNegative
from jaxem.core.direction import UNIT, Direction, unit
from jaxem.core.numerics import einsum
from jaxem.core.parameters import tree
from jaxem.families.independent_columns import ratio, spread_ratio
from jaxem.families.pivot_form import Earlier, PivotFamily

_N_NEWTON = 8  # from Banerjee's start to the last digit


class VonMisesFisherParams(NamedTuple):
    """directions (k, d) of length 1; concentrations (k,), 0 for the uniform distribution."""

    directions: Array
    concentrations: Array


class VonMisesFisherPrior(NamedTuple):
    """`rows` rows seen before, of that mean direction, of any length, and mean resultant length,
    below 1."""

    rows: Any = 0.0
    direction: Any = 1.0
    length: Any = 0.0


@dataclass(frozen=True)
class VonMisesFisher(PivotFamily):
    """Rows of length 1, whole ones: they have no missing cells."""

    params_type, prior_type = VonMisesFisherParams, VonMisesFisherPrior
    constraints = tree(VonMisesFisherParams, Direction(), NonNegative())
    cells_are = "values that are missing or infinite"

    # ---- host side

    def describe(self, params: VonMisesFisherParams, columns: Any, levels: Any) -> list[Line]:
        directions = by_column(columns, "direction", params.directions)
        return [*directions, Line(", ".join(columns), "concentration", params.concentrations)]

    def wrong(self, x: Any) -> Any:
        return ~(abs(x) < math.inf)

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        if x.shape[1] < 2:
            raise ValueError(f"x has 1 column; {self!r} asks for 2 or more: VonMises() has angles")
        super().check(x, weight, names)

        def length(rows: Any) -> Any:
            return placement.numpy_of(rows).sqrt((rows**2).sum(axis=1, keepdims=True))

        def wrong(rows: Any) -> Any:
            first = placement.numpy_of(rows).arange(rows.shape[1]) == 0
            return first & (abs(length(rows) - 1) > UNIT)

        if checks.is_concrete(x, weight):
            what = "rows whose length is not 1 (here by their first cells)"
            remedy = "divide them by it, x / np.linalg.norm(x, axis=1, keepdims=True)"
            checks.require_cells(x, weight, names, wrong, what, remedy)

    def as_params(self, params: Any, x: Any, k: int) -> VonMisesFisherParams:
        checks.fields(params, VonMisesFisherParams, "components")
        made_for = f"{k} components, {x.shape[1]} columns and {self!r}"
        shapes = (k, x.shape[1]), (k,)
        leaves = [
            checks.parameter(value, shape, x.dtype, name, made_for)
            for name, value, shape in zip(params._fields, params, shapes, strict=True)
        ]
        found = VonMisesFisherParams(*leaves)
        parameters.check(self.constraints, found)
        return found

    def as_prior(self, prior: Any, reg_covar: Any, x: Any, k: int) -> Earlier:
        checks.fields(prior, VonMisesFisherPrior, "the prior's components")
        shapes = (k,), (k, x.shape[1]), (k,)
        for name, value in zip(prior._fields, prior, strict=True):
            checks.numbers(value, name)
        found = [
            checks.broadcast(value, shape, x.dtype, name)
            for name, value, shape in zip(prior._fields, prior, shapes, strict=True)
        ]
        self.check_prior(prior)
        return self.earlier_rows(VonMisesFisherPrior(*found))

    def check_prior(self, prior: VonMisesFisherPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.between(prior.length, "length", 0, 1 - 1e-6)

    def default_min_count(self, x: Any) -> float:
        return 2.0 * (x.shape[1] + 1)

    def check_imputable(self) -> None:
        raise ValueError(f"{self!r} observes its rows whole: there are no holes to fill")

    def conditional(self, params: Any, given: dict) -> Any:
        raise ValueError(f"{self!r} has no columns that could be given: rows are of length 1")

    # ---- starts

    def blank(self, x: Float[Array, "n d"], k: int) -> VonMisesFisherParams:
        first = unit(jnp.zeros((k, x.shape[1]), x.dtype))
        return VonMisesFisherParams(first, jnp.ones(k, x.dtype))

    # ---- from a pivot

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.directions

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return unit(jnp.sum(unit(x), axis=0, keepdims=True))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """|x - pivot|^2 / 2, x - pivot and 1."""
        away = unit(x).T - pivot.T
        half = 0.5 * jnp.sum(away**2, axis=0, keepdims=True)
        return jnp.concatenate([half, away, jnp.ones_like(half)])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        return jnp.full(x.shape[0], -0.5 * x.shape[1] * math.log(2 * math.pi), x.dtype)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        away, c = params.directions - pivot, params.concentrations[:, None]
        order = 0.5 * away.shape[1] - 1
        rest = -0.5 * c * jnp.sum(away**2, axis=1, keepdims=True) - log_bessel(order, _positive(c))
        return jnp.concatenate([-c, c * away, rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        away = params.directions - pivot
        return jnp.max(params.concentrations * jnp.sum(away**2, axis=1))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        half, away, count = sums[:, :1], sums[:, 1:-1], sums[:, -1:]
        turn = new - old
        from_new = away - count * turn
        lost = 0.5 * jnp.sum(turn * (away + from_new), axis=1, keepdims=True)
        return jnp.concatenate([half - lost, from_new, count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> VonMisesFisherParams:
        return self.fixed_estimate(sums, params, parameters.free(params))

    def fixed_estimate(
        self, sums: Float[Array, "k f"], params: Any, fixed: Any
    ) -> VonMisesFisherParams:
        old, count, zero = params.directions, sums[:, -1:], jnp.zeros_like(sums[:, 1:-1])
        resultant = old + ratio(sums[:, 1:-1], count + zero, zero)
        some = jnp.any(resultant != 0, axis=1, keepdims=True)
        free = jnp.isnan(fixed.directions)
        directions = jnp.where(free, jnp.where(some, unit(resultant), old), fixed.directions)
        half = self.moved(sums, old, directions)[:, :1]
        gap = jnp.clip(ratio(half, count, jnp.ones_like(count)), 0, 1)
        own = solve_concentration(gap[:, 0], old.shape[1])
        return VonMisesFisherParams(
            directions, jnp.where(count[:, 0] > 0, own, params.concentrations)
        )

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return ~jnp.isnan(fixed.concentrations)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        gap = _gap(params.concentrations, params.directions.shape[1])[:, None]
        zero = jnp.zeros_like(params.directions)
        return jnp.concatenate([gap, zero, jnp.ones_like(gap)], axis=1)

    def earlier_rows(self, prior: VonMisesFisherPrior) -> Earlier:
        rows, direction, length = prior
        zero = jnp.zeros_like(direction)
        sums = [(rows * (1 - length))[:, None], zero, rows[:, None]]
        return Earlier(unit(direction), jnp.concatenate(sums, axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> VonMisesFisherParams:
        m, c = params
        return VonMisesFisherParams(jnp.broadcast_to((share * c)[:, None], m.shape), share)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """1 - A(c), the mean squared distance, relative to the pooled one."""
        gap = _gap(params.concentrations, params.directions.shape[1])[:, None]
        return spread_ratio(gap, weights, None if prior is None else prior.sums[:, -1:])

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        """How far from the direction by rejection (Wood 1994), whereto at random."""
        key_far, key_side = jax.random.split(key)
        m, c = (leaf[labels] for leaf in params)
        gap = _draw_gap(key_far, c, m.shape[1])[:, None]
        side = jax.random.normal(key_side, m.shape, m.dtype)
        side = unit(side - m * einsum("nd,nd->n", side, m)[:, None])
        return unit(m - gap * m + jnp.sqrt(gap * (2 - gap)) * side)


def _draw_gap(key: Array, c: Float[Array, " n"], d: int) -> Float[Array, " n"]:
    """1 - m'x."""
    b = (d - 1) / (2 * c + jnp.sqrt(4 * c**2 + (d - 1) ** 2))
    middle = 2 * b / (1 + b)  # 1 - x_0

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        key, gap, waits = state
        key, key_z, key_u = jax.random.split(key, 3)
        half = jnp.full_like(c, 0.5 * (d - 1))
        z = jax.random.beta(key_z, half, half, dtype=c.dtype)
        new = 2 * b * z / (1 - (1 - b) * z)
        odds = (middle + new - middle * new) / (middle * (2 - middle))
        u = jax.random.uniform(key_u, c.shape, c.dtype, minval=jnp.finfo(c.dtype).tiny)
        good = c * (middle - new) + (d - 1) * jnp.log(odds) >= jnp.log(u)
        return key, jnp.where(waits & good, new, gap), waits & ~good

    start = key, jnp.zeros_like(c), jnp.ones(c.shape, bool)
    return lax.while_loop(lambda state: jnp.any(state[2]), propose, start)[1]


def _positive(c: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Where c is 0 to what rounding sees, another number as small."""
    return jnp.maximum(c, jnp.finfo(c.dtype).eps)


def _gap(c: Float[Array, "*shape"], d: int) -> Float[Array, "*shape"]:
    """1 - A(c)."""
    return ratio_gap(0.5 * d, _positive(c))


def solve_concentration(gap: Float[Array, "*shape"], d: int) -> Float[Array, "*shape"]:
    """The c of 1 - A(c) = gap, by Newton steps from the start of Banerjee et al. (2005)."""
    gap = jnp.maximum(gap, 0.5 * jnp.finfo(gap.dtype).eps ** 2)  # what rounding makes of vectors
    r = 1 - gap
    start = r * (d - r**2) / (gap * (2 - gap))

    def step(_: Array, c: Array) -> Array:
        found, slope = jax.jvp(lambda c: _gap(c, d), (c,), (jnp.ones_like(c),))
        slope = jnp.where(c > jnp.finfo(c.dtype).eps, slope, -1 / d)
        return jnp.clip(c - (found - gap) / slope, 0.25 * c, 4 * c)

    return lax.fori_loop(0, _N_NEWTON, step, start)
