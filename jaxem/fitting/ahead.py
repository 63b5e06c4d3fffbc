"""The programs of a sweep compiled side by side: for small data that is what takes the time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager

import numpy as np

from jaxem.core import checks
from jaxem.fitting import sizes, threads
from jaxem.fitting.driver import uncut
from jaxem.fitting.execution import Execution
from jaxem.fitting.plan import FitPlan

Ready = Callable[[FitPlan], None]  # to be called before a fit: its programs are not half made


@contextmanager
def compiled_ahead(jobs: Sequence[FitPlan]) -> Iterator[Ready]:
    """Compile in a thread beside for the fits that come later, in their order."""
    first: dict[Execution, FitPlan] = {}
    for job in jobs:
        if sizes.is_small(job.rows) and checks.is_concrete(job.rows, job.prior):
            first.setdefault(job.execution, job)
    later = list(first.values())[1:]
    with threads.beside(_compile, later) as found:
        futures = dict(zip((job.execution for job in later), found, strict=True))

        def ready(job: FitPlan) -> None:
            future = futures.get(job.execution)
            if future is not None and not future.cancel():
                wait([future])

        yield ready


def _compile(job: FitPlan) -> None:
    """One start that takes no iterations runs all programs of a fit."""
    moves = job.moves and job.moves._replace(kept=job.moves.kept[:1])
    uncut(
        job._replace(
            methods=job.methods[:1],
            n_starts=1,
            moves=moves,
            n_threads=1,
            max_iter=np.int32(0),
            search=None,
        )
    )
