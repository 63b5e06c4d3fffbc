"""Rows as points: clusters in two columns, and how uncertain each row's component is."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from jaxem.core.contracts import Params
from jaxem.plot import evaluate, style

_SHARES = (0.25, 0.5, 0.75, 0.95)  # of the rows inside each density contour
_GRID = 100  # a side
_FURTHEST = 0.5  # beyond the rows, in widths of theirs, for an ellipse
_NO_DOUBT = 1e-3  # uncertainty that is none


def clusters(
    model: Any,
    params: Params,
    x: Any,
    *,
    columns: Sequence[int] = (0, 1),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Rows in two columns, with the ellipses of the components and contours of the density.

    A point has the colours of the components mixed by its responsibilities, which are those of
    all columns; grey where it has no density. Ellipses are those of the marginal covariances, of t
    components those of the scales, at Mahalanobis distance 1 (solid, 39 % of a normal component)
    and 2 (dashed, 86 %). Contours of the marginal density have 25, 50, 75 and 95 % of the rows
    inside. A singular component is a cross.
    Errors: ValueError where x, params, columns or names disagree.
    """
    ax = style.axes(ax)
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    if d < 2 or len(columns) != 2:
        raise ValueError(f"columns is {columns} of {d}; give two, or draw density of one column")
    pair = [evaluate.column_index(column, d) for column in columns]
    labels = style.column_names(names, x, d)
    rows = evaluate.sample(x)
    shares = evaluate.posterior(evaluate.log_joint(model, params, rows.x))
    singular = evaluate.is_singular(model, params)
    points = np.asarray(rows.x[:, pair], float)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    whole = ~np.isnan(points).any(axis=1)  # holes are legal where the family says so
    points = points[whole]
    mixed(ax, points, shares[whole], len(params.weights))
    model, params = evaluate.marginal(model, params, pair)
    limits = _limits(model, params, low, high)
    _draw_contours(ax, model, params, points, limits)
    _draw_components(ax, model, params, singular)
    ax.set(xlabel=labels[pair[0]], ylabel=labels[pair[1]], xlim=limits[:, 0], ylim=limits[:, 1])
    lacking = int(np.sum(~whole))
    holes = f"{lacking:,} rows lack one of the two" if lacking else ""
    style.note(ax, [style.left_out(len(rows.x), rows.n, "rows"), holes])
    style.legend(ax)
    return ax


