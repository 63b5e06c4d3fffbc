"""Hidden Markov models: a decoded series, and the transition matrix."""

from collections.abc import Sequence
from typing import Any

import jax
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxem.analysis.decode import viterbi
from jaxem.core import checks
from jaxem.core.contracts import Params
from jaxem.core.dataset import as_given
from jaxem.models import HMM, HMMParams
from jaxem.models.packing import Layout
from jaxem.models.transitions import mask
from jaxem.plot import columns, evaluate, style

_MOST_NUMBERS = 12  # states, for numbers in the cells of their matrix


def decoded(
    model: Any,
    params: Params,
    x: Any,
    *,
    column: int = 0,
    times: Any = None,
    sequence: int = 0,
    names: Sequence[str] | None = None,
    lengths: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """One column of a sequence over time, in the colours of the most likely path of states.

    argmax_z p(z, x), by `jaxem.viterbi`. Dashes are at the mean of the column in the path's state,
    for families that have one; a thin line leads along the points, and stops where a step was not
    observed. Of a long sequence 5000 steps are drawn, taken at random, and no line.

    column: counted over all numbers of a step, for (X, y) those of X first. times: of the steps,
    numbers or dates, in place of 0, 1, ... sequence: which one of a batch or list; lengths: of
    the sequences of a batch.
    Errors: ValueError for a model without a chain, and where the arguments disagree.
    """
    check_chain(model)
    ax = style.axes(ax)
    where = evaluate.laid(x, lengths)
    own = _sequence(where, as_given(x), sequence)
    params, table = evaluate.given(model, params, own)
    n, d = table.shape
    index = evaluate.column_index(column, d)
    label = style.column_names(names, own, d)[index]
    with evaluate.precision(params):
        path = np.asarray(viterbi(model, params, own)[0])
    at, drawn = _times(times, n), evaluate.some(n)
    values = table[:, index]
    if len(drawn) == n:
        ax.plot(at, values, color="0.75", linewidth=0.7, zorder=1)
    means = _means(model, params, index, d)
    _draw_states(ax, style.words(model), at, values, path, drawn, means)
    b = len(where.lengths)
    which = f"sequence {sequence % b} of {b}" if b > 1 else ""
    style.note(ax, [which, style.left_out(len(drawn), n, "steps")])
    ax.set(xlabel="step" if times is None else "time", ylabel=label)
    style.legend(ax)
    return ax


def transition_matrix(model: Any, params: Params, *, ax: Axes | None = None) -> Axes:
    """The transition matrix as a heat map, A[i, j] = P(z[t] = j | z[t-1] = i), rows adding up to 1.

    Probabilities stand in the cells, up to 12 states; a cell of a transition that the model rules
    out is blank.
    Errors: ValueError for a model without a chain, and when params are of another one.
    """
    check_chain(model)
    checks.fields(params, HMMParams, "params")
    ax, k = style.axes(ax), model.n_states
    matrix = np.asarray(params.transition, float)
    if matrix.shape != (k, k):
        raise ValueError(f"transition has shape {matrix.shape}, the model {k} states: give {k, k}")
    possible = mask(model.transitions, k)
    shades = matplotlib.colormaps["Blues"]
    image = ax.imshow(np.where(possible, matrix, np.nan), cmap=shades, vmin=0, vmax=1)
    ax.set(xlabel="to state", ylabel="from state")
    if k > _MOST_NUMBERS:
        ax.figure.colorbar(image, ax=ax, label="probability")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        return ax
    ax.set(xticks=range(k), yticks=range(k))
    if model.names is not None:
        called = list(map(style.printable, model.names))
        ax.set(xticklabels=called, yticklabels=called)
    size = float(np.interp(k, [4, _MOST_NUMBERS], [11, 6]))
    for i, j in np.argwhere(possible):
        p = float(matrix[i, j])
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
        ax.text(j, i, _printed(p), color=_ink(shades(p)), **look)
    return ax


def check_chain(model: Any) -> None:
    """ValueError for a model that is no HMM."""
    if not isinstance(model, HMM):
        raise ValueError(
            f"model is {model!r}; this picture is of an HMM: density and responsibilities are of "
            "mixtures"
        )


def _sequence(where: Layout, x: Any, index: Any) -> Any:
    """That sequence alone; ValueError where there is none."""
    n = len(where.lengths)
    if not isinstance(index, (int, np.integer)) or not -n <= index < n:
        raise ValueError(f"sequence is {index!r}; x has {n}: give a whole number from 0 to {n - 1}")
    if where.form == "one":
        return x
    if where.form == "list":
        return x[index]
    return jax.tree.map(lambda leaf: leaf[index, : where.lengths[index]], x)


def _times(times: Any, n: int) -> np.ndarray:
    if times is None:
        return np.arange(n)
    times = np.asarray(times)
    if times.shape != (n,):
        raise ValueError(f"times has shape {times.shape}, the sequence {n} steps: give ({n},)")
    return times


def _means(model: HMM, params: Params, index: int, d: int) -> np.ndarray | None:
    """Of the column in each state, (k,); None where its family has no such number."""
    if columns.kind(model.family, d) is None:
        return None
    even = np.full_like(params.initial, 1 / model.n_states)
    moments = columns.column(model.family, even, params.emissions, index, d).moments()
    return None if moments is None else moments[0]


def _draw_states(
    ax: Axes,
    words: style.Words,
    at: np.ndarray,
    values: np.ndarray,
    path: np.ndarray,
    drawn: np.ndarray,
    means: np.ndarray | None,
) -> None:
    """Points and dashes at the means, state by state; the legend counts all steps."""
    steps = np.bincount(path)
    labels = style.part_labels(steps, [f"{n:,} steps" for n in steps], words)
    for i in style.live(steps):
        own = drawn[path[drawn] == i]
        ax.plot(at[own], values[own], ".", color=style.colour(i), markersize=5, label=labels[i])
        if means is not None:
            level = np.full(len(own), means[i])
            ax.plot(at[own], level, "_", color=style.colour(i), markersize=6)
    style.mention_others(ax, labels, steps, words)
    if means is not None:
        ax.plot([], [], "_", color="0.3", markersize=6, label="mean in the state")


def _printed(p: float) -> str:
    """Two digits, in which only what is 0 or 1 reads as such."""
    if 0 < p < 0.005:
        return "<.01"
    if 0.995 <= p < 1:
        return ">.99"
    return f"{p:.2f}" if 0 < p < 1 else f"{p:g}"


def _ink(colour: Any) -> str:
    """Black or white, whichever is further from the colour in relative luminance."""
    light = [c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return "black" if np.dot([0.2126, 0.7152, 0.0722], light) > 0.18 else "white"
