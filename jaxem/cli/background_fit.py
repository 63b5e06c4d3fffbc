"""A fit, group by group of starts, in a thread of its own: Ctrl-C never waits for a computation."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxem.analysis.select import divided
from jaxem.cli.errors import INTERRUPTED
from jaxem.core.status import Status
from jaxem.fitting.driver import advance, finish, start
from jaxem.fitting.em import State
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.restarts import best_of
from jaxem.fitting.result import Result

_SHORT, _LONG = 0.2, 0.8  # seconds between which a piece is neither doubled nor halved


class Done(NamedTuple):
    """What there is of a fit: of the groups of starts that have ended, and of the one in hand."""

    results: tuple[Result, ...] = ()
    state: State | None = None  # on the host

    @property
    def n_begun(self) -> int:
        """Starts in groups that have ended."""
        return sum(len(result.restarts.status) for result in self.results)


class Work:
    """A fit under way. `done` is what there is of it, at any moment."""

    def __init__(self, job: FitPlan, smaller: Sequence[Result] = ()) -> None:
        """smaller: fits of fewer components, of which some starts divide one."""
        self.job, self.smaller = job, smaller
        self.done = Done()
        self.error: Exception | None = None
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="jaxem", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            # x64 is switched by thread.
            with jax.enable_x64(self.job.tol.dtype == np.float64):
                for done in pieces(divided(self.job, self.smaller)):
                    self.done = done
                    if self.stopped:
                        return
        except Exception as error:  # raised where the fit is waited for
            self.error = error


def pieces(job: FitPlan) -> Iterator[Done]:
    """Fit in pieces of less than a second, where one iteration of a start takes no longer."""
    states = jax.device_get(start(job))
    results: tuple[Result, ...] = ()
    step = 1
    for first in range(0, job.n_starts, job.chunk):
        group, state, until = _group(job, first), _part(states, first, job.chunk), -1
        while _n_ended(group, state) < group.n_starts:
            until = min(until + step, int(job.max_iter))
            began = time.perf_counter()
            state = jax.device_get(advance(group, state, until))
            step = _next_step(step, time.perf_counter() - began)
            if first == 0 and until <= 0:
                _rehearse(job, state)
            yield Done(results, state)
        results = (*results, finish(group, state))
        yield Done(results)


def result_of(job: FitPlan, done: Done) -> Result | None:
    """The best so far; None when no start has been evaluated yet."""
    results = done.results
    if done.state is not None and np.isfinite(done.state.objective).any():
        results = (*results, finish(_group(job, done.n_begun), done.state))
    return _merged(results, job.n_starts) if results else None


def _rehearse(job: FitPlan, state: State) -> None:
    """Compile what a result takes before the first is there: at Ctrl-C there is no time for it."""
    result_of(job, Done((), state))


def n_ended(job: FitPlan, done: Done) -> int:
    """Starts that have converged, failed or used up their iterations."""
    running = 0 if done.state is None else _n_ended(_group(job, done.n_begun), done.state)
    return done.n_begun + running


def _n_ended(job: FitPlan, state: State) -> int:
    ended = (state.status != Status.RUNNING) | (state.n_iter >= int(job.max_iter))
    return int(np.sum(ended[: job.n_starts]))


def leave(status: int) -> None:
    """Exit at once after Ctrl-C, and whenever a fit is under way.

    The interpreter crashes when it is taken down under a computation.
    """
    if status == INTERRUPTED or any(thread.name == "jaxem" for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _group(job: FitPlan, first: int) -> FitPlan:
    """The job of a chunk of its starts."""
    return job._replace(n_starts=min(job.chunk, job.n_starts - first))


def _part(states: State, first: int, size: int) -> State:
    return jax.tree.map(lambda leaf: leaf[first : first + size], states)


def _next_step(step: int, seconds: float) -> int:
    if seconds < _SHORT:
        return 2 * step
    return max(1, step // 2) if seconds > _LONG else step


def _merged(results: Sequence[Result], n_starts: int) -> Result:
    """What `finish` gives for all their starts together: the best is the best of its own group."""
    parts = [result.restarts._replace(best=(), n_best=()) for result in results]
    restarts = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    # Filled up with starts that never win: one compilation serves any number of starts.
    fill = (0, n_starts - len(restarts.status))
    status = np.pad(restarts.status, fill, constant_values=Status.NONFINITE)
    index, n_best = _best_of(np.pad(restarts.log_posterior, fill), status)
    ends = np.cumsum([len(part.status) for part in parts])
    best = results[int(np.searchsorted(ends, int(index), side="right"))]
    return best._replace(restarts=jax.device_put(restarts._replace(best=index, n_best=n_best)))


_best_of = jax.jit(best_of)
