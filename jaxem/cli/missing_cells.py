"""Missing cells: which they are, and how they are told."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from rich.console import Console

from jaxem.analysis.patterns import Patterns
from jaxem.cli import column_types, report
from jaxem.cli.column_types import GAUSSIAN
from jaxem.cli.columns import Columns, listed
from jaxem.families.gaussian.structures import STRUCTURES

_MOST_LINES, _MOST_PAIRS = 12, 5  # that are printed


def marks(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Which cells of these columns are missing, (n, d) bool."""
    return np.stack([column_types.missing(table[name]) for name in names], axis=1)


def check_observed(patterns: Patterns) -> None:
    """ValueError for a column without a single value."""
    pairs = zip(patterns.columns, patterns.cells, strict=True)
    never = [name for name, cells in pairs if cells == patterns.n_rows]
    if never:
        rest = [name for name in patterns.columns if name not in never]
        others = ",".join(rest) if 0 < len(rest) <= 8 else "and the names of those that have some"
        raise ValueError(
            f"has not a single value in the columns {listed(never)}, so that nothing is known of "
            f"them; give --columns {others}"
        )


def counted(patterns: Patterns) -> str:
    """How many cells are missing, and where."""
    where = [f"{name} ({n})" for name, n in zip(patterns.columns, patterns.cells, strict=True) if n]
    return (
        f"{report.several(int(patterns.cells.sum()), 'missing cell')} in {patterns.n_incomplete} "
        f"of {report.several(patterns.n_rows, 'row')}, in columns: {listed(where)}"
    )


def of_others(table: pa.Table, names: Sequence[str]) -> Counter:
    """How many cells are missing in the other columns."""
    others = [name for name in table.column_names if name and name not in names]
    return Counter({name: int(column_types.missing(table[name]).sum()) for name in others})


def outside(counts: Counter, more: str = "") -> list[str]:
    """What is to be said of cells that are missing in columns that no model fills."""
    where = [f"{name} ({n})" for name, n in counts.items() if n]
    if not where:
        return []
    return [f"cells stay missing in columns that are not in the model: {listed(where)}{more}"]


def unfilled(counts: Counter) -> list[str]:
    """What is to be said of holes that stay, by column."""
    names = [f"{name} ({n})" for name, n in counts.items() if n]
    if not names:
        return []
    return [
        f"holes stay in the columns {listed(names)}: no row like theirs has these columns, so that "
        "nothing tells what may stand there; fill them by a --model of other rows, or leave them"
    ]


def wholly(patterns: Patterns) -> str:
    """How many rows have nothing."""
    return f"{report.several(patterns.n_empty, 'row')} without any value"


def apart(patterns: Patterns, columns: Columns, covariances: Sequence[str]) -> list[str]:
    """What is to be said of columns whose covariance is asked for, but that no row has both of."""
    normal = set(columns.by_kind.get(GAUSSIAN, ()))
    if columns.response is not None or not any(STRUCTURES[name].matrices for name in covariances):
        return []
    pairs = [f"{a} and {b}" for a, b in patterns.never_together if {a, b} <= normal]
    if not pairs:
        return []
    more = f", and {len(pairs) - _MOST_PAIRS} more pairs" if len(pairs) > _MOST_PAIRS else ""
    return [
        f"has columns that no row has both of: {', '.join(pairs[:_MOST_PAIRS])}{more}; their "
        "covariance is not identified, and stays what the starts made of it"
    ]


def show(out: Console, about: str, patterns: Patterns) -> None:
    """The patterns of missing cells, the most frequent first, and how often each is there."""
    total, n = int(patterns.cells.sum()), patterns.n_rows
    cells = n * len(patterns.columns)
    report.say(
        out,
        f"{about}: {report.rows_of(n, patterns.columns)}; {total} of {cells} cells "
        f"({_share(total, cells)}) are missing, in "
        f"{report.several(patterns.n_incomplete, 'row')}\n",
    )
    counts = [int(count) for count in patterns.rows]
    names = [_pattern(own, patterns.columns) for own in patterns.missing]
    if len(counts) > _MOST_LINES:
        names[_MOST_LINES:] = [f"and {report.several(len(counts) - _MOST_LINES, 'other pattern')}"]
        counts[_MOST_LINES:] = [sum(counts[_MOST_LINES:])]
    table = report.table("missing", "rows", "share")
    for name, count in zip(names, counts, strict=True):
        table.add_row(name, str(count), _share(count, n))
    out.print(table, "")


def _pattern(missing: np.ndarray, columns: Sequence[str]) -> str:
    if not missing.any():
        return "(none)"
    if missing.all():
        return "(all)"
    return listed([name for name, gone in zip(columns, missing, strict=True) if gone])


def _share(n: int, total: int) -> str:
    return f"{100 * n / total:.1f} %"
