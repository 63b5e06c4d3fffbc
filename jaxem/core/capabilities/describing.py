"""What the numbers of parameters are called: of which column, what of it, and that of each part."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from jaxem.core import names, parameters, tables
from jaxem.core.family import Family
from jaxem.core.model import Model
from jaxem.core.values import Params

Levels = Mapping[str, Sequence[str]]  # names of the categories of columns, by the column


class Line(NamedTuple):
    """A number of each component or state. column: "" for those that are of none."""

    column: str
    what: str
    values: Any  # (k,), of NumPy


@runtime_checkable
class Describes(Protocol):
    def describe(self, params: Params, columns: Sequence[str], levels: Levels) -> list[Line]:
        """Host side: lines of a model, or of a family, whose params are NumPy arrays."""
        ...


@runtime_checkable
class NamesColumns(Protocol):
    def given_names(self, data: Any) -> tuple[str, ...] | None:
        """Of a pair of tables as a person has it: what the columns of both are called."""
        ...


def given_names(model: Model, data: Any) -> tuple[str, ...] | None:
    """What the columns of the data are called, and after them the covariates; None where one part
    has no names."""
    if model.n_covariates:
        x, covariates = tables.pair(data, "(x, Z)")
        return joined(_given(model.family, x), tables.column_names(covariates))
    return _given(model.family, data)


def _given(family: Any, data: Any) -> tuple[str, ...] | None:
    if isinstance(data, tuple) and isinstance(family, NamesColumns):
        return family.given_names(data)
    return tables.column_names(data)


def joined(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """None where one of them has no names."""
    return None if first is None or second is None else first + second


def lines(
    of: Model | Family, params: Params, columns: Sequence[str], levels: Levels | None = None
) -> list[Line]:
    """Host side: those of its own, or one for each number by its path; of each column in turn."""
    if isinstance(of, Describes):
        return of.describe(params, columns, levels or {})
    every = _of_each_part(of.constraints, params)
    found = [
        line
        for path, leaf in jax.tree.leaves_with_path(every)
        for line in _of_leaf(_singular(names.name(path)), leaf, columns)
    ]
    order = {name: place for place, name in enumerate(columns)}
    return sorted(found, key=lambda line: order.get(line.column, len(order)))


def by_column(columns: Sequence[str], what: str, values: Any) -> list[Line]:
    """values: (k, d)."""
    return [Line(name, what, own) for name, own in zip(columns, values.T, strict=True)]


def _of_each_part(constraints: Any, params: Params) -> Params:
    """With what the parts share once for each of them, (k, ...)."""
    own = parameters.each(lambda of, value: 0 if of.shared else len(value), constraints, params)
    k = max(jax.tree.leaves(own))

    def repeated(of: Any, value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(value, (k, *value.shape)) if of.shared else value

    return parameters.each(repeated, constraints, params)


def regression(params: Any, columns: Sequence[str]) -> list[Line]:
    """params: coefficients (k, p), and (k,) of the errors. columns: the response is the last."""
    *terms, response = columns
    terms = ["(intercept)"] * (params.coefficients.shape[1] > len(terms)) + terms
    errors = [Line(response, "error scale", scales) for scales in params[1:]]
    return by_column(terms, "coefficient", params.coefficients) + errors


def of_regression(data: Any) -> tuple[str, ...] | None:
    """data: (X, y)."""
    return joined(*map(tables.column_names, tables.pair(data, "(X, y)")))


def _of_leaf(what: str, values: np.ndarray, columns: Sequence[str]) -> list[Line]:
    """A line for each of the numbers of a part, (k, ...)."""
    # An exposure, or numbers of trials, come after the columns.
    own = values.ndim > 1 and values.shape[1] <= len(columns) <= values.shape[1] + 1
    found = []
    for at in np.ndindex(values.shape[1:]):
        column, rest = (columns[int(at[0])], at[1:]) if own else ("", at)
        place = str(list(rest)) if rest else ""
        found.append(Line(column, what + place, values[(slice(None), *at)]))
    return found


def _singular(name: str) -> str:
    for ending, one in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(ending):
            return name.removesuffix(ending) + one
    return name


def column_names(family: Any, params: Params) -> tuple[str, ...]:
    """Of data without names: "x", or "column 0", ...; by the blocks of a dict; "y" of a response.

    params: of components. Of two tables, as limits are, the names of the first.
    """
    return tuple(_names(family.like_x(params), ""))


def _names(rows: Any, block: str) -> list[str]:
    if isinstance(rows, Mapping):
        return [name for key, part in rows.items() for name in _names(part, str(key))]
    shapes = [leaf.shape for leaf in jax.tree.leaves(rows)]  # None of a family that does not tell
    if not shapes:
        return []
    d = shapes[0][1] if len(shapes[0]) == 2 else 1
    found = [block or "x"] if d == 1 else [f"{block or 'column'} {j}" for j in range(d)]
    return found + [f"{block} y".strip() for shape in shapes[1:] if len(shape) == 1]
