"""Rows in blocks: statistics add, so memory beyond the data does not grow with n."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, PyTree

from jaxem.core.contracts import Model, Prepared, Rows


def block_of(rows: Rows, index: Any, size: int) -> tuple[Rows, Array, Bool[Array, " size"]]:
    """-> (block, its first row, which of its rows no earlier block had).

    The last block starts early enough to be whole: slicing or padding would copy the data.
    """
    n = rows.weight.shape[0]
    first = index * size
    start = jnp.minimum(first, n - size).astype(jnp.int32)
    block = jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, start, size), rows)
    return block, start, start + jnp.arange(size, dtype=jnp.int32) >= first


def accumulate(model: Model, prepared: Prepared, rows: Rows, block_size: int) -> tuple[Any, Array]:
    """The E-step over all rows: the sum of the E-steps over blocks."""
    n = rows.weight.shape[0]
    if n <= block_size:
        return model.e_step(prepared, rows)

    def of_block(index: Any) -> tuple[Any, Array]:
        block, _, fresh = block_of(rows, jnp.int32(index), block_size)
        fresh = jnp.reshape(fresh, (-1,) + (1,) * (block.weight.ndim - 1))
        weight = jnp.where(fresh, block.weight, jnp.zeros_like(block.weight))
        return model.e_step(prepared, block._replace(weight=weight))

    def add(index: Array, total: PyTree) -> PyTree:
        return jax.tree.map(jnp.add, total, of_block(index))

    return lax.fori_loop(1, -(-n // block_size), add, of_block(0))


def map_rows(function: Callable[[Rows], PyTree], rows: Rows, block_size: int) -> PyTree:
    """function over blocks of rows, its results side by side; their last axis is that of rows."""
    n = rows.weight.shape[0]
    if n <= block_size:
        return function(rows)

    def put(index: Array, out: PyTree) -> PyTree:
        block, start, _ = block_of(rows, index, block_size)
        return jax.tree.map(
            lambda whole, part: lax.dynamic_update_slice_in_dim(whole, part, start, axis=-1),
            out,
            function(block),
        )

    one = jax.eval_shape(function, jax.tree.map(lambda leaf: leaf[:block_size], rows))
    empty = jax.tree.map(lambda leaf: jnp.zeros((*leaf.shape[:-1], n), leaf.dtype), one)
    return lax.fori_loop(0, -(-n // block_size), put, empty)


def default_block_size(rows: Rows, k: int) -> int:
    """Rows a block: what keeps k x (width + 2) numbers a row in cache, or an accelerator busy.

    2^17 numbers (1 MB in float64) on a CPU, 2^27 on an accelerator; from 128 rows.
    """
    width = sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(rows.x))
    numbers = 1 << (17 if jax.default_backend() == "cpu" else 27)
    return max(128, numbers // (k * (width + 2)))
