"""The standard normal distribution between two limits: how much of it is there, and its moments.

P = Phi(b) - Phi(a),    E z = (phi(a) - phi(b)) / P,    E z^2 = 1 + (a phi(a) - b phi(b)) / P

(Johnson, Kotz and Balakrishnan 1994, section 13.10.1), from the tail that the limits lie in, Q =
1 - Phi, and from the hazard there, so that nothing underflows and little cancels.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Bool, Float

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_FAR = 1e8  # stands for infinity, whose derivatives are NaN


class Between(NamedTuple):
    """log P, E z and E z^2."""

    log_mass: Float[Array, "*s"]
    first: Float[Array, "*s"]
    second: Float[Array, "*s"]


def standardized(
    limit: Float[Array, "*#s"], mean: Float[Array, "*#s"], scale: Float[Array, "*#s"]
) -> Float[Array, "*s"]:
    """(limit - mean) / scale, of a limit that may be infinite."""
    endless = jnp.isinf(limit)
    z = (jnp.where(endless, 0, limit) - mean) / scale
    return jnp.where(endless, jnp.where(limit > 0, _FAR, -_FAR).astype(z.dtype), z)


def between(a: Float[Array, "*s"], b: Float[Array, "*s"]) -> Between:
    """a < b, `standardized`."""
    turned, near, far = _in_tail(a, b)
    log_tail = log_ndtr(-near)
    share = -jnp.expm1(log_ndtr(-far) - log_tail)  # of the tail
    hazard = jnp.exp(-0.5 * near**2 - _HALF_LOG_2_PI - log_tail) / share
    fall = -0.5 * (far - near) * (far + near)  # of log phi
    first = hazard * -jnp.expm1(fall)
    second = 1 + near * first - (far - near) * hazard * jnp.exp(fall)
    return Between(log_tail + jnp.log(share), jnp.where(turned, -first, first), second)


def draw(key: Array, a: Float[Array, "*s"], b: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """One number between the limits, for each pair of them, by inversion."""
    turned, near, far = _in_tail(a, b)
    u = jax.random.uniform(key, near.shape, near.dtype)
    tail = (1 - u) * jnp.exp(log_ndtr(-near)) + u * jnp.exp(log_ndtr(-far))
    z = jnp.clip(-ndtri(tail), near, far)
    return jnp.where(turned, -z, z)


def _in_tail(
    a: Float[Array, "*s"], b: Float[Array, "*s"]
) -> tuple[Bool[Array, "*s"], Float[Array, "*s"], Float[Array, "*s"]]:
    """-> (whether they are mirrored, near, far): far is above 0, and near the nearer to it."""
    turned = jnp.abs(a) > jnp.abs(b)
    return turned, jnp.where(turned, -b, a), jnp.where(turned, -a, b)
