"""The parameters of each component as tables, by family."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from jaxem import families
from jaxem.cli import report
from jaxem.cli.column_types import Levels
from jaxem.core.contracts import Family
from jaxem.models import HMM, transitions

Row = tuple[str, str, np.ndarray]  # a column, which of its numbers, and that of each component


class Parts(NamedTuple):
    """What the components or states are called, and a number of each that stands beside them."""

    name: str
    what: str
    values: np.ndarray


def tables(model: Any, params: Any, names: Sequence[str], levels: Levels) -> list[Table]:
    """One of the Gaussian columns, one of all others; of a hidden Markov model the chain first."""
    if not isinstance(model, HMM):
        parts = Parts("component", "weight", np.asarray(params.weights))
        return _emitted(model.family, params.components, parts, names, levels)
    law = np.asarray(transitions.stationary(jax.device_put(params.transition)))
    parts = Parts("state", "stationary share", law)
    return [_chain(params), *_emitted(model.family, params.emissions, parts, names, levels)]


def _emitted(
    family: Any, emissions: Any, parts: Parts, names: Sequence[str], levels: Levels
) -> list[Table]:
    each = [(family, emissions)]
    if isinstance(family, families.Product):
        each = [(of, emissions[name]) for name, of in family.blocks]
    made, rows, first = [], [], 0
    for of, own in each:
        d = sum(leaf.shape[1] if leaf.ndim == 2 else 1 for leaf in jax.tree.leaves(of.like_x(own)))
        called = names[first : first + d]
        first += d
        if isinstance(of, families.Gaussian):
            made.append(_gaussian(of, own, parts, called))
        else:
            rows += _rows(of, jax.tree.map(np.asarray, own), called, levels)
    return [*made, *([_side_by_side(parts, rows)] if rows else [])]


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


def _gaussian(family: Any, components: Any, parts: Parts, names: Sequence[str]) -> Table:
    """Weight, means and standard deviations of each component."""
    means, covariances = jax.device_put(components)
    deviations = np.sqrt(np.asarray(family.covariance.variances(covariances, *means.shape)))
    table = report.table(parts.name, parts.what, "column", "mean", "std. deviation")
    for k, value in enumerate(parts.values):
        head = (str(k), _share(value))
        for name, mean, deviation in zip(names, means[k], deviations[k], strict=True):
            table.add_row(*head, name, *_rounded(float(mean), float(deviation)))
            head = ("", "")
        table.add_section()
    return table


def _share(value: Any) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "-"


def _rounded(mean: float, deviation: float) -> tuple[str, str]:
    """Both to the same decimals, four digits of the standard deviation."""
    if not 1e-6 < deviation < 1e6:
        return f"{mean:.7g}", f"{deviation:.4g}"
    decimals = max(0, 3 - int(np.floor(np.log10(deviation))))
    return f"{mean:.{decimals}f}", f"{deviation:.{decimals}f}"


def _side_by_side(parts: Parts, rows: list[Row]) -> Table:
    """A column for each component."""
    table = report.table(
        "column", "value", *(f"{parts.name} {k}" for k in range(len(parts.values)))
    )
    table.add_row("", parts.what, *(_share(value) for value in parts.values))
    table.add_section()
    before = ""
    for column, what, values in rows:
        table.add_row("" if column == before else column, what, *(f"{v:.5g}" for v in values))
        before = column
    return table


def _rows(family: Family, own: Any, names: Sequence[str], levels: Levels) -> list[Row]:
    if isinstance(family, families.Categorical):
        return [
            (name, f"P({level})", table[:, j])
            for name, table in zip(names, own.probabilities, strict=True)
            for j, level in enumerate(levels.get(name, range(table.shape[1])))
        ]
    if isinstance(family, families.Bernoulli):
        called = [levels.get(name, ("0", "1"))[-1] for name in names]
        return _each(names, [f"P({level})" for level in called], own.probabilities)
    if isinstance(family, families.Gamma):
        means, shapes = own.shapes / own.rates, own.shapes
        pairs = zip(_each(names, "mean", means), _each(names, "shape", shapes), strict=True)
        return [row for pair in pairs for row in pair]
    if own._fields[0] == "coefficients":
        terms = (
            names[:-1] if own.coefficients.shape[1] < len(names) else ["(intercept)", *names[:-1]]
        )
        rows = _each(terms, "coefficient", own.coefficients)
        return rows + [(names[-1], "error scale", scales) for scales in own[1:]]
    leaves = zip(own._fields, own, strict=True)
    return [row for name, leaf in leaves for row in _each(names, _singular(name), leaf)]


def _singular(name: str) -> str:
    return name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")


def _each(names: Sequence[str], what: str | Sequence[str], values: np.ndarray) -> list[Row]:
    """A row for each column of values (k, d)."""
    called = [what] * len(names) if isinstance(what, str) else what
    return list(zip(names, called, values.T, strict=True))
