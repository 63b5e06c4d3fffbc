"""Latent classes as item profiles: what each class answers."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxem.analysis.latent_class import LatentClasses
from jaxem.plot import style


def item_profiles(report: Any, *, levels: Any = None, ax: Axes | None = None) -> Axes:
    """The probability of each answer in each class, one line a class, from `latent_classes`.

    Items of two levels show their second one, others all of theirs; the legend has the classes'
    sizes. levels: {column: names of its levels}, in place of those that the report knows.
    Errors: ValueError for anything but a report of `jaxem.latent_classes`.
    """
    if not isinstance(report, LatentClasses):
        raise ValueError(f"report is a {type(report).__name__}; give that of jaxem.latent_classes")
    ax = style.axes(ax)
    names, tables = [], []
    for name, table in zip(report.columns, report.items, strict=True):
        shown = [1] if table.shape[1] == 2 else list(range(table.shape[1]))
        called = (levels or report.levels).get(name, range(table.shape[1]))
        names += [f"{name} = {called[level]}" for level in shown]
        tables.append(table[:, shown])
    probabilities = np.concatenate(tables, axis=1)
    called = report.names or [f"class {j}" for j in range(len(probabilities))]
    for j, (size, line) in enumerate(zip(report.sizes, probabilities, strict=True)):
        ax.plot(line, "o-", color=style.colour(j), label=f"{called[j]}, {size:.0%}")
    ax.set_xticks(range(len(names)), names, rotation=90 if len(names) > 8 else 30, ha="right")
    ax.set(ylim=(-0.03, 1.03), ylabel="probability")
    style.legend(ax)
    return ax
