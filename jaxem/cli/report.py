"""What people see: tables on the standard output, everything else on the standard error."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jaxem.cli import facts
from jaxem.cli.progress import Run
from jaxem.core.status import Status

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
    on_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if on_terminal else _WIDE
    return _Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def complain(text: str) -> None:
    """One line on stderr."""
    say(errors(), f"jaxem: {text}")


def say(console: Console, text: str) -> None:
    """A line, which a terminal wraps between words and a file does not."""
    console.print(text, soft_wrap=not console.is_terminal)


def subject(model: Any, n_rows: int, names: Sequence[str]) -> str:
    """What is fitted to what."""
    return f"{rows_of(n_rows, names)}; {kind(model)}"


def kind(model: Any) -> str:
    """How many components, and of what kind."""
    return f"{several(model.n_components, 'component')}, {model.family.covariance.name} covariance"


def rows_of(n_rows: int, names: Sequence[str]) -> str:
    """How large a table is."""
    return f"{several(n_rows, 'row')}, {several(len(names), 'column')}"


def several(n: int, what: str) -> str:
    """A number and a noun."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def mixture(model: Any, params: Any, names: Sequence[str]) -> Table:
    """Weight, means and standard deviations of each component."""
    means, covariances = jax.device_put(params.components)
    deviations = np.sqrt(np.asarray(model.family.covariance.variances(covariances, *means.shape)))
    table = _table("component", "weight", "column", "mean", "std. deviation")
    for k, weight in enumerate(np.asarray(params.weights)):
        head = (str(k), f"{weight:.4f}")
        for name, mean, deviation in zip(names, means[k], deviations[k], strict=True):
            table.add_row(*head, name, *_rounded(float(mean), float(deviation)))
            head = ("", "")
        table.add_section()
    return table


def two_columns(rows: Mapping[str, str]) -> Table:
    """Names and what they are."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def comparison() -> Table:
    """An empty table with a row to come for each candidate."""
    return _table(
        "", "k", "covariance", "log-lik.", "BIC", "free\npar.", "starts\nat best",
        "degen.\nstarts", "status", "sec",
    )  # fmt: skip


def compare(table: Table, run: Run, mark: str = "") -> None:
    """Add the row of a candidate."""
    result = run.result
    model: Any = result.about.model
    table.add_row(
        mark,
        _used(model.n_components, result.params.weights),
        model.family.covariance.name,
        f"{float(result.log_likelihood):.3f}",
        f"{float(result.bic):.2f}" if run.regular else "-",
        str(int(result.n_free_parameters)),
        f"{int(result.restarts.n_best)}/{run.n_starts}",
        str(facts.count(result, Status.DEGENERATE)),
        facts.ending(run),
        f"{run.seconds:.1f}",
    )


def _used(k: int, weights: Any) -> str:
    """k, and how many components have rows where some have none."""
    used = int(np.sum(np.asarray(weights) > 0))
    return str(k) if used == k else f"{k} ({used} used)"


def _table(*headings: str) -> Table:
    """Text on the left, numbers on the right; what is too wide is folded, never cut."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        left = heading in ("", "column", "covariance", "status")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    return table


def _rounded(mean: float, deviation: float) -> tuple[str, str]:
    """Both to the same decimals: four digits of the standard deviation."""
    if not 1e-6 < deviation < 1e6:
        return f"{mean:.7g}", f"{deviation:.4g}"
    decimals = max(0, 3 - int(np.floor(np.log10(deviation))))
    return f"{mean:.{decimals}f}", f"{deviation:.{decimals}f}"
