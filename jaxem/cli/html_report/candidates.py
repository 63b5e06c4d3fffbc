"""The candidates side by side."""

from typing import Any

from jaxem.analysis.select import Candidate, Selection
from jaxem.cli import metadata, report
from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Cell, Html, element, paragraphs, table
from jaxem.cli.html_report.summary import part_of
from jaxem.cli.progress import Run
from jaxem.core.status import Status

_WORDS = (
    "A criterion weighs how well a candidate fits against how many numbers it has: lower is "
    "better. Differences of BIC under 2 say little, over 10 much. ICL also asks that the {part}s "
    "be well apart. A degenerate fit has no criterion that means anything, and never wins."
)
_HEAD = (
    "{part}s", "covariance", "BIC", "more than best", "AIC", "ICL", "log-likelihood",
    "free numbers", "starts at best", "degenerate starts", "status", "seconds",
)  # fmt: skip


def section(fitted: Fitted, selection: Selection | None) -> Html:
    """A row each, the best first; nothing where there is one alone."""
    if selection is None:
        return Html()
    part = part_of(selection.model)
    lowest = selection.candidates[selection.index].bic
    each = list(zip(fitted.found.runs, selection.candidates, strict=True))
    order = sorted(range(len(each)), key=lambda i: (not each[i][0].regular, each[i][1].bic))
    rows = [_row(*each[i], lowest, i == selection.index) for i in order]
    head = [name.format(part=part) for name in _HEAD]
    return element(
        "section",
        element("h2", "Candidates"),
        paragraphs(_WORDS.format(part=part)),
        table(head, rows, "candidates"),
    )


def _row(run: Run, candidate: Candidate, lowest: float, best: bool) -> list[Cell]:
    result = run.result
    model: Any = candidate.model
    criteria = candidate.bic, candidate.bic - lowest, candidate.aic, candidate.icl
    cells = [
        f"{model.n_components}{' ★' if best else ''}",
        report.covariance(model),
        *(f"{value:.2f}" if run.regular else "-" for value in criteria),
        f"{float(result.log_likelihood):.3f}",
        int(result.n_free_parameters),
        f"{int(result.restarts.n_best)}/{run.n_starts}",
        metadata.count(result, Status.DEGENERATE),
        metadata.ending(run),
        f"{run.seconds:.1f}",
    ]
    return [Cell(cell, "best" if best else "") for cell in cells]
