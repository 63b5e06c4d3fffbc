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
from jaxtyping import Array, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import Positive, Real
from jaxem.core.parameters import tree
from jaxem.families.censoring import Censored
from jaxem.families.normal_columns import NormalColumns

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class CensoredNormalParams(NamedTuple):
    """means (k, d) and scales (k, d), standard deviations, as if there were no limits."""

    means: Array
    scales: Array


@dataclass(frozen=True)
class CensoredNormal(Censored, NormalColumns):
    """Data (x, side): 0 for x itself, 1 for a number above x, -1 for one below."""

    params_type = CensoredNormalParams
    constraints = tree(CensoredNormalParams, Real(), Positive())
    cells_are = "infinite values"

    def wrong(self, x: Any) -> Any:
        return placement.is_infinite(x)

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

    def rough(self, x: Any, share: Float[Array, "d n"]) -> CensoredNormalParams:
        """As if the limits were the numbers."""
        return self.moments_of(x[0], share)

    def draw(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, s = (leaf[labels] for leaf in params)
        return m + s * jax.random.normal(key, m.shape, m.dtype)
