"""Linear equations (I - J) x = b, where J is known by what it makes of vectors.

Few unknowns: J is made column by column and I - J factored. Many: GMRES, to a relative residual of
eps^0.6 (4e-10 in float64), and J's largest eigenvalue from an Arnoldi factorisation.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.sparse.linalg import gmres
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum

_SQUARINGS = 40
_ARNOLDI = 100  # vectors for the largest eigenvalue
_RESTART = 40  # vectors of one cycle of GMRES
_CYCLES = 10

Vector = Float[Array, " p"]
Map = Callable[[Vector], Vector]


def linear(apply: Map, inverse: Callable[..., Vector], sound: Bool[Array, ""], b: Vector) -> Vector:
    """x of apply(x) = b, in both directions of differentiation; NaN unless sound, and 0 for 0.

    inverse(apply, b): x; with `transposed`, apply is the transposed map.
    """

    def guarded(apply: Map, b: Vector, **how: Any) -> Vector:
        x = jnp.where(sound, inverse(apply, b, **how), jnp.nan)
        return jnp.where(jnp.any(b != 0), x, jnp.zeros_like(b))  # NaN is not 0

    return lax.custom_linear_solve(apply, b, guarded, partial(guarded, transposed=True))


def value_and_jacobian(
    function: Map, vector: Vector, chunk: int
) -> tuple[Vector, Float[Array, "p p"]]:
    """`chunk` columns at a time."""
    p = vector.size
    n_chunks = -(-p // chunk)
    basis = jnp.eye(n_chunks * chunk, p, dtype=vector.dtype)

    def columns(tangents: Float[Array, "c p"]) -> tuple[Vector, Float[Array, "c p"]]:
        def one(t: Vector) -> tuple[Vector, Vector]:
            return jax.jvp(function, (vector,), (t,))

        return jax.vmap(one, out_axes=(None, 0))(tangents)

    if n_chunks == 1:
        value, rows = columns(basis)
        return value, rows.T
    values, rows = lax.map(columns, jnp.reshape(basis, (n_chunks, chunk, p)))
    return values[0], jnp.reshape(rows, (-1, p))[:p].T


def largest_eigenvalue(matrix: Float[Array, "p p"]) -> tuple[Float[Array, ""], Vector]:
    """-> (the largest eigenvalue, its direction) of a matrix whose eigenvalues are real, above -3.

    With A = (I + J) / 2 and m = 2^40 it is 2 |A^m|^(1/m) - 1, and A^m is of rank one but for
    rounding: `eigvals` has no kernel for accelerators.
    """
    half = (jnp.eye(matrix.shape[0], dtype=matrix.dtype) + matrix) / 2

    def square(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        power, log_size = state
        size = jnp.max(jnp.abs(power))
        power = power / size
        return einsum("ij,jk->ik", power, power), 2 * (log_size + jnp.log(size))

    power, log_size = lax.fori_loop(0, _SQUARINGS, square, (half, jnp.zeros((), matrix.dtype)))
    total = log_size + jnp.log(jnp.max(jnp.abs(power)))
    direction = einsum("ij,j->i", power, generic(matrix.shape[0], matrix.dtype))
    return 2 * jnp.exp(total / 2.0**_SQUARINGS) - 1, direction


def largest_of_map(apply: Map, like: Vector) -> tuple[Float[Array, ""], Vector]:
    """The same of a map, from its projection on the span of v, J v, J J v, ... (Arnoldi 1951)."""
    m = min(_ARNOLDI, like.size)

    def extend(j: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        basis, projected = state
        new = apply(basis[j])
        column = jnp.zeros(m + 1, like.dtype)
        for _ in range(2):  # once is not enough for orthogonality in rounding
            along = einsum("ip,p->i", basis, new)
            new, column = new - einsum("i,ip->p", along, basis), column + along
        size = jnp.sqrt(jnp.sum(new**2))
        lost = size <= jnp.finfo(like.dtype).eps * jnp.max(jnp.abs(column))
        new = jnp.where(lost, 0, new / jnp.where(lost, 1, size))
        column = column.at[j + 1].set(jnp.where(lost, 0, size))
        return basis.at[j + 1].set(new), projected.at[:, j].set(column)

    first = generic(like.size, like.dtype)
    basis = jnp.zeros((m + 1, like.size), like.dtype)
    basis = basis.at[0].set(first / jnp.sqrt(jnp.sum(first**2)))
    state = basis, jnp.zeros((m + 1, m), like.dtype)
    basis, projected = lax.fori_loop(0, m, extend, state)
    value, direction = largest_eigenvalue(projected[:m])
    return value, einsum("i,ip->p", direction, basis[:m])


def generic(size: int, dtype: Any) -> Vector:
    """A vector that is orthogonal to none that anyone meets."""
    return jnp.cos(1 + jnp.arange(size, dtype=dtype))


def krylov(apply: Map, b: Vector, scale: Vector) -> Vector:
    """GMRES in units of `scale`; NaN where it does not come to its tolerance."""
    tolerance = float(jnp.finfo(b.dtype).eps) ** 0.6

    def scaled(u: Vector) -> Vector:
        return apply(scale * u) / scale

    rhs = b / scale
    u, _ = gmres(
        scaled, rhs, tol=tolerance, restart=min(_RESTART, b.size), maxiter=_CYCLES,
        solve_method="incremental",
    )  # fmt: skip
    missed = jnp.sum((rhs - scaled(u)) ** 2) > (10 * tolerance) ** 2 * jnp.sum(rhs**2)
    return jnp.where(missed, jnp.nan, scale * u)
