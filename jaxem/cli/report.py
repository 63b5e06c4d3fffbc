"""What people see: tables on the standard output, everything else on the standard error."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jaxem.cli import metadata
from jaxem.cli.columns import Columns
from jaxem.cli.progress import Run
from jaxem.core.status import Status
from jaxem.families import ContaminatedNormal, Gaussian, Product, StudentT
from jaxem.families.scale_mixture import NormalScaleMixture
from jaxem.models import HMM

_WIDE = 160  # columns where there is no terminal to ask: nothing is folded


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with status 1, which says that a fit did not converge."""
        raise BrokenPipeError


def output() -> Console:
    """Where tables go."""
    return _console(stderr=False)


def errors() -> Console:
    """Where everything else goes."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    # Names of columns and files are shown as they are: brackets and colons mean nothing.
    stream: Any = sys.stderr if stderr else sys.stdout
    if stream is None:  # closed before the program began
        raise BrokenPipeError
    on_terminal = stream.isatty()
    width = None if on_terminal else _WIDE
    return _Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def complain(text: str) -> None:
    """One line on stderr, where there is anyone to read it."""
    with suppress(BrokenPipeError):
        say(errors(), f"jaxem: {text}")


def remark(about: object, remarks: Iterable[str]) -> None:
    """A line for each on stderr."""
    for text in remarks:
        complain(f"{about}: {text}")


def say(console: Console, text: str) -> None:
    """A line, which a terminal wraps between words and a file does not."""
    console.print(text, soft_wrap=not console.is_terminal)


def kind(model: Any) -> str:
    """How many components or states, and of what kind."""
    if not isinstance(model, HMM):
        p = model.n_covariates
        beside = f", weights by {several(p, 'covariate')}" if p else ""
        return f"{several(model.n_components, 'component')}, {family(model)}{beside}"
    parts = [several(model.n_components, "state"), family(model)]
    parts += [f"{model.initial} initial law"] if model.initial != "free" else []
    if model.transitions != "full":
        parts.append(f"{model.transitions if isinstance(model.transitions, str) else 'masked'} "
                     "transitions")  # fmt: skip
    return ", ".join(parts)


def family(model: Any) -> str:
    """The family of a model in a word or two."""
    of = model.family
    if isinstance(of, Gaussian):
        return f"{covariance(model)} covariance"
    if isinstance(of, StudentT):
        return f"student t, {covariance(model)} scale"
    if isinstance(of, ContaminatedNormal):
        return f"contaminated normal, {covariance(model)} covariance"
    if isinstance(of, Product):
        return " and ".join(type(part).__name__.lower() for _, part in of.blocks)
    words = re.findall("[A-Z][a-z]*", type(of).__name__)
    return " ".join(words).lower()


def covariance(model: Any) -> str:
    """The structure of the covariances; - where there are none."""
    parts = [of for _, of in model.family.blocks] if isinstance(model.family, Product) else []
    names = [
        of.covariance.name
        for of in (model.family, *parts)
        if isinstance(of, Gaussian | NormalScaleMixture)
    ]
    return ", ".join(names) or "-"


def families(columns: Columns) -> str:
    """Which columns are of which family."""
    if columns.response is not None:
        ((kind, names),) = columns.by_kind.items()
        return f"{columns.response} ({kind}) depends on {', '.join(names)}"

    def told(name: str) -> str:
        levels = columns.levels.get(name)
        return f"{name} ({several(len(levels), 'level')})" if levels else name

    def beside(kind: str) -> str:
        names = columns.beside.get(kind)
        return f" (with {', '.join(names)})" if names else ""

    each = columns.by_kind.items()
    return "; ".join(f"{kind}: {', '.join(map(told, own))}{beside(kind)}" for kind, own in each)


def rows_of(n_rows: int, names: Sequence[str]) -> str:
    """How large a table is."""
    return f"{several(n_rows, 'row')}, {several(len(names), 'column')}"


def several(n: int, what: str) -> str:
    """A number and a noun."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def two_columns(rows: Mapping[str, str]) -> Table:
    """Names and what they are."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


_COMPARED: tuple[str, ...] = (
    "", "k", "covariance", "log-lik.", "BIC", "free\npar.", "starts\nat best", "degen.\nstarts",
    "status", "sec",
)  # fmt: skip
_LESS = {79: ("degen.\nstarts", "sec"), 65: ("free\npar.",)}  # left out where it is narrower


def comparison(width: int) -> Table:
    """An empty table with a row to come for each candidate; of fewer columns where all are wider
    than the terminal."""
    out = [name for least, names in _LESS.items() if width < least for name in names]
    return table(*(name for name in _COMPARED if name not in out))


def compare(table: Table, run: Run, mark: str = "") -> None:
    """Add the row of a candidate."""
    result = run.result
    model: Any = result.provenance.model
    cells = (
        mark,
        _used(model.n_components, result.health.count),
        covariance(model),
        f"{float(result.log_likelihood):.3f}",
        f"{float(result.bic):.2f}" if run.regular else "-",
        str(int(result.n_free_parameters)),
        f"{int(result.restarts.n_best)}/{run.n_starts}",
        str(metadata.count(result, Status.DEGENERATE)),
        metadata.ending(run),
        f"{run.seconds:.1f}",
    )
    row = dict(zip(_COMPARED, cells, strict=True))
    table.add_row(*(row[str(column.header)] for column in table.columns))


def _used(k: int, counts: Any) -> str:
    """k, and how many components or states have rows where some have none."""
    used = int(np.sum(np.asarray(counts) > 0))
    return str(k) if used == k else f"{k} ({used} used)"


def table(*headings: str) -> Table:
    """Text on the left, numbers on the right; what is too wide is folded, never cut."""
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        left = heading in ("", "column", "value", "covariance", "status", "missing", "parameter")
        made.add_column(heading, justify="left" if left else "right", overflow="fold")
    return made
