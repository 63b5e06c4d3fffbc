"""Verbs that look at each row by itself take a large source piece by piece: their results alone
must fit into memory."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxem.core.contracts import Model
from jaxem.core.dataset import Dataset, as_dataset
from jaxem.core.source import Source, exact

_ROWS = 1 << 17  # a piece: of one size, for which a verb is compiled once


def in_pieces(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb (model, params, x, ...), which gives arrays with the rows of x first."""
    return _over_pieces(verb, np.concatenate)


def summed(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb (model, params, x, ...), which gives a sum over the rows of x, by weight."""

    def total(found: list[np.ndarray]) -> np.ndarray:
        return np.asarray(math.fsum(map(float, found)), found[0].dtype)

    return _over_pieces(verb, total, weighted=True)


def _over_pieces(
    verb: Callable[..., Any], together: Callable[[list[np.ndarray]], Any], weighted: bool = False
) -> Callable[..., Any]:
    @functools.wraps(verb)
    def of(model: Model, params: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Source) or x.small:
            return verb(model, params, x, *args, **kwargs)
        data = _pieces(model, x, weighted)
        found = [np.asarray(verb(model, params, own, *args, **kwargs)) for own in data]
        return jax.device_put(together(found))

    return of


def _pieces(model: Model, source: Source, weighted: bool) -> Iterator[Dataset]:
    """weighted: under their weights, those without any left out."""
    for piece in exact(source.pieces(), itertools.repeat(_ROWS)):
        weight = piece.weight if weighted else None
        if weight is not None and not np.any(weight > 0):
            continue
        try:
            data = as_dataset(model, piece.x, weight)
        except ValueError as error:
            raise ValueError(f"{piece.where}: {error}") from None
        if data.layout is not None:
            raise ValueError(f"{model!r} is of sequences, which a source does not hold yet")
        yield data
