"""Rows in blocks: statistics add, so memory beyond the data does not grow with n."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, PyTree

from jaxem.core import emissions, shards
from jaxem.core.capabilities import digits
from jaxem.core.contracts import Model, Prepared, Rows
from jaxem.core.numerics import Sums, add_exactly, sums
from jaxem.core.rows import materialize_order, slice_units
from jaxem.fitting import sizes


def block_of(rows: Rows, index: Any, size: int) -> tuple[Rows, Array, Bool[Array, " size"]]:
    """-> (block, its first unit, which of its units no earlier block had).

    The last block starts early enough to be whole: slicing or padding would copy the data.
    """
    first = index * size
    start = jnp.minimum(first, rows.n_units - size).astype(jnp.int32)
    fresh = start + jnp.arange(size, dtype=jnp.int32) >= first
    return slice_units(rows, start, size, vectors=not sizes.on_cpu(rows)), start, fresh


def accumulate(model: Model, prepared: Prepared, rows: Rows, block_size: int) -> tuple[Any, Array]:
    """The E-step over all rows: the sum of the E-steps over blocks."""

    def of(rows: Rows, prepared: Prepared) -> tuple[Any, Array]:
        def by(prepared: Prepared, size: int) -> tuple[Any, Array]:
            total = sum_blocks(lambda block: model.e_step(prepared, block), rows, size)
            return emissions.finalize_statistics(model, prepared, total[0]), total[1]

        return with_stable_fallback(model, prepared, by, rows, block_size)

    return shards.summed(of, rows, prepared)


def with_stable_fallback(
    model: Model,
    prepared: Prepared,
    function: Callable[[Prepared, int], PyTree],
    rows: Rows,
    block_size: int,
) -> PyTree:
    """function of `prepared`, or of what the parameters need instead, and of the size of blocks.

    Asked once, around the loop over blocks: in each block it cost diagonal covariances 9 %. Few
    rows take what is always right at once.
    """
    stable = emissions.stable_form(model, prepared)
    if stable is None:
        return function(prepared, block_size)
    needed, instead = stable
    if rows.weight.size <= digits.FEW:
        return function(instead, block_size)
    size = sizes.stable_block_size(model, rows, block_size)
    return lax.cond(needed, lambda: function(instead, size), lambda: function(prepared, block_size))


def sum_blocks(function: Callable[..., PyTree], rows: Rows, block_size: int, *same: Any) -> PyTree:
    """The sum of function(block, *same) over blocks of rows; a row of weight 0 must add nothing.

    same: what the function takes derivatives with respect to, as `shards.summed` takes it.
    """

    def of(rows: Rows, *same: Any) -> PyTree:
        return _sum_blocks(lambda block: function(block, *same), rows, block_size)

    return shards.summed(of, rows, *same)


def _sum_blocks(function: Callable[[Rows], PyTree], rows: Rows, block_size: int) -> PyTree:
    n = rows.n_units
    if n <= block_size:
        return jax.checkpoint(function)(materialize_order(rows))
    of_block = _of_block(function, rows, block_size)

    def add(index: Array, total: Sums) -> Sums:
        return add_exactly(total, of_block(index))

    first = of_block(0)
    begin = Sums(first, jax.tree.map(jnp.zeros_like, first))
    return sums(lax.fori_loop(1, -(-n // block_size), add, begin))


def _of_block(function: Callable[[Rows], PyTree], rows: Rows, block_size: int) -> Any:
    """function of one block, by its index."""

    @jax.checkpoint
    def of_block(index: Any) -> PyTree:
        block, _, fresh = block_of(rows, jnp.int32(index), block_size)
        beside = [axis for axis in range(block.weight.ndim) if axis != block.axis]
        fresh = jnp.expand_dims(fresh, beside)
        weight = jnp.where(fresh, block.weight, jnp.zeros_like(block.weight))
        return function(block._replace(weight=weight))

    return of_block


# ---- blocks that come in parts of the table, one part after another


def loses_digits(model: Model, prepared: Prepared) -> Array:
    """Whether the parameters need another form than `prepared`: see `form`."""
    stable = emissions.stable_form(model, prepared)
    return jnp.zeros((), bool) if stable is None else stable[0]


def form(model: Model, prepared: Prepared, stable: bool) -> Prepared:
    """`prepared`, or what loses no digits in its place."""
    found = emissions.stable_form(model, prepared) if stable else None
    return prepared if found is None else found[1]


def first_block(model: Model, prepared: Prepared, rows: Rows, block_size: int) -> Sums:
    """The sums of the first block of a table."""
    first = _of_block(lambda block: model.e_step(prepared, block), rows, block_size)(0)
    return Sums(first, jax.tree.map(jnp.zeros_like, first))


def add_blocks(
    model: Model,
    prepared: Prepared,
    rows: Rows,
    block_size: int,
    first: Any,
    stop: Any,
    total: Sums,
) -> Sums:
    """The E-steps over some whole blocks of rows added: when all blocks of a table have been, the
    sums of `accumulate`, bit for bit."""
    of_block = _of_block(lambda block: model.e_step(prepared, block), rows, block_size)

    def add(index: Array, total: Sums) -> Sums:
        return add_exactly(total, of_block(index))

    return lax.fori_loop(first, stop, add, total)


def end_sums(model: Model, prepared: Prepared, total: Sums) -> tuple[Any, Array]:
    """-> (statistics, log-likelihood), as `accumulate` gives them."""
    statistics, objective = sums(total)
    return emissions.finalize_statistics(model, prepared, statistics), objective


def map_rows(function: Callable[[Rows], PyTree], rows: Rows, block_size: int) -> PyTree:
    """function over blocks of rows, its results side by side.

    Their last axes are those of the rows' weight.
    """
    axis = rows.axis - rows.weight.ndim
    return shards.mapped(lambda rows: _map_rows(function, rows, block_size, axis), rows, axis)


def _map_rows(function: Callable[[Rows], PyTree], rows: Rows, block_size: int, axis: int) -> PyTree:
    n = rows.n_units
    if n <= block_size:
        return function(materialize_order(rows))

    def put(index: Array, out: PyTree) -> PyTree:
        block, start, _ = block_of(rows, index, block_size)
        return jax.tree.map(
            lambda whole, own: lax.dynamic_update_slice_in_dim(whole, own, start, axis),
            out,
            function(block),
        )

    def whole(leaf: Any) -> Array:
        shape = list(leaf.shape)
        shape[axis] = n
        return jnp.zeros_like(rows.weight, leaf.dtype, shape=shape)

    one = jax.eval_shape(lambda: function(slice_units(rows, 0, block_size)))
    empty = jax.tree.map(whole, one)
    return lax.fori_loop(0, -(-n // block_size), put, empty)
