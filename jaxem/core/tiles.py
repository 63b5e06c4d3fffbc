"""Rows with holes in an order in which those of one pattern lie together. Host side.

A tile is `together` rows of one pattern; where a pattern's last tile has fewer rows, its last row
stands in, to be of weight 0. Tiles pay where patterns have many rows: a tile works as much as
`together + 8 d` whole rows, a row by itself as at least 4 (`python -m benchmarks.missing`).
"""

from typing import NamedTuple

import numpy as np

_MOST = 4096  # rows of a tile: the residuals of a block stay in a CPU's cache
_ALONE = 4  # a row by itself, in whole rows


class Order(NamedTuple):
    """index: of the rows, (N,), N >= n; real: which are not stand-ins; together: rows a tile, 1
    where rows lie by their number of holes alone."""

    index: np.ndarray
    real: np.ndarray
    together: int


def by_pattern(gone: np.ndarray) -> Order:
    """gone: (n, d), which cells are holes."""
    n, d = gone.shape
    bits = np.packbits(gone, axis=1)
    _, pattern, counts = np.unique(bits, axis=0, return_inverse=True, return_counts=True)
    pattern = np.reshape(pattern, -1)
    order = np.lexsort((pattern, gone.sum(axis=1)))
    together = _size(counts, n, d)
    if together == 1:
        return Order(order, np.ones(n, bool), 1)
    return _filled_up(order, pattern[order], counts, together)


def never_together(gone: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that no row has both of, though some row has each.

    gone: (n, d), which cells are holes; or the patterns of them that there are.
    """
    seen = (~gone).astype(np.float32)
    there = np.asarray((~gone).any(axis=0))
    apart = (seen.T @ seen == 0) & there & there[:, None]
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(apart, 1)), strict=True)]


def _size(counts: np.ndarray, n: int, d: int) -> int:
    """The rows a tile at which all tiles work least; 1 where rows by themselves work less."""
    if _ALONE * n < len(counts) * 8 * (d + 1):
        return 1
    sizes = np.arange(8, _MOST + 1, 8)
    work = [np.sum(-(-counts // size)) * (size + 8 * d) for size in sizes]
    best = int(np.argmin(work))
    return int(sizes[best]) if work[best] < _ALONE * n else 1


def _filled_up(order: np.ndarray, pattern: np.ndarray, counts: np.ndarray, together: int) -> Order:
    """order: rows, those of a pattern side by side; pattern: theirs."""
    starts = np.flatnonzero(np.r_[True, pattern[1:] != pattern[:-1]])
    counts = counts[pattern[starts]]
    sizes = -(-counts // together) * together
    inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    of = np.repeat(np.arange(len(counts)), sizes)
    index = order[starts[of] + np.minimum(inside, counts[of] - 1)]
    return Order(index, inside < counts[of], together)
