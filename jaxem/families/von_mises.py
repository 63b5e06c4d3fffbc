"""Angles: independent von Mises columns, in radians.

log p(x; m, c) = c cos(x - m) - log(2 pi I_0(c))
               = -2 c sin^2((x - m) / 2) - log(2 pi I_0(c) exp(-c))
m = arg(sum r exp(ix)),  A(c) = I_1(c) / I_0(c) = |sum r exp(ix)| / sum r  (Mardia and Jupp 2000)

Where angles are near each other, A is near 1: what is kept is 1 - A, from sums of 1 - cos(x - m).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import i0e, i1e
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, placement, remarks
from jaxem.core.constraints import Angle, NonNegative
from jaxem.core.numerics import einsum
from jaxem.core.parameters import Joint, tree
from jaxem.core.special import length_gap, log_i0e
from jaxem.families.independent_columns import observed_cells, ratio, spread_ratio
from jaxem.families.pivot_form import Earlier, PivotFamily

_N_NEWTON = 6  # from the start of Best and Fisher to the last digit


class VonMisesParams(NamedTuple):
    """directions (k, d) in radians; concentrations (k, d), 0 for the uniform distribution."""

    directions: Array
    concentrations: Array


class VonMisesPrior(NamedTuple):
    """`rows` rows seen before, of that mean direction and mean resultant length, below 1."""

    rows: Any = 0.0
    direction: Any = 0.0
    length: Any = 0.0


class Polar(Joint):
    """Coordinates c cos m, c sin m, the natural ones: a length of 0 has no direction to lose."""

    def to_unconstrained(self, value: Any) -> VonMisesParams:
        m, c = value
        return VonMisesParams(c * jnp.cos(m), c * jnp.sin(m))

    def from_unconstrained(self, coordinate: Any) -> VonMisesParams:
        a, b = coordinate
        most, zero = jnp.finfo(a.dtype).max ** 0.45, (a == 0) & (b == 0)
        length = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, a**2 + b**2)))
        return VonMisesParams(jnp.arctan2(b, jnp.where(zero, 1, a)), jnp.minimum(length, most))


@dataclass(frozen=True)
class VonMises(PivotFamily):
    """Columns of angles in radians, (n, d); NaN is a missing cell.

    log p(x; m, c) = sum_j c[j] cos(x[j] - m[j]) - log(2 pi I_0(c[j]))

    Multiples of 2 pi do not matter.
    Errors: ValueError for infinity; a UserWarning for what looks like degrees.
    Source: Mardia and Jupp (2000), Directional Statistics.
    """

    params_type, prior_type = VonMisesParams, VonMisesPrior
    constraints: ClassVar[Any] = Polar(tree(VonMisesParams, Angle(), NonNegative()))
    cells_are = "infinite values"

    def wrong(self, x: Any) -> Any:
        return placement.is_infinite(x)

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        super().check(x, weight, names)
        if checks.is_concrete(x, weight):
            _warn_of_degrees(x, weight, names)

    def check_prior(self, prior: VonMisesPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.between(prior.length, "length", 0, 1 - 1e-6)

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        known, seen = observed_cells(x)
        return jnp.concatenate([seen * jnp.cos(known), jnp.sin(known)]).T

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.directions

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        known, seen = observed_cells(x)
        return jnp.arctan2(jnp.sum(jnp.sin(known), 1), jnp.sum(seen * jnp.cos(known), 1))[None]

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """1 - cos(x - pivot), sin(x - pivot), and whether the cell is observed."""
        seen, m = ~jnp.isnan(x.T), pivot.T
        away = jnp.where(seen, x.T, m) - m
        return jnp.concatenate([_versine(away), jnp.sin(away), seen.astype(x.dtype)])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        return -math.log(2 * math.pi) * jnp.sum(~jnp.isnan(x), axis=1, dtype=x.dtype)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        c, away = params.concentrations, params.directions - pivot
        rest = -c * _versine(away) - log_i0e(c)
        return jnp.concatenate([-c * jnp.cos(away), c * jnp.sin(away), rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        return jnp.max(2 * params.concentrations * _versine(params.directions - pivot))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        short, across, count = jnp.split(sums, 3, axis=1)
        away = new - old
        cos, sin = jnp.cos(away), jnp.sin(away)
        return jnp.concatenate(
            [
                short * cos + count * _versine(away) - across * sin,
                across * cos - (count - short) * sin,
                count,
            ],
            axis=1,
        )

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> VonMisesParams:
        return self.fixed_estimate(sums, params, parameters.free(params))

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> VonMisesParams:
        short, across, count = jnp.split(sums, 3, axis=1)
        some, old = count > 0, params.directions
        turn = jnp.where(some, jnp.arctan2(across, count - short), 0)
        free = jnp.isnan(fixed.directions)
        directions = jnp.where(free, _within_a_turn(old + turn), fixed.directions)
        short, *_ = jnp.split(self.moved(sums, old, directions), 3, axis=1)
        gap = jnp.clip(ratio(short, count, jnp.ones_like(count)), 0, 1)
        own = jnp.where(some, solve_concentration(gap), params.concentrations)
        return VonMisesParams(directions, own)

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.concentrations), axis=1)

    def impute_mean(
        self, params: Any, x: Float[Array, "n d"], shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        """The direction of E exp(i x)."""
        m, length = params.directions, mean_length(params.concentrations)
        ends = (length * jnp.sin(m), length * jnp.cos(m))
        across, along = (einsum("kn,kd->nd", shares, of) for of in ends)
        return jnp.where(jnp.isnan(x), jnp.arctan2(across, along), x)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        gap = length_gap(params.concentrations)
        return jnp.concatenate([gap, jnp.zeros_like(gap), jnp.ones_like(gap)], axis=1)

    def earlier_rows(self, prior: VonMisesPrior) -> Earlier:
        rows, m, length = prior
        sums = [rows * (1 - length), jnp.zeros_like(rows), rows]
        return Earlier(m, jnp.concatenate(sums, axis=1))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest circular variance, 1 - A(c), relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior.sums, 3, axis=1)[2]
        return spread_ratio(length_gap(params.concentrations), weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        """By rejection from a wrapped Cauchy envelope (Best and Fisher 1979)."""
        m, c = (leaf[labels] for leaf in params)
        tau = 1 + jnp.sqrt(1 + 4 * c**2)
        rho = jnp.where(c > 1e-3, (tau - jnp.sqrt(2 * tau)) / (2 * jnp.where(c > 0, c, 1)), c / 2)
        near = jnp.maximum(rho, jnp.finfo(c.dtype).eps)
        shift = (1 + near**2) / (2 * near)

        def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            key, angle, waits = state
            key, key_z, key_u, key_side = jax.random.split(key, 4)
            z = jnp.cos(math.pi * jax.random.uniform(key_z, c.shape, c.dtype))
            f = (1 + shift * z) / (shift + z)
            y = c * (shift - f)
            u = jax.random.uniform(key_u, c.shape, c.dtype, minval=jnp.finfo(c.dtype).tiny)
            good = (y * (2 - y) > u) | (jnp.log(y / u) + 1 >= y)
            side = jnp.where(jax.random.bernoulli(key_side, 0.5, c.shape), 1.0, -1.0)
            new = side.astype(c.dtype) * jnp.arccos(jnp.clip(f, -1, 1))
            return key, jnp.where(waits & good, new, angle), waits & ~good

        start = key, jnp.zeros_like(c), jnp.ones(c.shape, bool)
        angle = lax.while_loop(lambda state: jnp.any(state[2]), propose, start)[1]
        return jnp.mod(m + angle + math.pi, 2 * math.pi) - math.pi


def _warn_of_degrees(x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
    """A UserWarning for columns within 360, many of whose angles are beyond two whole turns."""
    n, many, size = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for block, own in placement.blocks((x, weight)):
        there = placement.present(block, own)
        n += int(np.sum(there)) if own is not None else len(block)
        many += np.asarray(((abs(block) > 4 * math.pi) & there).sum(0))
        most = placement.numpy_of(block).nanmax(abs(block), axis=0, initial=0, where=there)
        size = np.maximum(size, np.asarray(most))
    like = (many > 0.1 * n) & (size <= 360)
    if like.any():
        which = ", ".join(str((names or range(x.shape[1]))[j]) for j in np.flatnonzero(like))
        remarks.warn(
            f"columns {which} have angles up to {size[like].max():g}, which are taken in "
            "radians; if they are degrees, give np.deg2rad of them"
        )


def mean_length(c: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A(c), the mean resultant length."""
    return i1e(c) / i0e(c)


