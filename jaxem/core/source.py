"""The contract of a source: a table too large to hold, read piece by piece, any number of times.

A source knows where its rows are, not what model they are for: each piece is what a verb takes as
x, with weights and labels where there are some, and `fit` reads the pieces as it reads x.
"""

import abc
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

_ALIGNED = 64
WHOLE = 1 << 26  # bytes of a source that is read whole: its blocks would be few


class Piece(NamedTuple):
    """Rows that lie together. where: of what, for messages.

    lengths: of the sequences whose steps the rows are, all of them whole; then weights are those of
    sequences. None for rows that are independent.
    """

    x: Any  # an array (n, d) of NumPy, or a tuple or dict of them
    weight: np.ndarray | None
    labels: np.ndarray | None
    where: str
    lengths: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        return jax.tree.leaves(self.x)[0].shape[0]

    @property
    def n_units(self) -> int:
        """Rows, or sequences."""
        return self.n_rows if self.lengths is None else len(self.lengths)


class Source(abc.ABC):
    """Read by `jaxem.sources`: verbs that go through data in passes take it in the place of x."""

    names: tuple[str, ...] | None = None  # of the columns of a table
    fingerprint: str = ""  # what tells it from another, without reading it whole

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        """Of columns of categories, in the order of their codes; reads them where that must be."""
        return {}

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Of the columns of all arrays of x, in the order of its leaves; None where there are
        none."""
        return self.names

    @property
    def small(self) -> bool:
        """Whether it is read whole."""
        return whole(self) is not None

    @abc.abstractmethod
    def pieces(self, first: int = 0) -> Iterator[Piece]:
        """The rows from row `first` on, in order; alike each time, for the passes of a fit.

        Of sequences, row `first` is the first step of one.
        """

    def cuts(self, n: int) -> np.ndarray:
        """Where n shares of the rows begin, and the end of the last: (n + 1,). Some may be empty.

        This reads all rows, to count them: a source that knows better tells so.
        """
        n_rows, lengths = 0, [np.zeros(1, int)]
        for piece in self.pieces():
            n_rows += piece.n_rows
            lengths += [] if piece.lengths is None else [piece.lengths]
        return evenly(n_rows, n) if len(lengths) == 1 else nearest(np.concatenate(lengths), n)


def nearest(lengths: np.ndarray, n: int) -> np.ndarray:
    """`cuts` between sequences, the first of length 0: those nearest to equal shares."""
    ends = np.cumsum(lengths)
    wanted = evenly(int(ends[-1]), n)
    after = np.searchsorted(ends, wanted)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - ends[before] < ends[after] - wanted, ends[before], ends[after])


def evenly(n_rows: int, n: int) -> np.ndarray:
    """`cuts` of shares that differ by one row at most."""
    return n_rows * np.arange(n + 1) // n


@dataclass(frozen=True, eq=False)
class Share(Source):
    """The rows of a source from row `begin` to row `end`, which is not among them."""

    source: Source
    begin: int
    end: int
    names: tuple[str, ...] | None
    fingerprint: str

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        return self.source.levels

    @property
    def column_names(self) -> tuple[str, ...] | None:
        return self.source.column_names

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        at = self.begin + first
        if at >= self.end:
            return
        for piece in self.source.pieces(at):
            yield first_rows(piece, self.end - at)
            at += piece.n_rows
            if at >= self.end:
                return


def whole(source: Source) -> Piece | None:
    """All rows, where they take no more than WHOLE bytes."""
    found, held = [], 0
    for piece in source.pieces():
        found.append(piece)
        held += sum(leaf.nbytes for leaf in jax.tree.leaves(piece.x))
        if held > WHOLE:
            return None
    if not sum(piece.n_rows for piece in found):
        raise ValueError("the source has no rows; there is nothing to look at")
    return joined(found)


def joined(pieces: list[Piece]) -> Piece:
    """Pieces end to end."""
    if len(pieces) == 1:
        return pieces[0]

    def together(*parts: Any) -> Any:
        return None if parts[0] is None else np.concatenate(parts)

    x, weight, labels, where, lengths = zip(*pieces, strict=True)
    return Piece(
        jax.tree.map(_tables, *x),
        together(*weight),
        together(*labels),
        where[0] if len(set(where)) == 1 else f"{where[0]} to {where[-1]}",
        together(*lengths),
    )


def _tables(*arrays: np.ndarray) -> np.ndarray:
    """One after the other, where JAX takes them on a CPU without a copy: aligned to 64 bytes."""
    shape = sum(map(len, arrays)), *arrays[0].shape[1:]
    dtype = np.result_type(*arrays)
    n_bytes = math.prod(shape) * dtype.itemsize
    held = np.empty(n_bytes + _ALIGNED, np.uint8)
    begin = -held.ctypes.data % _ALIGNED
    found = held[begin : begin + n_bytes].view(dtype).reshape(shape)
    return np.concatenate(arrays, out=found)


@contextmanager
def naming(piece: Piece) -> Iterator[None]:
    """Inside, a ValueError says of which rows it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{piece.where}: {error}") from None


