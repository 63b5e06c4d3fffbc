"""Many small starts over the cores of a CPU: groups of starts, each in a thread of its own.

XLA divides the work of one operation between cores, which a small start is too short for; starts
side by side keep them busy (`python -m benchmarks --suite cpu` measures the cores used). Large
starts divide well. The groups have one size, so that they share one compilation.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import numpy as np

from jaxem.core import checks
from jaxem.fitting import sizes

_OPTIONS = (
    "check_tracer_leaks", "debug_infs", "debug_nans", "default_device", "default_matmul_precision",
    "default_prng_impl", "disable_jit", "enable_x64", "log_compiles", "no_tracing",
    "numpy_dtype_promotion", "numpy_rank_promotion", "threefry_partitionable", "transfer_guard",
)  # fmt: skip


def in_groups(run: Callable[..., Any], r: int, size: int, n_threads: int) -> Any:
    """run(indices, how many of them count) of all indices up to r; -> its results side by side.

    It is given `size` indices at a time; several threads share those that count. Where this thread
    traces a person's `jit`, one is another one too: values that are known are computed with there.
    """
    step = size if n_threads == 1 else min(size, sizes.group_size(r, n_threads))

    def group(first: int) -> Any:
        own = np.minimum(np.arange(first, first + size), r - 1)
        count = min(step, r - first)
        found = jax.device_get(run(own, np.int32(count)))
        return jax.tree.map(lambda leaf: leaf[:count], found)

    parts = _in_threads(group, range(0, r, step), n_threads)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _in_threads(function: Callable[[int], Any], of: Iterable[int], n_threads: int) -> list[Any]:
    if n_threads == 1 and not checks.is_tracing():
        return [function(first) for first in of]
    pool = ThreadPoolExecutor(n_threads)
    try:
        return list(pool.map(configured(function), of))
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def beside(function: Callable[[Any], Any], of: Iterable[Any]) -> Iterator[list[Future]]:
    """function of each in turn, in a thread of its own, while what is inside runs; -> what becomes
    of them. What is not begun by then never is."""
    own = configured(function)
    pool = ThreadPoolExecutor(1, thread_name_prefix="jaxem")
    try:
        yield [pool.submit(own, each) for each in of]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under this thread's JAX configuration, such as `jax.debug_nans(True)`.

    A new thread has the configuration of the process alone.
    """
    values = options()

    def with_options(*of: Any) -> Any:
        with ExitStack() as stack:
            for name, value in values.items():
                stack.enter_context(getattr(jax, name)(value))
            return function(*of)

    return with_options


def options() -> dict[str, Any]:
    """JAX's configuration, as far as a computation follows it."""
    return {name: getattr(jax.config, f"jax_{name}") for name in _OPTIONS}
