"""A fit that is waited for: a live line on the terminal, and Ctrl-C keeps the best so far."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from jaxem.cli.background_fit import Work
from jaxem.cli.interrupts import pressed
from jaxem.core.status import Status
from jaxem.fitting import driver
from jaxem.fitting.ahead import Ready
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result

_GLANCE = 0.05  # seconds between two looks at the work
_WHAT = "{task.description}"


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
    """The live line: a spinner with what is going on, and the time left."""

    def __init__(self, n_fits: int = 1) -> None:
        self.n_done, self.title = 0, ""
        left = TimeRemainingColumn(), TextColumn("left")
        self.progress = Progress(SpinnerColumn(), TextColumn(_WHAT, markup=False), *left)
        self.task = self.progress.add_task("", total=n_fits)

    def begin(self, title: str) -> None:
        self.title = title
        self._say("choosing starting points")

    def report(self, job: FitPlan, state: Bundle | None) -> None:
        if state is None:
            return
        now = driver.progress(job, state)
        what = "log-likelihood" if job.prior is None else "log-posterior"
        most = f"{'up to ' if job.search else ''}{job.n_starts}"
        self._say(
            f"{now.n_ended} of {most} starts ended, iteration {now.n_iter}, "
            f"best {what} {now.log_posterior:.3f},",
            now.n_ended / job.n_starts,
        )

    def end(self) -> None:
        self.n_done += 1

    def _say(self, text: str, share: float = 0.0) -> None:
        """share: what is done of the fit in hand."""
        completed = self.n_done + share
        self.progress.update(self.task, completed=completed, description=f"{self.title}: {text}")


@contextmanager
def live(console: Console, n_fits: int, above: RenderableType | None = None) -> Iterator[Line]:
    """The line, under what is `above` it; gone in the end, and shown on a terminal only."""
    line = Line(n_fits)
    if not console.is_terminal:
        yield line
        return
    shown = Group(above, line.progress) if above else line.progress
    with Live(shown, console=console, transient=True, refresh_per_second=8):
        yield line


def run(
    job: FitPlan, line: Line, smaller: Sequence[Result] = (), ready: Ready | None = None
) -> Run | None:
    """Fit; at Ctrl-C the best so far, without waiting. None when there is nothing yet."""
    began = time.perf_counter()
    work = Work(job, smaller, ready)
    while work.thread.is_alive() and not pressed():
        work.thread.join(_GLANCE)
        line.report(job, work.state)
    ended, work.stopped = not work.thread.is_alive(), True
    if work.error is not None:
        raise work.error
    state = work.state
    if state is None:
        return None
    line.end()
    n_ended = driver.progress(job, state).n_ended
    result = jax.device_get(driver.finish(job, state))  # so that NumPy says what is asked of it
    # A search that has ended made as many starts as it took.
    n_starts = np.size(result.restarts.status) if job.search and ended else job.n_starts
    return Run(result, n_starts, n_ended, time.perf_counter() - began)
