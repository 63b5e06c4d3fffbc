"""The sequences of a source as a fit goes through them: in parts of lanes, all of one shape."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxem.core import lanes
from jaxem.core.lanes import Lanes
from jaxem.core.source import Piece, Source, exact


class Lengths(NamedTuple):
    """Of the sequences that this process reads: (b,); n: how many all processes have; t, n_lanes:
    steps of a lane, and about how many lanes they fill."""

    own: np.ndarray
    n: int
    t: int
    n_lanes: int


class Packing(NamedTuple):
    """begins: where parts begin among the sequences, and the end of the last; shape: of a part."""

    lengths: np.ndarray
    begins: np.ndarray
    shape: tuple[int, int]

    @property
    def n_parts(self) -> int:
        return len(self.begins) - 1


def of_all(lengths: np.ndarray, longest: int, total: int, n: int) -> Lengths:
    """longest, total, n: of the sequences of all processes."""
    t = lanes.n_steps(longest, total, n)
    return Lengths(lengths, n, t, -(-total // t))


def packing(of: Lengths, n_lanes: int) -> Packing:
    """In parts of so many lanes."""
    shape = of.t, n_lanes
    return Packing(of.own, lanes.cut(of.own, shape), shape)


def parts(source: Source, of: Packing, first: int) -> Iterator[tuple[Piece, Lanes]]:
    """From part `first` on. ValueError for a source that has become another."""
    at = int(of.begins[first])
    wanted = iter([*np.diff(of.begins[first:]).tolist(), 1])
    for own in exact(source.pieces(int(of.lengths[:at].sum())), wanted):
        expected, at = of.lengths[at : at + own.n_units], at + own.n_units
        if own.lengths is None or not np.array_equal(own.lengths, expected):
            raise ValueError(_CHANGED)
        yield own, lanes.placed(expected, of.shape)
    if at != len(of.lengths):
        raise ValueError(_CHANGED)


_CHANGED = (
    "the source has not the sequences that it had when it was first read: it must stay as it is "
    "while it is fitted"
)
