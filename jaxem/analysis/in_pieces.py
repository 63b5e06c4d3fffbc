"""Verbs that look at each row by itself take a large source piece by piece: their results alone
must fit into memory.

A row is told of by its numbers alone; a sum goes by the weights and labels that the rows bring.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxem.core.contracts import Model
from jaxem.core.dataset import Dataset, of_piece
from jaxem.core.source import Piece, Source, exact
from jaxem.core.source import whole as read_whole

_ROWS = 1 << 17  # a piece: of one size, for which a verb is compiled once


def in_pieces(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb (model, params, x, ...), which gives arrays with the rows of x first, or of its
    sequences; or a tuple of such."""

    def together(found: list[Any]) -> Any:
        if isinstance(found[0], tuple):
            return tuple(map(np.concatenate, zip(*found, strict=True)))
        return np.concatenate(found)

    return _over_pieces(verb, together)


def summed(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb (model, params, x, ...), which gives a sum over the rows of x."""

    def total(found: list[np.ndarray]) -> np.ndarray:
        return np.asarray(math.fsum(map(float, found)), found[0].dtype)

    return _over_pieces(verb, total, whole=True)


def _over_pieces(
    verb: Callable[..., Any], together: Callable[[list[np.ndarray]], Any], whole: bool = False
) -> Callable[..., Any]:
    @functools.wraps(verb)
    def of(model: Model, params: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Source):
            return verb(model, params, x, *args, **kwargs)
        small = read_whole(x)
        if small is not None:
            found = verb(model, params, of_piece(model, small, whole), *args, **kwargs)
            return jax.device_put(_as_arrays(found)) if small.lengths is not None else found
        data = _pieces(model, x, whole)
        found = [_as_arrays(verb(model, params, own, *args, **kwargs)) for own in data]
        return jax.device_put(together(found))

    return of


def _as_arrays(found: Any) -> Any:
    """Of sequences, those end to end."""
    if isinstance(found, tuple):
        return tuple(map(_as_arrays, found))
    return np.concatenate(found) if isinstance(found, list) else np.asarray(found)


def _pieces(model: Model, source: Source, whole: bool) -> Iterator[Dataset]:
    """Of sums, those that have rows of positive weight."""
    for piece in cut(source.pieces()):
        if whole and piece.weight is not None and not np.any(piece.weight > 0):
            continue
        data = of_piece(model, piece, whole)
        if data.layout is not None and piece.lengths is None:
            raise ValueError(f"{model!r} is of sequences: tell which rows of the source they are")
        yield data


def cut(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pieces of _ROWS rows, or of sequences as they come."""
    first = next(pieces, None)
    if first is None:
        return
    again = itertools.chain([first], pieces)
    yield from again if first.lengths is not None else exact(again, itertools.repeat(_ROWS))
