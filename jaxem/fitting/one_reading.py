"""One reading of a source: the E-steps of all blocks, for each group of starts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import shards
from jaxem.core.contracts import Prepared, Rows
from jaxem.core.numerics import Sums
from jaxem.fitting import pass_programs as programs
from jaxem.fitting import stream
from jaxem.fitting.checkpoint import Kept
from jaxem.fitting.execution import Execution
from jaxem.fitting.stream import Stream


class Group(NamedTuple):
    """Starts side by side in a pass. stable: whether they take the form that loses no digits."""

    index: np.ndarray
    prepared: Prepared
    stable: bool


def summed(
    execution: Execution,
    of: Stream,
    groups: list[Group],
    kept: Kept | None = None,
    reached: Callable[[list[Sums], int], None] | None = None,
) -> list[Sums]:
    """The E-steps of all blocks for each group: one reading.

    kept: where a reading was, from which it goes on. reached: called after each part but the last
    with the sums so far and the number of the next.
    """
    begin, total = _resumed(execution, of, groups, kept)
    for number, own in enumerate(of.parts(execution, begin), begin):
        if own is None:
            continue
        first = jnp.zeros((), jnp.int32)
        if not total:
            first, total = _begun(execution, groups, own.rows)
        stop = jnp.asarray(own.n_blocks, jnp.int32)
        total = [
            programs.add(execution, each.stable, each.prepared, own.rows, first, stop, sums)
            for each, sums in zip(groups, total, strict=True)
        ]
        jax.block_until_ready(total)  # parts that wait for each other would fill the memory
        if reached is not None and number + 1 < of.n_parts(execution):
            reached(total, number + 1)
    if of.over is None:
        return total
    return [jax.device_get(shards.total(of.over, sums)) for sums in total]


def _begun(execution: Execution, groups: list[Group], rows: Rows) -> tuple[Array, list[Sums]]:
    """-> (the first block to be added, the sums until there)."""
    if rows.shards is None:
        own = [programs.begin(execution, of.stable, of.prepared, rows) for of in groups]
        return jnp.ones((), jnp.int32), own
    return jnp.zeros((), jnp.int32), [_no_sums(execution, of, rows) for of in groups]


def _no_sums(execution: Execution, group: Group, rows: Rows) -> Sums:
    """Those of each of several devices, before its first block."""
    over: Any = rows.shards
    begin = partial(programs.begin, execution, group.stable)
    like = jax.eval_shape(begin, group.prepared, rows._replace(shards=None))
    return over.put(jax.tree.map(lambda leaf: np.zeros((over.n, *leaf.shape), leaf.dtype), like))


def _resumed(
    execution: Execution, of: Stream, groups: list[Group], kept: Kept | None
) -> tuple[int, list[Sums]]:
    """-> (the part that is next, the sums of those before)."""
    if kept is None or kept.sums is None:
        return 0, []
    rows = stream.like_rows(of.rows, execution.block_size)

    def like(leaves: list[np.ndarray], group: Group) -> Sums:
        begin = partial(programs.begin, execution, group.stable)
        structure = jax.tree.structure(jax.eval_shape(begin, group.prepared, rows))
        sums = jax.tree.unflatten(structure, leaves)
        return jax.device_put(sums) if of.over is None else of.over.put(sums)

    return kept.part, [like(*of) for of in zip(kept.sums, groups, strict=True)]
