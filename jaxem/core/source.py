"""The contract of a source: a table too large to hold, read piece by piece, any number of times.

A source knows where its rows are, not what model they are for: each piece is what a verb takes as
x, with weights and labels where there are some, and `fit` reads the pieces as it reads x.
"""

import abc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

WHOLE = 1 << 26  # bytes of a source that is read whole: its blocks would be few


class Piece(NamedTuple):
    """Rows that lie together. where: of what, for messages."""

    x: Any  # an array (n, d) of NumPy, or a tuple or dict of them
    weight: np.ndarray | None
    labels: np.ndarray | None
    where: str

    @property
    def n_rows(self) -> int:
        return jax.tree.leaves(self.x)[0].shape[0]


class Source(abc.ABC):
    """Read by `jaxem.sources`: verbs that go through data in passes take it in the place of x."""

    names: tuple[str, ...] | None = None  # of the columns of a table
    fingerprint: str = ""  # what tells it from another, without reading it whole

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        """Of columns of categories, in the order of their codes; reads them where that must be."""
        return {}

    @property
    def small(self) -> bool:
        """Whether it is read whole."""
        return whole(self) is not None

    @abc.abstractmethod
    def pieces(self, first: int = 0) -> Iterator[Piece]:
        """The rows from row `first` on, in order; alike each time, for the passes of a fit."""

    def cuts(self, n: int) -> np.ndarray:
        """Where n shares of the rows begin, and the end of the last: (n + 1,). Some may be empty.

        This reads all rows, to count them: a source that knows better tells so.
        """
        return evenly(sum(piece.n_rows for piece in self.pieces()), n)


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

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        at = self.begin + first
        if at >= self.end:
            return
        for piece in self.source.pieces(at):
            yield part(piece, slice(self.end - at))
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

    x, weight, labels, where = zip(*pieces, strict=True)
    return Piece(
        jax.tree.map(lambda *leaves: np.concatenate(leaves), *x),
        together(*weight),
        together(*labels),
        where[0] if len(set(where)) == 1 else f"{where[0]} to {where[-1]}",
    )


@contextmanager
def naming(piece: Piece) -> Iterator[None]:
    """Inside, a ValueError says of which rows it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{piece.where}: {error}") from None


def part(piece: Piece, rows: Any) -> Piece:
    """The rows of a piece at a slice or at indices."""
    x, weight, labels = jax.tree.map(lambda leaf: leaf[rows], piece[:3])
    return piece._replace(x=x, weight=weight, labels=labels)


def exact(pieces: Iterator[Piece], lengths: Iterator[int]) -> Iterator[Piece]:
    """The same rows in pieces of these lengths; the last has what is left."""
    waiting: list[Piece] = []
    wanted = next(lengths)
    for piece in pieces:
        while piece.n_rows:
            own, piece = part(piece, slice(wanted)), part(piece, slice(wanted, None))
            waiting.append(own)
            wanted -= own.n_rows
            if not wanted:
                yield joined(waiting)
                waiting, wanted = [], next(lengths)
    if waiting:
        yield joined(waiting)
