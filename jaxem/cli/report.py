"""A fit as tables for people."""

import re
import sys
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jaxem.cli.progress import Run
from jaxem.core.status import Status
from jaxem.fitting.result import Result

CONVERGED, NOT_CONVERGED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit status

_WIDE = 160  # columns where there is no terminal to ask: nothing is folded


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
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def complain(text: str) -> None:
    """One line on stderr."""
    say(errors(), f"jaxem: {text}")


def say(console: Console, text: str) -> None:
    """A line, which a terminal wraps between words and a file does not."""
    console.print(text, soft_wrap=not console.is_terminal)


def conclude(run: Run, names: tuple[str, ...], about: str) -> int:
    """Print a fit, and on stderr what is wrong with it; return the exit status."""
    result = run.result
    out = output()
    say(out, f"{_subject(result, about)}\n")
    out.print(mixture(result, names), "")
    out.print(facts(run))
    if not run.complete:
        complain(f"interrupted: the best so far; {run.n_ended} of {run.n_starts} starts had ended")
        return INTERRUPTED
    if not result.converged:
        complain(f"{about}: {remedy(result)}")
        return NOT_CONVERGED
    return CONVERGED


def _subject(result: Result, about: str) -> str:
    model: Any = result.about.model
    k, structure = model.n_components, model.family.covariance.name
    return (
        f"{about}: {result.about.n_rows} rows, {several(result.about.n_columns, 'column')}; "
        f"{several(k, 'component')}, {structure} covariance"
    )


def several(n: int, what: str) -> str:
    """A number and a noun."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def mixture(result: Result, names: tuple[str, ...]) -> Table:
    """Weight, means and standard deviations of each component, the heaviest first."""
    order = _by_weight(result)
    weights = np.asarray(result.params.weights)[order]
    means = np.asarray(result.params.components.means)[order]
    deviations = np.sqrt(_variances(result))[order]
    table = _table("component", "weight", "column", "mean", "std. deviation")
    for k, weight in enumerate(weights):
        head = (str(k), f"{weight:.4f}")
        for name, mean, deviation in zip(names, means[k], deviations[k], strict=True):
            table.add_row(*head, name, *_rounded(float(mean), float(deviation)))
            head = ("", "")
        table.add_section()
    return table


def facts(run: Run) -> Table:
    """How good the fit is, and how it came about."""
    result = run.result
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    starts = result.restarts
    penalised = abs(result.log_posterior - result.log_likelihood) > 0
    rows = {
        "log-likelihood": f"{float(result.log_likelihood):.6f}",
        **({"log-posterior": f"{float(result.log_posterior):.6f}"} if penalised else {}),
        "AIC": f"{float(result.aic):.4f}",
        "BIC": f"{float(result.bic):.4f} (lower is better)",
        "free parameters": str(int(result.n_free_parameters)),
        "starts at the best": f"{int(starts.n_best)} of {run.n_starts} (within 1e-6 relative)",
        "degenerate starts": str(count(result, Status.DEGENERATE)),
        "iterations": str(int(result.n_iter)),
        "dtype": str(result.dtype),
        "seconds": f"{run.seconds:.1f}",
        "status": ending(run),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def comparison() -> Table:
    """An empty table with a row to come for each number of components."""
    return _table(
        "k", "log-lik.", "BIC", "free\npar.", "starts\nat best", "degen.\nstarts", "status", "sec"
    )


def compare(table: Table, k: int, run: Run) -> None:
    """Add the row of k components."""
    result = run.result
    table.add_row(
        str(k),
        f"{float(result.log_likelihood):.3f}",
        f"{float(result.bic):.2f}",
        str(int(result.n_free_parameters)),
        f"{int(result.restarts.n_best)}/{run.n_starts}",
        str(count(result, Status.DEGENERATE)),
        ending(run),
        f"{run.seconds:.1f}",
    )


def ending(run: Run) -> str:
    """The status in a word or two."""
    status = Status(int(run.result.status))
    if run.complete:
        return status.name
    # Starts that were on their way count as out of iterations.
    return "interrupted" if status == Status.MAX_ITER else f"{status.name}, interrupted"


def count(result: Result, status: Status) -> int:
    """How many starts ended so."""
    return int(np.sum(np.asarray(result.restarts.status) == status))


def remedy(result: Result) -> str:
    """What the status means and what to do; components are numbered as in the table."""
    order = _by_weight(result)
    health, collapsed = jax.tree.map(lambda leaf: leaf[order], (result.health, result.collapsed))
    return in_options(result._replace(health=health, collapsed=collapsed).explanation())


def in_options(text: str) -> str:
    """A message of the library in the words of the command line."""
    text = re.sub(r"^x has", "the table has", text)
    return re.sub(
        r"\b(max_iter|tol|reg_covar)\b", lambda name: "--" + name[0].replace("_", "-"), text
    )


def _table(*headings: str) -> Table:
    """Text on the left, numbers on the right; what is too wide is folded, never cut."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        left = heading in ("column", "status")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    return table


def _by_weight(result: Result) -> np.ndarray:
    return np.argsort(-np.asarray(result.params.weights), kind="stable")


def _variances(result: Result) -> np.ndarray:
    """(k, d), from the covariances of any structure."""
    means, covariances = result.params.components
    model: Any = result.about.model
    return np.asarray(model.family.covariance.variances(covariances, *means.shape))


def _rounded(mean: float, deviation: float) -> tuple[str, str]:
    """Both to the same decimals: four digits of the standard deviation."""
    if not 1e-6 < deviation < 1e6:
        return f"{mean:.7g}", f"{deviation:.4g}"
    decimals = max(0, 3 - int(np.floor(np.log10(deviation))))
    return f"{mean:.{decimals}f}", f"{deviation:.{decimals}f}"
