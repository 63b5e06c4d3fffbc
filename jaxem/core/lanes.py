"""Sequences that lie end to end in a table, and the lanes of steps that a part of them goes to.

A part has so many lanes of so many steps. In their order the sequences go to the emptiest lane,
until one has no room in it: that one is the first of the next part.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SPARE = 4  # mean lengths a lane, so that little of it is left empty


class Lanes(NamedTuple):
    """Sequence i is the next lengths[i] rows, which go to lane[i] from step offset[i] on; shape:
    (t, lanes)."""

    lengths: np.ndarray
    lane: np.ndarray
    offset: np.ndarray
    shape: tuple[int, int]


def end_to_end(lengths: np.ndarray) -> Lanes:
    """All in one lane, whose steps are a power of 2: of few sizes."""
    n = int(lengths.sum())
    offset = np.cumsum(lengths) - lengths
    return Lanes(lengths, np.zeros_like(lengths), offset, (1 << (n - 1).bit_length(), 1))


def n_steps(longest: int, total: int, n: int) -> int:
    """Of a lane, for n sequences of so many steps together."""
    return longest if longest * n == total else max(longest, min(total, _SPARE * -(-total // n)))


def placed(lengths: np.ndarray, shape: tuple[int, int]) -> Lanes:
    """The sequences of one part, which has room for them."""
    (lane, offset), _ = _emptiest(lengths.tolist(), 0, *shape)
    return Lanes(lengths, np.array(lane), np.array(offset), shape)


def cut(lengths: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where parts begin among the sequences, and the end of the last: (parts + 1,)."""
    each, begins = lengths.tolist(), [0]
    while begins[-1] < len(each):
        begins.append(_emptiest(each, begins[-1], *shape)[1])
    return np.array(begins)


def _emptiest(
    lengths: Sequence[int], first: int, t: int, n: int
) -> tuple[tuple[list[int], list[int]], int]:
    """-> ((lane, offset of each sequence from `first` on), the first that has no room)."""
    filled, lane, offset = [(0, i) for i in range(n)], [], []
    for place in range(first, len(lengths)):
        used, own = filled[0]
        if used + lengths[place] > t:
            return (lane, offset), place
        lane.append(own)
        offset.append(used)
        heapq.heapreplace(filled, (used + lengths[place], own))
    return (lane, offset), len(lengths)
