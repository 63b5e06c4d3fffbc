"""The page: its sections in order, and how it is written."""

import shlex
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jax

import jaxem
from jaxem.analysis.select import Selection
from jaxem.cli.fit_input import Wanted
from jaxem.cli.found import Fitted
from jaxem.cli.html_report import (
    advice,
    candidates,
    certainty,
    intervals,
    panels,
    profiles,
    starts,
    summary,
)
from jaxem.cli.html_report.markup import Html, element, page, paragraphs
from jaxem.core import files
from jaxem.models import HMM


def write(path: Path, wanted: Wanted, fitted: Fitted, selection: Selection | None) -> None:
    """The whole report of a fit as one file; OSError where it cannot be written."""
    title = f"{Path(fitted.data.about).name}: {_title(fitted)}"
    style = (resources("jaxem.cli.html_report") / "style.css").read_text(encoding="utf-8")
    text = page(title, style, [element("h1", title), *_sections(wanted, fitted, selection)])
    with files.replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


def _title(fitted: Fitted) -> str:
    model: Any = fitted.result.provenance.model
    part, k = summary.part_of(model), model.n_components
    return f"{k} {part}{'s' if k > 1 else ''}"


def _sections(wanted: Wanted, fitted: Fitted, selection: Selection | None) -> list[Html]:
    rows = certainty.rows_of(fitted)
    return [
        summary.section(fitted),
        advice.section(fitted, rows),
        profiles.section(fitted),
        panels.section(fitted, rows, selection),
        certainty.section(fitted, rows),
        intervals.section(fitted),
        candidates.section(fitted, selection),
        starts.section(fitted),
        _again(wanted, fitted),
    ]


def _again(wanted: Wanted, fitted: Fitted) -> Html:
    """The command that made the page, and those that go on from there."""
    about, chain = fitted.data.about, isinstance(fitted.result.provenance.model, HMM)
    model = str(wanted.model or f"{Path(about).stem.strip('*-_') or 'model'}.safetensors")
    made = ["jaxem", *wanted.command, *([] if wanted.model else ["-o", model])]
    label = [
        "jaxem",
        "decode" if chain else "predict",
        model,
        about,
        "--keep",
        "-o",
        "labelled.csv",
    ]
    commands = [made, label, ["jaxem", "show", model]]
    kept = "" if wanted.model else " -o keeps the model, which the fit on this page did not."
    versions = f"Written by jaxem {jaxem.__version__} with jax {jax.__version__}."
    return element(
        "section",
        element("h2", "The same again"),
        paragraphs(
            "The first command makes this fit anew: the same seed gives the same result. The "
            f"second writes the table with the label of each row.{kept}"
        ),
        element("pre", "\n".join(map(shlex.join, commands))),
        element("footer", paragraphs(versions)),
    )
