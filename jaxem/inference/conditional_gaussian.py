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
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.numerics import any_lane, einsum

_FEW = 4  # holes of a block of rows that are not halved any more


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
    most = jnp.max(jnp.sum(there, axis=0, dtype=jnp.int32))
    inverse, log_det = _inverse(_block(precision, at, there), most)
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
    matrix: Float[Array, "k m m n"], most: Int[Array, ""]
) -> tuple[Float[Array, "k m m n"], Float[Array, "k n"]]:
    """-> (inverse, log det) of positive definite matrices that are the identity from `most` on.

    Rows are sorted where they can be, so that most blocks of them have few holes: half the size is
    an eighth of the work.
    """
    m = matrix.shape[1]
    if m <= _FEW:
        return _eliminated(matrix)
    half = m // 2

    def of_few() -> tuple[Array, Array]:
        inverse, log_det = _inverse(matrix[:, :half, :half], most)
        return lax.dynamic_update_slice(matrix, inverse, (0, 0, 0, 0)), log_det

    return lax.cond(any_lane(most > half), lambda: _eliminated(matrix), of_few)


def _eliminated(
    matrix: Float[Array, "k m m n"],
) -> tuple[Float[Array, "k m m n"], Float[Array, "k n"]]:
    """By Gauss and Jordan, on all matrices at once; positive definite ones need no pivoting."""
    m = matrix.shape[1]
    log_det = jnp.zeros((matrix.shape[0], matrix.shape[3]), matrix.dtype)
    if m == 0:
        return matrix, log_det
    places = jnp.arange(m, dtype=jnp.int32)

    def step(p: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        matrix, log_det = carry
        row = lax.dynamic_index_in_dim(matrix, p, 1, keepdims=False)
        column = lax.dynamic_index_in_dim(matrix, p, 2, keepdims=False)
        pivot = lax.dynamic_index_in_dim(row, p, 1)
        own = (places == p)[None, :, None]
        row = jnp.where(own, 1, row) / pivot
        rest = jnp.where(own[:, None], 0, matrix) - column[:, :, None] * row[:, None]
        return jnp.where(own[:, :, None], row[:, None], rest), log_det + jnp.log(pivot[:, 0])

    return lax.fori_loop(0, m, step, (matrix, log_det))


def place(values: Float[Array, "k m n"], holes: Int[Array, "m n"], d: int) -> Float[Array, "k d n"]:
    """Values of holes in their columns, 0 elsewhere."""
    columns = jnp.arange(d, dtype=holes.dtype)
    chosen = holes[:, None] == columns[None, :, None]  # (m, d, n)
    return jnp.sum(jnp.where(chosen[None], values[:, :, None], 0), axis=1)
