"""Sources of NumPy's arrays: a file that is read where it lies, and what a function yields."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxem.core import tables
from jaxem.core.files import describe_os_errors
from jaxem.core.source import Piece, Source, after, evenly, joined, nearest
from jaxem.sources import runs
from jaxem.sources.fingerprints import of_files

_ROWS = 1 << 16  # a piece


def npy(path: Any, sample_weight: Any = None, labels: Any = None, sequence: Any = None) -> Source:
    """A file that `np.save` wrote, of an array (n, d) or (n,), read where it lies.

    sample_weight, labels, sequence: files of arrays (n,), or arrays.
    sequence: what tells of which sequence a row is, for an `HMM`, such as the number of each: rows
        one after another with the same value are the steps of one. Weights are those of sequences,
        the same in all rows of one.

    Errors: OSError where a file cannot be read, ValueError for what is none of such arrays.
    """
    given = path, sample_weight, labels, sequence
    paths = [os.fspath(of) for of in given if _is_path(of)]
    x, weight, known, sequences = map(_opened, given)
    if x.ndim not in (1, 2) or x.dtype.kind not in "biuf":
        raise ValueError(
            f"{path} holds an array of shape {x.shape} and dtype {x.dtype}; a source is one of "
            "numbers, (n, d) or (n,)"
        )
    x = x[:, None] if x.ndim == 1 else x
    each = {"sample_weight": weight, "labels": known, "sequence": sequences}
    for what, own in each.items():
        if own is not None and own.shape != x.shape[:1]:
            raise ValueError(f"{what} has shape {own.shape}, {path} has {len(x)} rows")
    return Array(x, weight, known, sequences, str(path), of_files(paths))


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _opened(of: Any) -> Any:
    if not _is_path(of):
        return None if of is None else np.asarray(of)
    with describe_os_errors(os.fspath(of), "cannot be read"):
        try:
            return np.load(of, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{of} is no file of np.save: {error}") from None


@dataclass(frozen=True, eq=False)
class Array(Source):
    """Rows of one array, which may lie in a file."""

    x: np.ndarray
    weight: Any
    labels: Any
    sequence: Any
    where: str
    fingerprint: str

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        if self.sequence is None:
            return (piece for piece, _ in self._rows(first))
        return runs.whole(self._rows(first))

    def _rows(self, first: int) -> Iterator[tuple[Piece, Any]]:
        """Pieces of rows, and what tells of each row its sequence."""
        each = self.x, self.weight, self.labels, self.sequence
        for at in range(first, len(self.x), _ROWS):
            for of in each:
                _check_whole(of)
            stop = min(at + _ROWS, len(self.x))
            x, weight, labels, sequence = (
                None if of is None else np.array(of[at:stop]) for of in each
            )
            where = f"{self.where}, rows {at:,} to {stop - 1:,}"
            yield Piece(x, weight, labels, where), sequence

    def cuts(self, n: int) -> np.ndarray:
        if self.sequence is None:
            return evenly(len(self.x), n)
        starts = range(0, len(self.x), _ROWS)
        each = (np.asarray(self.sequence[at : at + _ROWS]) for at in starts)
        return nearest(np.concatenate([[0], runs.lengths(each)]), n)


def _check_whole(array: Any) -> None:
    """ValueError for a file that was cut short: to read beyond its end would kill the process."""
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    if array is None or array.filename is None:
        return
    path = os.fspath(array.filename)
    with describe_os_errors(path, "cannot be read"):
        there = os.stat(path).st_size
    if there < array.offset + array.nbytes:
        raise ValueError(f"{path} was cut short after it was opened: it must stay as it is")


def batches(make: Any, fingerprint: str = "", sequences: bool = False) -> Source:
    """What a function yields each time it is called: arrays (n, d), frames, or what else `fit`
    takes as x, one after another; or tuples (x, sample_weight, labels), where None is for none.

    make: called for every pass, and must yield the same rows each time. Batches wait while others
    are read: an array must not be filled again for the next. fingerprint: what tells the rows from
    others, where a checkpoint is kept. sequences: whether each x is a list of whole sequences, for
    an `HMM`: then weights are those of sequences, and labels a list too.
    """
    if not callable(make):
        raise ValueError(
            f"make is a {type(make).__name__}; give a function that is called for each pass and "
            "returns the batches, such as lambda: map(np.load, paths)"
        )
    given: Any = make
    return Batches(given, sequences, fingerprint)


@dataclass(frozen=True, eq=False)
class Batches(Source):
    make: Callable[[], Iterable[Any]]
    sequences: bool
    fingerprint: str

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        at = 0
        for number, batch in enumerate(self.make()):
            piece = (_as_sequences if self.sequences else _as_piece)(batch, f"batch {number}")
            before, at = at, at + piece.n_rows
            if at > first:
                yield after(piece, max(0, first - before))


def _as_piece(batch: Any, where: str) -> Piece:
    x, weight, labels = _parts(batch)
    try:
        x = _as_numpy(tables.opened(x))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    weight, labels = (None if of is None else np.asarray(of) for of in (weight, labels))
    return Piece(x, weight, labels, where)


def _as_sequences(batch: Any, where: str) -> Piece:
    x, weight, labels = _parts(batch)
    if not isinstance(x, list) or not x:
        raise ValueError(f"{where} is a {type(x).__name__}; give a list of sequences, (t, d) each")
    each = [_as_piece(own, f"{where}, sequence {i}") for i, own in enumerate(x)]
    lengths = np.array([own.n_rows for own in each])
    known = None if labels is None else np.concatenate(labels)
    return joined(each)._replace(
        weight=None if weight is None else np.asarray(weight),
        labels=known,
        where=where,
        lengths=lengths,
    )


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    """-> (x, sample_weight, labels)."""
    weighted = isinstance(batch, tuple) and len(batch) == 3 and not hasattr(batch, "_fields")
    return batch if weighted else (batch, None, None)


def _as_numpy(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _as_numpy(part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map(_as_numpy, x))
    values = np.asarray(tables.array(x, "x"))
    return values[:, None] if values.ndim == 1 else values
