"""Many fits in one picture: all starts of one model, and all models of a selection."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from jaxem.analysis.select import Selection
from jaxem.core.contracts import Model
from jaxem.families import Product
from jaxem.fitting.optima import regular
from jaxem.fitting.restarts import Restarts
from jaxem.fitting.result import Result
from jaxem.models import HMM
from jaxem.plot import style

_APART = 0.06  # of the height of the picture
_FEW = 8  # kinds of models whose names fit among the curves


def starts(result: Result, ax: Axes | None = None) -> Axes:
    """The log-likelihood of every start, in falling order; how it ended is its marker.

    The winner, a star, is the best regular start. Dotted lines are the best optima, with how many
    starts came to each and the number of the first. A start without a finite log-likelihood stands
    below all others; a degenerate one may be far above all regular ones, and out of the picture.
    """
    check_single(result)
    ax = style.axes(ax)
    restarts = result.restarts
    heights = np.asarray(restarts.log_likelihood, float)
    finite = np.isfinite(heights)
    heights = np.where(finite, heights, _below(heights[finite]))
    order = np.argsort(-heights, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(1, len(order) + 1)
    endings = np.array([style.ending(status) for status in np.asarray(restarts.status)])
    for name, (marker, colour) in style.ENDINGS.items():
        own = endings == name
        if own.any():
            ax.plot(rank[own], heights[own], marker=marker, color=colour, markersize=5,
                    linestyle="none", label=f"{own.sum()} {name}")  # fmt: skip
    best = int(restarts.best)
    if finite[best]:
        near = int(restarts.n_best)
        found = f"{near} at the same optimum" if near else str(endings[best])
        label = f"best, start {best}; {found}"
        ax.plot(rank[best], heights[best], label=label, **style.BEST)
    ax.margins(y=0.08)
    _look_at_the_regular_starts(ax, restarts, heights)
    _levels(ax, restarts, rank)
    if not finite.all():
        label = f"lowest: {np.sum(~finite)} without a finite value"
        ax.plot([], [], linestyle="none", label=label)
    n, margin = len(order), 0.5 + 0.03 * len(order)
    ax.set(xlabel=f"{n} start{'s' if n > 1 else ''}, in order", xlim=(1 - margin, n + margin))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.log_likelihood_axis(ax)
    if not finite.any():
        ax.set_yticks([])
    style.legend(ax)
    return ax


def _levels(ax: Axes, restarts: Restarts, rank: np.ndarray) -> None:
    """The best optima, as far as their names stand apart, over the starts that came to them."""
    optima = restarts.optima
    low, high = ax.get_ylim()
    last = np.inf
    for value, count, first in zip(optima.log_likelihood, optima.count, optima.first, strict=True):
        if last - value > _APART * (high - low):
            ax.axhline(value, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
            late = rank[first] > 0.6 * len(rank)
            ax.annotate(f"{count}, first start {first}", (rank[first], value),
                        (-6 if late else 6, 5), textcoords="offset points", fontsize="x-small",
                        color="0.35", ha="right" if late else "left")  # fmt: skip
            last = value


def _look_at_the_regular_starts(ax: Axes, restarts: Restarts, heights: np.ndarray) -> None:
    """What is far above all that is regular runs out of the picture."""
    own = regular(restarts)
    if own.any():
        low, high = np.min(heights), np.max(heights[own])
        margin = max(0.08 * (high - low), 1e-9 * abs(high))
        if np.max(heights) > high + 4 * margin:
            ax.set_ylim(low - margin, high + margin)
            above = int(np.sum(heights > high + margin))
            told = f"{above} start{'s' if above > 1 else ''} that collapsed lie above"
            ax.set_title(told, fontsize="small")


def criterion(selection: Selection, ax: Axes | None = None) -> Axes:
    """The selection's criterion against k, a line for each kind of model; lower is better.

    The best is a star. Candidates that did not converge, that are degenerate (whatever their
    criterion, they never win) or not finite have their own markers. The axis shows the better
    part of the regular candidates; what is far off runs out of it.
    """
    ax = style.axes(ax)
    kinds: dict[Model, list] = {}
    for candidate in selection.candidates:
        kinds.setdefault(candidate.model.with_n_components(1), []).append(candidate)
    for i, (kind, members) in enumerate(kinds.items()):
        members = sorted(members, key=lambda candidate: candidate.model.n_components)
        k = [candidate.model.n_components for candidate in members]
        values = [getattr(candidate, selection.criterion) for candidate in members]
        label = _kind_name(kind, kinds) if len(kinds) > 1 else selection.criterion.upper()
        ax.plot(k, values, ".-", color=style.colour(i), label=label)
    _mark_endings(ax, selection)
    best = selection.candidates[selection.index]
    value = getattr(best, selection.criterion)
    if np.isfinite(value):
        which = f"{_kind_name(best.model, kinds)}, " if len(kinds) > 1 else ""
        label = f"best, {which}k = {best.model.n_components}"
        ax.plot(best.model.n_components, value, label=label, **style.BEST)
    _look_at_the_regular(ax, selection)
    name = selection.criterion.upper()
    parts = {"states" if isinstance(kind, HMM) else "components" for kind in kinds}
    ax.set(xlabel=f"number of {' or '.join(sorted(parts))} k", ylabel=f"{name} (lower is better)")
    if len(kinds) <= _FEW:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        style.legend(ax)
        return ax
    left, right = ax.get_xlim()  # a long legend stands beside the curves
    ax.set_xticks(sorted({candidate.model.n_components for candidate in selection.candidates}))
    ax.set_xlim(left, right + 0.75 * (right - left))
    style.legend(ax, loc="center right")
    return ax


def _look_at_the_regular(ax: Axes, selection: Selection) -> None:
    regular = [
        getattr(candidate, selection.criterion)
        for candidate in selection.candidates
        if style.ending(candidate.status) in ("converged", "not converged")
    ]
    regular = [value for value in regular if np.isfinite(value)]
    if len(set(regular)) > 1:
        low, high = min(regular), max(float(np.quantile(regular, 0.6)), sorted(regular)[1])
        margin = 0.08 * (high - low)
        ax.set_ylim(low - margin, high + margin)


def check_single(result: Result) -> None:
    """ValueError for many fits in one result, as vmap returns them."""
    if np.ndim(result.status):
        raise ValueError(
            f"result holds {np.shape(result.status)} fits; draw one of them, "
            "jax.tree.map(lambda leaf: leaf[0], result)"
        )


def _below(heights: np.ndarray) -> float:
    """Under all heights."""
    if not len(heights):
        return 0.0
    low, high = float(heights.min()), float(heights.max())
    return low - 0.15 * max(high - low, 1.0)


def _mark_endings(ax: Axes, selection: Selection) -> None:
    for name, (marker, colour) in style.ENDINGS.items():
        own = [c for c in selection.candidates if style.ending(c.status) == name]
        if name == "converged" or not own:
            continue
        k = [candidate.model.n_components for candidate in own]
        values = [getattr(candidate, selection.criterion) for candidate in own]
        ax.plot(k, values, label=name, marker=marker, color=colour, markersize=8,
                linestyle="none", fillstyle="none", markeredgewidth=1.5)  # fmt: skip


def _family_name(family: Any, families: list) -> str:
    """Of a product the blocks alone that tell it from the others."""
    if not all(isinstance(own, Product) for own in families):
        return repr(family)
    blocks = [dict(own.blocks) for own in families]
    if len({tuple(own) for own in blocks}) > 1:
        return repr(family)
    each = dict(family.blocks)
    return ", ".join(repr(each[name]) for name in each if len({own[name] for own in blocks}) > 1)


def _kind_name(model: Any, kinds: Iterable[Any]) -> str:
    """The family, and what else tells the kinds apart: the type of model, the chain."""
    several = len({type(kind) for kind in kinds}) > 1
    family = _family_name(model.family, [kind.family for kind in kinds])
    name = f"{type(model).__name__} of {family}" if several else family
    chains = {(kind.initial, kind.transitions) for kind in kinds if isinstance(kind, HMM)}
    if isinstance(model, HMM) and len(chains) > 1:
        kind = model.with_n_components(1)
        name += f", {kind.initial}, {kind.transitions}"
    return name
