"""One page that shows a fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxem.analysis.select import Selection
from jaxem.core.status import Status
from jaxem.fitting.result import Result
from jaxem.plot import evaluate, style
from jaxem.plot.curves import density, responsibilities
from jaxem.plot.fits import check_single, criterion, starts
from jaxem.plot.points import clusters, uncertainty


def overview(
    result: Result,
    x: Any,
    selection: Selection | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """A fit on one page, for figure.savefig("fit.png") or .pdf; needs no display.

    One column: density and responsibilities. Two: clusters and uncertainty. More: clusters in the
    three columns j that separate the components most, pair by pair, by

        sum_k w[k] (mean[k, j] - mean[j])^2 / sum_k w[k] variance[k, j],

    and uncertainty. Always the starts, and the criterion where a selection is given.
    names: of the columns, in place of those that the result knows.
    Errors: ValueError for a batch of fits, and where x, result or names disagree.
    """
    check_single(result)
    model, d = result.about.model, result.about.n_columns
    params = evaluate.ready(model, result.params)
    names = result.about.columns if names is None else names
    title = _title(result)
    upper, lower = ["first", "second"], ["starts", "starts" if selection is None else "criterion"]
    shared = ["first"] if d == 2 else ["first", "second"]  # those with the components' colours
    if d > 2:
        shared = ["first", "second", "third", "uncertainty"]
        upper, lower = ["first", "second", "third"], ["uncertainty", *lower]
    figure = Figure(figsize=(13.5, 8.5), layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic([upper, lower])  # type: ignore[call-overload]  # the stub wants literals
    data = {"model": model, "params": params, "x": x, "names": names}
    if d == 1:
        density(**data, ax=axes["first"])
        responsibilities(**data, ax=axes["second"])
    elif d == 2:
        clusters(**data, ax=axes["first"])
        uncertainty(**data, ax=axes["second"])
    else:
        a, b, c = separating(model, params)
        for place, columns in zip(upper, ((a, b), (a, c), (b, c)), strict=True):
            clusters(**data, columns=columns, ax=axes[place])
        uncertainty(**data, ax=axes["uncertainty"])
        called = style.column_names(names, x, d)
        title += f"\nshown: {called[a]}, {called[b]}, {called[c]}"
        if d > 3:
            title += f" (of {d} columns, those that separate the components most)"
    starts(result, axes["starts"])
    if selection is not None:
        criterion(selection, axes["criterion"])
    figure.suptitle(title, fontsize=11)
    _share_legend(figure, [axes[name] for name in shared])
    return figure


def separating(model: Any, params: Any) -> tuple[int, int, int]:
    """The three columns whose variance between components is largest relative to that within."""
    means, deviations = evaluate.moments(model, params)
    weights = params.weights.astype(float)
    between = weights @ (means - weights @ means) ** 2
    within = weights @ deviations**2
    ratio = np.divide(between, within, out=np.full_like(between, np.inf), where=within > 0)
    ratio = np.where(between > 0, ratio, 0.0)
    a, b, c = np.sort(np.argsort(-ratio, kind="stable")[:3]).tolist()
    return a, b, c


def _title(result: Result) -> str:
    about = result.about
    columns = f"{about.n_columns} column{'s' if about.n_columns > 1 else ''}"
    with evaluate.precision(result.log_likelihood):
        bic = float(result.bic)
    return (
        f"{about.model!r} on {about.n_rows:,} rows, {columns}\n"
        f"log-likelihood {float(result.log_likelihood):.4f},  BIC {bic:.2f},  "
        f"{Status(int(result.status)).name}"
    )


def _share_legend(figure: Figure, axes: list[Axes]) -> None:
    """One legend under the panels, in place of one in each."""
    entries = style.entries(axes)
    for ax in axes:
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    place = {"loc": "outside lower center", "ncols": 4}
    figure.legend(list(entries.values()), list(entries), fontsize="small", **place)
