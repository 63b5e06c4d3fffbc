"""Measurements beyond limits of detection: independent normal columns, censored.

log p(x, 0; m, s) = -1/2 log 2 pi - log s - z^2 / 2,  z = (x - m) / s
log p(x, side; m, s) = log Phi(-u),  u = side z          (Tobin 1958)

The numbers beyond limits are hidden, as z is: an E-step takes their moments, with the hazard
h = phi(u) / Phi(-u), and an M-step is that of a normal distribution:

E w = side h,  E w^2 = 1 + u h,    w = (number - m) / s
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import Positive, Real
from jaxem.core.numerics import einsum
from jaxem.core.parameters import tree
from jaxem.families.censoring import Censored
from jaxem.families.independent_columns import ratio, spread_ratio
from jaxem.families.newton_form import NewtonFamily

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class CensoredNormalParams(NamedTuple):
    """means (k, d) and scales (k, d), standard deviations, as if there were no limits."""

    means: Array
    scales: Array


@dataclass(frozen=True)
class CensoredNormal(Censored, NewtonFamily):
    """Data (x, side): 0 for x itself, 1 for a number above x, -1 for one below."""

    params_type = CensoredNormalParams
    constraints = tree(CensoredNormalParams, Real(), Positive())
    cells_are = "infinite values"

    @property
    def exact_m_step(self) -> bool:
        return True

    def wrong(self, x: Any) -> Any:
        return placement.is_infinite(x)

    def default_min_count(self, x: Any) -> float:
        d = x[0].shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def cells(self, params: Any, x: Any) -> Float[Array, "k d n"]:
        (m, s), (number, side) = params, x
        z = (number - m) / s
        exact = -0.5 * z**2 - jnp.log(s) - _HALF_LOG_2_PI
        return jnp.where(side == 0, exact, log_ndtr(-side * z))

    def terms(self, params: Any, x: Any) -> list[Float[Array, "k d n"]]:
        """1, and the moments of number - m."""
        (m, s), (number, side) = params, x
        away = number - m
        u = side * (away / s)
        hazard = jnp.exp(-0.5 * u**2 - _HALF_LOG_2_PI - log_ndtr(-u))
        first = jnp.where(side == 0, away, s * side * hazard)
        second = jnp.where(side == 0, away**2, s**2 * (1 + u * hazard))
        return [jnp.ones_like(away), first, second]

    def expected(self, params: Any) -> Float[Array, "k t d"]:
        s = params.scales
        return jnp.stack([jnp.ones_like(s), jnp.zeros_like(s), s**2], axis=1)

    def stepped(self, sums: Float[Array, "k t d"], params: Any, fixed: Any) -> CensoredNormalParams:
        count, first, second = jnp.unstack(sums, axis=1)
        m, s = params
        free, zero = jnp.isnan(fixed.means), jnp.zeros_like(m)
        first, second = (ratio(of, count, zero) for of in (first, second))
        shift = jnp.where(free, first, jnp.where(free, m, fixed.means) - m)
        means, eps = m + shift, jnp.finfo(m.dtype).eps
        # What rounding makes of the terms: a scale that this hides is found from the new mean.
        least = 64 * eps * shift**2 + (eps * means) ** 2
        variance = jnp.maximum(second - first**2 + (first - shift) ** 2, least)
        scales = jnp.where(count > 0, jnp.sqrt(variance), s)
        return CensoredNormalParams(means, jnp.where(jnp.isnan(fixed.scales), scales, fixed.scales))

    def rough(self, x: Any, share: Float[Array, "d n"]) -> CensoredNormalParams:
        """As if the limits were the numbers."""
        number, _ = x
        mean = jnp.sum(share * number, axis=1)[None]
        variance = jnp.sum(share * (number - mean.T) ** 2, axis=1)[None]
        least = (jnp.finfo(mean.dtype).eps * mean) ** 2
        return CensoredNormalParams(mean, jnp.sqrt(jnp.where(variance > least, variance, 1)))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.scales), axis=1)

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> CensoredNormalParams:
        s, share = params.scales, share[:, None]
        return CensoredNormalParams(share / s**2, jnp.broadcast_to(2 * share, s.shape))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: None
    ) -> Float[Array, " k"]:
        """Smallest variance, relative to the pooled one; in units of how large the numbers are."""
        m, s = params
        size = einsum("k,kd->d", weights, m**2 + s**2)[None]
        return spread_ratio(s**2 / size, weights, None)

    def draw(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, s = (leaf[labels] for leaf in params)
        return m + s * jax.random.normal(key, m.shape, m.dtype)
