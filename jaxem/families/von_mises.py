"""Angles: independent von Mises columns, in radians.

log p(x; m, c) = c cos(x - m) - log(2 pi I_0(c))
m = arg(sum r exp(ix)),  A(c) = I_1(c) / I_0(c) = |sum r exp(ix)| / sum r  (Mardia and Jupp 2000)
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import i0e, i1e
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, held, remarks
from jaxem.core.numerics import einsum
from jaxem.families.exponential_family import ExponentialFamily, cells, ratio, spread_ratio

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


@dataclass(frozen=True)
class VonMises(ExponentialFamily):
    """Columns of angles; multiples of 2 pi do not matter."""

    params_type, prior_type = VonMisesParams, VonMisesPrior
    cells_are = "infinite values"

    def wrong(self, x: np.ndarray) -> np.ndarray:
        return np.isinf(x)

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        super().check(x, weight, names)
        if checks.is_concrete(x, weight):
            _warn_of_degrees(np.asarray(x), weight, names)

    def domain(self, params: Any) -> None:
        checks.positive_array(params.concentrations, "concentrations", zero_allowed=True)

    def check_prior(self, prior: VonMisesPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.between(prior.length, "length", 0, 1 - 1e-6)

    def default_min_count(self, x: Float[Array, "n d"]) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        return self.features(x)[: 2 * x.shape[1]].T

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        known, seen = cells(x)
        return jnp.concatenate([seen * jnp.cos(known), jnp.sin(known), seen])

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return -math.log(2 * math.pi) * jnp.sum(cells(x)[1], axis=0)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        m, c = params
        log_i0 = jnp.log(i0e(c)) + c
        return jnp.concatenate([c * jnp.cos(m), c * jnp.sin(m), -log_i0], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> VonMisesParams:
        free = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
        return self._estimate(sums, params, free)

    def _estimate(self, sums: Float[Array, "k f"], params: Any, known: Any) -> VonMisesParams:
        cosines, sines, count = jnp.split(sums, 3, axis=1)
        directions = jnp.where(count > 0, jnp.arctan2(sines, cosines), params.directions)
        directions = held.hold(directions, known.directions)
        along = cosines * jnp.cos(directions) + sines * jnp.sin(directions)
        lengths = jnp.clip(ratio(along, count, jnp.zeros_like(count)), 0, 1)
        own = jnp.where(count > 0, solve_concentration(lengths), params.concentrations)
        return VonMisesParams(directions, held.hold(own, known.concentrations))

    def held_m_step(
        self, params: Any, statistics: Any, prior: Any, live: Bool[Array, " k"], held: Any
    ) -> VonMisesParams:
        sums = statistics if prior is None else statistics + prior
        new = self._estimate(sums, params, held)
        return jax.tree.map(lambda a, b: jnp.where(live[:, None], a, b), new, params)

    def spread_held(self, held: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(held.concentrations), axis=1)

    def filled(
        self, params: Any, x: Float[Array, "n d"], shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        """The direction of E exp(i x)."""
        cosines, sines, _ = jnp.split(self.expected(params), 3, axis=1)
        along, across = (einsum("kn,kd->nd", shares, of) for of in (cosines, sines))
        return jnp.where(jnp.isnan(x), jnp.arctan2(across, along), x)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        m, length = params.directions, mean_length(params.concentrations)
        return jnp.concatenate([length * jnp.cos(m), length * jnp.sin(m), jnp.ones_like(m)], axis=1)

    def earlier_rows(self, prior: VonMisesPrior) -> Float[Array, "k f"]:
        rows, m, length = prior
        return jnp.concatenate(
            [rows * length * jnp.cos(m), rows * length * jnp.sin(m), rows], axis=1
        )

    def to_chart(self, params: Any) -> VonMisesParams:
        """The natural parameters: a concentration of 0 has no direction to lose."""
        m, c = params
        return VonMisesParams(c * jnp.cos(m), c * jnp.sin(m))

    def from_chart(self, chart: Any) -> VonMisesParams:
        a, b = chart
        most, zero = jnp.finfo(a.dtype).max ** 0.25, (a == 0) & (b == 0)
        length = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, a**2 + b**2)))
        return VonMisesParams(jnp.arctan2(b, jnp.where(zero, 1, a)), jnp.minimum(length, most))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest circular variance, 1 - A(c), relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior, 3, axis=1)[2]
        return spread_ratio(1 - mean_length(params.concentrations), weights, rows)

    def near(self, params: Any, reference: Any) -> VonMisesParams:
        turns = np.round((reference.directions - params.directions) / (2 * math.pi))
        directions = params.directions + 2 * math.pi * turns
        return params._replace(directions=directions.astype(params.directions.dtype))

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


def _warn_of_degrees(x: np.ndarray, weight: Any, names: tuple[str, ...] | None) -> None:
    """A UserWarning for columns within 360, many of whose angles are beyond two whole turns."""
    there = slice(None) if weight is None else np.asarray(weight) > 0
    size = np.abs(x[there])
    like = (np.mean(size > 4 * math.pi, axis=0) > 0.1) & ~np.any(size > 360, axis=0)
    if like.any():
        which = ", ".join(str((names or range(x.shape[1]))[j]) for j in np.flatnonzero(like))
        remarks.warn(
            f"columns {which} have angles up to {np.nanmax(size[:, like]):g}, which are taken in "
            "radians; if they are degrees, give np.deg2rad of them"
        )


def mean_length(c: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A(c), the mean resultant length."""
    return i1e(c) / i0e(c)


def solve_concentration(length: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The c of A(c) = length, by Newton steps from the start of Best and Fisher (1981)."""
    r = jnp.minimum(length, 1 - jnp.finfo(length.dtype).eps)
    small = 2 * r + r**3 + 5 * r**5 / 6
    middle = -0.4 + 1.39 * r + 0.43 / (1 - r)
    large = 1 / jnp.maximum(r**3 - 4 * r**2 + 3 * r, jnp.finfo(r.dtype).tiny)
    c = jnp.where(r < 0.53, small, jnp.where(r < 0.85, middle, large))

    def step(_: Array, c: Array) -> Array:
        a, some = mean_length(c), c > 1e-4
        slope = jnp.where(some, 1 - a**2 - a / jnp.where(some, c, 1), 0.5)
        slope = jnp.maximum(slope, 0.25 / (1 + c) ** 2)  # it is about 1 / (2 c^2) far out
        return jnp.clip(c - (a - r) / slope, 0.25 * c, 4 * c)

    return lax.fori_loop(0, _N_NEWTON, step, c)
