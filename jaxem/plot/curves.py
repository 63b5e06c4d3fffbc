"""One column: densities and responsibilities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from jaxem.core import tables
from jaxem.core.contracts import Params
from jaxem.plot import evaluate, style


def density(
    model: Any,
    params: Params,
    x: Any,
    *,
    column: int = 0,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Histogram of a column, its fitted density, and each component times its weight.

    p(x[j]) = sum_k w[k] p_k(x[j]), of the mixture's marginal where there are more columns.
    A singular component, which has no density, is a dotted line at its mean.
    Errors: ValueError where x, params, column or names disagree.
    """
    ax = style.axes(ax)
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    column = evaluate.column_index(column, d)
    label = style.column_names(names, x, d)[column]
    table = tables.table(x)
    if table.shape[1] != d:
        raise ValueError(f"x has {table.shape[1]} columns, params were made for {d}")
    values = np.asarray(table[:, column], float)
    heights, edges = np.histogram(values, _edges(values), density=True)
    ax.stairs(heights, edges, fill=True, color="0.85", label=f"{len(values):,} rows")
    params = evaluate.marginal(model, params, [column])
    grid = _grid(model, params, float(values.min()), float(values.max()))
    peak = _draw_density(ax, model, params, grid)
    limit = 3.0 * float(heights.max())
    if peak > limit:
        ax.set_title(f"cut: the highest peak is {peak:.2g}", fontsize="small")
    ax.set(xlabel=label, ylabel="density", ylim=(0, 1.08 * min(max(peak, limit / 3), limit)))
    style.legend(ax)
    return ax


def mixing_weights(
    model: Any,
    params: Params,
    weights: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    *,
    column: int = 0,
    names: Sequence[str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """The density for several weights of component 0, side by side: an array of axes.

    The components stay as they are, and the other weights keep their ratios.
    Errors: ValueError for one component, and for a weight outside 0 to 1.
    """
    if model.n_parts < 2:
        raise ValueError("one component has weight 1; give a mixture of two components or more")
    if not len(weights) or not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(f"weights is {weights}; give probabilities, such as (0.1, 0.5)")
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    column = evaluate.column_index(column, d)
    array = style.grid_of_axes(axes, (1, len(weights)), (3.0, 3.0))[0]
    label = style.column_names(names, None, d)[column]
    means, deviations = evaluate.moments(model, evaluate.marginal(model, params, [column]))
    grid = evaluate.line(means.min(), means.max(), means[:, 0], deviations[:, 0])
    peaks = []
    for ax, weight in zip(array, weights, strict=True):
        changed = evaluate.marginal(model, _with_weight(model, params, weight), [column])
        peaks.append(_draw_density(ax, model, changed, grid))
        ax.set(xlabel=label, ylabel="density")
        ax.set_title(f"weight of component 0: {weight:g}", fontsize="medium")
    for ax in array:
        ax.set_ylim(0, 1.08 * max(peaks))
    # The weights are those of the titles.
    entries = {text.partition(" (")[0]: line for text, line in style.entries(array).items()}
    array[-1].legend(list(entries.values()), list(entries), fontsize="small", loc="upper left",
                     bbox_to_anchor=(1.02, 1))  # fmt: skip
    return array


def responsibilities(
    model: Any,
    params: Params,
    x: Any,
    *,
    column: int = 0,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """P(component | row) of each component against a column: a point for each row.

    r[n, k] = w[k] p_k(x[n]) / sum_j w[j] p_j(x[n]), from all columns of the row. Where there is
    one column alone, r is a function of it, drawn as a curve.
    Errors: ValueError where x, params, column or names disagree.
    """
    ax = style.axes(ax)
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    column = evaluate.column_index(column, d)
    label = style.column_names(names, x, d)[column]
    rows = evaluate.sample(x)
    at = rows.x[np.argsort(rows.x[:, column], kind="stable")]
    joint = evaluate.log_joint(model, params, at)
    weights = params.weights
    labels = style.component_labels(weights, evaluate.is_singular(model, params))
    shares = evaluate.posterior(joint)
    for i in style.live(weights):
        look: dict[str, Any] = {"color": style.colour(i), "label": labels[i] if d > 1 else ""}
        ax.plot(at[:, column], shares[:, i], ".", markersize=4, **look)
    if d == 1:
        grid = _grid(model, params, float(at.min()), float(at.max()))
        curves = evaluate.posterior(evaluate.log_joint(model, params, grid[:, None]))
        for i in style.live(weights):
            ax.plot(grid, curves[:, i], color=style.colour(i), linewidth=1.2, label=labels[i])
    style.mention_others(ax, labels, weights)
    style.note_rows(ax, len(at), rows.n)
    ax.set(xlabel=label, ylabel="responsibility", ylim=(-0.03, 1.03))
    style.legend(ax)
    return ax


def _with_weight(model: Any, params: Params, weight: float) -> Params:
    """The parameters with that weight of component 0."""
    with evaluate.precision(params):
        value = jnp.asarray(weight, params.weights.dtype)
        return jax.device_get(model.replace(jax.device_put(params), ("weights", 0), value))


def _draw_density(ax: Axes, model: Any, params: Params, grid: np.ndarray) -> float:
    """The curves of a mixture of one column -> the height of the highest."""
    joint = evaluate.log_joint(model, params, grid[:, None])
    weights = params.weights
    singular = evaluate.is_singular(model, params)
    labels = style.component_labels(weights, singular)
    each = evaluate.densities(joint)
    total = each.sum(axis=1)
    ax.plot(grid, total, color="0.35", linewidth=2.6, label="mixture density")
    for i in style.live(weights):
        look: dict[str, Any] = {"color": style.colour(i), "label": labels[i]}
        if singular[i]:
            ax.axvline(float(params.components.means[i, 0]), linestyle=":", **look)
            continue
        ax.fill_between(grid, each[:, i], color=style.colour(i), alpha=0.12, linewidth=0)
        ax.plot(grid, each[:, i], linewidth=1.3, **look)
    style.mention_others(ax, labels, weights)
    return float(total.max())


def _grid(model: Any, params: Params, low: float, high: float) -> np.ndarray:
    live = params.weights > 0
    means, deviations = evaluate.moments(model, params)
    return evaluate.line(low, high, means[live, 0], deviations[live, 0])


def _edges(values: np.ndarray) -> np.ndarray:
    """2 sqrt(n) bins, from 10 to 100: rules made for a single bell blur several."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.linspace(low - 0.5, high + 0.5, 11)
    n_bins = np.clip(2 * np.sqrt(len(values)), 10, 100)
    return np.linspace(low, high, int(n_bins) + 1)
