"""A source as a fit goes through it: looked at once, and then in parts of whole blocks.

Blocks are those that the table would have in memory, numbered over the table: the last begins early
enough to be whole, and the rows that it has from the one before have weight 0. A thread reads ahead
of the device.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core import lanes, placement, shards
from jaxem.core.capabilities import pivots
from jaxem.core.contracts import Model, Rows
from jaxem.core.lanes import Lanes
from jaxem.core.shards import Shards
from jaxem.core.source import Piece, Source, exact, joined, naming, part
from jaxem.fitting import packed, processes, sizes
from jaxem.fitting.execution import Execution
from jaxem.fitting.packed import Lengths, Packing
from jaxem.fitting.processes import Team
from jaxem.fitting.read_ahead import read_ahead

_PART = 1 << 24  # bytes of a table that are read, and go to the device, at a time


class Part(NamedTuple):
    """Rows that go to the device together. n_blocks: of them, from the first on."""

    rows: Rows
    n_blocks: int


def read_whole(source: Source, mesh: Any) -> bool:
    """Whether its rows are held in memory; several processes have no need for all of them."""
    return processes.of_mesh(mesh)[0] is None and source.small


def checked(model: Model, piece: Piece, to: Lanes | None = None) -> Rows | None:
    """The rows as the model takes them; None where all have weight 0. to: where sequences go."""
    if piece.weight is not None and np.all(np.asarray(piece.weight) == 0):
        return None
    if piece.lengths is not None and to is None:
        to = lanes.end_to_end(piece.lengths)
    with naming(piece):
        rows, layout = model.read(piece.x, piece.weight, piece.labels, to)
    if layout is not None and to is None:
        raise ValueError(
            f"{model!r} is of sequences: tell which rows they are, such as by "
            'jaxem.sources.parquet(..., sequence="id")'
        )
    if model.family is not None and _has_pivot(model.family, rows.x):
        raise ValueError(
            f"{piece.where}: regressors lie so far from 0, for their spread, that sums of them "
            "lose their digits; subtract a number near their mean"
        )
    return rows


def _has_pivot(family: Any, x: Any) -> bool:
    """Whether the rows are measured from an origin of their own: sums of pieces would not add."""
    given = jax.eval_shape(lambda x: pivots.given(family, x), x)
    return jax.tree.structure(given) != jax.tree.structure(x)


def blocks_a_part(rows: Rows, block_size: int, n_rows: int, n_devices: int = 1) -> int:
    """As many on each device, no more than n_rows, or lanes, need. rows: like theirs."""
    leaves = jax.tree.leaves(rows)
    each = sum(leaf.size // leaf.shape[rows.axis] * leaf.dtype.itemsize for leaf in leaves)
    most = max(2, _PART // (each * block_size))  # of one block XLA makes another program
    return n_devices * max(1, min(most, -(-n_rows // (n_devices * block_size))))


class Stream(NamedTuple):
    """A source as it is fitted. part: blocks that are read at a time; checkpoint: a file.

    rows: like those of the source, some or their shapes. reader: one thread for all passes, since
    memory that a thread leaves is lost. over: the devices that blocks are spread over; team: the
    processes of which each has such a source, with its share of the rows; packing: of sequences.
    """

    source: Source
    rows: Rows
    n_rows: int
    part: int
    reader: ThreadPoolExecutor
    checkpoint: Any
    over: Shards | None
    team: Team | None = None
    packing: Packing | None = None

    def n_parts(self, execution: Execution) -> int:
        if self.packing is not None:
            return self.packing.n_parts
        return -(-self.n_rows // (self.part * execution.block_size))

    def parts(self, execution: Execution, first: int = 0) -> Iterator[Part | None]:
        """The blocks of one pass, so many at a time, from part `first` on; None for one without
        rows of positive weight."""
        model, size = execution.model, execution.block_size
        whole = self.part * size

        def made() -> Iterator[Part | None]:
            with placement.on_host(self.over is not None):  # whence each device is sent its own
                if self.packing is None:
                    own = _parts(model, self.source, self.n_rows, size, whole, first * whole)
                else:
                    own = _of_lanes(model, self.source, self.packing, size, first)
                for part in own:
                    yield None if part is None else self._placed(part)

        return read_ahead(self.reader, made)

    def _placed(self, part: Part) -> Part:
        return part._replace(rows=shards.placed(part.rows, self.over))


def opened(
    source: Source,
    n_rows: int,
    rows: Rows,
    block_size: int,
    checkpoint: Any = None,
    mesh: Any = None,
    lengths: Lengths | None = None,
) -> Stream:
    """mesh: of several processes, of which this is to read the source. lengths: of sequences."""
    team, mesh = processes.of_mesh(mesh)
    over = None if mesh is None else shards.of_mesh(mesh)
    n_units = n_rows if lengths is None else lengths.n_lanes
    part = blocks_a_part(rows, block_size, n_units, 1 if over is None else over.n)
    reader = ThreadPoolExecutor(1, thread_name_prefix="source reader")
    packing = None if lengths is None else packed.packing(lengths, part * block_size)
    return Stream(source, rows, n_rows, part, reader, checkpoint, over, team, packing)


def _of_lanes(
    model: Model, source: Source, packing: Packing, size: int, first: int
) -> Iterator[Part | None]:
    for own, to in packed.parts(source, packing, first):
        rows = checked(model, own, to)
        n_blocks = -(-(int(to.lane.max()) + 1) // size)
        yield None if rows is None else Part(rows, n_blocks)


def _parts(
    model: Model, source: Source, n_rows: int, size: int, whole: int, first: int
) -> Iterator[Part | None]:
    begin = max(0, first - size)  # the last block may begin in the part before
    lengths = itertools.chain([size] if first else [], itertools.repeat(whole))
    tail, ended = None, begin
    for own in exact(source.pieces(begin), lengths):
        ended += own.n_rows
        if ended > first and own.n_rows == whole:
            yield _part(model, own, whole // size)
        elif ended > first:
            yield _last(model, own, tail, size, whole)
        tail = part(own, slice(-size, None))
    if ended != n_rows:
        raise ValueError(
            f"the source had {n_rows:,} rows when it was first read, and now has {ended:,}: it "
            "must stay as it is while it is fitted"
        )


def _last(model: Model, own: Piece, tail: Piece | None, size: int, whole: int) -> Part | None:
    """The rows that are left over, in blocks that are all whole, and filled up to a part."""
    n = own.n_rows
    n_blocks = -(-n // size)
    together = own if tail is None else joined([tail, own])
    alone = (n_blocks - 1) * size  # rows before the last block's new ones
    at = max(0, together.n_rows - size)  # where the last block begins
    seen = together.n_rows - at - (n - alone)  # of the rows that it has
    rows = np.concatenate(
        [
            np.arange(together.n_rows - n, together.n_rows - n + alone),
            np.arange(at, together.n_rows),
        ]
    )
    filled = np.concatenate([rows, np.full(whole - len(rows), rows[-1])])
    found = _part(model, part(together, filled), n_blocks)
    if found is None:
        return None
    weight = np.array(found.rows.weight)
    weight[alone : alone + seen] = 0  # after reading, which would replace them: as in memory
    weight[len(rows) :] = 0
    return found._replace(rows=found.rows._replace(weight=jax.device_put(weight)))


def _part(model: Model, piece: Piece, n_blocks: int) -> Part | None:
    rows = checked(model, piece)
    return None if rows is None else Part(rows, n_blocks)


def like_rows(rows: Rows, n: int) -> Rows:
    """Shapes and dtypes of n rows, or lanes, like these."""
    axis = rows.axis

    def like(leaf: Any) -> Any:
        shape = *leaf.shape[:axis], n, *leaf.shape[axis + 1 :]
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    return jax.tree.map(like, rows)


def units(
    model: Model, some: Piece, rows: Rows, n_rows: int, lengths: Lengths | None
) -> tuple[Rows, int]:
    """-> (rows like those of the source, one lane of sequences; how many rows or lanes it has).

    some: rows of positive weight, which the model has read as `rows`.
    """
    if lengths is None:
        return rows, n_rows
    there = slice(1) if some.weight is None else np.flatnonzero(some.weight)[:1]
    one: Any = part(some, there)
    lane: Any = checked(model, one, lanes.placed(one.lengths, (lengths.t, 1)))
    return lane, lengths.n_lanes


def block_size_of(model: Model, rows: Rows, n: int, given: Any) -> int:
    """That of n rows like these in memory."""
    like = like_rows(rows, n)
    return sizes.block_size(model, like) if given is None else sizes.block_units(like, given)
