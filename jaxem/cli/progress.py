"""A fit in pieces: a live line on the terminal, and Ctrl-C keeps the best so far."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from jaxem.core.status import Status
from jaxem.fitting.em import State
from jaxem.fitting.fit import Job, advance, finish, start
from jaxem.fitting.result import Result

_SHORT, _LONG = 0.2, 0.8  # seconds between which a piece is neither doubled nor halved


class Run(NamedTuple):
    """A fit and how it went."""

    result: Result
    n_starts: int
    n_ended: int
    interrupted: bool  # Ctrl-C was pressed, if perhaps too late to cut anything short
    seconds: float

    @property
    def complete(self) -> bool:
        return self.n_ended == self.n_starts


class Line:
    """The live line: a spinner with what is going on."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.spinner = Spinner("dots")

    def say(self, text: str) -> None:
        self.spinner.update(text=Text(f"{self.title}: {text}"))

    def report(self, job: Job, state: State) -> None:
        objective = np.asarray(state.objective, np.float64)[: job.n_starts]
        best = np.max(objective, where=np.isfinite(objective), initial=-np.inf)
        total = best * float(np.sum(np.asarray(job.rows.weight, np.float64)))
        what = "log-likelihood" if job.prior is None else "log-posterior"
        self.say(
            f"{_n_ended(job, state)} of {job.n_starts} starts ended, "
            f"iteration {int(np.max(np.asarray(state.n_iter)))}, best {what} {total:.3f}"
        )


@contextmanager
def live(console: Console, title: str, above: RenderableType = "") -> Iterator[Line]:
    """The line, under what is `above` it; gone in the end, and shown on a terminal only."""
    line = Line(title)
    if not console.is_terminal:
        yield line
        return
    shown = Group(above, line.spinner) if above else line.spinner
    with Live(shown, console=console, transient=True, refresh_per_second=8):
        yield line


def run(job: Job, line: Line) -> Run:
    """Advance all starts piece by piece; Ctrl-C stops after the piece in hand.

    KeyboardInterrupt when there is nothing to show yet, and at the second Ctrl-C.
    """
    began = time.perf_counter()
    until, step, last = -1, 1, int(job.max_iter)
    line.say("choosing starting points")
    state = _wait(start(job))
    with _first_interrupt(line) as interrupt:
        while _n_ended(job, state) < job.n_starts:
            until = min(until + step, last)
            piece = time.perf_counter()
            state = _wait(advance(job, state, until))
            step = _next_step(step, time.perf_counter() - piece)
            if interrupt.is_set():
                break
            line.report(job, state)
        result = finish(job, state)
    seconds = time.perf_counter() - began
    return Run(result, job.n_starts, _n_ended(job, state), interrupt.is_set(), seconds)


def leave(status: int) -> NoReturn:
    """Exit at once, after a KeyboardInterrupt from `run`.

    A computation may still be under way; the interpreter crashes when it is taken down under one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _next_step(step: int, seconds: float) -> int:
    if seconds < _SHORT:
        return 2 * step
    return max(1, step // 2) if seconds > _LONG else step


def _n_ended(job: Job, state: State) -> int:
    """Starts that have converged, failed or used up their iterations."""
    ended = np.asarray((state.status != Status.RUNNING) | (state.n_iter >= job.max_iter))
    return int(np.sum(ended[: job.n_starts]))


def _wait(state: State) -> State:
    """The state when it is computed; looks up meanwhile, so that a signal is seen at once."""
    status: Any = state.status  # jax.Array's stub does not know is_ready
    while not status.is_ready():
        time.sleep(0.005)
    return state


@contextmanager
def _first_interrupt(line: Line) -> Iterator[threading.Event]:
    """The first Ctrl-C only sets the event: no compiled call is cut in two. A second one aborts."""
    event = threading.Event()

    def once(number: int, frame: FrameType | None) -> None:
        event.set()
        line.say("stopping after this step; Ctrl-C again to abort at once")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, once)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
