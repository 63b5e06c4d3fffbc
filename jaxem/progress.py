"""A bar while a fit runs, in a terminal or a notebook."""

import numpy as np

from jaxem.fitting.driver import finish, pieces, progress, start
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
            now = progress(job, state)
            best = f", best {now.log_posterior:.3f}" if np.isfinite(now.log_posterior) else ""
            bar.update(task, completed=now.n_ended, description=f"iteration {now.n_iter}{best}")
    return finish(job, state)
