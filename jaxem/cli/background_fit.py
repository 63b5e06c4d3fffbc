"""A fit in a thread of its own: Ctrl-C never waits for a computation."""

import os
import sys
import threading
from collections.abc import Sequence

import jax
import numpy as np

from jaxem.analysis.select import divided
from jaxem.cli.errors import INTERRUPTED
from jaxem.fitting.ahead import Ready
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.driver import finish, pieces, start
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result
from jaxem.fitting.termination import Terminated

_SECONDS = 0.4  # that a piece of a fit is to take, where an iteration takes no longer


class Work:
    """A fit under way. `state` is the latest of it, None before the starts are evaluated."""

    def __init__(
        self, job: FitPlan, smaller: Sequence[Result] = (), ready: Ready | None = None
    ) -> None:
        """smaller: fits of fewer components, of which some starts divide one."""
        self.job, self.smaller, self.ready = job, smaller, ready
        self.state: Bundle | None = None
        self.error: Exception | Terminated | None = None
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="jaxem", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            # x64 is switched by thread.
            with jax.enable_x64(self.job.tol.dtype == np.float64):
                if self.ready is not None:
                    self.ready(self.job)
                job = divided(self.job, self.smaller)
                for state in pieces(job, start(job), _SECONDS):
                    # Compiled now: at Ctrl-C there is no time for it.
                    if self.state is None and job.stream is None:
                        finish(job, state)
                    self.state = state
                    if self.stopped:
                        return
        except (Exception, Terminated) as error:  # raised where the fit is waited for
            self.error = error


def leave(status: int) -> None:
    """Exit at once after Ctrl-C, and whenever a fit is under way.

    The interpreter crashes when it is taken down under a computation.
    """
    if status == INTERRUPTED or any(map(_is_ours, threading.enumerate())):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("jaxem")
