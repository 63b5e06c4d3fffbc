"""A fit run from its plan, whole or in pieces that yield progress.

state = start(job); state = advance(job, state, 50); ...; result = finish(job, state)
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core import checks, emissions
from jaxem.core.contracts import Params
from jaxem.core.status import Status
from jaxem.fitting import identified, padded_components, restarts, sizes, threads
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.effort import Program
from jaxem.fitting.em import State
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result, gathered

_start = Program(restarts.start, ("execution",))
_advance = Program(restarts.advance, ("execution",))
_finish = Program(restarts.finish, ("execution", "n_starts"), once=True)


def uncut(job: FitPlan) -> Result:
    """The fit in one piece."""
    return finish(job, advance(job, start(job), job.max_iter))


def start(job: FitPlan) -> State:
    """All starts at their starting parameters."""
    if job.params is not None:
        return restarts.start_from(job.execution, job.rows, job.params)

    def run(index: Any) -> State:
        return _start(
            job.execution, job.rows, job.prior, job.key, index, job.methods, job.n_active,
            job.splits,
        )  # fmt: skip

    n_starts = job.methods.shape[0]
    if _spreads(job, n_starts, (job.key, job.splits)):
        return threads.start(run, n_starts, job.n_threads)
    return run(np.arange(n_starts, dtype=np.int32))


def advance(job: FitPlan, state: State, until: Any) -> State:
    """Every running start, up to `until` iterations in all."""
    until = checks.cast(until, np.int32)

    def run(state: State) -> State:
        return _advance(job.execution, job.rows, job.prior, state, job.tol, until)

    if _spreads(job, state.status.shape[0], (job.tol, state)):
        return threads.advance(run, state, job.n_threads)
    return run(state)


def pieces(job: FitPlan, state: State, seconds: float = 0.0) -> Iterator[State]:
    """Yields the state after every iteration, or after as many as take about `seconds`, until all
    starts have ended. The result has the same bits however the fit is cut."""
    n_iter, step = int(np.max(state.n_iter)), 1
    while np.any(np.asarray(state.status) == Status.RUNNING) and n_iter < int(job.max_iter):
        began, n_iter = time.monotonic(), min(n_iter + step, int(job.max_iter))
        state = jax.block_until_ready(advance(job, state, n_iter))
        took = time.monotonic() - began
        step = 2 * step if took < seconds / 2 else max(1, step // 2) if took > seconds else step
        yield state


class Progress(NamedTuple):
    """How far a fit is. n_ended: starts that have converged, failed or used up their iterations;
    log_posterior: the highest so far, -inf where no start has one."""

    n_ended: int
    n_iter: int
    log_posterior: float


def progress(job: FitPlan, state: State) -> Progress:
    status, n_iter = np.asarray(state.status), np.asarray(state.n_iter)
    ended = (status != Status.RUNNING) | (n_iter >= int(job.max_iter))
    with np.errstate(invalid="ignore"):  # a start without a likelihood: -inf times 0 rows
        each = np.asarray(state.objective) * np.asarray(state.total_weight)
    highest = np.max(each, initial=-np.inf, where=np.isfinite(each))
    return Progress(int(np.sum(ended[: job.n_starts])), max(0, int(np.max(n_iter))), float(highest))


def _spreads(job: FitPlan, n_starts: int, values: Any) -> bool:
    """Whether there are threads to spread over, and numbers to do it with."""
    leaves = jax.tree.leaves((job.rows, job.prior, values))
    return job.n_threads > 1 and n_starts > 1 and all(map(checks.is_concrete, leaves))


def finish(job: FitPlan, state: State) -> Result:
    """Judge every start on its final parameters and return the best with all of them."""
    state = sizes.beside(job.rows, state)  # threads leave it on the host
    best, all_starts, n_free = _finish(
        job.execution, job.rows, job.prior, state, job.thresholds, job.n_starts
    )
    about = job.provenance
    if emissions.runs_away(job.model) and checks.is_concrete(best, job.rows, job.prior):
        about = replace(about, remarks=(*about.remarks, *_run_away(job, best.params)))
    result = gathered(best, all_starts, n_free, about)
    return result if job.model == job.provenance.model else padded_components.without(result)


def _run_away(job: FitPlan, params: Params) -> tuple[str, ...]:
    """Remarks on parameters that have diverged."""
    prepared = job.model.prepare(params, None)
    statistics, _ = _sums(job.model, prepared, job.rows, job.block_size)
    return emissions.run_away(job.model, jax.device_get(statistics), job.data)


_sums = jax.jit(accumulate, static_argnames=("model", "block_size"))


def noted(
    job: FitPlan, result: Result, names: identified.Names = None
) -> tuple[Result, tuple[str, ...]]:
    """-> (the result with remarks on what its rows do not identify, those remarks alone).

    names: of the columns, where the job does not have them.
    """
    if not checks.is_concrete(result, job.rows, job.prior) or np.ndim(result.status):
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
