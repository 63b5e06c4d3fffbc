"""Many small starts over the cores of a CPU: groups of starts, each in a thread of its own.

XLA divides the work of one operation between cores, which a small start is too short for; starts
side by side keep them busy (`python -m benchmarks --suite cpu` measures the cores used). Large
starts divide well. The groups have one size, so that they share one compilation.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jaxem.core.contracts import Model, Rows
from jaxem.core.status import Status
from jaxem.fitting.em import State

_SMALL = 1 << 20  # numbers an E-step makes
_ROUNDS = 2  # groups for each thread: the starts differ in how long they take


def n_threads(model: Model, rows: Rows, n_starts: int) -> int:
    """Over how many threads starts are spread; 1 where one start has work enough for all cores.

    That of a chain has none: its steps wait for each other.
    """
    if jax.default_backend() != "cpu":
        return 1
    numbers = rows.weight.shape[0] * model.numbers_per_row(rows)
    if numbers > _SMALL and model.parallel_over_rows:
        return 1
    return min(_n_cores(), n_starts)


def _n_cores() -> int:
    """Those this process may use, where the system tells (Linux), else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start(run: Callable[[np.ndarray], State], n_starts: int, n_threads: int) -> State:
    """`run` of the indices of starts, in groups; -> the state of all, on the host."""
    size = -(-n_starts // n_threads)  # they all take as long

    def group(own: np.ndarray) -> State:
        return run(np.minimum(own, n_starts - 1, dtype=np.int32))

    return over(group, n_starts, size, n_threads)


def advance(run: Callable[[State], State], state: State, n_threads: int) -> State:
    """`run` over the starts in groups; -> the state of all, on the host."""
    host = jax.device_get(state)
    r = host.status.shape[0]
    size = group_size(r, n_threads)

    def group(own: np.ndarray) -> State:
        part = jax.tree.map(lambda leaf: leaf[np.minimum(own, r - 1)], host)
        ended = np.full(size, Status.MAX_ITER, np.int32)
        return run(part._replace(status=np.where(own < r, part.status, ended)))

    return over(group, r, size, n_threads)


def group_size(r: int, n_threads: int) -> int:
    """Of groups that keep the threads busy to the end."""
    return -(-r // (_ROUNDS * n_threads))


def over(run: Callable[[np.ndarray], Any], r: int, size: int, n_threads: int) -> Any:
    """`run` of indices up to r and beyond, `size` at a time; -> its results side by side.

    Those beyond r only fill up the last group.
    """
    config: Any = jax.config  # its stub does not know the options
    x64 = config.jax_enable_x64  # may hold for this thread alone

    def group(first: int) -> Any:
        with jax.enable_x64(x64):
            return jax.device_get(run(np.arange(first, first + size)))

    pool = ThreadPoolExecutor(n_threads)
    try:
        parts = list(pool.map(group, range(0, r, size)))
    finally:
        pool.shutdown(cancel_futures=True)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:r], *parts)
