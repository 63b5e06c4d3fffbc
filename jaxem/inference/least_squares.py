"""Weighted least squares from its normal equations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.factors import eigh
from jaxem.core.numerics import correlation, einsum


def design(X: Float[Array, "n d"], intercept: bool) -> Float[Array, "p n"]:
    """The regressors of each row, with a 1 before them for the intercept."""
    one = jnp.ones((1, X.shape[0]), X.dtype)
    return jnp.concatenate([one, X.T]) if intercept else X.T


def solve_held(
    matrix: Float[Array, "k p p"], vector: Float[Array, "k p"], held: Float[Array, "k p"]
) -> Float[Array, "k p"]:
    """The minimiser of x' matrix x / 2 - vector' x with known numbers; NaN where they are free."""
    free = jnp.isnan(held)
    given = jnp.where(free, 0, held)
    vector = vector - einsum("kij,kj->ki", matrix, given)
    matrix = jnp.where(free[:, :, None] & free[:, None, :], matrix, 0)
    return given + solve(matrix, jnp.where(free, vector, 0))


@jax.custom_jvp
def solve(matrix: Float[Array, "k p p"], vector: Float[Array, "k p"]) -> Float[Array, "k p"]:
    """The shortest solution of a semidefinite system, in units of the diagonal.

    Directions of which nothing is known, with too few rows or columns that depend on each other,
    are left alone.
    """
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    scale = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, jnp.ones_like(diagonal)))
    values, vectors = eigh(correlation(matrix))
    most = 8 * matrix.shape[-1] * jnp.finfo(matrix.dtype).eps
    known = values > most * jnp.maximum(values[..., -1:], 1)
    inverse = jnp.where(known, 1 / jnp.where(known, values, jnp.ones_like(values)), 0)
    turned = einsum("kji,kj->ki", vectors, vector * scale)
    return scale * einsum("kij,kj->ki", vectors, inverse * turned)


@solve.defjvp
def _solve_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Of the system, dx = inv(matrix) (d vector - d matrix x): eigenvectors have no derivative
    where eigenvalues are equal.
    """
    matrix, _ = given
    in_matrix, in_vector = tangents
    x = solve(*given)
    return x, solve(matrix, in_vector - einsum("kij,kj->ki", in_matrix, x))
