"""Rows one after another with the same value of a column: the sequences of a source."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jaxem.core.source import Piece, joined, part


def values(column: Any, where: str) -> np.ndarray:
    """What tells of each row its sequence, of Arrow; ValueError where a cell is missing."""
    if column.null_count:
        raise ValueError(
            f"{where}: {column.null_count} rows do not tell of which sequence they are; give each "
            "row the name of its sequence"
        )
    return column.to_numpy(zero_copy_only=False)


def whole(pieces: Iterable[tuple[Piece, np.ndarray]]) -> Iterator[Piece]:
    """Pieces of rows, and the value of each row -> pieces of whole sequences."""
    held: list[Piece] = []  # rows of a sequence that may go on
    last: Any = None
    for piece, own in pieces:
        begins = np.flatnonzero(own[1:] != own[:-1]) + 1
        if not held or own[0] != last:
            begins = np.concatenate([[0], begins])
        last = own[-1]
        if len(begins):
            n = sum(rows.n_rows for rows in held)
            lengths = np.diff(np.concatenate([[0], n + begins]))
            if n + begins[-1]:
                rows = joined([*held, part(piece, slice(int(begins[-1])))])
                yield _as_sequences(rows, lengths[lengths > 0])
            held, piece = [], part(piece, slice(int(begins[-1]), None))
        held.append(piece)
    if held:
        rows = joined(held)
        yield _as_sequences(rows, np.array([rows.n_rows]))


def lengths(each: Iterable[np.ndarray]) -> np.ndarray:
    """Of the sequences, by the values alone."""
    pieces = ((Piece(np.empty((len(own), 0)), None, None, ""), own) for own in each)
    found = [np.asarray(piece.lengths) for piece in whole(pieces)]
    return np.concatenate([np.zeros(0, int), *found])


def _as_sequences(piece: Piece, lengths: np.ndarray) -> Piece:
    if piece.weight is None:
        return piece._replace(lengths=lengths)
    weight = piece.weight[np.cumsum(lengths) - lengths]
    if not np.array_equal(np.repeat(weight, lengths), piece.weight):
        raise ValueError(
            f"{piece.where}: weights differ within a sequence; give all its rows the same one"
        )
    return piece._replace(lengths=lengths, weight=weight)
