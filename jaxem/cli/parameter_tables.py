"""The parameters of each component as tables, by family."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from jaxem import families
from jaxem.cli import report
from jaxem.cli.cells import n_columns
from jaxem.cli.column_types import Levels
from jaxem.core.capabilities import describing
from jaxem.core.capabilities.describing import Line
from jaxem.families.independent_columns import IndependentColumns
from jaxem.models import HMM, transitions


class Heads(NamedTuple):
    """What the components or states are called, and a number of each that stands beside them."""

    name: str
    what: str
    values: np.ndarray
    called: Sequence[str]


class Part(NamedTuple):
    """One family of a model: its path in the parameters, its own of them, and its columns.

    place: where in a row the columns are.
    """

    path: str
    family: Any
    params: Any
    names: Sequence[str]
    place: slice


def parts_of(model: Any, params: Any, names: Sequence[str]) -> list[Part]:
    """The families of a product, or the one that there is."""
    lead, family, own = params._fields[-1], model.family, model.of_family(params)
    each = [(lead, family, own)]
    if isinstance(family, families.Product):
        each = [(f"{lead}[{name!r}]", of, own[name]) for name, of in family.blocks]
    found, first = [], 0
    for path, of, mine in each:
        like = of.like_x(mine)
        own = slice(first, first + n_columns(_without_beside(of, like)))
        found.append(Part(path, of, mine, names[own], own))
        first += n_columns(like)
    return found


def _without_beside(family: Any, like: Any) -> Any:
    """A row without the numbers that no parameter is of: trials, and sides of limits."""
    beside = isinstance(like, tuple) and isinstance(family, IndependentColumns)
    return like[0] if beside else like


def tables(model: Any, params: Any, names: Sequence[str], levels: Levels) -> list[Table]:
    """One of Gaussian or t columns, one of all others; of a hidden Markov model the chain first; of
    weights that depend on columns their log odds last."""
    called = model.names or tuple(map(str, range(model.n_components)))
    chain = [_chain(params, called)] if isinstance(model, HMM) else []
    if chain:
        law = np.asarray(transitions.stationary(jax.device_put(params.transition)))
        heads = Heads("state", "stationary share", law, called)
    else:
        heads = Heads("component", "weight", np.asarray(params.weights), called)
    made, rows = [], []
    for part in parts_of(model, params, names):
        if isinstance(part.family, tuple(LOCATED)):
            made.append(_located(part, heads))
        else:
            rows += rows_of(part, levels)
    odds = []
    if model.n_covariates:
        odds = [_odds(log_odds(params, names, levels), (*called, *["noise"] * model.n_beside))]
    return [*chain, *made, *([_side_by_side(heads, rows)] if rows else []), *odds]


def log_odds(params: Any, names: Sequence[str], levels: Levels) -> list[Line]:
    """Of the components against the first, by covariate. names: the last are those of these."""
    b = np.asarray(params.coefficients)
    own = names[len(names) - b.shape[1] + 1 :]
    told = (f"{name} = {levels[name][-1]}" if name in levels else name for name in own)
    called = ["(intercept)", *told]
    return describing.by_column(called, "log odds", b)


def _odds(lines: list[Line], called: Sequence[str]) -> Table:
    first, *others = called
    against = (name if name == "noise" else f"component {name}" for name in others)
    table = report.table(f"log odds against component {first}", *against)
    for line in lines:
        table.add_row(line.column, *(f"{value:.5g}" for value in line.values[1:]))
    return table


LOCATED: dict[type, tuple[str, ...]] = {  # what follows the mean of a column
    families.Gaussian: ("std. deviation",),
    families.StudentT: ("scale", "deg. freedom"),
    families.ContaminatedNormal: ("std. deviation", "regular share", "inflation"),
}


def rows_of(part: Part, levels: Levels) -> list[Line]:
    """The numbers of each column, column after column; of no columns that `LOCATED` has."""
    own = jax.tree.map(np.asarray, part.params)
    return describing.lines(part.family, own, part.names, levels)


def _chain(params: Any, called: Sequence[str]) -> Table:
    """The initial law, the transition matrix, and how long a stay lasts."""
    initial, transition = np.asarray(params.initial), np.asarray(params.transition)
    table = report.table("state", "initial", *(f"to {j}" for j in called), "expected stay (steps)")
    for i, row in enumerate(transition):
        stay = "-" if not row.any() else "for ever" if row[i] == 1 else f"{1 / (1 - row[i]):.4g}"
        cells = ("0" if p == 0 else f"{p:.4f}" for p in row)
        table.add_row(called[i], f"{initial[i]:.4f}", *cells, stay)
    return table


def _located(part: Part, heads: Heads) -> Table:
    """Weight, means and standard deviations of each component; of t components their scales."""
    means, deviations, *tails = moments(part)
    called = LOCATED[type(part.family)]
    table = report.table(heads.name, heads.what, "column", "mean", *called)
    for k, value in enumerate(heads.values):
        head, more = (heads.called[k], _share(value)), [f"{tail[k]:.4g}" for tail in tails]
        for name, mean, deviation in zip(part.names, means[k], deviations[k], strict=True):
            table.add_row(*head, name, *rounded(float(mean), float(deviation)), *more)
            head, more = ("", ""), [""] * len(more)
        table.add_section()
    return table


def moments(part: Part) -> tuple[np.ndarray, ...]:
    """Means and standard deviations (k, d) of Gaussian columns; of t columns locations, scales; and
    after them the numbers of each component that `LOCATED` names, (k,)."""
    means, covariances, *tails = jax.device_get(part.params)
    variances = part.family.covariance.variances(covariances, *means.shape)
    return means, np.sqrt(np.asarray(variances)), *tails


def _share(value: Any) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "-"


def rounded(mean: float, deviation: float) -> tuple[str, str]:
    """Both to the same decimals, four digits of the standard deviation."""
    if not 1e-6 < deviation < 1e6:
        return f"{mean:.7g}", f"{deviation:.4g}"
    decimals = max(0, 3 - int(np.floor(np.log10(deviation))))
    return f"{mean:.{decimals}f}", f"{deviation:.{decimals}f}"


def _side_by_side(heads: Heads, rows: list[Line]) -> Table:
    """A column for each component."""
    table = report.table("column", "value", *(f"{heads.name} {name}" for name in heads.called))
    table.add_row("", heads.what, *(_share(value) for value in heads.values))
    table.add_section()
    before = ""
    for column, what, values in rows:
        table.add_row("" if column == before else column, what, *(f"{v:.5g}" for v in values))
        before = column
    return table
