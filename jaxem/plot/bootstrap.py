"""Bootstrap refits as clouds: how far the means of components move from data set to data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxem.analysis.bootstrap import Bootstrap
from jaxem.plot import evaluate, style


def bootstrap(
    found: Bootstrap,
    *,
    columns: Sequence[int] = (0, 1),
    level: float = 0.95,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The means of every refit that converged, in two columns: a point each, a cloud a component.

    A cross has the estimate and the percentile intervals of its two numbers. On the axes of
    `clusters` the clouds are drawn among the rows, and the limits stay.
    Errors: ValueError where components have no means in two columns.
    """
    components: Any = getattr(found.estimate, "components", None)
    means = getattr(components, "means", None)
    if means is None or np.shape(means)[1] < 2 or len(columns) != 2:
        raise ValueError("clouds are of the means in two columns: give a fit of a Gaussian mixture")
    means, d = np.asarray(means, float), np.shape(means)[1]
    pair = [evaluate.column_index(column, d) for column in columns]
    labels = style.column_names(names, None, d)
    drawn = ax is not None and ax.has_data()
    ax = style.axes(ax)
    limits = (ax.get_xlim(), ax.get_ylim())
    weights = np.asarray(found.estimate.weights)
    entries = style.component_labels(weights, np.zeros(len(weights), bool))
    refits = np.asarray(found.params.components.means, float)[found.converged][:, :, pair]
    ends = found.intervals(level)
    lower, upper = (np.asarray(end.components.means, float)[:, pair] for end in ends)
    for i in style.live(weights):
        own, centre = style.colour(i), means[i, pair]
        ax.plot(*refits[:, i].T, ".", color=own, markersize=2.5, alpha=0.35, zorder=3)
        reach = np.stack([centre - lower[i], upper[i] - centre])
        look: dict[str, Any] = {"capsize": 3, "zorder": 4, "label": None if drawn else entries[i]}
        ax.errorbar(*centre, xerr=np.maximum(reach[:, :1], 0), yerr=np.maximum(reach[:, 1:], 0),
                    color="0.1" if drawn else own, linewidth=1.4, **look)  # fmt: skip
    kept = len(refits)
    label = f"means of {kept} refits, {100 * level:g} % intervals"
    ax.plot([], [], ".", color="0.3", markersize=4, label=label)
    if found.n_failed:
        ax.plot([], [], " ", label=f"{found.n_failed} failed and left out")
    if drawn:
        ax.set(xlim=limits[0], ylim=limits[1])
    else:
        ax.set(xlabel=labels[pair[0]], ylabel=labels[pair[1]])
    style.legend(ax)
    return ax
