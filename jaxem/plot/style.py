"""What all pictures share: axes, colours, marks, names and legends."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxem.core import tables
from jaxem.core.dataset import as_given
from jaxem.core.status import Status

# Okabe and Ito (2008), which colour-blind people tell apart; from the ninth on, matplotlib's tab20b
# in an order in which neighbours differ.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
    "#393b79", "#637939", "#8c6d31", "#843c39", "#7b4173", "#9c9ede", "#cedb9c", "#e7cb94",
    "#e7969c", "#de9ed6", "#5254a3", "#8ca252", "#bd9e39", "#ad494a", "#a55194", "#6b6ecf",
    "#b5cf6b", "#e7ba52", "#d6616b", "#ce6dbd",
)  # fmt: skip

# How a fit ended: marker and colour.
ENDINGS = {
    "converged": ("o", PALETTE[0]),
    "not converged": ("^", PALETTE[1]),
    "degenerate": ("X", PALETTE[3]),
    "not finite": ("s", PALETTE[7]),
    "given up": ("v", PALETTE[4]),
}
BEST: dict[str, Any] = {
    "marker": "*", "markersize": 15, "color": PALETTE[2], "markeredgecolor": "white",
    "linestyle": "none", "zorder": 5,
}  # fmt: skip


class Words(NamedTuple):
    """What a model's parts, their shares and its data are called; names: of each part."""

    part: str
    share: str
    row: str
    together: str
    others: str
    names: tuple[str, ...] | None = None

    def name(self, i: int) -> str:
        return f"{self.part} {i}" if self.names is None else printable(self.names[i])


COMPONENTS = Words("component", "weight", "row", "mixture {}", "lighter components")
STATES = Words("state", "share", "step", "{} of all states", "rarer states")


def words(model: Any) -> Words:
    """Those of the model, with the names that it has for its parts."""
    return (STATES if model.part == STATES.part else COMPONENTS)._replace(names=model.names)


_MOST_ENTRIES = 8
_MOST_LETTERS = 28


