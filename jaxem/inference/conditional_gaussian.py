"""Gaussian rows with holes: their densities, and what fills the holes, from precision matrices.

With the precision P = inv(C), residuals r = x - m of what was observed (0 in the holes h), and
B = P[h, h]:

    r[h]         = - inv(B) (P r)[h]                          the conditional mean, less m[h]
    cov(x[h])    = inv(B)                                     the conditional covariance
    r_o' inv(C_oo) r_o = r' P r, with the holes filled
    log det C_oo = log det C + log det B

so that the matrix to factor is as small as the holes are few (Little and Rubin 2002, chapter 11;
the blocks of a precision matrix are those of the conditional law: Lauritzen 1996, appendix C).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.numerics import einsum

_FEW = 6  # holes up to which elimination is written out, across all rows at once


class Filled(NamedTuple):
    """residuals: of whole rows, conditional means in the holes; covariances: inv(B), by place in
    the list of holes; log_det: of B."""

    residuals: Float[Array, "k d n"]
    covariances: Float[Array, "#k m m n"]
    log_det: Float[Array, "#k n"]


def fill(
    precision: Float[Array, "#k d d"],
    residuals: Float[Array, "k d n"],
    holes: Int[Array, "m n"],
) -> Filled:
    """holes: the columns that each row lacks, d where it lacks fewer than m; residuals: 0 there."""
    d = residuals.shape[1]
    whole = jnp.broadcast_to(precision, (residuals.shape[0], d, d))
    product = einsum("kij,kjn->kin", whole, residuals)
    there = holes < d
    at = jnp.where(there, holes, 0)
    pull = jnp.take_along_axis(product, at[None], axis=1)
    pull = jnp.where(there[None], pull, 0)
    inverse, log_det = _inverse(_block(precision, at, there))
    means = -jnp.sum(inverse * pull[:, None], axis=2)
    return Filled(residuals + place(means, holes, d), inverse, log_det)


def _block(
    precision: Array, at: Int[Array, "m n"], there: Bool[Array, "m n"]
) -> Float[Array, "#k m m n"]:
    """P[h, h], and the identity where there is no further hole."""
    d = precision.shape[-1]
    index = at[:, None] * d + at[None]
    both = there[:, None] & there[None]
    block = jnp.reshape(precision, (-1, d * d))[:, index]
    identity = jnp.eye(at.shape[0], dtype=precision.dtype)[None, :, :, None]
    return jnp.where(both[None], block, identity)


def _inverse(
    matrix: Float[Array, "k m m n"],
) -> tuple[Float[Array, "k m m n"], Float[Array, "k n"]]:
    """-> (inverse of positive definite matrices, log det)."""
    if matrix.shape[1] <= _FEW:
        return _eliminated(matrix)
    factor = jnp.linalg.cholesky(jnp.moveaxis(matrix, 3, 1))
    identity = jnp.broadcast_to(jnp.eye(matrix.shape[1], dtype=matrix.dtype), factor.shape)
    root = solve_triangular(factor, identity, lower=True)
    diagonal = jnp.diagonal(factor, axis1=-2, axis2=-1)
    inverse = einsum("knji,knjl->knil", root, root)
    return jnp.moveaxis(inverse, 1, 3), 2 * jnp.sum(jnp.log(diagonal), axis=-1)


def _eliminated(
    matrix: Float[Array, "k m m n"],
) -> tuple[Float[Array, "k m m n"], Float[Array, "k n"]]:
    """By Gauss and Jordan, row by row of all matrices at once; no pivots are needed."""
    m = matrix.shape[1]
    rows = [[matrix[:, i, j] for j in range(m)] for i in range(m)]
    log_det = jnp.zeros((matrix.shape[0], matrix.shape[3]), matrix.dtype)
    if m == 0:
        return matrix, log_det
    for p in range(m):
        pivot = rows[p][p]
        log_det = log_det + jnp.log(pivot)
        own = [(1 if j == p else rows[p][j]) / pivot for j in range(m)]
        for i in range(m):
            if i != p:
                less = rows[i][p]
                rows[i] = [(0 if j == p else rows[i][j]) - less * own[j] for j in range(m)]
        rows[p] = own
    return jnp.stack([jnp.stack(row, axis=1) for row in rows], axis=1), log_det


def place(values: Float[Array, "k m n"], holes: Int[Array, "m n"], d: int) -> Float[Array, "k d n"]:
    """Values of holes in their columns, 0 elsewhere."""
    columns = jnp.arange(d, dtype=holes.dtype)
    chosen = holes[:, None] == columns[None, :, None]  # (m, d, n)
    return jnp.sum(jnp.where(chosen[None], values[:, :, None], 0), axis=1)
