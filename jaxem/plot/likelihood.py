"""The likelihood as a function of one parameter, and its climb by EM."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes

from jaxem.analysis.likelihood import Slice, Trace
from jaxem.core.contracts import Params
from jaxem.plot import evaluate, style


def likelihood_slice(
    slice: Slice,
    name: str = "parameter",
    *,
    true: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The log-likelihood along one parameter, its maximum marked; the true value is a line.

    slice: what `jaxem.likelihood_slice` returns. name: of the parameter, such as "weights[0]".
    """
    ax = style.axes(ax)
    grid, heights = np.asarray(slice.grid, float), np.asarray(slice.log_likelihood, float)
    ax.plot(grid, heights, color=style.colour(0))
    if np.isfinite(heights).any():
        best = int(np.nanargmax(heights))
        ax.plot(grid[best], heights[best], label=f"maximum, at {grid[best]:.4g}", **style.BEST)
    if true is not None:
        ax.axvline(true, color="0.3", linestyle="--", label=f"true value, {true:.4g}")
    ax.set_xlabel(style.printable(name))
    style.log_likelihood_axis(ax)
    if ax.get_legend_handles_labels()[1]:
        style.legend(ax)
    return ax


def trace(
    model: Any,
    trace: Trace,
    *,
    true: Params | None = None,
    names: Sequence[str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Every parameter against the iteration, (1 + d, 2) axes; true values are dashed lines.

    The first row: weights, log-likelihood. Then a row for each column: means, standard deviations.
    trace: what `jaxem.em_trace` returns. Errors: ValueError where axes are too few or too many.
    """
    d = np.shape(trace.params.components.means)[2]
    labels = style.column_names(names, None, d)
    array = style.grid_of_axes(axes, (1 + d, 2), (5.0, 2.6))
    means, deviations = _moments(model, trace.params)
    truth: Any = [None] * 3
    if true is not None:
        known: Any = evaluate.ready(model, true)
        truth = [known.weights, *evaluate.moments(model.family, known.components)]
    words = style.words(model)
    _draw_components(array[0, 0], trace.params.weights, truth[0], "weight", words)
    _draw_climb(array[0, 1], trace)
    for j, (left, right) in enumerate(array[1:]):
        at = [None if value is None else value[:, j] for value in truth[1:]]
        _draw_components(left, means[:, :, j], at[0], f"mean of {labels[j]}")
        _draw_components(right, deviations[:, :, j], at[1], f"std. deviation of {labels[j]}")
    return array


def _moments(model: Any, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations at every iteration, (t, k, d) both."""
    with evaluate.precision(params):
        means, covariances = jax.device_put(params.components)
        size, variances = means.shape[1:], model.family.covariance.variances
        values = jax.vmap(lambda covariances: variances(covariances, *size))(covariances)
        return np.asarray(means, float), np.sqrt(np.maximum(np.asarray(values, float), 0.0))


def _draw_components(
    ax: Axes, values: Any, truth: Any, what: str, words: style.Words = style.COMPONENTS
) -> None:
    """A line for each component, (t, k)."""
    values = np.asarray(values, float)
    heaviest = values[-1] if what == "weight" else None
    labels = [""] * values.shape[1]
    if heaviest is not None:
        labels = style.component_labels(heaviest, np.zeros(len(heaviest), bool), words)
    for i, line in enumerate(values.T):
        look: dict[str, Any] = {"color": style.colour(i), "marker": "." if len(line) == 1 else ""}
        ax.plot(line, label=labels[i].partition(" (")[0], **look)
        if truth is not None:
            ax.axhline(truth[i], color=style.colour(i), linestyle="--", linewidth=0.9)
    if heaviest is not None:
        style.mention_others(ax, labels, heaviest)
        if truth is not None:
            ax.plot([], [], color="0.3", linestyle="--", linewidth=0.9, label="true value")
        style.legend(ax)
    ax.set(xlabel="iteration", ylabel=what)


def _draw_climb(ax: Axes, trace: Trace) -> None:
    likelihood = np.asarray(trace.log_likelihood, float)
    posterior = np.asarray(trace.log_posterior, float)
    ax.plot(likelihood, color="0.2", label="log-likelihood")
    if not np.array_equal(likelihood, posterior):
        ax.plot(posterior, color="0.2", linestyle="--", label="log-posterior")
        style.legend(ax)
    ax.set_xlabel("iteration")
    style.log_likelihood_axis(ax)
