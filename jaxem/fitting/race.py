"""Which starts cannot come to the best any more: Aitken's projection over doubling windows.

Let g[s] be the gain of the objective while iterations doubled the s-th time, and q = g[s] / g[s-1]:
what is still to come is projected as g[s] (q + q^2 + ...) = g[s] q / (1 - q), with q at least 0.8;
where gains grow, q >= 1, it is not bounded. EM may rest near a saddle for long and rise again: a
start that has begun to rise is never given up.
"""

from collections.abc import Iterator, Sequence

import numpy as np

_LEAST = 0.8  # four times the last gain is the least that a start is given credit for
_FIRST = 5
_EQUAL = 1e-9  # relative


def rungs(max_iter: int) -> Iterator[int]:
    """Iterations after which starts are looked at, the last of them all."""
    until = _FIRST
    while until < max_iter:
        yield until
        until *= 2
    yield max_iter


def hopeless(seen: Sequence[np.ndarray], best: float) -> np.ndarray:
    """Which starts' projection is under `best`; seen: their objectives at each rung so far."""
    now = seen[-1]
    if len(seen) < 3 or best == -np.inf:
        return np.zeros(len(now), bool)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        early, late = seen[-2] - seen[-3], now - seen[-2]
        rate = np.maximum(late / early, _LEAST)
        left = np.where(rate < 1, late * rate / np.where(rate < 1, 1 - rate, 1), np.inf)
        left = np.where(late > 0, left, 0)
        return now + left < best - _EQUAL * abs(best)
