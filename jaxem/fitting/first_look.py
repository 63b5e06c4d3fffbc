"""The first look at a source: its size, and the pool of rows that starts look at.

Of several processes each looks at its share; what they find is that of one.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxem.core import pool
from jaxem.core.capabilities import ranges
from jaxem.core.capabilities.ranges import Range
from jaxem.core.contracts import Model
from jaxem.core.dataset import Dataset, as_dataset
from jaxem.core.source import Piece, Share, Source, joined, part
from jaxem.fitting import processes
from jaxem.fitting.processes import Team
from jaxem.fitting.stream import checked


class Seen(NamedTuple):
    """What is found. weight: what the rows of the pool stand for, in their own units; total: that
    of all rows. own: the rows that this process reads, and how many they are; team: the processes,
    None where it is one. range: of all rows, where the model has parameters that follow from it.
    """

    n_rows: int
    total: float
    pool: Piece
    weight: np.ndarray
    own: tuple[Source, int]
    team: Team | None
    range: Range | None = None


class _Looked(NamedTuple):
    """A look at some rows. priority: of those that are kept; n_there: rows of positive weight."""

    n_rows: int
    n_there: int
    total: float
    priority: np.ndarray
    range: Range | None


def look(model: Model, source: Source, seed: int, mesh: Any = None) -> Seen:
    """Every row is read and checked, by the processes of the mesh each its share; ValueError where
    one cannot be fitted."""
    team, _ = processes.of_mesh(mesh)
    if team is None:
        found, kept = _looked(model, source, seed, 0)
        n_own = found.n_rows
    else:
        source = team.share(source)
        n_own = source.end - source.begin
        found, kept = _looked_at_by(team, model, source, seed)
    if kept is None:
        raise ValueError("the source has no rows of positive weight: there is nothing to fit")
    weight = pool.weights(kept.weight, found.priority, full=found.n_there > pool.POOL)
    return Seen(found.n_rows, found.total, kept, weight, (source, n_own), team, found.range)


def _looked(model: Model, source: Source, seed: int, begin: int) -> tuple[_Looked, Piece | None]:
    """begin: the place of the first row in the table. -> (what is found, the rows of the pool)."""
    kept: list[Piece] = []
    ends: list[Range] = []
    priority, n_rows, n_there, total = np.zeros(0), 0, 0, 0.0
    for piece in _cut(source):
        rows = checked(model, piece)
        if rows is not None:
            ends += [ranges.of_rows(rows)] if ranges.has_range(model) else []
            total += piece.n_rows if piece.weight is None else np.sum(piece.weight, dtype=float)
            own = pool.priorities(begin + n_rows, piece.n_rows, piece.weight, seed)
            n_there += int(np.isfinite(own).sum())
            together = joined([*kept, piece])
            priority = np.concatenate([priority, own])
            some = pool.lowest(priority)
            kept, priority = [part(together, some)], priority[some]
        n_rows += piece.n_rows
    found = _Looked(n_rows, n_there, float(total), priority, _together(ends))
    return found, kept[0] if kept else None


def _together(ends: Sequence[Range]) -> Range | None:
    return ranges.of_all(ends) if ends else None


def _looked_at_by(
    team: Team, model: Model, source: Share, seed: int
) -> tuple[_Looked, Piece | None]:
    """The same of the shares of all processes: alike in each."""
    own, kept = team.own(lambda: _looked(model, source, seed, source.begin))
    each = team.told(own)
    priority = np.concatenate([of.priority for of in each])
    some = pool.lowest(priority)
    ends = np.cumsum([len(of.priority) for of in each])
    first = ends[team.place] - len(own.priority)
    mine = some[(some >= first) & (some < ends[team.place])] - first
    parts = team.told(None if kept is None else part(kept, mine))
    there = [of for of in parts if of is not None]
    n_rows, n_there, total = (sum(column) for column in list(zip(*each, strict=True))[:3])
    own_ends = [of.range for of in each if of.range is not None]
    found = _Looked(n_rows, n_there, total, priority[some], _together(own_ends))
    return found, joined(there) if there else None


def _cut(source: Source) -> Iterator[Piece]:
    """Pieces of no more rows than a pool has."""
    for piece in source.pieces():
        for first in range(0, piece.n_rows, pool.POOL):
            yield part(piece, slice(first, first + pool.POOL))


def pool_of(model: Model, seen: Seen) -> Dataset:
    """The pool as a table, its rows with their own weights."""
    return as_dataset(model, seen.pool.x, seen.pool.weight, seen.pool.labels)
