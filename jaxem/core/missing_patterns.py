"""Rows with holes in an order in which those of one pattern lie together. Host side.

A tile is `tile_size` rows of one pattern; where a pattern's last tile has fewer rows, its last row
stands in, with weight 0. Tiles pay where patterns have many rows: a tile works as much as
`tile_size + 8 d` whole rows, a row by itself as at least 4 (`python -m benchmarks.missing`).
Beyond the order itself a row takes a few bytes, whatever its number of columns.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxem.core import placement

_MOST = 4096  # rows of a tile: the residuals of a block stay in a CPU's cache
_ALONE = 4  # a row by itself, in whole rows


class Patterns(NamedTuple):
    """bits: of each row, which of d cells are holes, eight in a byte; (n, ceil(d / 8))."""

    bits: np.ndarray
    d: int


class Order(NamedTuple):
    """index: of the rows, (N,), N >= n; real: which are not stand-ins; tile_size: 1 where rows are
    sorted by their number of holes alone."""

    index: np.ndarray
    real: np.ndarray
    tile_size: int


def patterns(gone: Iterable[Any]) -> Patterns | None:
    """Of rows block by block, (b, d) bool each; None where there is no hole."""
    bits, d = [], 0
    for block in gone:
        if block is None:
            return None
        d = block.shape[1]
        bits.append(np.asarray(placement.numpy_of(block).packbits(block, axis=1)))
    found = Patterns(np.concatenate(bits), d)
    return found if found.bits.any() else None


def by_pattern(rows: Patterns) -> Order:
    bits, d = rows
    keys = bits.view(f"V{bits.shape[1]}")[:, 0]
    kinds, counts = np.unique(keys, return_counts=True)
    tile_size = _size(counts, len(bits), d)
    if tile_size == 1:
        holes = np.concatenate([_holes(block) for block in placement.blocks(bits)])
        return _laid(placement.blocks(holes), np.bincount(holes), 1)
    order = np.argsort(_holes(kinds.view(np.uint8).reshape(len(kinds), -1)), kind="stable")
    rank = np.argsort(order)
    numbers = (rank[np.searchsorted(kinds, block)] for block in placement.blocks(keys))
    return _laid(numbers, counts[order], tile_size)


def seen_together(gone: Any) -> Any:
    """How many rows of (n, d) have both columns, (d, d); of 0s and 1s in any precision."""
    seen = (~gone).astype(np.float32)
    return seen.T @ seen


def never_together(both: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that no row has both of, though some row has each; of `seen_together`."""
    there = np.diag(both) > 0
    apart = (both == 0) & there & there[:, None]
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(apart, 1)), strict=True)]


def _holes(bits: np.ndarray) -> np.ndarray:
    return np.bitwise_count(bits).sum(axis=1, dtype=np.uint16)


def _size(counts: np.ndarray, n: int, d: int) -> int:
    """The rows a tile at which all tiles work least; 1 where rows by themselves work less."""
    if _ALONE * n < len(counts) * 8 * (d + 1):
        return 1
    sizes = np.arange(8, _MOST + 1, 8)
    work = [np.sum(-(-counts // size)) * (size + 8 * d) for size in sizes]
    best = int(np.argmin(work))
    return int(sizes[best]) if work[best] < _ALONE * n else 1


def _laid(kinds: Iterable[np.ndarray], counts: np.ndarray, tile_size: int) -> Order:
    """kinds: of rows block by block; counts: rows of each. Stable order within each kind."""
    sizes = -(-counts // tile_size) * tile_size
    first = np.cumsum(sizes) - sizes
    index, free, row = np.empty(sizes.sum(), np.int32), first.copy(), 0
    for block in kinds:
        order = np.argsort(block, kind="stable")
        there, start, many = np.unique(block[order], return_index=True, return_counts=True)
        index[np.repeat(free[there] - start, many) + np.arange(len(block))] = row + order
        free[there] += many
        row += len(block)
    spare = sizes - counts
    gaps = np.repeat(free - np.cumsum(spare) + spare, spare) + np.arange(spare.sum())
    index[gaps] = np.repeat(index[free - 1], spare)
    real = np.ones(len(index), bool)
    real[gaps] = False
    return Order(index, real, tile_size)
