"""How well parameters are known: intervals of one column of them, a line for each component."""

from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes

from jaxem.analysis.intervals import ConfidenceIntervals, confidence_intervals
from jaxem.core.contracts import Model, Params
from jaxem.core.names import name
from jaxem.plot import style


def forest(
    model: Model,
    params: Params,
    x: Any,
    *,
    path: str | None = None,
    column: int = 0,
    level: float = 0.95,
    names: Any = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Estimates and intervals of one kind of number, the first component at the top.

    x: the data, whose Wald intervals are taken, or intervals that are there already. path: which
    parameters, such as "weights" or "components.means"; without it the first of the components.
    column: which of theirs, of a table. names: of the columns. options: those of
    `jaxem.confidence_intervals`. A number without an interval is drawn alone, and hollow.
    Errors: ValueError for a path that is no array of the parameters.
    """
    if isinstance(x, ConfidenceIntervals):
        if options:
            raise ValueError(f"{', '.join(options)} are for intervals yet to be taken; give x")
        found, said = x, "intervals"
    else:
        found = confidence_intervals(model, params, x, level, **options)
        said = f"{100 * level:g} % intervals"
    path, values = _leaf(params, path)
    each = [_column(own, column) for own in (values, *(_leaf(t, path)[1] for t in found))]
    estimates, lower, upper = each
    ax = style.axes(ax)
    known = np.isfinite(lower) & np.isfinite(upper)
    for i, value in enumerate(estimates):
        colour = style.colour(i)
        if known[i]:
            ax.plot([lower[i], upper[i]], [i, i], color=colour, linewidth=2, zorder=2)
        ax.plot(value, i, "o", color=colour, markerfacecolor=colour if known[i] else "white")
    called = None if model.names is None else list(map(style.printable, model.names))
    ax.set_yticks(range(len(estimates)), called)
    ax.set(ylim=(len(estimates) - 0.5, -0.5), ylabel=model.part)
    of_column = f", {_named(names, values, column)}" if values.ndim > 1 else ""
    ax.set_xlabel(f"{path}{of_column}")
    ax.grid(axis="x", alpha=0.3)
    style.note(ax, [said, "" if known.all() else "hollow: none"])
    return ax


def _leaf(tree: Any, path: str | None) -> tuple[str, np.ndarray]:
    """-> (the path, the array there)."""
    leaves = {name(at): np.asarray(leaf) for at, leaf in jax.tree.leaves_with_path(tree)}
    if path is None:
        first = len(jax.tree.leaves(tuple(tree)[:-1]))
        path = list(leaves)[first]
    if path not in leaves:
        raise ValueError(f"path is {path!r}; give one of {', '.join(leaves)}")
    return path, leaves[path]


def _column(values: np.ndarray, column: int) -> np.ndarray:
    """(k,): of (k, d) a column, of matrices (k, d, d) a place on the diagonal."""
    if values.ndim == 3:
        values = np.diagonal(values, axis1=1, axis2=2)
    if values.ndim == 1:
        return values
    if not -values.shape[1] <= column < values.shape[1]:
        raise ValueError(f"column is {column}, but there are {values.shape[1]}, from 0")
    return values[:, column]


def _named(names: Any, values: np.ndarray, column: int) -> str:
    if names is None:
        return f"column {column % values.shape[-1]}"
    return style.printable(str(list(names)[column]))
