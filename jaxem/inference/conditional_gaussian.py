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

from collections.abc import Callable
from typing import Any, NamedTuple

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


def places(gone: Bool[Array, "d n"], most: int) -> Int[Array, "{most} n"]:
    """The columns that each row lacks, d where it lacks fewer than `most`."""
    columns = jnp.arange(gone.shape[0], dtype=jnp.int32)[None, :, None]
    rank = jnp.cumsum(gone, axis=0, dtype=jnp.int32)[None]
    own = gone[None] & (rank == jnp.arange(1, most + 1, dtype=jnp.int32)[:, None, None])
    return len(gone) - jnp.sum(jnp.where(own, len(gone) - columns, 0), axis=1, dtype=jnp.int32)


def fill(
    precision: Float[Array, "#k d d"],
    residuals: Float[Array, "k d n"],
    holes: Int[Array, "m n"],
) -> Filled:
    """holes: the columns that each row lacks, d where it lacks fewer than m; residuals: 0 there."""
    d = residuals.shape[1]
    whole = jnp.broadcast_to(precision, (residuals.shape[0], d, d))
    product = einsum("kij,kjn->kin", whole, residuals)

    def of(holes: Int[Array, "h n"]) -> Filled:
        there = holes < d
        at = jnp.where(there, holes, 0)
        pull = jnp.take_along_axis(product, at[None], axis=1)
        pull = jnp.where(there[None], pull, 0)
        inverse, log_det = _eliminated(_block(precision, at, there))
        means = -jnp.sum(inverse * pull[:, None], axis=2)
        return Filled(residuals + place(means, holes, d), inverse, log_det)

    def widened(filled: Filled, m: int) -> Filled:
        more = m - filled.covariances.shape[1]
        pads = ((0, 0), (0, more), (0, more), (0, 0))
        return filled._replace(covariances=jnp.pad(filled.covariances, pads))

    return by_most(of, widened, holes, d)


def by_most(
    function: Callable[[Int[Array, "h n"]], Any],
    widened: Callable[[Any, int], Any],
    holes: Int[Array, "m n"],
    d: int,
) -> Any:
    """function of as many of the places for holes as these rows need; `widened` to all m of them.

    Rows are sorted where they can be, so that most blocks of them have few holes: half of the
    places are a quarter of the numbers, and an eighth of the work.
    """
    m = holes.shape[0]
    if m <= _FEW:
        return function(holes)
    half = m // 2

    def of_few() -> Any:
        return widened(by_most(function, widened, holes[:half], d), m)

    many = any_lane(jnp.any(holes[half:] < d))
    return lax.cond(many, lambda: function(holes), of_few)


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


def _eliminated(
    matrix: Float[Array, "k m m n"],
) -> tuple[Float[Array, "k m m n"], Float[Array, "k n"]]:
    """By Gauss and Jordan, on all matrices at once; positive definite ones need no pivoting."""
    m = matrix.shape[1]
    log_det = jnp.zeros_like(matrix, shape=(matrix.shape[0], matrix.shape[3]))
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
