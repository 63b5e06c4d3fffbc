"""One page that shows a fit."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxem.analysis.select import Selection
from jaxem.core import tables
from jaxem.core.dataset import as_given
from jaxem.core.status import Status
from jaxem.families import Gaussian, LinearRegression, StudentT
from jaxem.families.generalized_regression import GeneralizedRegression
from jaxem.fitting.result import Result
from jaxem.models import HMM
from jaxem.plot import column_page, columns, evaluate, regressions, style
from jaxem.plot.chains import decoded, transition_matrix
from jaxem.plot.column_page import separation
from jaxem.plot.curves import density, responsibilities
from jaxem.plot.fits import check_single, criterion, starts
from jaxem.plot.points import clusters, doubts, uncertainty

_MOST_LETTERS = 120

Draw = Callable[[Axes], Any]  # on the axes given


def overview(
    result: Result,
    x: Any,
    selection: Selection | None = None,
    names: Sequence[str] | None = None,
    *,
    lengths: Any = None,
    levels: Any = None,
) -> Figure:
    """A fit on one page, for figure.savefig("fit.png") or .pdf; needs no display.

    One column: density and responsibilities. Two: clusters and uncertainty. More: clusters in the
    three columns j that separate the components most, pair by pair, by

        sum_k w[k] (mean[k, j] - mean[j])^2 / sum_k w[k] variance[k, j],

    and uncertainty. Always the starts, and the criterion where a selection is given.
    An HMM has the column of its first sequence that separates the states most, decoded; the
    density of that column, where it has one; the transition matrix; and the starts.
    Other mixtures have what each class answers, where all columns are categories, or the densities
    of the three columns that separate the components most; starts; and the criterion. Those of
    regressions have the response against the two regressors it depends on most; where weights
    depend on covariates, the one that they depend on most is beside the columns.
    names: of the columns, and of the covariates after them, in place of those that the result
    knows. lengths: of the sequences of a batch. levels: what categories are called,
    {"smoker": ("no", "yes")}.
    Errors: ValueError for a batch of fits, where x, result or names disagree, and for mixtures
    without a picture, such as those of censored numbers.
    """
    check_single(result)
    model, d = result.provenance.model, result.provenance.n_columns
    if isinstance(model, HMM):
        return _of_chain(result, x, selection, names, lengths)
    if lengths is not None:
        raise ValueError("lengths are of sequences; a mixture's rows have no order")
    names = result.provenance.columns if names is None else names
    if regressions.is_regression(model):
        return _of_regressions(result, x, selection, names)
    plain = isinstance(model.family, Gaussian | StudentT) and not model.n_covariates
    if not plain and column_page.drawable(model.family):
        return _of_columns(result, x, selection, names, levels)
    params = evaluate.ready(model, result.params)
    title = _title(result, f"{result.provenance.n_rows:,} rows")
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
    style.share_legend(figure, [axes[name] for name in shared])
    return figure


def _of_columns(
    result: Result, x: Any, selection: Selection | None, names: Any, levels: Any
) -> Figure:
    """The page of a mixture of counts, categories, sizes, or of mixed columns."""
    model: Any = result.provenance.model
    drawn = column_page.panels(model, result.params, x, names, levels)

    def of_panel(panel: column_page.Panel) -> Draw:
        def draw(ax: Axes) -> None:
            panel.draw(ax=ax)
            called = (levels or {}).get(panel.column)
            if called is not None:
                ax.set_xticks(range(len(called)), map(style.printable, called))

        return draw

    title, d = _title(result, f"{result.provenance.n_rows:,} rows"), result.provenance.n_columns
    if len(drawn) < d and drawn[0].column != "answers":
        shown = ", ".join(style.printable(panel.column) for panel in drawn)
        title += f"\nshown: {shown} (of {d} columns)"
    above = [*map(of_panel, drawn), *_of_covariates(model, result.params, x, names, d)]
    return _page(result, selection, title, above)


def _of_regressions(result: Result, x: Any, selection: Selection | None, names: Any) -> Figure:
    """The page of a mixture of regressions."""
    model: Any = result.provenance.model
    params, table = evaluate.given(model, result.params, x)
    called = regressions.column_names(model, params, x, names)
    places = regressions.telling(model, params, table)
    p, shown = len(places), sorted(places[:2])

    def of_regressor(j: int) -> Draw:
        own = {"regressor": j, "names": called}
        return lambda ax: regressions.regression(model, params, x, **own, ax=ax)

    def uncertain(ax: Axes) -> None:
        weights = np.asarray(params.weights, float)
        some = evaluate.some(len(table))
        shares = regressions.responsibilities(model, params, x)[some]
        doubts(ax, model, weights, np.zeros(len(weights), bool), shares)
        style.note(ax, [style.left_out(len(some), len(table), "rows")])

    title = _title(result, f"{len(table):,} rows")
    if p > 2:
        title += f"\nshown: {', '.join(called[j] for j in shown)} (of {p} regressors)"
    above = [*map(of_regressor, shown), *_of_covariates(model, params, x, names, p + 1)]
    return _page(result, selection, title, above, [uncertain])


def _of_covariates(model: Any, params: Any, x: Any, names: Any, d: int) -> list[Draw]:
    """The weights against the covariate that moves them most; names: after those of d columns."""
    p = model.n_covariates
    if not p:
        return []
    Z = as_given(x)[1]
    spread = np.std(tables.table(Z, "Z"), axis=0)
    j = int(np.argmax(np.abs(np.asarray(params.coefficients)[:, 1:]).max(axis=0) * spread))
    called = None if names is None or len(names) != d + p else names[d:]
    own = {"column": j, "names": called}
    return [lambda ax: regressions.concomitant_weights(model, params, Z, **own, ax=ax)]


def _page(
    result: Result,
    selection: Selection | None,
    title: str,
    above: Sequence[Draw],
    below: Sequence[Draw] = (),
) -> Figure:
    """Panels in two rows: below are the starts too, and the criterion of a selection."""
    search: list[Draw] = [lambda ax: starts(result, ax)]
    if selection is not None:
        search.append(lambda ax: criterion(selection, ax))
    rows = [list(above), [*below, *search]]
    width = math.lcm(*map(len, rows))
    mosaic: Any = [
        [f"{i} {j}" for j in range(len(row)) for _ in range(width // len(row))]
        for i, row in enumerate(rows)
    ]
    figure = Figure(figsize=(13.5, 8.5), layout="constrained")
    axes: Any = figure.subplot_mosaic(mosaic)
    for i, row in enumerate(rows):
        for j, draw in enumerate(row):
            draw(axes[f"{i} {j}"])
    figure.suptitle(title, fontsize=11)
    shared = [(0, j) for j in range(len(above))] + [(1, j) for j in range(len(below))]
    style.share_legend(figure, [axes[f"{i} {j}"] for i, j in shared])
    return figure


def separating(model: Any, params: Any) -> tuple[int, int, int]:
    """The three columns whose variance between components is largest relative to that within."""
    moments = evaluate.moments(model.family, params.components)
    ratio = separation(params.weights, *moments)
    a, b, c = np.sort(np.argsort(-ratio, kind="stable")[:3]).tolist()
    return a, b, c


def _of_chain(
    result: Result, x: Any, selection: Selection | None, names: Any, lengths: Any
) -> Figure:
    """The page of a hidden Markov model."""
    model: Any = result.provenance.model
    params, table = evaluate.given(model, result.params, x, lengths)
    d = table.shape[1]
    has_density = columns.kind(model.family, d) is not None
    column = _telling(model, params, x, lengths, table)
    panels = ["density"] * has_density + ["transition", "starts"]
    panels += ["criterion"] * (selection is not None)
    figure = Figure(figsize=(13.5, 8.5), layout="constrained")
    lower = panels[:3]
    above = panels[3:]  # beside the series: a fourth panel would be too narrow for its legend
    mosaic: Any = [["decoded"] * (len(lower) - len(above)) + above, lower]
    axes: Any = figure.subplot_mosaic(mosaic)
    names = result.provenance.columns if names is None else names
    data = {"column": column, "names": names, "lengths": lengths}
    decoded(model, params, x, **data, ax=axes["decoded"])
    if has_density:
        density(model, params, x, **data, ax=axes["density"])
    transition_matrix(model, params, ax=axes["transition"])
    starts(result, axes["starts"])
    if selection is not None:
        criterion(selection, axes["criterion"])
    n = len(evaluate.laid(x, lengths).lengths)
    title = _title(result, f"{len(table):,} steps" + (f" of {n:,} sequences" if n > 1 else ""))
    if d > 1:
        title += f"\nshown: {style.column_names(names, x, d)[column]} (of {d} columns)"
    figure.suptitle(title, fontsize=11)
    words = style.words(model)
    states = [words.name(i) for i in range(model.n_states)]
    style.share_legend(
        figure, [axes[name] for name in ("decoded", "density") if name in axes], states
    )
    return figure


def _telling(model: Any, params: Any, x: Any, lengths: Any, table: np.ndarray) -> int:
    """The column that separates the states most; the first where its family tells no moments."""
    d = table.shape[1]
    if isinstance(model.family, LinearRegression | GeneralizedRegression):
        return d - 1  # y
    if d == 1 or columns.kind(model.family, d) is None:
        return 0
    seen = np.asarray(~np.isnan(table).all(axis=1))
    shares = evaluate.occupancy(model, params, x, lengths, seen)
    each = [columns.column(model.family, shares, params.emissions, j, d) for j in range(d)]
    moments = [own.moments() for own in each]
    if None in moments:
        return 0
    means, deviations = np.moveaxis(np.asarray(moments, float), 0, 2)
    return int(np.argmax(separation(shares, means, deviations)))


def _title(result: Result, data: str) -> str:
    about = result.provenance
    columns = f"{about.n_columns} column{'s' if about.n_columns > 1 else ''}"
    model = repr(about.model)
    if len(model) > _MOST_LETTERS:  # such as a mask of many states
        model = model[: _MOST_LETTERS - 1] + "…"
    with evaluate.precision(result.log_likelihood):
        bic = float(result.bic)
    return (
        f"{model} on {data}, {columns}\n"
        f"log-likelihood {float(result.log_likelihood):.4f},  BIC {bic:.2f},  "
        f"{Status(int(result.status)).name}"
    )
