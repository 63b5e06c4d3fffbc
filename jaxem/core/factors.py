"""Factors of small symmetric matrices, many at a time, none of which waits for threads.

On a CPU LAPACK divides a batch between the threads that the programs themselves run in, and waits
for them: as many batches at once as there are cores wait for each other without end. Here Cholesky
factors are products and loops of the program itself, and eigenvalues are asked of LAPACK for one
matrix after another, which it does not divide. Accelerators have batches of their own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from jaxem.core.numerics import diagonal_mask, einsum, lower_mask, transpose

_LEAF = 16  # columns that a loop eliminates
_HALVINGS = 3  # of larger matrices: eight loops are compiled at most


def cholesky(covariance: Float[Array, "*batch d d"]) -> Float[Array, "*batch d d"]:
    """L with C = L L'; NaN where C is not positive definite."""
    return _factors(covariance)[0]


def inverse_cholesky(
    covariance: Float[Array, "*batch d d"],
) -> tuple[Float[Array, "*batch d d"], Float[Array, "*batch"]]:
    """-> (inv(L), log det(C)) with C = L L'; NaN where C is not positive definite."""
    factor, root = _factors(covariance)
    return root, 2 * jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), -1)


@jax.custom_jvp
def _factors(covariance: Float[Array, "*batch d d"]) -> tuple[Array, Array]:
    """-> (L, inv(L)) of the symmetric part."""
    covariance = 0.5 * (covariance + transpose(covariance))
    return lax.platform_dependent(covariance, cpu=partial(_halved, times=_HALVINGS), default=_batch)


@_factors.defjvp
def _factors_jvp(given: tuple, tangents: tuple) -> tuple[Any, Any]:
    """dL = L P, d inv(L) = -P inv(L), with P the lower half of inv(L) dC inv(L)' (Murray 2016)."""
    factor, root = _factors(*given)
    (change,) = tangents
    change = 0.5 * (change + transpose(change))
    whitened = einsum("...ij,...jk,...lk->...il", root, change, root)
    d = whitened.shape[-1]
    lower = jnp.where(lower_mask(d), whitened, 0)
    half = jnp.where(diagonal_mask(d), 0.5 * whitened, lower)
    return (factor, root), (_product(factor, half), -_product(half, root))


def _batch(covariance: Float[Array, "*batch d d"]) -> tuple[Array, Array]:
    factor = jnp.linalg.cholesky(covariance)
    identity = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
    return factor, solve_triangular(factor, identity, lower=True)


def _halved(covariance: Float[Array, "*batch d d"], times: int) -> tuple[Array, Array]:
    """Of [A B'; B D] by the factors of A and of what A leaves of D: all else is products."""
    d = covariance.shape[-1]
    if d <= _LEAF or times == 0:
        return _eliminated(covariance)
    h = d // 2
    first, first_root = _halved(covariance[..., :h, :h], times - 1)
    below = einsum("...ij,...kj->...ik", covariance[..., h:, :h], first_root)
    rest = covariance[..., h:, h:] - einsum("...ij,...kj->...ik", below, below)
    last, last_root = _halved(rest, times - 1)
    below_root = -_product(last_root, _product(below, first_root))
    return _stacked(first, below, last), _stacked(first_root, below_root, last_root)


def _eliminated(covariance: Float[Array, "*batch d d"]) -> tuple[Array, Array]:
    """Gauss's elimination of [C, I], its rows scaled, is [L', inv(L)]."""
    d = covariance.shape[-1]
    if d == 1:
        deviation = jnp.sqrt(_positive(covariance))
        return deviation, 1 / deviation
    places = np.arange(d, dtype=np.int32)[:, None]
    identity = jnp.broadcast_to(jnp.eye(d, dtype=covariance.dtype), covariance.shape)

    def step(j: Array, rows: Array) -> Array:
        own = lax.dynamic_index_in_dim(rows, j, -2)
        scale = 1 / jnp.sqrt(_positive(lax.dynamic_index_in_dim(own, j, -1)))
        column = lax.dynamic_index_in_dim(rows, j, -1)
        below = jnp.where(places > j, column * scale, 0)
        rest = rows - below * (own * scale)
        return jnp.where(places == j, own * scale, rest)

    rows = jnp.concatenate([covariance, identity], axis=-1)
    rows = lax.fori_loop(0, d, step, rows)
    factor = transpose(rows[..., :d])
    return jnp.where(lower_mask(d), factor, 0), rows[..., d:]


def _positive(variance: Array) -> Array:
    return jnp.where(variance > 0, variance, jnp.nan)


def _product(a: Array, b: Array) -> Array:
    return einsum("...ij,...jk->...ik", a, b)


def _stacked(first: Array, below: Array, last: Array) -> Array:
    """[first 0; below last]."""
    above = jnp.zeros((*first.shape[:-1], last.shape[-1]), first.dtype)
    top, bottom = (jnp.concatenate(both, axis=-1) for both in ((first, above), (below, last)))
    return jnp.concatenate([top, bottom], axis=-2)


def _one_by_one(of_matrix: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """The function, which on a CPU takes the lanes of a vmap one after another."""

    @jax.custom_batching.custom_vmap
    def of(matrix: Array) -> Any:
        return of_matrix(matrix)

    @of.def_vmap
    def _lanes(size: int, batched: list[bool], matrices: Array) -> tuple[Any, Any]:
        out = lax.platform_dependent(
            matrices, cpu=partial(lax.map, of), default=jax.vmap(of_matrix)
        )
        return out, jax.tree.map(lambda _: True, out)

    return of


_eigh, _eigvalsh = _one_by_one(jnp.linalg.eigh), _one_by_one(jnp.linalg.eigvalsh)


@jax.custom_jvp
def eigh(
    symmetric: Float[Array, "*batch d d"],
) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch d d"]]:
    """-> (eigenvalues, from the smallest on, their vectors as columns).

    Where eigenvalues are equal their vectors have no derivative: it is NaN.
    """
    values, vectors = _each(_eigh, symmetric)
    return values, vectors


@eigh.defjvp
def _eigh_jvp(given: tuple, tangents: tuple) -> tuple[Any, Any]:
    """dw = diag(V' dC V), dV = V F with F[i, j] = (V' dC V)[i, j] / (w[j] - w[i])."""
    values, vectors = eigh(*given)
    (change,) = tangents
    change = 0.5 * (change + transpose(change))
    inside = einsum("...ai,...ab,...bj->...ij", vectors, change, vectors)
    own = diagonal_mask(values.shape[-1])
    apart = jnp.where(own, 1, values[..., None, :] - values[..., :, None])
    turn = jnp.where(own, 0, inside / jnp.where(apart == 0, jnp.nan, apart))
    moved = jnp.diagonal(inside, axis1=-2, axis2=-1)
    return (values, vectors), (moved, _product(vectors, turn))


def smallest_eigenvalue(symmetric: Float[Array, "*batch d d"]) -> Float[Array, "*batch"]:
    if symmetric.shape[-1] == 1:
        return symmetric[..., 0, 0]
    return _each(_eigvalsh, symmetric)[..., 0]


def _each(of_matrix: Callable[[Array], Any], matrices: Array) -> Any:
    for _ in range(matrices.ndim - 2):
        of_matrix = jax.vmap(of_matrix)
    return of_matrix(matrices)
