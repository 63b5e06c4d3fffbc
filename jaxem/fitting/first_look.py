"""The first look at a source: its size, and the pool of rows that starts look at.

Of several processes each looks at its share; what they find is that of one.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxem.core import pool
from jaxem.core.capabilities import ranges
from jaxem.core.capabilities.ranges import Range
from jaxem.core.contracts import Model, Rows
from jaxem.core.dataset import Dataset, of_piece
from jaxem.core.source import Piece, Share, Source, joined, part
from jaxem.fitting import packed, processes
from jaxem.fitting.packed import Lengths
from jaxem.fitting.plan import weighted
from jaxem.fitting.processes import Team
from jaxem.fitting.stream import checked


class Seen(NamedTuple):
    """What is found. weight: what the rows of the pool stand for, in their own units; total: that
    of all rows. own: the rows that this process reads, and how many they are; team: the processes,
    None where it is one. lengths: of sequences, of which the pool then is, as are its weights.
    range: of all rows, where the model has parameters that follow from it.
    """

    n_rows: int
    total: float
    pool: Piece
    weight: np.ndarray
    own: tuple[Source, int]
    team: Team | None
    lengths: Lengths | None
    full: bool  # whether there are rows that are not in the pool
    range: Range | None = None


class _Looked(NamedTuple):
    """A look at some rows, or sequences. priority: of those that are kept; n_there: how many are
    of positive weight; n_sequences: 0 for rows; longest: of them."""

    n_rows: int
    n_there: int
    total: float
    n_sequences: int
    longest: int
    priority: np.ndarray
    range: Range | None


def look(model: Model, source: Source, seed: int, mesh: Any = None) -> Seen:
    """Every row is read and checked, by the processes of the mesh each its share; ValueError where
    one cannot be fitted."""
    team, _ = processes.of_mesh(mesh)
    if team is None:
        found, kept, own = _looked(model, source, seed, 0)
        n_own = found.n_rows
    else:
        source = team.share(source)
        n_own = source.end - source.begin
        found, kept, own = _looked_at_by(team, model, source, seed)
    if kept is None:
        raise ValueError("the source has no rows of positive weight: there is nothing to fit")
    full = found.n_there > len(found.priority)
    weight = pool.weights(kept.weight, found.priority, full)
    n, longest = found.n_sequences, found.longest
    lengths = packed.of_all(own, longest, found.n_rows, n) if n else None
    of_own = (source, n_own), team, lengths
    return Seen(found.n_rows, found.total, kept, weight, *of_own, full, found.range)


_Own = tuple[_Looked, Piece | None, np.ndarray]


def _looked(model: Model, source: Source, seed: int, begin: int) -> _Own:
    """begin: the place of the first row in the table. -> (what is found, the rows of the pool, the
    lengths of sequences)."""
    kept: list[Piece] = []
    ends: list[Range] = []
    lengths: list[np.ndarray] = [np.zeros(0, np.int32)]
    priority, n_rows, n_there, total = np.zeros(0), 0, 0, 0.0
    for piece in _cut(source):
        rows = checked(model, piece)
        if rows is not None:
            ends += [ranges.of_rows(rows)] if ranges.has_range(model) else []
            total += _weight(piece)
            own = _priorities(piece, begin + n_rows, seed)
            n_there += int(np.isfinite(own).sum())
            together = joined([*kept, piece])
            priority = np.concatenate([priority, own])
            some = _lowest(priority, together)
            kept, priority = [part(together, some)], priority[some]
        n_rows += piece.n_rows
        lengths += [] if piece.lengths is None else [piece.lengths.astype(np.int32)]
    each = np.concatenate(lengths)
    longest = int(each.max(initial=0))
    found = _Looked(n_rows, n_there, total, len(each), longest, priority, _together(ends))
    return found, kept[0] if kept else None, each


def _together(ends: Sequence[Range]) -> Range | None:
    return ranges.of_all(ends) if ends else None


def _weight(piece: Piece) -> float:
    if piece.weight is None:
        return float(piece.n_rows)
    of = piece.weight if piece.lengths is None else piece.weight * piece.lengths
    return float(np.sum(of, dtype=float))


def _priorities(piece: Piece, first: int, seed: int) -> np.ndarray:
    """Of the rows of a piece, or its sequences. first: the place of its first row."""
    if piece.lengths is None:
        return pool.priorities(first, piece.n_rows, piece.weight, seed)
    begins = first + np.cumsum(piece.lengths) - piece.lengths
    return pool.priorities_of(begins.astype(np.uint64), piece.weight, seed)


def _lowest(priority: np.ndarray, piece: Piece) -> np.ndarray:
    if piece.lengths is None:
        return pool.lowest(priority)
    return pool.lowest_sequences(priority, piece.lengths)


def _looked_at_by(team: Team, model: Model, source: Share, seed: int) -> _Own:
    """The same of the shares of all processes: alike in each, but for the lengths."""
    own, kept, lengths = team.own(lambda: _looked(model, source, seed, source.begin))
    each = team.told((own, None if kept is None else kept.lengths))
    priority = np.concatenate([of.priority for of, _ in each])
    of_sequences = [n for _, n in each if n is not None]
    some = (
        pool.lowest_sequences(priority, np.concatenate(of_sequences))
        if of_sequences
        else pool.lowest(priority)
    )
    ends = np.cumsum([len(of.priority) for of, _ in each])
    first = ends[team.place] - len(own.priority)
    mine = some[(some >= first) & (some < ends[team.place])] - first
    parts = team.told(None if kept is None else part(kept, mine))
    there = [of for of in parts if of is not None]
    n_rows, n_there, total, n = map(sum, list(zip(*(of for of, _ in each), strict=True))[:4])
    longest = max(of.longest for of, _ in each)
    ends_of_all = _together([of.range for of, _ in each if of.range is not None])
    found = _Looked(n_rows, n_there, total, n, longest, priority[some], ends_of_all)
    return found, joined(there) if there else None, lengths


def _cut(source: Source) -> Iterator[Piece]:
    """Pieces of no more rows than a pool has, or of sequences as they come."""
    for piece in source.pieces():
        if piece.lengths is not None:
            yield piece
            continue
        for first in range(0, piece.n_rows, pool.POOL):
            yield part(piece, slice(first, first + pool.POOL))


def pool_of(model: Model, seen: Seen) -> Dataset:
    """The pool as a table, its rows with their own weights."""
    return of_piece(model, seen.pool)


def start_rows(model: Model, seen: Seen, rows: Rows) -> Rows | None:
    """The pool under what it stands for; None where it is all rows. rows: its own."""
    if not seen.full:
        return None
    if seen.lengths is None:
        return weighted(rows, seen.weight)
    return of_piece(model, seen.pool._replace(weight=seen.weight)).for_fit
