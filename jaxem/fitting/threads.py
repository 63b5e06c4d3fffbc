"""Many small starts over the cores of a CPU: groups of starts, each in a thread of its own.

XLA divides the work of one operation between cores, which a small start is too short for; starts
side by side keep them busy (`python -m benchmarks --suite cpu` measures the cores used). Large
starts divide well. The groups have one size, so that they share one compilation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import jax
import numpy as np

from jaxem.core.status import Status
from jaxem.fitting import sizes
from jaxem.fitting.em import State

_OPTIONS = (
    "check_tracer_leaks", "debug_infs", "debug_nans", "default_device", "default_matmul_precision",
    "default_prng_impl", "disable_jit", "enable_x64", "log_compiles", "no_tracing",
    "numpy_dtype_promotion", "numpy_rank_promotion", "threefry_partitionable", "transfer_guard",
)  # fmt: skip


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
    size = sizes.group_size(r, n_threads)

    def group(own: np.ndarray) -> State:
        part = jax.tree.map(lambda leaf: leaf[np.minimum(own, r - 1)], host)
        ended = np.full(size, Status.MAX_ITER, np.int32)
        return run(part._replace(status=np.where(own < r, part.status, ended)))

    return over(group, r, size, n_threads)


def over(run: Callable[[np.ndarray], Any], r: int, size: int, n_threads: int) -> Any:
    """`run` of indices up to r and beyond, `size` at a time; -> its results side by side.

    Those beyond r only fill up the last group.
    """
    configured = _configuration()

    def group(first: int) -> Any:
        with configured():
            return jax.device_get(run(np.arange(first, first + size)))

    pool = ThreadPoolExecutor(n_threads)
    try:
        parts = list(pool.map(group, range(0, r, size)))
    finally:
        pool.shutdown(cancel_futures=True)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:r], *parts)


def _configuration() -> Callable[[], ExitStack]:
    """This thread's JAX configuration, such as `jax.debug_nans(True)`, to be entered in another.

    A new thread has the configuration of the process alone.
    """
    values = {name: getattr(jax.config, f"jax_{name}") for name in _OPTIONS}

    def enter() -> ExitStack:
        stack = ExitStack()
        for name, value in values.items():
            stack.enter_context(getattr(jax, name)(value))
        return stack

    return enter
