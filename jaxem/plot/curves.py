"""One column: densities and responsibilities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxem.core import parameters
from jaxem.core.contracts import Params
from jaxem.models import HMM
from jaxem.plot import columns, evaluate, style
from jaxem.plot.columns import Column

_MOST_BARS = 100


def density(
    model: Any,
    params: Params,
    x: Any,
    *,
    column: int = 0,
    names: Sequence[str] | None = None,
    lengths: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Histogram of a column, its fitted density, and each component times its weight.

    p(x[j]) = sum_k w[k] p_k(x[j]), of the mixture's marginal where there are more columns. Whole
    numbers (Poisson, Bernoulli, Categorical) have relative frequencies and probabilities instead.
    Of an HMM, w[k] is the share of state k: the mean of P(state k | sequence) over the steps in
    which the column was observed. lengths: of the sequences of a batch.
    A singular component, which has no density, is a dotted line at its mean.
    Errors: ValueError where x, params, column or names disagree, and for a family of which one
    column has no distribution alone, such as a regression.
    """
    ax = style.axes(ax)
    params, table = evaluate.given(model, params, x, lengths)
    d = table.shape[1]
    index = evaluate.column_index(column, d)
    label = style.column_names(names, x, d)[index]
    seen = ~np.isnan(table[:, index])
    if not seen.any():
        raise ValueError(f"column {index} of x has no number that was observed; draw another")
    if isinstance(model, HMM):
        shares = evaluate.occupancy(model, params, x, lengths, seen)
        components = params.emissions
    else:
        shares, components = evaluate.shares(model, params), params.components
    words = style.words(model)
    own = columns.column(model.family, shares, components, index, d)
    values = own.values(table[seen, index])
    draw = _draw_frequencies if own.whole else _draw_histogram
    highest = draw(ax, values, f"{len(values):,} {words.row}s")
    peak = _draw_density(ax, own, own.grid(values), words)
    limit = 3.0 * highest
    if peak > limit:
        ax.set_title(f"cut: the highest peak is {peak:.2g}", fontsize="small")
    ax.set(xlabel=label, ylabel=own.quantity, ylim=(0, 1.08 * min(max(peak, highest), limit)))
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
    if model.n_components < 2:
        raise ValueError("one component has weight 1; give a mixture of two components or more")
    if not len(weights) or not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(f"weights is {weights}; give probabilities, such as (0.1, 0.5)")
    params = evaluate.ready(model, params)
    d = evaluate.n_columns(params)
    column = evaluate.column_index(column, d)
    array = style.grid_of_axes(axes, (1, len(weights)), (3.0, 3.0))[0]
    label = style.column_names(names, None, d)[column]
    means, deviations = (m[:, column] for m in evaluate.moments(model.family, params.components))
    grid = evaluate.line(means.min(), means.max(), means, deviations)
    peaks = []
    for ax, weight in zip(array, weights, strict=True):
        changed = _with_weight(model, params, weight)
        own = columns.column(model.family, changed.weights, changed.components, column, d)
        peaks.append(_draw_density(ax, own, grid, style.words(model)))
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
    weights = evaluate.shares(model, params)
    singular = evaluate.is_singular(model, params)
    labels = style.component_labels(weights, singular, style.words(model))
    shares = evaluate.posterior(joint)
    for i in style.live(weights):
        look: dict[str, Any] = {"color": style.colour(i), "label": labels[i] if d > 1 else ""}
        ax.plot(at[:, column], shares[:, i], ".", markersize=4, **look)
    if d == 1:
        own = columns.column(model.family, weights, params.components, 0, 1)
        grid = own.grid(at[~np.isnan(at)])
        curves = evaluate.posterior(evaluate.log_joint(model, params, grid[:, None]))
        for i in style.live(weights):
            ax.plot(grid, curves[:, i], color=style.colour(i), linewidth=1.2, label=labels[i])
    if model.n_beside:
        ax.plot(at[:, column], shares[:, -1], ".", markersize=4, color=style.NOISE, label="noise")
    style.mention_others(ax, labels, weights)
    style.note_rows(ax, len(at), rows.n)
    ax.set(xlabel=label, ylabel="responsibility", ylim=(-0.03, 1.03))
    style.legend(ax)
    return ax


def _with_weight(model: Any, params: Params, weight: float) -> Params:
    """The parameters with that weight of component 0."""
    with evaluate.precision(params):
        value = jnp.asarray(weight, params.weights.dtype)
        return jax.device_get(
            parameters.replace(model.constraints, jax.device_put(params), ("weights", 0), value)
        )


def _draw_density(ax: Axes, column: Column, grid: np.ndarray, words: style.Words) -> float:
    """The curves of a mixture of one column -> the height of the highest."""
    model, params = column.model, column.params
    joint = evaluate.log_joint(model, params, grid[:, None])
    weights = evaluate.shares(model, params)
    singular = evaluate.is_singular(model, params)
    labels = style.component_labels(weights, singular, words)
    each = evaluate.densities(joint)
    total = each.sum(axis=1)
    # Between whole numbers there is nothing: dots that a thin line leads along.
    size = float(np.clip(180 / len(grid), 1.5, 4.5))
    marks: dict[str, Any] = {"marker": "o", "markersize": size} if column.whole else {}
    thin = 0.4 if column.whole else 1.0
    label = words.together.format(column.quantity)
    ax.plot(grid, total, color="0.35", linewidth=2.6 * thin, label=label, **marks)
    for i in style.live(weights):
        look: dict[str, Any] = {"color": style.colour(i), "label": labels[i]}
        if singular[i]:
            moments = column.moments()
            ax.axvline(np.nan if moments is None else moments[0][i], linestyle=":", **look)
            continue
        if not column.whole:
            ax.fill_between(grid, each[:, i], color=style.colour(i), alpha=0.12, linewidth=0)
        ax.plot(grid, each[:, i], linewidth=1.3 * thin, **look, **marks)
    style.mention_others(ax, labels, weights, words)
    return float(total.max())


def _draw_histogram(ax: Axes, values: np.ndarray, label: str) -> float:
    """-> the height of the highest bar."""
    heights, edges = np.histogram(values, _edges(values), density=True)
    ax.stairs(heights, edges, fill=True, color="0.85", label=label)
    return float(heights.max())


def _draw_frequencies(ax: Axes, values: np.ndarray, label: str) -> float:
    """Relative frequencies of whole numbers; each of several where they are many.

    -> the height of the highest bar.
    """
    low, high = values.min(), values.max()
    width = np.ceil((high - low + 1) / _MOST_BARS)
    edges = np.arange(low, high + width + 1, width) - 0.5
    heights = np.histogram(values, edges)[0] / (len(values) * width)
    if width > 1:
        label += f", {width:.0f} numbers a bar"
    ax.bar(edges[:-1] + width / 2, heights, 0.8 * width, color="0.85", label=label)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return float(heights.max())


def _edges(values: np.ndarray) -> np.ndarray:
    """2 sqrt(n) bins, from 10 to 100: rules made for a single bell blur several."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.linspace(low - 0.5, high + 0.5, 11)
    n_bins = np.clip(2 * np.sqrt(len(values)), 10, 100)
    return np.linspace(low, high, int(n_bins) + 1)
