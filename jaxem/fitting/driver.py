"""A fit run from its plan, whole or in pieces that yield progress.

states = start(job); states = advance(job, states, 50); ...; result = finish(job, states)
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Rows
from jaxem.core.status import Status
from jaxem.fitting import (
    identified,
    in_memory,
    launch,
    padded_components,
    restarts,
    search,
    sizes,
    streamed,
)
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.effort import program
from jaxem.fitting.em import State
from jaxem.fitting.launch import advance, start
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result, gathered


def uncut(job: FitPlan) -> Result:
    """The fit in one piece."""
    states = start(job)
    if job.stream is None and job.search is None and job.checkpoint is None:
        return finish(job, advance(job, states, job.max_iter))
    for later in pieces(job, states):
        states = later
    return finish(job, states)


def pieces(job: FitPlan, states: Bundle, seconds: float | None = None) -> Iterator[Bundle]:
    """Yields the states after as many iterations as take about `seconds`, until all starts have
    ended: of a source after each pass. The result has the same bits however the fit is cut.

    A search adds starts on the way; without `seconds` it is cut where it takes decisions.
    """
    if job.stream is not None:
        return streamed.passes(job, states)
    if job.search is not None:
        return search.rounds(job, states, seconds)
    if job.checkpoint is not None:
        return in_memory.pieces(job, states, seconds)
    return launch.pieces(job, states, job.max_iter, seconds)


def recorded(
    job: FitPlan, states: Bundle, seconds: float
) -> Iterator[tuple[Bundle, restarts.Record]]:
    """The same, with what all starts were at after each iteration of a piece: (r, t)."""

    def run(own: Bundle, count: Any = None) -> Any:
        return restarts.record(
            job.execution, job.rows, job.prior, own, job.tol, job.max_iter, steps, count
        )

    step, (n_iter, left) = 1, launch.way(states, job.max_iter)
    while left > 0:
        began, before = time.monotonic(), n_iter
        steps = checks.cast(min(step, left, restarts.RECORDED), np.int32)
        states, record = jax.device_get(launch.of_states(job, run, states, (job.tol, steps)))
        step = launch.next_step(job, step, time.monotonic() - began, seconds)
        n_iter, left = launch.way(states, job.max_iter)
        yield states, restarts.Record(*(leaf[:, : n_iter - before] for leaf in record))


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

    if launch.group(job, (states, job.thresholds)) is None and job.search is None:
        best, all_starts = restarts.finish(
            job.execution, job.rows, job.prior, states, job.thresholds, job.n_starts
        )
    else:
        outcomes, host = jax.device_get(launch.conclude(job, states)), jax.device_get(states)
        moved = None if job.search is None else search.moved(job, jax.tree.leaves(host)[0].shape[0])
        with np.errstate(invalid="ignore"):  # starts without a likelihood
            best, all_starts = restarts.best(outcomes, host, job.n_starts, moved)
    about = job.provenance
    if checks.is_concrete(best, job.rows, job.prior):
        found = emissions.told_of(job.model, best.params, about.columns)
        if emissions.runs_away(job.model):
            found = (*found, *_run_away(job, best.params))
        about = replace(about, remarks=(*about.remarks, *found))
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
