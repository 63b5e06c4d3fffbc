"""The compiled functions of a fit, for the starts of its plan: in groups on a CPU.

states = start(job); states = advance(job, states, 50); ...; outcomes = conclude(job, states)
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxem.core import checks
from jaxem.core.status import Status
from jaxem.fitting import restarts, threads
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.plan import FitPlan

_TOGETHER = 16  # iterations a piece, where several processes take the same


def start(job: FitPlan) -> Bundle:
    """The starts of the plan at their starting parameters."""
    states, over = _start(job), job.rows.shards
    if over is None or not checks.is_concrete(states):
        return states
    return over.replicated(states)


def _start(job: FitPlan) -> Bundle:
    if job.params is not None:
        return restarts.start_from(job.execution, job.rows, job.params)
    labels, kept = (None, None) if job.moves is None else job.moves
    rows = job.rows if job.start_rows is None else job.start_rows
    known = restarts.Known(labels, job.range)

    def run(index: np.ndarray, count: Any = None) -> Bundle:
        own = None if kept is None else kept[index]
        place = (index + job.first).astype(np.int32)
        begin = restarts.Begin(place, job.methods[index], own)
        return restarts.start(
            job.execution, rows, job.prior, job.key, begin, known, job.n_active, count
        )

    r, size = len(job.methods), group(job, (job.key, job.moves))
    return run(np.arange(r)) if size is None else threads.in_groups(run, r, size, job.n_threads)


def advance(job: FitPlan, states: Bundle, until: Any) -> Bundle:
    """Every running start, up to `until` iterations in all."""
    until = checks.cast(until, np.int32)

    def run(own: Bundle, count: Any = None) -> Bundle:
        return restarts.advance(job.execution, job.rows, job.prior, own, job.tol, until, count)

    return of_states(job, run, states, (job.tol, until))


def pieces(job: FitPlan, states: Bundle, until: Any, seconds: float | None) -> Iterator[Bundle]:
    """The states after as many iterations as take about `seconds`, until they have made `until`."""
    step, (n_iter, left) = 1, way(states, until)
    while left > 0:
        began = time.monotonic()
        more = left if seconds is None else min(step, left)
        states = jax.block_until_ready(advance(job, states, n_iter + more))
        if seconds is not None:
            step = next_step(job, step, time.monotonic() - began, seconds)
        yield states
        n_iter, left = way(states, until)


def way(states: Bundle, until: Any) -> tuple[int, int]:
    """-> (iterations made, those that may still come)."""
    state = jax.device_get(states).tree
    n_iter = int(np.max(state.n_iter))
    running = np.any((state.status == Status.RUNNING) & (state.n_iter < int(until)))
    return n_iter, int(until) - n_iter if running else 0


def next_step(job: FitPlan, step: int, took: float, seconds: float) -> int:
    """Iterations of the next piece, after one of `step`."""
    if jax.process_count() > 1 and job.rows.shards is not None:
        return _TOGETHER  # whose clocks differ
    return 2 * step if took < seconds / 2 else max(1, step // 2) if took > seconds else step


def conclude(job: FitPlan, states: Bundle) -> Bundle:
    """What every start came to, or would if it ended here."""

    def run(own: Bundle, count: Any = None) -> Bundle:
        return restarts.conclude(job.execution, job.rows, job.prior, own, job.thresholds, count)

    return of_states(job, run, states, job.thresholds)


def of_states(job: FitPlan, run: Callable[..., Any], states: Bundle, values: Any) -> Any:
    """run(states, how many of them count), group by group.

    values: what else the function is of.
    """
    size = group(job, (states, values))
    if size is None:
        return run(states)
    host = jax.device_get(states)

    def some(index: np.ndarray, count: Any) -> Any:
        return run(jax.tree.map(lambda leaf: leaf[index], host), count)

    r = jax.tree.leaves(host)[0].shape[0]
    return threads.in_groups(some, r, size, job.n_threads)


def group(job: FitPlan, values: Any) -> int | None:
    """The size of groups in which starts go on a CPU, whose results are NumPy's.

    None under a person's `jit`, and on an accelerator: all are one.
    """
    return job.group if checks.is_concrete(job.rows, job.prior, values) else None
