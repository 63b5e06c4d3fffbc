"""A fit that is waited for: a live line on the terminal, and Ctrl-C keeps the best so far."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from jaxem.cli.background_fit import Done, Work, n_ended, result_of
from jaxem.cli.interrupts import pressed
from jaxem.core.status import Status
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result

_GLANCE = 0.05  # seconds between two looks at the work


class Run(NamedTuple):
    """A fit and how it went."""

    result: Result
    n_starts: int
    n_ended: int
    seconds: float

    @property
    def complete(self) -> bool:
        return self.n_ended == self.n_starts

    @property
    def regular(self) -> bool:
        """Whether the best start neither collapsed nor failed."""
        return int(self.result.status) not in (Status.DEGENERATE, Status.NONFINITE)


class Line:
    """The live line: a spinner with what is going on."""

    def __init__(self, n_fits: int = 1) -> None:
        self.n_fits, self.n_done = n_fits, 0
        self.title = ""
        self.spinner = Spinner("dots")
        self.began: float | None = None  # when the first piece was there, all compiled

    def begin(self, title: str) -> None:
        self.title = title
        self._say("choosing starting points")

    def report(self, job: FitPlan, done: Done) -> None:
        if not done.results and done.state is None:
            return
        self.began = self.began or time.monotonic()
        ended = n_ended(job, done)
        what = "log-likelihood" if job.prior is None else "log-posterior"
        self._say(
            f"{ended} of {job.n_starts} starts ended, {_iteration(done)}"
            f"best {what} {_best(done):.3f}{self._left((ended + _under_way(done)) / job.n_starts)}"
        )

    def end(self) -> None:
        self.n_done += 1

    def _say(self, text: str) -> None:
        self.spinner.update(text=Text(f"{self.title}: {text}"))

    def _left(self, share: float) -> str:
        """The time that the rest takes if it goes on as until now."""
        share = (self.n_done + share) / self.n_fits
        if self.began is None or not 0 < share < 1:
            return ""
        return f", about {_duration((time.monotonic() - self.began) * (1 / share - 1))} left"


def _iteration(done: Done) -> str:
    return "" if done.state is None else f"iteration {max(0, int(np.max(done.state.n_iter)))}, "


def _under_way(done: Done) -> float:
    """The share of a start that is done of the one in hand, if it takes as long as those before."""
    if done.state is None or not done.results:
        return 0.0
    typical = np.mean([float(n) for result in done.results for n in result.restarts.n_iter])
    running = done.state.n_iter[done.state.status == Status.RUNNING]
    return float(np.sum(np.clip(running / max(1.0, float(typical)), 0, 0.95)))


def _best(done: Done) -> float:
    values = [np.asarray(result.log_posterior) for result in done.results]
    if done.state is not None:
        with np.errstate(invalid="ignore"):  # a start without a likelihood: -inf times 0 rows
            values += list(done.state.objective * done.state.total_weight)
    return max((float(value) for value in values if np.isfinite(value)), default=-np.inf)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        count = seconds / size
        if count >= 1.5:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{max(1, round(seconds))} s"


@contextmanager
def live(console: Console, n_fits: int, above: RenderableType | None = None) -> Iterator[Line]:
    """The line, under what is `above` it; gone in the end, and shown on a terminal only."""
    line = Line(n_fits)
    if not console.is_terminal:
        yield line
        return
    shown = Group(above, line.spinner) if above else line.spinner
    with Live(shown, console=console, transient=True, refresh_per_second=8):
        yield line


def run(job: FitPlan, line: Line, smaller: Sequence[Result] = ()) -> Run | None:
    """Fit; at Ctrl-C the best so far, without waiting. None when there is nothing yet."""
    began = time.perf_counter()
    work = Work(job, smaller)
    while work.thread.is_alive() and not pressed():
        work.thread.join(_GLANCE)
        line.report(job, work.done)
    work.stopped = True
    if work.error is not None:
        raise work.error
    done = work.done
    result = result_of(job, done)
    if result is None:
        return None
    line.end()
    return Run(result, job.n_starts, n_ended(job, done), time.perf_counter() - began)
