"""A bar while a fit runs, in a terminal or a notebook."""

from typing import Any

import numpy as np

from jaxem.core.status import Status
from jaxem.fitting.driver import finish, pieces, start
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result

_SECONDS = 0.2  # between two looks


def shown(job: FitPlan) -> Result:
    """The fit, with a bar of the starts that have ended and the best objective until then."""
    try:
        from rich.progress import Progress
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "progress=True is shown by rich: pip install 'jaxem[cli]'"
        ) from None
    begun = state = start(job)
    with Progress(transient=True) as bar:
        task = bar.add_task("fitting", total=job.n_starts)
        for state in pieces(job, begun, _SECONDS):
            bar.update(task, completed=_n_ended(job, state), description=_best(state))
    return finish(job, state)


def _n_ended(job: FitPlan, state: Any) -> int:
    return int(np.sum(np.asarray(state.status)[: job.n_starts] != Status.RUNNING))


def _best(state: Any) -> str:
    with np.errstate(invalid="ignore"):  # a start without a likelihood: -inf times 0 rows
        each = np.asarray(state.objective) * np.asarray(state.total_weight)
    there = each[np.isfinite(each)]
    n_iter = max(0, int(np.max(state.n_iter)))
    return f"iteration {n_iter}" + (f", best {there.max():.3f}" if len(there) else "")
