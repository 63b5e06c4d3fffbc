"""Time, and how much of it: rounds in which programs take turns, until a case's time is spent."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax


class Clock:
    """The time a suite may take; None is as long as it needs."""

    def __init__(self, limit_s: float | None = None) -> None:
        self._begin = time.perf_counter()
        self._limit = float("inf") if limit_s is None else limit_s

    @property
    def spent(self) -> float:
        return time.perf_counter() - self._begin

    @property
    def is_over(self) -> bool:
        return self.spent > self._limit

    def rounds(self, most: int, budget_s: float) -> Iterator[int]:
        """At least one round; no further one that would end after the budget or the limit."""
        begin, longest = self.spent, 0.0
        for index in range(most):
            start = self.spent
            if index and start + longest > min(begin + budget_s, self._limit):
                return
            yield index
            longest = max(longest, self.spent - start)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """-> (seconds until the result is there, the result)."""
    begin = time.perf_counter()
    result = function()
    jax.block_until_ready([leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)])
    return time.perf_counter() - begin, result


def cores_used(function: Callable[[], Any]) -> float:
    """CPU time of the process over the time on the wall, while the function runs."""
    cpu = time.process_time()
    seconds, _ = timed(function)
    return (time.process_time() - cpu) / seconds


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "rounds": len(values),
    }


def median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float | None:
    """The median over rounds; None where a time is too short to be told from none."""
    if min(*theirs, *ours) <= 0:
        return None
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