def solve_concentration(gap: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The c of 1 - A(c) = gap, by Newton steps from the start of Best and Fisher (1981)."""
    gap = jnp.maximum(gap, 0.5 * jnp.finfo(gap.dtype).eps ** 2)  # what rounding makes of angles
    r = 1 - gap
    small = 2 * r + r**3 + 5 * r**5 / 6
    middle = -0.4 + 1.39 * r + 0.43 / gap
    large = 1 / jnp.maximum(r * gap * (3 - r), jnp.finfo(r.dtype).tiny)
    c = jnp.where(r < 0.53, small, jnp.where(r < 0.85, middle, large))

    def step(_: Array, c: Array) -> Array:
        found, slope = jax.jvp(length_gap, (c,), (jnp.ones_like(c),))
        slope = jnp.minimum(slope, -0.25 / (1 + c) ** 2)  # it is about -1 / (2 c^2) far out
        return jnp.clip(c - (found - gap) / slope, 0.25 * c, 4 * c)

    return lax.fori_loop(0, _N_NEWTON, step, c)


def _versine(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 - cos x, to the last digit near 0."""
    return 2 * jnp.sin(0.5 * x) ** 2


def _within_a_turn(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The same direction from -pi to pi."""
    return x - 2 * math.pi * jnp.round(x / (2 * math.pi))