def axes(ax: Axes | None) -> Axes:
    """The axes given, or pyplot's current ones."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # here alone: pictures on given axes keep no global state

    return pyplot.gca()


def grid_of_axes(given: Any, shape: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    """The axes given, or those of a new figure, as an array of that shape."""
    if given is None:
        from matplotlib import pyplot

        figsize = (size[0] * shape[1], size[1] * shape[0])
        return pyplot.subplots(*shape, squeeze=False, figsize=figsize, layout="constrained")[1]
    array = np.asarray(given, object)
    if array.size != shape[0] * shape[1]:
        raise ValueError(
            f"axes has {array.size} axes; give {shape[0] * shape[1]}, in {shape[0]} rows of "
            f"{shape[1]}"
        )
    return array.reshape(shape)


NOISE = "0.45"  # its colour


def colour(component: int) -> str:
    """The colour of a component: the same in every picture."""
    return PALETTE[component % len(PALETTE)]


def colours(k: int, beside: int = 0) -> np.ndarray:
    """The colours of k components, red, green and blue, (k, 3), and after them of noise."""
    return np.array([to_rgb(colour(i)) for i in range(k)] + [to_rgb(NOISE)] * beside)


def ending(status: Any) -> str:
    """How a fit ended, in the words of ENDINGS."""
    status = Status(int(status))
    rare = {
        Status.DEGENERATE: "degenerate",
        Status.NONFINITE: "not finite",
        Status.GIVEN_UP: "given up",
        Status.CONSTRAINED: "converged",
    }
    return rare.get(status, "converged" if status.converged else "not converged")


def column_names(names: Sequence[str] | None, x: Any, d: int) -> list[str]:
    """The names given, or those of the frame x, or numbers; short, and free of mathematics."""
    names = tables.column_names(as_given(x)) if names is None else names
    if names is None:
        names = ["x"] if d == 1 else [f"column {j}" for j in range(d)]
    if len(names) != d:
        raise ValueError(f"names has {len(names)} names, the parameters {d} columns; give {d}")
    return [printable(str(name)) for name in names]


def printable(name: str) -> str:
    """A name as a label: where it is long without its middle; a dollar is a dollar."""
    head = 2 * _MOST_LETTERS // 3
    tail = _MOST_LETTERS - head - 1
    short = name if len(name) <= _MOST_LETTERS else f"{name[:head]}…{name[-tail:]}"
    return short.replace("$", r"\$")


def live(weights: np.ndarray) -> list[int]:
    """The components that are there."""
    return np.flatnonzero(weights > 0).tolist()


def component_labels(
    weights: np.ndarray, singular: np.ndarray, words: Words = COMPONENTS
) -> list[str]:
    """A legend entry for each component, with its weight."""
    flat = [", singular" if own else "" for own in singular]
    notes = [f"{words.share} {w:.2g}{own}" for w, own in zip(weights, flat, strict=True)]
    return part_labels(weights, notes, words)


def part_labels(weights: np.ndarray, notes: Sequence[str], words: Words) -> list[str]:
    """A legend entry for each part; where they are more than 8, for the 7 heaviest alone."""
    n_live = len(live(weights))
    most = _MOST_ENTRIES if n_live <= _MOST_ENTRIES else _MOST_ENTRIES - 1
    listed = set(np.argsort(-weights, kind="stable")[:most])
    return [
        f"{words.name(i)} ({note})" if i in listed and w > 0 else ""
        for i, (w, note) in enumerate(zip(weights, notes, strict=True))
    ]


def mention_others(
    ax: Axes, labels: list[str], weights: np.ndarray, words: Words = COMPONENTS
) -> None:
    """A legend entry for the components that have none."""
    others = len(live(weights)) - sum(label != "" for label in labels)
    if others:
        ax.plot([], [], linestyle="none", label=f"and {others} {words.others}")


def legend(ax: Axes, **options: Any) -> None:
    """A small legend inside the axes, which lets the picture through and moves no axes."""
    box = ax.legend(**{"loc": "best", "fontsize": "small", "framealpha": 0.8, **options})
    box.set_in_layout(False)


def share_legend(
    figure: Figure, axes: Sequence[Axes], states: Sequence[str] = (), n_columns: int = 4
) -> None:
    """One legend under the panels, in place of one in each; a state as the last of them has it.

    states: what they are called.
    """
    found, told = entries(axes), set()
    for text in list(found):
        name = text.partition(" (")[0]
        if name in told and name in states:
            del found[text]
        told.add(name)
    for ax in axes:
        box = ax.get_legend()
        if box is not None:
            box.remove()
    if not found:
        return
    place = {"loc": "outside lower center", "ncols": n_columns}
    figure.legend(list(found.values()), list(found), fontsize="small", **place)


def entries(axes: Iterable[Axes]) -> dict[str, Any]:
    """The legend entries of several axes, each label once: label -> artist."""
    found: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True)) | found
    return found


def log_likelihood_axis(ax: Axes) -> None:
    """Plain numbers, over one log unit at least: less is no difference between fits."""
    ax.set_ylabel("log-likelihood")
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    low, high = ax.get_ylim()
    if high - low < 1:
        ax.set_ylim((low + high - 1) / 2, (low + high + 1) / 2)


def note_rows(ax: Axes, drawn: int, n: int, n_known: int | None = None, more: str = "") -> None:
    """Say so, where rows are left out: of a long table, or those without a density; and `more`."""
    notes = [more, left_out(drawn, n, "rows")]
    if n_known is not None and n_known < drawn:
        notes.append(f"{drawn - n_known:,} rows have no density")
    note(ax, notes)


def left_out(drawn: int, n: int, what: str) -> str:
    """What is to be said where not all are drawn."""
    return f"{drawn:,} of {n:,} {what}, taken at random" if drawn < n else ""


def note(ax: Axes, notes: Iterable[str]) -> None:
    """The notes that say something, in small letters over the picture."""
    said = [text for text in notes if text]
    if said:
        ax.set_title("; ".join(said), fontsize="small")