def part(piece: Piece, units: Any) -> Piece:
    """The rows of a piece, or its sequences, at a slice or at indices."""
    if piece.lengths is None:
        x, weight, labels = jax.tree.map(lambda leaf: leaf[units], piece[:3])
        return piece._replace(x=x, weight=weight, labels=labels)
    ends = np.cumsum(piece.lengths)
    lengths, begins = piece.lengths[units], (ends - piece.lengths)[units]
    rows = runs(begins, lengths)
    x, labels = jax.tree.map(lambda leaf: leaf[rows], (piece.x, piece.labels))
    weight = None if piece.weight is None else piece.weight[units]
    return piece._replace(x=x, weight=weight, labels=labels, lengths=lengths)


def runs(begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenated ranges begin, begin + 1, ..., each as long as its length."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(begins - before, lengths)


def first_rows(piece: Piece, n: int) -> Piece:
    """Of sequences, those within the first n rows."""
    if piece.n_rows <= n or piece.lengths is None:
        return part(piece, slice(n))
    return part(piece, slice(int(np.searchsorted(np.cumsum(piece.lengths), n, side="right"))))


def after(piece: Piece, n: int) -> Piece:
    """Without the first n rows, which are of whole sequences."""
    if piece.lengths is not None:
        n = int(np.searchsorted(np.cumsum(piece.lengths), n, side="right"))
    return part(piece, slice(n, None))


def sequences(piece: Piece) -> tuple[Any, Any]:
    """-> (the sequences, the labels of each), lists as models of them take them."""
    lengths: Any = piece.lengths
    ends = np.cumsum(lengths)
    rows = [slice(end - n, end) for end, n in zip(ends, lengths, strict=True)]
    x = [jax.tree.map(lambda leaf: leaf[own], piece.x) for own in rows]  # noqa: B023
    return x, None if piece.labels is None else [piece.labels[own] for own in rows]


def numbered(x: Any) -> list[str]:
    """Names of columns that have none: column_1, column_2, ..., or by the name of their block."""
    found = []
    for path, leaf in jax.tree.leaves_with_path(x):
        block = jax.tree_util.keystr(path, simple=True, separator="_") or "column"
        found += [f"{block}_{j + 1}" for j in range(leaf.shape[1])]
    return found


def exact(pieces: Iterator[Piece], lengths: Iterator[int]) -> Iterator[Piece]:
    """The same rows, or sequences, in pieces of so many; the last has what is left."""
    waiting: list[Piece] = []
    wanted = next(lengths)
    for piece in pieces:
        while piece.n_units:
            own, piece = part(piece, slice(wanted)), part(piece, slice(wanted, None))
            waiting.append(own)
            wanted -= own.n_units
            if not wanted:
                yield joined(waiting)
                waiting, wanted = [], next(lengths)
    if waiting:
        yield joined(waiting)
