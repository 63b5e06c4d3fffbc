"""The parameters of each component as tables, by family."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from jaxem import families
from jaxem.cli import report
from jaxem.cli.column_types import Levels
from jaxem.cli.columns import n_columns
from jaxem.models import HMM, transitions

Row = tuple[str, str, np.ndarray]  # a column, which of its numbers, and that of each component


class Heads(NamedTuple):
    """What the components or states are called, and a number of each that stands beside them."""

    name: str
    what: str
    values: np.ndarray


class Part(NamedTuple):
    """One family of a model: its path in the parameters, its own of them, and its columns."""

    path: str
    family: Any
    params: Any
    names: Sequence[str]


def parts_of(model: Any, params: Any, names: Sequence[str]) -> list[Part]:
    """The families of a product, or the one that there is."""
    lead, family, own = params._fields[-1], model.family, model.of_family(params)
    each = [(lead, family, own)]
    if isinstance(family, families.Product):
        each = [(f"{lead}[{name!r}]", of, own[name]) for name, of in family.blocks]
    found, first = [], 0
    for path, of, mine in each:
        last = first + n_columns(of.like_x(mine))
        found.append(Part(path, of, mine, names[first:last]))
        first = last
    return found


def tables(model: Any, params: Any, names: Sequence[str], levels: Levels) -> list[Table]:
    """One of Gaussian or t columns, one of all others; of a hidden Markov model the chain first."""
    chain = [_chain(params)] if isinstance(model, HMM) else []
    if chain:
        law = np.asarray(transitions.stationary(jax.device_put(params.transition)))
        heads = Heads("state", "stationary share", law)
    else:
        heads = Heads("component", "weight", np.asarray(params.weights))
    made, rows = [], []
    for part in parts_of(model, params, names):
        if isinstance(part.family, tuple(LOCATED)):
            made.append(_located(part, heads))
        else:
            rows += rows_of(part, levels)
    return [*chain, *made, *([_side_by_side(heads, rows)] if rows else [])]


LOCATED: dict[type, tuple[str, ...]] = {  # what follows the mean of a column
    families.Gaussian: ("std. deviation",),
    families.StudentT: ("scale", "deg. freedom"),
    families.ContaminatedNormal: ("std. deviation", "regular share", "inflation"),
}


def _chain(params: Any) -> Table:
    """The initial law, the transition matrix, and how long a stay lasts."""
    initial, transition = np.asarray(params.initial), np.asarray(params.transition)
    k = len(initial)
    table = report.table(
        "state", "initial", *(f"to {j}" for j in range(k)), "expected stay (steps)"
    )
    for i, row in enumerate(transition):
        stay = "-" if not row.any() else "for ever" if row[i] == 1 else f"{1 / (1 - row[i]):.4g}"
        cells = ("0" if p == 0 else f"{p:.4f}" for p in row)
        table.add_row(str(i), f"{initial[i]:.4f}", *cells, stay)
    return table


def _located(part: Part, heads: Heads) -> Table:
    """Weight, means and standard deviations of each component; of t components their scales."""
    means, deviations, *tails = moments(part)
    called = LOCATED[type(part.family)]
    table = report.table(heads.name, heads.what, "column", "mean", *called)
    for k, value in enumerate(heads.values):
        head, more = (str(k), _share(value)), [f"{tail[k]:.4g}" for tail in tails]
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


def _side_by_side(heads: Heads, rows: list[Row]) -> Table:
    """A column for each component."""
    table = report.table(
        "column", "value", *(f"{heads.name} {k}" for k in range(len(heads.values)))
    )
    table.add_row("", heads.what, *(_share(value) for value in heads.values))
    table.add_section()
    before = ""
    for column, what, values in rows:
        table.add_row("" if column == before else column, what, *(f"{v:.5g}" for v in values))
        before = column
    return table


def rows_of(part: Part, levels: Levels) -> list[Row]:
    """The numbers of each column, column after column; of no Gaussian or t columns."""
    _, family, own, names = part._replace(params=jax.tree.map(np.asarray, part.params))
    if isinstance(family, families.Categorical):
        return [
            (name, f"P({level})", table[:, j])
            for name, table in zip(names, own.probabilities, strict=True)
            for j, level in enumerate(levels.get(name, range(table.shape[1])))
        ]
    if isinstance(family, families.Bernoulli):
        called = [levels.get(name, ("0", "1"))[-1] for name in names]
        return _each(names, [f"P({level})" for level in called], own.probabilities)
    if isinstance(family, families.FactorAnalyzer):
        factors = {f"loading {j}": own.loadings[:, :, j] for j in range(family.n_factors)}
        stored = jax.device_put(own.uniquenesses)
        errors = np.asarray(family.kind.each(stored, *own.means.shape))
        return _by_column(names, {"mean": own.means, **factors, "uniqueness": errors})
    if isinstance(family, families.Gamma):
        return _by_column(names, {"mean": own.shapes / own.rates, "shape": own.shapes})
    if own._fields[0] == "coefficients":
        terms = (
            names[:-1] if own.coefficients.shape[1] < len(names) else ["(intercept)", *names[:-1]]
        )
        rows = _each(terms, "coefficient", own.coefficients)
        return rows + [(names[-1], "error scale", scales) for scales in own[1:]]
    if isinstance(family, families.VonMisesFisher):
        rows = _each(names, "direction", own.directions)
        return [*rows, (", ".join(names), "concentration", own.concentrations)]
    return _by_column(names, dict(zip(map(_singular, own._fields), own, strict=True)))


def _by_column(names: Sequence[str], numbers: dict[str, np.ndarray]) -> list[Row]:
    """Rows of each column one after another; numbers (k, d)."""
    each = [_each(names, what, values) for what, values in numbers.items()]
    return [row for rows in zip(*each, strict=True) for row in rows]


def _singular(name: str) -> str:
    return name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")


def _each(names: Sequence[str], what: str | Sequence[str], values: np.ndarray) -> list[Row]:
    """A row for each column of values (k, d)."""
    called = [what] * len(names) if isinstance(what, str) else what
    return list(zip(names, called, values.T, strict=True))
