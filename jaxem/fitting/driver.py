"""A fit run from its plan, whole or in pieces that yield progress.

states = start(job); states = advance(job, states, 50); ...; result = finish(job, states)
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Rows
from jaxem.core.status import Status
from jaxem.fitting import identified, padded_components, restarts, sizes, streamed, threads
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.effort import program
from jaxem.fitting.em import State
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result, gathered

_TOGETHER = 16  # iterations a piece, where several processes take the same


def uncut(job: FitPlan) -> Result:
    """The fit in one piece."""
    if job.stream is not None:
        states = start(job)
        for passed in streamed.passes(job, states):
            states = passed
        return finish(job, states)
    return finish(job, advance(job, start(job), job.max_iter))


def start(job: FitPlan) -> Bundle:
    """All starts at their starting parameters."""
    states, over = _start(job), job.rows.shards
    if over is None or not checks.is_concrete(states):
        return states
    return over.replicated(states)


def _start(job: FitPlan) -> Bundle:
    if job.params is not None:
        return restarts.start_from(job.execution, job.rows, job.params)
    labels, part = (None, None) if job.splits is None else job.splits
    rows = job.rows if job.start_rows is None else job.start_rows

    def run(index: np.ndarray, count: Any = None) -> Bundle:
        own = None if part is None else part[index]
        begin = restarts.Begin(index.astype(np.int32), job.methods[index], own)
        return restarts.start(
            job.execution, rows, job.prior, job.key, begin, labels, job.n_active, count
        )

    r, size = len(job.methods), _group(job, (job.key, job.splits))
    return run(np.arange(r)) if size is None else threads.in_groups(run, r, size, job.n_threads)


def advance(job: FitPlan, states: Bundle, until: Any) -> Bundle:
    """Every running start, up to `until` iterations in all."""
    until = checks.cast(until, np.int32)

    def run(own: Bundle, count: Any = None) -> Bundle:
        return restarts.advance(job.execution, job.rows, job.prior, own, job.tol, until, count)

    return _of_states(job, run, states, (job.tol, until))


def _of_states(job: FitPlan, run: Callable[..., Any], states: Bundle, values: Any) -> Any:
    size = _group(job, (states, values))
    if size is None:
        return run(states)
    host = jax.device_get(states)

    def group(index: np.ndarray, count: Any) -> Any:
        return run(jax.tree.map(lambda leaf: leaf[index], host), count)

    r = jax.tree.leaves(host)[0].shape[0]
    return threads.in_groups(group, r, size, job.n_threads)


def _group(job: FitPlan, values: Any) -> int | None:
    """The size of groups in which starts go on a CPU, whose results are NumPy's.

    None under a person's `jit`, and on an accelerator: all are one.
    """
    return job.group if checks.is_concrete(job.rows, job.prior, values) else None


def pieces(job: FitPlan, states: Bundle, seconds: float) -> Iterator[Bundle]:
    """Yields the states after as many iterations as take about `seconds`, until all starts have
    ended: of a source after each pass. The result has the same bits however the fit is cut."""
    if job.stream is not None:
        yield from streamed.passes(job, states)
        return
    step, (n_iter, left) = 1, _way(job, states)
    while left > 0:
        began = time.monotonic()
        states = jax.block_until_ready(advance(job, states, n_iter + min(step, left)))
        step = _next(job, step, time.monotonic() - began, seconds)
        yield states
        n_iter, left = _way(job, states)


def recorded(
    job: FitPlan, states: Bundle, seconds: float
) -> Iterator[tuple[Bundle, restarts.Record]]:
    """The same, with what all starts were at after each iteration of a piece: (r, t)."""

    def run(own: Bundle, count: Any = None) -> Any:
        return restarts.record(
            job.execution, job.rows, job.prior, own, job.tol, job.max_iter, steps, count
        )

    step, (n_iter, left) = 1, _way(job, states)
    while left > 0:
        began, before = time.monotonic(), n_iter
        steps = checks.cast(min(step, left, restarts.RECORDED), np.int32)
        states, record = jax.device_get(_of_states(job, run, states, (job.tol, steps)))
        step = _next(job, step, time.monotonic() - began, seconds)
        n_iter, left = _way(job, states)
        yield states, restarts.Record(*(leaf[:, : n_iter - before] for leaf in record))


def _way(job: FitPlan, states: Bundle) -> tuple[int, int]:
    """-> (iterations made, those that may still come)."""
    state = jax.device_get(states).tree
    n_iter = int(np.max(state.n_iter))
    running = np.any(state.status == Status.RUNNING)
    return n_iter, int(job.max_iter) - n_iter if running else 0


def _next(job: FitPlan, step: int, took: float, seconds: float) -> int:
    if jax.process_count() > 1 and job.rows.shards is not None:
        return _TOGETHER  # whose clocks differ
    return 2 * step if took < seconds / 2 else max(1, step // 2) if took > seconds else step


class Progress(NamedTuple):
    """How far a fit is. n_ended: starts that have converged, failed or used up their iterations;
    log_posterior: the highest so far, -inf where no start has one."""

    n_ended: int
    n_iter: int
    log_posterior: float


def progress(job: FitPlan, states: Bundle) -> Progress:
    state: State = jax.device_get(states).tree
    ended = (state.status != Status.RUNNING) | (state.n_iter >= int(job.max_iter))
    with np.errstate(invalid="ignore"):  # a start without a likelihood: -inf times 0 rows
        each = state.objective * state.total_weight
    highest = np.max(each, initial=-np.inf, where=np.isfinite(each))
    n_ended = int(np.sum(ended[: job.n_starts]))
    return Progress(n_ended, max(0, int(np.max(state.n_iter))), float(highest))


def finish(job: FitPlan, states: Bundle) -> Result:
    """Judge every start on its final parameters and return the best with all of them."""
    if job.stream is not None:
        return streamed.finish(job, states)

    def run(own: Bundle, count: Any = None) -> Bundle:
        return restarts.conclude(job.execution, job.rows, job.prior, own, job.thresholds, count)

    if _group(job, (states, job.thresholds)) is None:
        best, all_starts = restarts.finish(
            job.execution, job.rows, job.prior, states, job.thresholds, job.n_starts
        )
    else:
        outcomes = _of_states(job, run, states, job.thresholds)
        with np.errstate(invalid="ignore"):  # starts without a likelihood
            best, all_starts = restarts.best(outcomes, jax.device_get(states), job.n_starts)
    about = job.provenance
    if emissions.runs_away(job.model) and checks.is_concrete(best, job.rows, job.prior):
        about = replace(about, remarks=(*about.remarks, *_run_away(job, best.params)))
    result = gathered(best, all_starts, about)
    if job.model != job.provenance.model:
        result = padded_components.without(result)
    return sizes.beside(job.rows, result)


def _run_away(job: FitPlan, params: Params) -> tuple[str, ...]:
    """Remarks on parameters that have diverged."""
    sums = _statistics(job.model, params, job.rows, job.block_size)
    return emissions.run_away(job.model, jax.device_get(sums), job.data)


@program("model", "block_size")
def _statistics(model: Model, params: Params, rows: Rows, block_size: int) -> Any:
    return accumulate(model, model.prepare(params, None), rows, block_size)[0]


def noted(
    job: FitPlan, result: Result, names: identified.Names = None
) -> tuple[Result, tuple[str, ...]]:
    """-> (the result with remarks on what its rows do not identify, those remarks alone).

    names: of the columns, where the job does not have them.
    """
    if not checks.is_concrete(result, job.rows, job.prior) or np.ndim(result.status):
        return result, ()
    if job.stream is not None:  # whose rows are not at hand
        return result, ()
    params = (
        result.params
        if job.model == result.provenance.model
        else padded_components.padded(job.model, result)
    )
    opened = identified.left_open(job.model, params, job.rows, job.prior, job.block_size)
    found = identified.remarks(opened, job.rows, names or job.provenance.columns)
    provenance = replace(result.provenance, remarks=(*result.provenance.remarks, *found))
    return result._replace(provenance=provenance), found
