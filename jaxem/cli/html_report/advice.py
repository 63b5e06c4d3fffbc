"""What to beware of in a fit, and what to do about it, in the options of the command line."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxem.cli import metadata
from jaxem.cli.columns import listed
from jaxem.cli.found import Fitted
from jaxem.cli.html_report import profiles
from jaxem.cli.html_report.certainty import UNSURE, Rows
from jaxem.cli.html_report.markup import Html, element, paragraphs, with_options
from jaxem.cli.html_report.summary import part_of
from jaxem.core.status import Status
from jaxem.models import HMM

_CLOSE = 2.0  # differences of BIC that say little
_FEW = 10  # rows of a component that one should look at
_SPREAD = 2.0  # variance of counts, of that of a Poisson distribution
_MANY = 0.2  # share of rows, or of starts
_SEEN = {
    Status.MAX_ITER: "The fit ran out of iterations: it may still be some way below its optimum.",
    Status.DECREASED: "Rounding stopped the fit before its optimum.",
    Status.DEGENERATE: "Every start collapsed: a {part} shrank onto a few rows, or onto rows that "
    "lie in a line or plane, where the likelihood grows without bound and means nothing.",
    Status.NONFINITE: "Infinite or undefined numbers appeared in the fit.",
    Status.CONSTRAINED: "Every start collapsed onto a few rows; this fit was kept from it by a "
    "bound on the eigenvalues of its covariances.",
}
_REMEDIES = {
    Status.MAX_ITER: "Give more iterations, such as --max-iter 10000.",
    Status.DECREASED: "Use --dtype float64; or bring the columns to a like scale, so that none is "
    "a million times another.",
    Status.DEGENERATE: "Ask for fewer {part}s; or leave out columns that are constant or the same "
    "as another (--columns); or let the {part}s share a covariance (--covariance tied); or keep "
    "their variance away from 0 by --reg-covar, such as a thousandth of that of the columns.",
    Status.NONFINITE: "Look for infinite or enormous numbers in the table.",
    Status.CONSTRAINED: "Ask for fewer {part}s, and look at the rows of those named; or set the "
    "bound yourself by --max-eigenvalue-ratio.",
}


class Advice(NamedTuple):
    """What was seen, and the remedy."""

    seen: str
    remedy: str


def section(fitted: Fitted, rows: Rows) -> Html:
    """A list, the gravest first."""
    found = [*_of_end(fitted), *_of_starts(fitted), *_of_candidates(fitted), *_of_sizes(fitted),
             *_of_rows(fitted, rows)]  # fmt: skip
    told = [
        element("li", element("strong", with_options(own.seen)), " ", with_options(own.remedy))
        for own in found
    ]
    remarks = [_remark(text) for text in (*fitted.data.remarks, *fitted.remarks)]
    heading = element("h3", "About the data") if remarks else ""
    return element(
        "section",
        element("h2", "What to look at, and what to do next"),
        element("ul", *told) if told else paragraphs("Nothing calls for action."),
        heading,
        element("ul", *remarks) if remarks else "",
        class_="advice" if told else "",
    )


def _remark(text: str) -> Html:
    """As it is said on the standard error, where the name of the table is before it."""
    return element("li", with_options(f"The table {text}" if text.startswith("has ") else text))


def _of_end(fitted: Fitted) -> Iterator[Advice]:
    run, result = fitted.found.best, fitted.result
    part = part_of(result.provenance.model)
    if not run.complete or len(fitted.found.runs) < len(fitted.found.jobs):
        yield Advice("The search was interrupted.", "Run the command again to the end.")
    status = Status(int(result.status))
    if status in _REMEDIES:
        yield Advice(_SEEN[status].format(part=part), _REMEDIES[status].format(part=part))
        which = result.explanation().removeprefix(f"{status.name}: {status.message}").lstrip("; ")
        if which:
            yield Advice("Where it happened:", f"{which}.")
    if result.boundary:
        yield Advice(
            f"{len(result.boundary)} numbers are at the end of their range, such as probabilities "
            "of 0 or 1.",
            "That is a legal optimum, but standard errors of these numbers mean nothing, and a row "
            f"with a value that a {part} has never seen is taken as impossible there.",
        )


def _of_starts(fitted: Fitted) -> Iterator[Advice]:
    run = fitted.found.best
    if not run.complete or not run.regular:
        return
    n_split = fitted.found.jobs[fitted.found.index].n_split  # beside those that were asked for
    n_bad = metadata.count(run.result, Status.DEGENERATE)
    if run.n_starts == 1 or run.result.restarts.unseen >= 0.5:
        yield Advice(
            f"The best solution was reached by {int(run.result.restarts.n_best)} of {run.n_starts} "
            "starts, too few to trust that there is no better one.",
            f"Give more, such as --starts {10 * (run.n_starts - n_split)}.",
        )
    if n_bad > _MANY * run.n_starts:
        part = part_of(run.result.provenance.model)
        yield Advice(
            f"{n_bad} of {run.n_starts} starts collapsed onto a few rows; they were thrown out.",
            f"Often this means more {part}s than the rows support, outliers (--noise), or columns "
            "of few different values.",
        )


def _of_candidates(fitted: Fitted) -> Iterator[Advice]:
    _, runs, index = fitted.found
    best: Any = runs[index].result.provenance.model
    part, option = part_of(best), "--states" if isinstance(best, HMM) else "--components"
    counts = sorted({run.result.provenance.model.n_components for run in runs})
    k = best.n_components
    if len(counts) > 1 and k == counts[-1] and runs[index].regular:
        yield Advice(
            f"The best number of {part}s, {k}, is the largest that was tried.",
            f"Try more: {option} {max(1, k - 2)}:{2 * k}.",
        )
    if len(counts) > 1 and k == 1:
        yield Advice(
            f"One {part} has the lowest BIC.",
            "By this criterion the table has no clusters of the kind that was fitted.",
        )
    value = float(runs[index].result.bic)
    n_close = sum(run.regular and float(run.result.bic) < value + _CLOSE for run in runs) - 1
    if n_close > 0:
        others = "candidate has" if n_close == 1 else "candidates have"
        yield Advice(
            f"{n_close} more {others} nearly the same BIC.",
            "The rows do not decide between them: fit each by itself, and prefer what you can "
            "explain.",
        )


def _of_sizes(fitted: Fitted) -> Iterator[Advice]:
    result = fitted.result
    counts, model = np.asarray(result.health.count, float), result.provenance.model
    part = part_of(model)
    small = [f"{k} ({count:.1f})" for k, count in enumerate(counts) if 0 < count < _FEW]
    empty = [str(k) for k, count in enumerate(counts) if count <= 0]
    if small:
        yield Advice(
            f"Few rows are in {part} {', '.join(small)}.",
            "Look at them: they may be outliers, mistakes of the table, or copies of one row.",
        )
    if empty:
        yield Advice(
            f"No row is in {part} {', '.join(empty)}.", f"Fewer {part}s describe the table as well."
        )


def _of_rows(fitted: Fitted, rows: Rows) -> Iterator[Advice]:
    spread = _overdispersed(fitted, rows)
    if spread:
        yield Advice(
            f"Counts vary more within the {part_of(fitted.result.provenance.model)}s than Poisson "
            f"counts do: {listed(spread)}.",
            "Too many clusters are found then, and rows look too certain. Give --column-family "
            f"{spread[0]}=negative-binomial, or gaussian for what is measured rather than counted.",
        )
    n_unsure = int(np.sum(rows.largest < UNSURE))
    if n_unsure > _MANY * max(1, len(rows.places)):
        part = part_of(fitted.result.provenance.model)
        yield Advice(
            f"The {part}s overlap: {n_unsure:,} of {len(rows.places):,} rows may well be of "
            "another.",
            "Work with the probabilities of the rows, not with their labels alone.",
        )


def _overdispersed(fitted: Fitted, rows: Rows) -> list[str]:
    """Columns whose sum of r[n, k] (x[n] - rate[k])^2 / rate[k] is far above their rows."""
    k = fitted.result.provenance.model.n_components
    shares, cells = rows.probabilities[:, :k], profiles.cells_of(fitted.data.x)[rows.places - 1]
    found = []
    for line in profiles.lines(fitted):
        if line.label == "rate" and np.isfinite(line.whole):
            x = cells[:, [fitted.data.names.index(line.column)]]
            rate = np.maximum(line.values, 1e-9)
            if np.nansum(shares * (x - rate) ** 2 / rate) > _SPREAD * np.sum(shares * ~np.isnan(x)):
                found.append(line.column)
    return found
