"""Rows that starts look at, drawn once from a table of many: without replacement, by weight.

Row i has the priority -log(u[i]) / w[i], u[i] uniform by a hash of i, and the POOL rows of lowest
priority are drawn (Efraimidis and Spirakis 2006, Information Processing Letters 97, 181-185). It
depends on nothing but the seed, the row's place in the table and its weight: a table has the same
pool in memory, in blocks and in files. A row is drawn with probability 1 - exp(-t w[i]), t the
highest priority in the pool, and stands for w[i] over that.
"""

from typing import Any

import jax
import numpy as np

POOL = 1 << 16
_BLOCK = 1 << 20


def seed_of(key: Any) -> int:
    """Of a `jax.random.key`, for the host."""
    words = np.ravel(np.asarray(jax.random.key_data(key)))
    return int.from_bytes(words.tobytes(), "little") % (1 << 64)


def priorities(first: int, n: int, weight: Any, seed: int) -> np.ndarray:
    """Of the n rows from row `first` on; infinite for a row of weight 0."""
    return priorities_of(np.arange(first, first + n, dtype=np.uint64), weight, seed)


def priorities_of(index: np.ndarray, weight: Any, seed: int) -> np.ndarray:
    """Of rows by their places in the table, or of sequences by that of their first step."""
    with np.errstate(over="ignore", divide="ignore"):
        bits = _mixed(index, seed) >> np.uint64(11)
        if weight is None:  # the same order, without a logarithm
            return (np.uint64(1 << 53) - bits).astype(np.float64)
        return -np.log((bits + 0.5) * 2.0**-53) / np.asarray(weight, np.float64)


def lowest(priority: np.ndarray) -> np.ndarray:
    """The places of the lowest finite priorities, in order of place."""
    there = np.flatnonzero(np.isfinite(priority))
    if len(there) > POOL:
        there = there[np.argpartition(priority[there], POOL - 1)[:POOL]]
    return np.sort(there)


def lowest_sequences(priority: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The same of sequences: as many as POOL steps need."""
    there = np.flatnonzero(np.isfinite(priority))
    order = there[np.argsort(priority[there], kind="stable")]
    before = np.cumsum(lengths[order]) - lengths[order]
    return np.sort(order[before < POOL])


def weights(weight: Any, priority: np.ndarray, full: bool) -> np.ndarray:
    """What the rows of a pool stand for, in units of the lightest; full: whether others do not."""
    if weight is None or not full:
        return np.ones(len(priority)) if weight is None else np.asarray(weight, np.float64)
    of = np.max(priority) * np.asarray(weight, np.float64)
    return of / -np.expm1(-of)


def drawn(n: int, weight: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """-> (places of the pool of n rows, as `lowest` finds them in one piece; their weights)."""
    kept, found, n_there = np.zeros(0), np.zeros(0, np.int64), 0
    for first in range(0, n, _BLOCK):
        size = min(_BLOCK, n - first)
        own = priorities(
            first, size, None if weight is None else weight[first : first + size], seed
        )
        n_there += int(np.isfinite(own).sum())
        kept = np.concatenate([kept, own])
        found = np.concatenate([found, np.arange(first, first + size)])
        some = lowest(kept)
        kept, found = kept[some], found[some]
    return found, weights(None if weight is None else weight[found], kept, n_there > POOL)


def _mixed(index: np.ndarray, seed: int) -> np.ndarray:
    """Whole numbers of 64 random bits: SplitMix64 (Steele, Lea and Flood 2014)."""
    z = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
