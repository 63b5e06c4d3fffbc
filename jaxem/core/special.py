"""Special functions in forms that do not cancel: what log densities of narrow components need.

log Gamma(a) = (a - 1/2) log a - a + 1/2 log 2 pi + stirling(a)
Poisson(x; m) = exp(-stirling(x) - deviance(x, m)) / sqrt(2 pi x)      (Loader 2000)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, gammaln, i0e, i1e
from jaxtyping import Array, Float

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_NEAR = 0.3  # up to there the series of 10 terms has all digits, from there on the difference
_ATANH = [1 / (2 * k + 3) for k in range(10)]
_EXP = [1 / math.factorial(i) for i in range(2, 14)]
_LARGE = 10.0  # from there on Stirling's series of 7 terms has all digits
_STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]
_LOG_LESS_DIGAMMA = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]
_N_NEWTON = 6  # from Minka's start to the last digit
_FAR = 30.0  # from there on Hankel's series of 20 terms has all digits


def polynomial(coefficients: list[float], z: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """sum_i coefficients[i] z^i (Horner)."""
    total = jnp.full_like(z, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total


def _series(u: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log(1 + u) - u near 0: with s = u / (2 + u), log(1 + u) = 2 atanh(s)."""
    s = u / (2 + u)
    return 2 * s**3 * polynomial(_ATANH, s**2) - u * s


@jax.custom_jvp
def log1p_excess(u: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log(1 + u) - u, to the last digit near 0, where it is -u^2 / 2."""
    near = jnp.abs(u) < _NEAR
    safe = jnp.where(near, u, 0)
    return jnp.where(near, _series(safe), jnp.log1p(u) - u)


@log1p_excess.defjvp
def _log1p_excess_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    (u,), (in_u,) = given, tangents
    return log1p_excess(u), -u / (1 + u) * in_u


@jax.custom_jvp
def log_excess(x: Float[Array, "*#s"], m: Float[Array, "*#s"]) -> Float[Array, "*s"]:
    """log(x / m) - (x / m - 1) of positive numbers, to the last digit where they are near."""
    u = (x - m) / m
    near = jnp.abs(u) < _NEAR
    safe = jnp.where(near, u, 0)
    return jnp.where(near, _series(safe), jnp.log(x / m) - u)


@log_excess.defjvp
def _log_excess_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, m), (in_x, in_m) = given, tangents
    u = (x - m) / m
    return log_excess(x, m), u * (in_m / m - in_x / x)


def log_ratio(x: Float[Array, "*#s"], m: Float[Array, "*#s"]) -> Float[Array, "*s"]:
    """log(x / m) of positive numbers, to the last digit where they are near."""
    u = (x - m) / m
    near = jnp.abs(u) < _NEAR
    return jnp.where(near, jnp.log1p(jnp.where(near, u, 0)), jnp.log(x) - jnp.log(m))


def exp_excess(d: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """exp(d) - 1 - d, to the last digit near 0, where it is d^2 / 2."""
    near = jnp.abs(d) < _NEAR
    small = jnp.where(near, d, 0)
    return jnp.where(near, small**2 * polynomial(_EXP, small), jnp.expm1(d) - d)


def stirling(a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The remainder of Stirling's formula for log Gamma(a), a > 0."""
    large = a >= _LARGE
    z = 1 / jnp.where(large, a, _LARGE)
    small = jnp.where(large, 1, a)
    direct = gammaln(small) - (small - 0.5) * jnp.log(small) + small - _HALF_LOG_2_PI
    return jnp.where(large, z * polynomial(_STIRLING, z**2), direct)


def log_less_digamma(a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log a - digamma(a), which is about 1 / (2 a)."""
    large = a >= _LARGE
    z = 1 / jnp.where(large, a, _LARGE)
    small = jnp.where(large, 1, a)
    series = 0.5 * z + z**2 * polynomial(_LOG_LESS_DIGAMMA, z**2)
    return jnp.where(large, series, jnp.log(small) - digamma(small))


def solve_shape(gap: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The a of log a - digamma(a) = gap > 0, by Newton steps in 1 / a (Minka 2002).

    1 / a changes by less than a factor in each step: the safeguard against a step across 0.
    """
    inverse = 12 * gap / (3 - gap + jnp.sqrt((gap - 3) ** 2 + 24 * gap))

    def step(_: Array, inverse: Array) -> Array:
        a = 1 / inverse
        found, slope = jax.jvp(log_less_digamma, (a,), (-(a**2),))
        return jnp.clip(inverse - (found - gap) / slope, 0.25 * inverse, 4 * inverse)

    return 1 / lax.fori_loop(0, _N_NEWTON, step, inverse)


def deviance(x: Float[Array, "*#s"], m: Float[Array, "*#s"]) -> Float[Array, "*s"]:
    """x log(x / m) - x + m of numbers from 0: half the deviance of a Poisson count x of mean m."""
    zero, never = x == 0, m == 0
    inner = -x * log_excess(jnp.where(never, 1, m), jnp.where(zero, 1, x))
    return jnp.where(zero, m, jnp.where(never, jnp.inf, inner))


def log_poisson(x: Float[Array, "*#s"], m: Float[Array, "*#s"]) -> Float[Array, "*s"]:
    """log of the Poisson probability of x where the mean is m, both from 0."""
    safe = jnp.where(x > 0, x, 1)
    base = -stirling(safe) - 0.5 * jnp.log(safe) - _HALF_LOG_2_PI
    return jnp.where(x > 0, base, 0) - deviance(x, m)


def _hankel(order: int) -> np.ndarray:
    """Coefficients of I(c) exp(-c) sqrt(2 pi c) in powers of 1 / c (Abramowitz, Stegun 9.7.1)."""
    found = [1.0]
    for k in range(1, 20):
        found.append(found[-1] * ((2 * k - 1) ** 2 - 4 * order**2) / (8 * k))
    return np.array(found)


_I0 = _hankel(0).tolist()
_I0_LESS_I1 = (_hankel(0) - _hankel(1)).tolist()  # all positive


def length_gap(c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """1 - I_1(c) / I_0(c), which is about 1 / (2 c): what a resultant length is short of 1."""
    far = c >= _FAR
    z = 1 / jnp.where(far, c, _FAR)
    near = jnp.where(far, 0, c)
    series = polynomial(_I0_LESS_I1, z) / polynomial(_I0, z)
    return jnp.where(far, series, 1 - i1e(near) / i0e(near))


@jax.custom_jvp
def log_i0e(c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log I_0(c) - c, of c from 0."""
    return jnp.log(i0e(c))


@log_i0e.defjvp
def _log_i0e_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    (c,), (in_c,) = given, tangents
    return log_i0e(c), -length_gap(c) * in_c
