"""How well the numbers of the fit are known."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxem.cli import interval_table
from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Cell, Html, element, paragraphs, table, with_options

_WORDS = (
    "The rows are a sample: other rows of the same kind would give other numbers. An interval from "
    "such a sample holds the true number {level:g} times of 100. The bars have the intervals of "
    "all {part}s on one scale: where they are apart, the {part}s differ."
)
_BY = {
    "observed": (
        "Standard errors come from how sharply the likelihood falls away from its maximum, which "
        "is right where the rows are many and the number of {part}s is right."
    ),
    "bootstrap": (
        "Standard errors come from {n} fits to rows drawn from the table with replacement, each "
        "begun where this one ended."
    ),
}


def section(fitted: Fitted) -> Html:
    """The numbers of each kind, component by component; nothing where no intervals were wanted."""
    found = fitted.intervals
    if found is None:
        return Html()
    part, level = fitted.result.provenance.model.part, 100 * interval_table.LEVEL
    words = _WORDS.format(level=level, part=part)
    by = _BY[found.method].format(n=interval_table.REFITS, part=part)
    head = part, "estimate ± std. error", f"{level:g} % interval"
    return element(
        "section",
        element("h2", "How well the numbers are known"),
        paragraphs(words, by, *(with_options(f"{text}.") for text in found.remarks)),
        table(head, _rows(found.rows), "standard errors and intervals"),
    )


def _rows(rows: Sequence[tuple]) -> Iterator[list[Any]]:
    """Those of one kind one below another, under its name."""
    kinds: dict[str, list[tuple[str, Sequence[float]]]] = {}
    for name, *figures in rows:
        kind, part = _divided(name)
        kinds.setdefault(kind, []).append((part, figures))
    for kind, own in kinds.items():
        ends = np.array([figures for _, figures in own])[:, 2:]
        known = ends[np.isfinite(ends)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        yield [Cell(kind, "kind", span=3)]
        yield from ([part, *_figures(figures, low, high)] for part, figures in own)


def _divided(name: str) -> tuple[str, str]:
    """means[0, height] -> ("means, height", "0"); "all" are of what the parts share."""
    found = re.fullmatch(r"(.*?)\[(\d+)(?:, (.*))?\]", name)
    if found is None:
        return name, "all"
    kind, part, rest = found.groups()
    return (f"{kind}, {rest}" if rest else kind), part


def _figures(figures: Sequence[float], low: float, high: float) -> list[Cell]:
    """The estimate, and its interval with a bar on the scale from low to high."""
    estimate, error, *ends = figures
    if not np.isfinite(figures).all():
        return [Cell(f"{estimate:.5g}"), Cell("-")]
    said = f"{ends[0]:.4g} to {ends[1]:.4g}"
    places = [100 * (end - low) / (high - low) if high > low else 0.0 for end in ends]
    style = f"--a: {places[0]:.1f}%; --b: {places[1]:.1f}%"
    return [Cell(f"{estimate:.5g} ± {error:.2g}"), Cell(said, "range", style)]
