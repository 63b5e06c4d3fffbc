"""How certain the component or state of each row is."""

import itertools
from typing import Any, NamedTuple

import numpy as np

import jaxem
from jaxem.cli import report
from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Html, element, paragraphs, table
from jaxem.cli.html_report.summary import part_of, row_of
from jaxem.models import HMM

_STEPS = (0.99, 0.9, 0.7, 0.5, 0.0)  # of the largest probability, counted downwards
_MOST = 10  # rows that are listed
SURE, UNSURE = 0.9, 0.7  # of the largest probability: from here on, and up to there


class Rows(NamedTuple):
    """The probabilities of each row that has a density.

    probabilities (n, k), with noise after the components where there is any; places (n,): which
    row it is, from 1. n_all: rows with those that have no density.
    """

    probabilities: np.ndarray
    places: np.ndarray
    n_all: int

    @property
    def largest(self) -> np.ndarray:
        return self.probabilities.max(axis=1)


def rows_of(fitted: Fitted) -> Rows:
    """Of a table that is read block by block those that its fit looks at first."""
    result, x = fitted.result, fitted.data.x
    model: Any = result.provenance.model
    verb = jaxem.smooth if isinstance(model, HMM) else jaxem.predict_proba
    found = verb(model, result.params, x)
    each = found if isinstance(found, list) else [found]
    shares = np.concatenate([np.asarray(own, float) for own in each])
    known = np.isfinite(shares).all(axis=1)
    return Rows(shares[known], np.flatnonzero(known) + 1, len(shares))


def section(fitted: Fitted, rows: Rows) -> Html:
    """How many rows are certain, by component, and the rows that are least so."""
    model: Any = fitted.result.provenance.model
    if model.n_components + model.n_beside < 2 or not len(rows.places):
        return Html()
    part = part_of(model)
    return element(
        "section",
        element("h2", f"How certain the {row_of(part)}s are"),
        paragraphs(_said(rows, part, fitted.result.provenance.n_rows)),
        table(_head(part), _counts(rows, model), f"certainty by {part}"),
        *_doubtful(rows, model, row_of(part)),
    )


def _said(rows: Rows, part: str, n_rows: int) -> str:
    row = row_of(part)
    n, sure = len(rows.places), int(np.sum(rows.largest >= SURE))
    unsure = int(np.sum(rows.largest < UNSURE))
    text = f"{sure:,} of {n:,} {row}s are of one {part} with probability {SURE:g} or more"
    text += f"; {unsure:,} with less than {UNSURE:g} may well be of another." if unsure else "."
    if rows.n_all < n_rows:
        text += f" These are {rows.n_all:,} of {n_rows:,} {row}s, taken at random."
    if rows.n_all > n:
        text += f" {report.several(rows.n_all - n, row)} left out: no {part} has a density there."
    return text


def _head(part: str) -> list[str]:
    edges = ("1", *map("{:g}".format, _STEPS))
    ranges = [f"{low} to {high}" for high, low in itertools.pairwise(edges)]
    return [f"likeliest {part}", f"{row_of(part)}s", "mean probability", *ranges]


def _counts(rows: Rows, model: Any) -> list[list[Any]]:
    """A row for each component: how many rows are its own, by their probability."""
    likeliest, edges = rows.probabilities.argmax(axis=1), (np.inf, *_STEPS)
    made = []
    for k, name in enumerate(_names(model)):
        own = rows.largest[likeliest == k]
        counts = [
            int(np.sum((own >= low) & (own < high))) for high, low in itertools.pairwise(edges)
        ]
        mean = f"{own.mean():.3f}" if len(own) else "-"
        made.append([name, len(own), mean, *counts])
    return made


def _doubtful(rows: Rows, model: Any, row: str) -> list[Html]:
    """The rows that are least certain, where there are any to speak of."""
    order = np.argsort(rows.largest, kind="stable")[:_MOST]
    names, made = _names(model), []
    for i in order[rows.largest[order] < SURE]:
        shares = rows.probabilities[i]
        first, second = np.argsort(-shares, kind="stable")[:2]
        made.append([rows.places[i], names[first], f"{shares[first]:.3f}",
                     names[second], f"{shares[second]:.3f}"])  # fmt: skip
    if not made:
        return []
    return [
        element("h3", f"The least certain {row}s"),
        paragraphs(f"{row.title()}s are counted from 1, among those that were fitted."),
        table((row, "likeliest", "probability", "next", "probability"), made,
              f"the least certain {row}s"),
    ]  # fmt: skip


def _names(model: Any) -> list[str]:
    return [str(k) for k in range(model.n_components)] + ["noise"] * model.n_beside
