"""Modified Bessel functions of the first kind, of any order, in forms that do not cancel.

By Debye's expansions for large orders m, uniform in c, with s = sqrt(m^2 + c^2) and p = m / s,

I_m(c) = exp(s - m asinh(m / c)) / sqrt(2 pi s) U(p),   I_m'(c) = (s / c) V(p) / U(p) I_m(c)

and from there downward, which loses no digits: with A_j = I_j / I_(j-1) and g_j = 1 - A_j,

1 / A_j = 2 j / c + A_(j+1)      (Abramowitz and Stegun 1964, sections 9.6 and 9.7)
"""

import math
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxem.core.special import polynomial

_ORDER = 60  # from there on Debye's series of 7 terms has all digits
_N_TERMS = 7


@lru_cache
def _debye(k: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Coefficients of u_k and v_k in powers of p (Abramowitz and Stegun, 9.3.9 and 9.3.13)."""
    if k == 0:
        return (Fraction(1),), (Fraction(1),)
    u, size = _debye(k - 1)[0], 3 * k + 1
    new, slope = [Fraction(0)] * size, [Fraction(0)] * size
    for i, a in enumerate(u):
        new[i + 1] += a * i / 2 + a / (8 * (i + 1))
        new[i + 3] -= a * i / 2 + 5 * a / (8 * (i + 3))
        slope[i + 1] -= a / 2 + a * i
        slope[i + 3] += a / 2 + a * i
    return tuple(new), tuple(a + b for a, b in zip(new, slope, strict=True))


def _sums(m: float, p: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """-> (U - 1, V - U): u_k is p^k times a polynomial in p^2."""
    u, rest = jnp.zeros_like(p), jnp.zeros_like(p)
    for k in range(_N_TERMS, 0, -1):
        of_u, of_v = (np.array(of[k::2]) for of in _debye(k))
        u = (u + polynomial([float(a) for a in of_u], p**2)) * (p / m)
        rest = (rest + polynomial([float(a) for a in of_v - of_u], p**2)) * (p / m)
    return u, rest


class Top(NamedTuple):
    """At the order m, `order` or so many more that Debye's series has all digits: s, U - 1, and
    c I_m'(c) / I_m(c) - c."""

    above: int
    s: Float[Array, "*s"]
    u: Float[Array, "*s"]
    more: Float[Array, "*s"]


def _top(order: float, c: Float[Array, "*s"]) -> Top:
    above = max(0, math.ceil(_ORDER - order))
    m = order + above
    s = jnp.sqrt(m**2 + c**2)
    u, rest = _sums(m, m / s)
    return Top(above, s, u, m**2 / (s + c) + s * rest / (1 + u))


def ratio_gap(order: float, c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """1 - I_order(c) / I_(order - 1)(c), of c > 0, to the last digit where it is small."""
    above, _, _, more = _top(order, c)
    more = order + above + more
    gap = more / (more + c)

    def down(i: Array, gap: Array) -> Array:
        less = 2 * (order + above - 1 - i).astype(c.dtype) / c - gap
        return less / (1 + less)

    return lax.fori_loop(0, above, down, gap)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_bessel(order: float, c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log I_order(c) - c - order log c, of c > 0."""
    above, s, u, more = _top(order, c)
    m = order + above
    # -m asinh(m / c) - m log c, of which neither is told from the other where c is small
    found = m**2 / (s + c) - m * jnp.log(m + s) - 0.5 * jnp.log(2 * math.pi * s) + jnp.log1p(u)
    slope = 1 / (m + more + c)  # A_m / c

    def down(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        found, slope = state
        j = (order + above - 1 - i).astype(c.dtype)
        return found - jnp.log(slope), 1 / (2 * j + c**2 * slope)

    return lax.fori_loop(0, above, down, (found, slope))[0]


@log_bessel.defjvp
def _log_bessel_jvp(order: float, given: tuple, tangents: tuple) -> tuple[Array, Array]:
    """I_v' / I_v = I_(v+1) / I_v + v / c."""
    (c,), (in_c,) = given, tangents
    return log_bessel(order, c), -ratio_gap(order + 1, c) * in_c
