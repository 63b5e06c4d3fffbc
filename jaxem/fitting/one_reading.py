"""One reading of a source: the E-steps of all blocks, for each group of starts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core import shards
from jaxem.core.contracts import Prepared, Rows
from jaxem.core.numerics import Sums
from jaxem.fitting import pass_programs as programs
from jaxem.fitting import stream, termination
from jaxem.fitting.checkpoint import Kept
from jaxem.fitting.execution import Execution
from jaxem.fitting.processes import Own, Team, attempted
from jaxem.fitting.stream import Part, Stream
from jaxem.fitting.termination import Terminated

Reached = Callable[[list[Sums], int], None]


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
    reached: Reached | None = None,
) -> list[Sums]:
    """The E-steps of all blocks for each group: one reading, in each process of its share.

    kept: where a reading was, from which it goes on. reached: called after each part but the last
    with the sums so far and the number of the next.
    """
    if of.team is None:
        return _read(execution, of, groups, kept, reached)
    with of.team.watched():
        return _read_by(of.team, execution, of, groups, kept, reached)


def _read_by(
    team: Team,
    execution: Execution,
    of: Stream,
    groups: list[Group],
    kept: Kept | None,
    reached: Reached | None,
) -> list[Sums]:
    """What one has to say of its share, that it failed or is to end, all heed."""
    own, ended = Own([], ""), None
    try:
        own = attempted(lambda: _read(execution, of, groups, kept, reached))
    except Terminated as asked:
        ended = asked
    like = [_like(execution, each, of.rows) for each in groups]
    total, (n_failed, n_ended) = _added(
        team, own.value, like, [bool(own.failed), ended is not None]
    )
    if n_failed:
        team.check(team.told(Own(None, own.failed)))
    if ended is not None:
        raise ended
    if n_ended and reached is not None:
        termination.ask()
        reached(own.value, of.n_parts(execution))
    return total


def _added(
    team: Team, own: list[Sums] | None, like: list[Sums], flags: list[bool]
) -> tuple[list[Sums], np.ndarray]:
    """The sums of all processes and how many have set each flag: one message, whether or not this
    one has sums."""
    leaves, form = jax.tree.flatten(like)
    there = jax.tree.leaves(jax.device_get(own)) or [
        np.zeros(leaf.shape, leaf.dtype) for leaf in leaves
    ]
    numbers = [np.asarray(flags, np.float32), *map(np.ravel, there)]
    n_set, *parts = np.split(
        team.added(np.concatenate(numbers)), np.cumsum([len(of) for of in numbers])[:-1]
    )
    new = [
        part.reshape(leaf.shape).astype(leaf.dtype)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(form, new), n_set


def _read(
    execution: Execution,
    of: Stream,
    groups: list[Group],
    kept: Kept | None,
    reached: Reached | None,
) -> list[Sums]:
    begin, total = _resumed(execution, of, groups, kept)
    if begin == of.n_parts(execution):  # what was kept is of the whole share, or that has no rows
        return total
    for number, own in enumerate(of.parts(execution, begin), begin):
        if own is None:
            continue
        total = added(execution, groups, own, total)
        if reached is not None and number + 1 < of.n_parts(execution):
            reached(total, number + 1)
    if of.over is None or not total:
        return jax.block_until_ready(total)  # what fails, fails here
    return [jax.device_get(shards.total(of.over, sums)) for sums in total]


def added(execution: Execution, groups: list[Group], own: Part, total: list[Sums]) -> list[Sums]:
    """With the E-steps of the blocks of a part. total: of those before; empty for the first.

    That part may still be on its way: more than one would fill the memory.
    """
    first, before = np.int32(0), total
    if not total:
        first, before = _begun(execution, groups, own.rows)
    stop = np.int32(own.n_blocks)
    after = [
        programs.add(execution, each.stable, each.prepared, own.rows, first, stop, sums)
        for each, sums in zip(groups, before, strict=True)
    ]
    jax.block_until_ready(before)
    return after


def _begun(execution: Execution, groups: list[Group], rows: Rows) -> tuple[np.int32, list[Sums]]:
    """-> (the first block to be added, the sums until there)."""
    if rows.shards is None:
        own = [programs.begin(execution, of.stable, of.prepared, rows) for of in groups]
        return np.int32(1), own
    return np.int32(0), [_no_sums(execution, of, rows) for of in groups]


def _no_sums(execution: Execution, group: Group, rows: Rows) -> Sums:
    """Those of each of several devices, before its first block."""
    over: Any = rows.shards
    like = _like(execution, group, rows)
    return over.put(jax.tree.map(lambda leaf: np.zeros((over.n, *leaf.shape), leaf.dtype), like))


def _resumed(
    execution: Execution, of: Stream, groups: list[Group], kept: Kept | None
) -> tuple[int, list[Sums]]:
    """-> (the part that is next, the sums of those before)."""
    if kept is None or kept.sums is None:
        return 0, []

    def like(leaves: list[np.ndarray], group: Group) -> Sums:
        structure = jax.tree.structure(_like(execution, group, of.rows))
        sums = jax.tree.unflatten(structure, leaves)
        whole = kept.part == of.n_parts(execution)
        return jax.device_put(sums) if of.over is None or whole else of.over.put(sums)

    return kept.part, [like(*of) for of in zip(kept.sums, groups, strict=True)]


def _like(execution: Execution, group: Group, rows: Rows) -> Sums:
    """Shapes and dtypes of the sums of a group. rows: like those of the source."""
    begin = partial(programs.begin, execution, group.stable)
    like = stream.like_rows(rows, execution.block_size)
    return jax.eval_shape(begin, group.prepared, like._replace(shards=None))
