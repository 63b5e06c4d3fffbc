"""Parameters that follow from the range of all rows, in starts that look at some of them."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float

from jaxem.core import placement
from jaxem.core.rows import Rows
from jaxem.core.values import Params


class Range(NamedTuple):
    """The least and the greatest value of each column, among rows of positive weight."""

    low: Float[Array | np.ndarray, " d"]
    high: Float[Array | np.ndarray, " d"]


@runtime_checkable
class HasRange(Protocol):
    has_range: bool  # whether there are such parameters

    def with_range(self, params: Params, range: Range) -> Params:
        """Parameters of a start, with those that follow from this range."""
        ...


def has_range(model: Any) -> bool:
    return isinstance(model, HasRange) and model.has_range


def of_rows(rows: Rows) -> Range:
    """Host side: of concrete rows, of positive weight one at least."""
    first, ends = 0, []
    for block in placement.blocks(rows.x):
        weight = placement.in_place(rows.weight[first : first + len(block)])
        numpy, there = placement.numpy_of(block), placement.present(block, weight)
        low = numpy.min(numpy.where(there, block, np.inf), axis=0)
        high = numpy.max(numpy.where(there, block, -np.inf), axis=0)
        ends.append(Range(np.asarray(low), np.asarray(high)))
        first += len(block)
    return of_all(ends)


def of_all(parts: Iterable[Range]) -> Range:
    """Of the rows of all parts together."""
    low, high = zip(*parts, strict=True)
    return Range(np.min(np.stack(low), axis=0), np.max(np.stack(high), axis=0))
