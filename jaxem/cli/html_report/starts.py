"""All starts of the fit: how they ended, and the optima they came to."""

import numpy as np

from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Html, element, paragraphs, table
from jaxem.cli.progress import Run
from jaxem.core.status import Status
from jaxem.fitting import optima

_MOST = 10  # optima that are listed
_WHY = "EM climbs to the optimum near its start, so that it is started from many places."
_ENDED = {
    Status.DEGENERATE: "{} collapsed onto a few rows and {} thrown out",
    Status.NONFINITE: "{} failed and {} thrown out",
    Status.MAX_ITER: "{} ran out of iterations",
    Status.GIVEN_UP: "{} were given up below the best",
    Status.DECREASED: "{} were stopped by rounding",
}


def section(fitted: Fitted) -> Html:
    """Optima in falling order; nothing where one start was all."""
    run = fitted.found.best
    if run.n_starts < 2:
        return Html()
    restarts = run.result.restarts
    found = restarts.optima
    best = float(found.log_likelihood[0]) if len(found) else np.nan
    rows = [
        (i + 1, f"{value:.4f}", f"{value - best:.4f}" if i else "0", int(count), int(first))
        for i, (value, count, first) in enumerate(
            zip(found.log_likelihood, found.count, found.first, strict=True)
        )
    ][:_MOST]
    head = ("optimum", "log-likelihood", "difference from the best", "starts", "first start")
    more = len(found) - _MOST
    return element(
        "section",
        element("h2", "Starts"),
        paragraphs(_said(run), _unseen(run)),
        table(head, rows, "optima") if rows else "",
        paragraphs(f"Not listed: {more} lower ones." if more > 0 else ""),
    )


def _said(run: Run) -> str:
    restarts = run.result.restarts
    best = optima.at(restarts, float(restarts.log_posterior[int(restarts.best)]))
    others = np.asarray(restarts.status)[~best]
    if not best.any():
        near = f"None of {run.n_starts} starts is regular"
    else:
        near = f"{int(best.sum())} of {run.n_starts} starts reached the best solution"
    counts = {own: int(np.sum(others == own)) for own in _ENDED}
    lower = len(others) - sum(counts.values())
    told = [f"{lower} came to lower optima"] if lower else []
    told += [
        form.format(n, "was" if n == 1 else "were")
        for form, n in zip(_ENDED.values(), counts.values(), strict=True)
        if n
    ]
    lead = "Of the others " if best.any() else ""
    return f"{_WHY} {near}." + (f" {lead}{_listed(told)}." if told else "")


def _unseen(run: Run) -> str:
    restarts = run.result.restarts
    if not run.regular or not len(restarts.optima):
        return ""
    return (
        "From how often each optimum was found, the expected number of better ones that remain "
        f"unseen is {restarts.unseen:.2g}: near 0 the search is done, near 1 more starts may pay."
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