def uncertainty(
    model: Any,
    params: Params,
    x: Any,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How uncertain the component of each row is: 1 - max_k r[n, k], from 0 to 1 - 1/k.

    columns: one, to see it against that column; two, for points whose size and colour it is; none,
        (), for the rows in its order. None takes all columns where they are one or two, else ().
    Errors: ValueError where x, params, columns or names disagree.
    """
    ax = style.axes(ax)
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    if columns is None:
        columns = range(d) if d <= 2 else ()
    if len(columns) > 2:
        raise ValueError(f"columns is {columns}; give none, one or two of them")
    chosen = [evaluate.column_index(column, d) for column in columns]
    labels = [style.column_names(names, x, d)[j] for j in chosen]
    rows = evaluate.sample(x)
    shares = evaluate.posterior(evaluate.log_joint(model, params, rows.x))
    known = np.isfinite(shares).all(axis=1)
    shares, points = shares[known], np.asarray(rows.x[known][:, chosen], float)
    doubt = 1 - shares.max(axis=1)
    if len(chosen) == 2:
        _draw_sizes(ax, points, doubt, _highest(doubt))
        ax.set(xlabel=labels[0], ylabel=labels[1])
    else:
        place = points[:, 0] if chosen else None
        weights = evaluate.shares(model, params)
        singular = evaluate.is_singular(model, params)
        doubts(ax, model, weights, singular, shares, place)
        if chosen:
            ax.set_xlabel(labels[0])
    certain = len(doubt) > 0 and doubt.max() < _NO_DOUBT
    most = f"{doubt.max():.2g} at most" if certain and doubt.max() > 0 else "0"
    sure = f"every row is certain: uncertainty {most}" if certain else ""
    style.note_rows(ax, len(rows.x), rows.n, len(doubt), sure)
    return ax


def doubts(
    ax: Axes,
    model: Any,
    weights: np.ndarray,
    singular: np.ndarray,
    shares: np.ndarray,
    place: np.ndarray | None = None,
) -> None:
    """1 - largest responsibility of each row; place: where, None for the rows in its order."""
    doubt = 1 - shares.max(axis=1)
    highest = _highest(doubt)
    if place is None:
        place = np.argsort(np.argsort(doubt, kind="stable")) + 1
    entries = style.component_labels(weights, singular, style.words(model))
    noise = ["noise"] * model.n_beside
    _draw_heights(ax, place, doubt, shares.argmax(axis=1), [*entries, *noise], len(weights))
    style.mention_others(ax, entries, weights)
    style.legend(ax)
    what = "uncertainty, 1 - largest responsibility"
    ax.set(xlabel="row, in order of uncertainty", ylabel=what)
    ax.set_ylim(-0.03 * highest, 1.05 * highest)


def _highest(doubt: np.ndarray) -> float:
    """The end of the scale."""
    return max(0.1, float(doubt.max(initial=0)))


def _limits(model: Any, params: Params, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of two columns, (2, 2): the rows and the ellipses, those that are far too large cut."""
    live = evaluate.shares(model, params) > 0
    means, deviations = evaluate.moments(model.family, params.components)
    span = np.where(high > low, high - low, 1.0)
    reach = [low - _FURTHEST * span, high + _FURTHEST * span]
    ends = [means[live] - 2 * deviations[live], means[live] + 2 * deviations[live]]
    low = np.clip(np.nanmin(ends[0], axis=0, initial=np.inf), reach[0], low)
    high = np.clip(np.nanmax(ends[1], axis=0, initial=-np.inf), high, reach[1])
    margin = 0.06 * np.where(high > low, high - low, 8.0)
    return np.stack([low - margin, high + margin])


def mixed(ax: Axes, points: np.ndarray, shares: np.ndarray, k: int) -> None:
    """Points in the colours of the k components, mixed by responsibility; that of noise is last."""
    known = np.isfinite(shares).all(axis=1)
    mixed = np.full((len(points), 3), 0.6)
    beside = shares.shape[1] - k
    mixed[known] = np.clip(shares[known] @ style.colours(k, beside), 0, 1)
    ax.scatter(points[:, 0], points[:, 1], c=mixed, s=_size(len(points)), linewidths=0, alpha=0.75)
    if beside:
        ax.plot([], [], "o", color=style.NOISE, markersize=4, label="noise")
    if not known.all():
        ax.plot([], [], "o", color="0.6", markersize=4, label="rows without a density")


def _draw_contours(
    ax: Axes, model: Any, params: Params, points: np.ndarray, limits: np.ndarray
) -> None:
    def log_density(x: np.ndarray) -> np.ndarray:
        return np.logaddexp.reduce(evaluate.log_joint(model, params, x), axis=1)

    u, v = np.meshgrid(*np.linspace(limits[0], limits[1], _GRID).T)
    heights = log_density(np.stack([u.ravel(), v.ravel()], axis=1)).reshape(u.shape)
    at_points = log_density(points)
    known = len(points) > 0 and np.isfinite(at_points).all()
    if not known or not np.isfinite(heights).any():
        return
    heights = np.where(np.isfinite(heights), heights, heights[np.isfinite(heights)].min())
    levels = np.unique(np.quantile(at_points, [1 - share for share in _SHARES]))
    levels = levels[(levels > heights.min()) & (levels < heights.max())]
    if len(levels):
        look: dict[str, Any] = {"colors": "0.45", "linewidths": 0.8, "linestyles": "solid"}
        ax.contour(u, v, heights, levels, **look)
        inside = ", ".join(f"{100 * share:g}" for share in _SHARES)
        label = f"density, {inside} % of rows inside"
        ax.plot([], [], color="0.45", linewidth=0.8, label=label)


def _draw_components(ax: Axes, model: Any, params: Params, singular: np.ndarray) -> None:
    """Means and ellipses; a cross where a covariance has no ellipse."""
    weights = evaluate.shares(model, params)
    means, factors = params.components.means.astype(float), evaluate.roots(model, params)
    flat = evaluate.is_singular(model, params) | ~np.isfinite(factors).all(axis=(1, 2))
    labels = style.component_labels(weights, singular | flat, style.words(model))
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    halo = [withStroke(linewidth=3.5, foreground="white")]  # seen among points of its own colour
    for i in style.live(weights):
        own: dict[str, Any] = {"color": style.colour(i), "path_effects": halo}
        look: dict[str, Any] = {"label": labels[i], **own}
        mark: dict[str, Any] = {"markersize": 9, "markeredgewidth": 2, **own}
        if flat[i]:
            ax.plot(*means[i], "x", **mark | look)
            continue
        ax.plot(*means[i], "+", **mark)
        ax.plot(*(means[i][:, None] + factors[i] @ circle), linewidth=1.7, **look)
        ax.plot(*(means[i][:, None] + 2 * factors[i] @ circle), "--", linewidth=1.4, **own)
    style.mention_others(ax, labels, weights)
    for distance, form in ((1, "-"), (2, "--")):
        label = f"{distance} standard deviation{'s' if distance > 1 else ''}"
        ax.plot([], [], form, color="0.2", linewidth=1.5, label=label)


def _draw_heights(
    ax: Axes, place: np.ndarray, doubt: np.ndarray, best: np.ndarray, labels: list[str], k: int
) -> None:
    """A point for each row, in the colour of its likeliest of k components, or of noise."""
    colours = style.colours(k, len(labels) - k)
    for i, label in enumerate(labels):
        own = best == i
        ax.plot(place[own], doubt[own], ".", color=colours[i], markersize=5, label=label)


def _draw_sizes(ax: Axes, points: np.ndarray, doubt: np.ndarray, highest: float) -> None:
    """Points that are larger and darker where the component is uncertain, and on top."""
    colours = matplotlib.colormaps["cividis_r"]
    order = np.argsort(doubt, kind="stable")

    def area(value: Any) -> Any:
        return _size(len(points)) * (0.5 + 4.5 * np.asarray(value) / highest)

    edge: dict[str, Any] = {"linewidths": 0.3, "edgecolors": "0.4"}
    shown = doubt[order]
    ax.scatter(
        points[order, 0], points[order, 1], c=colours(shown / highest), s=area(shown), **edge
    )
    if doubt.max(initial=0) < _NO_DOUBT:
        return  # all are alike, which the title says
    key = [
        Line2D([], [], marker="o", linestyle="none", markersize=float(np.sqrt(area(value))),
               color=colours(value / highest), markeredgecolor="0.4", markeredgewidth=0.3,
               label=f"{value:.2g}")
        for value in np.linspace(0, highest, 4)
    ]  # fmt: skip
    title = "uncertainty,\n1 - largest\nresponsibility"
    style.legend(ax, handles=key, title=title, title_fontsize="small")


def _size(n: int) -> float:
    """The area of a point: smaller where there are many."""
    return float(np.clip(6000 / max(n, 1), 4, 22))
