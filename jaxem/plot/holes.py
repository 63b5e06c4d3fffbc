"""Which cells of a table are missing together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from jaxem.analysis import patterns
from jaxem.core import checks
from jaxem.plot import style

_THERE, _GONE, _REST, _ROWS = "#DCE9F3", style.PALETTE[3], "0.9", "0.55"  # colours
_MOST_LEVEL, _MOST_TOLD, _MOST_LARGE = 6, 16, 40  # columns: names lie level; numbers; small names
_BESIDE = 0.4  # room for bars and numbers, as a share of what the cells have
_GAP = 0.02


def missing_patterns(
    x: Any, *, names: Sequence[str] | None = None, most: Any = 15, ax: Axes | None = None
) -> Axes:
    """The patterns of missing cells: a row for each, the most frequent above, a column for each.

    A cell is dark where the pattern lacks the column. At the right how many rows have the pattern;
    above how many cells of each column are missing.
    x: a table (n, d), a frame, or a dict of them; NaN is missing. names: of the columns.
    most: patterns that are drawn; the others are counted together, in a last, grey row.
    Errors: ValueError for what is no table, and for names of another number.
    """
    most = checks.whole(most, "most", least=1)
    found = patterns.missing_patterns(x, names)
    ax = style.axes(ax)
    shown, rows = found.missing[:most].astype(int), found.rows[:most]
    words = ["" if row.any() else "complete" for row in shown]
    others = found.rows[most:]
    if len(others):
        shown = np.concatenate([shown, np.full((1, shown.shape[1]), 2)])
        words.append(f"{len(others)} other{'s' if len(others) > 1 else ''}")
    p, d = shown.shape
    _draw_cells(ax, shown)
    _draw_columns(ax, found.cells, found.n_rows, p)
    _draw_rows(ax, rows, int(others.sum()), found.n_rows, d)
    told = (
        f"{found.cells.sum():,} of {d * found.n_rows:,}\ncells missing,\n"
        f"in {found.n_incomplete:,} of {found.n_rows:,} rows"
    )
    ax.text(d - 0.5 + _GAP * d, -0.5 - _GAP * p, told, va="bottom", color=_GONE)
    ax.set(xlim=(-0.5, (1 + _BESIDE) * d - 0.5), ylim=(p - 0.5, -0.5 - _BESIDE * p))
    ax.set_yticks(range(p), words)
    _name_columns(ax, found.columns)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _draw_cells(ax: Axes, shown: np.ndarray) -> None:
    p, d = shown.shape
    edges = np.arange(d + 1) - 0.5, np.arange(p + 1) - 0.5
    look: dict[str, Any] = {"edgecolors": "white", "linewidth": 1.5 if d <= _MOST_LARGE else 0.4}
    colours = ListedColormap([_THERE, _GONE, _REST])
    ax.pcolormesh(*edges, shown, vmin=0, vmax=2, cmap=colours, **look)


def _name_columns(ax: Axes, columns: Sequence[str]) -> None:
    names = [style.printable(name) for name in columns]
    level = len(names) <= _MOST_LEVEL and max(map(len, names)) <= 10
    turn: dict[str, Any] = {} if level else {"rotation": 90}
    size = "medium" if len(names) <= _MOST_TOLD else "small" if len(names) <= _MOST_LARGE else 4
    ax.set_xticks(range(len(names)), names, fontsize=size, **turn)


def _draw_columns(ax: Axes, cells: np.ndarray, n: int, p: int) -> None:
    """Above the columns how many of their cells are missing."""
    told = len(cells) <= _MOST_TOLD
    base, room = -0.5 - _GAP * p, (0.5 if told else 0.9) * _BESIDE * p
    heights = room * cells / max(1, int(cells.max()))
    ax.bar(np.arange(len(cells)), -heights, 0.7, base, color=_GONE)
    for j in np.flatnonzero(cells) if told else ():
        text = f"{cells[j]:,}\n{_percent(cells[j], n)}"
        ax.annotate(text, (j, base - heights[j]), (0, 2), textcoords="offset points", ha="center",
                    va="bottom", fontsize="small")  # fmt: skip


def _draw_rows(ax: Axes, rows: np.ndarray, others: int, n: int, d: int) -> None:
    """Beside the patterns how many rows have them; the others have no bar, but a number."""
    base = (1 + _GAP) * d - 0.5
    widths = 0.4 * _BESIDE * d * rows / rows.max()  # numbers stand beside them
    ax.barh(np.arange(len(rows)), widths, 0.7, base, color=_ROWS)
    each = [*zip(rows, widths, strict=True), *([(others, 0.0)] if others else [])]
    for i, (count, width) in enumerate(each):
        text = f"{count:,} row{'s' if count > 1 else ''}, {_percent(count, n)}"
        ax.annotate(text, (base + width, i), (4, 0), textcoords="offset points", va="center",
                    fontsize="small")  # fmt: skip


def _percent(count: Any, n: int) -> str:
    share = 100 * count / n
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"
