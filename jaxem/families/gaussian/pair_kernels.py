"""The two products of an E-step, with the products of columns made where they are used, for GPUs.

    forms[k, n] = sum_p c[k, p] y[n, i[p]] y[n, j[p]]
    sums[k, p]  = sum_n w[k, n] y[n, i[p]] y[n, j[p]]

The pairs are those of `pairs`, s d of them: p = t d + i, j = (i + t) mod d, t < s. As arrays the
products are d / 2 times the data, written once and read twice; here each block of threads makes
those of a tile, 16 at a time, in its shared memory, and multiplies them into sums in registers.

Pallas, by Triton. Products of float32 are fused multiply-adds of float32 (`HIGHEST`; tensor cores
would round to TF32). Each sum is made in one order, and parts of it are added up by XLA: the bits
are those of every run. What is read side by side differs: forms take the columns of the data, sums
the rows, so that threads next to each other read from all banks of shared memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

_DEPTH = 16  # products, or rows, at a time
_EACH = 2048  # sums in the registers of a warp: 64 a thread
_WARPS_OF_FORMS, _WARPS_OF_SUMS = 4, 2
_PROGRAMS = 8192  # blocks of threads that share the rows of the sums, about: ten turns of a card
_LEAST_ROWS = 256  # of such a block
LEAST_ROWS = 512  # of y: those of the largest tile


def quadratic_forms(
    coefficients: Float[Array, "k p"], y: Float[Array, "d n"]
) -> Float[Array, "k n"]:
    """y[n]' M[k] y[n], from the coefficients of the pairs."""
    (d, n), (k, p) = y.shape, coefficients.shape
    tile = _power_of_2(k)
    size, n_pairs = _WARPS_OF_FORMS * _EACH // tile, _multiple(p, _DEPTH)
    padded = jnp.pad(coefficients, ((0, tile - k), (0, n_pairs - p)))
    kernel = partial(_forms, shape=(n, d, n_pairs), tile=(tile, size))
    out = _array_like(y, tile, n)
    return _call(kernel, -(-n // size), out, _WARPS_OF_FORMS)(padded, y)[:k]


def second_moments(
    weight: Float[Array, "k n"], y: Float[Array, "n d"], p: int
) -> Float[Array, "k p"]:
    """The sums over rows of weight[k] y y' at the pairs."""
    (n, d), k = y.shape, weight.shape[0]
    tile = _power_of_2(k)
    size = min(_WARPS_OF_SUMS * _EACH // tile, _power_of_2(p))
    n_chunks = -(-p // size)
    share = -(-n * n_chunks // _PROGRAMS)
    rows = max(_LEAST_ROWS, _multiple(share, _DEPTH))
    n_parts = -(-n // rows)
    kernel = partial(_sums, shape=(n, d, k), tile=(tile, size), n_chunks=n_chunks, rows=rows)
    out = _array_like(y, n_parts, tile, n_chunks * size)
    found = _call(kernel, n_parts * n_chunks, out, _WARPS_OF_SUMS)(weight, y)
    return jnp.sum(found, axis=0)[:k, :p]


# ---- what a block of threads does


def _forms(
    coefficients: Any, y: Any, out: Any, *, shape: tuple[int, int, int], tile: tuple[int, int]
) -> None:
    """Of all components and a tile of rows; the last rows overlap with those before."""
    n, d, n_pairs = shape
    k = _range(tile[0])
    r = jnp.minimum(pl.program_id(0) * tile[1], n - tile[1]) + _range(tile[1])

    def add(step: Array, total: Array) -> Array:
        p = step * _DEPTH + _range(_DEPTH)
        i, j = _pair(p, d)
        products = _tile(y, i, r) * _tile(y, j, r)
        return total + _dot(_tile(coefficients, k, p), products)

    zeros = jnp.zeros(tile, out.dtype)
    total = lax.fori_loop(jnp.int32(0), jnp.int32(n_pairs // _DEPTH), add, zeros)
    triton.store(out.at[k[:, None], r[None]], total)


def _sums(
    weight: Any,
    y: Any,
    out: Any,
    *,
    shape: tuple[int, int, int],
    tile: tuple[int, int],
    n_chunks: int,
    rows: int,
) -> None:
    """Of all components and a tile of pairs, over a part of the rows; those of others weigh 0."""
    n, d, n_components = shape
    part, chunk = _divided(pl.program_id(0), n_chunks)
    k, p = _range(tile[0]), chunk * tile[1] + _range(tile[1])
    i, j = _pair(p, d)

    def add(step: Array, total: Array) -> Array:
        first = part * rows + step * _DEPTH
        r = jnp.minimum(first, n - _DEPTH) + _range(_DEPTH)
        mine = jnp.broadcast_to((r >= first)[None], (tile[0], _DEPTH))
        there = jnp.minimum(k, n_components - 1)
        shares = triton.load(weight.at[there[:, None], r[None]], mask=mine, other=0.0)
        return total + _dot(shares, _tile(y, r, i) * _tile(y, r, j))

    zeros = jnp.zeros(tile, out.dtype)
    total = lax.fori_loop(jnp.int32(0), jnp.int32(rows // _DEPTH), add, zeros)
    triton.store(out.at[part, k[:, None], p[None]], total)


def _pair(p: Array, d: int) -> tuple[Array, Array]:
    """The columns of pairs; beyond the last some that are there."""
    t, i = _divided(p, d)
    return i, _divided(i + t, d)[1]


def _divided(index: Array, by: int) -> tuple[Array, Array]:
    """-> (quotient, rest)."""
    quotient = lax.div(index, jnp.full_like(index, by))
    return quotient, index - quotient * by


def _tile(of: Any, rows: Array, columns: Array) -> Array:
    return triton.load(of.at[rows[:, None], columns[None]])


def _dot(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((1,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)


def _range(size: int) -> Array:
    return jnp.arange(size, dtype=jnp.int32)


# ---- sizes


def _call(kernel: Callable[..., None], grid: int, out: Any, n_warps: int) -> Callable[..., Array]:
    """One step at a time: asynchronous copies of the next ones take registers that sums need."""
    params = triton.CompilerParams(num_warps=n_warps, num_stages=1)
    return pl.pallas_call(kernel, grid=(grid,), out_shape=out, compiler_params=params)


def _power_of_2(size: int) -> int:
    """As sizes of tiles are, and 16 at least, as sides of Triton's products."""
    return 1 << max(4, (size - 1).bit_length())


def _multiple(size: int, of: int) -> int:
    return -(-size // of) * of


def _array_like(y: Array, *shape: int) -> Any:
    """An array that lies as y does: a device's own, where the rows are spread over several."""
    return jax.ShapeDtypeStruct(shape, y.dtype, manual_axis_type=jax.typeof(y).manual_axis_type)
