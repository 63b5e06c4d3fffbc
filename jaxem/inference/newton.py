"""Newton steps that lead uphill, whatever the signs of the curvature."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.factors import eigh
from jaxem.core.numerics import einsum


@jax.custom_jvp
def uphill(
    hessian: Float[Array, "k p p"], gradient: Float[Array, "k p"], least: Float[Array, " k"]
) -> Float[Array, "k p"]:
    """inv(|H|) g, without directions that promise less than `least` or have no curvature.

    Along an eigenvector of H a step promises half the squared slope over the eigenvalue.
    """
    values, vectors = eigh(hessian)
    size = jnp.abs(values)
    known = size > 8 * size.shape[1] * jnp.finfo(size.dtype).eps * jnp.max(size, 1)[:, None]
    slope = einsum("kji,kj->ki", vectors, gradient)
    turned = jnp.where(known, slope / jnp.where(known, size, 1), 0)
    turned = jnp.where(0.5 * turned * slope >= least[:, None], turned, 0)
    return einsum("kij,kj->ki", vectors, turned)


@uphill.defjvp
def _uphill_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    """That of -inv(H) g, which it is where the density is concave, and at a fixed point, g = 0:
    eigenvectors have no derivative where eigenvalues are equal.
    """
    hessian, _, least = given
    in_hessian, in_gradient, _ = tangents
    step, any_gain = uphill(*given), jnp.zeros_like(least)
    turned = in_gradient + einsum("kij,kj->ki", in_hessian, step)
    return step, uphill(hessian, turned, any_gain)
