"""What is said of a table when its holes are filled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxem.cli import column_types, report
from jaxem.cli.columns import listed
from jaxem.cli.filled_columns import FilledColumn

_BY_MEANS = (
    "Each hole has the mean of what may stand there, or the most probable category: a best guess, "
    "but columns of them vary too little; those of --draws 5 do not."
)
_BY_DRAWS = (
    "The draws take the parameters as known; how uncertain those are is left out, so that "
    "standard errors from these tables are somewhat too small."
)


def show(
    out: Console,
    file: Path,
    output: Path | None,
    columns: Sequence[FilledColumn],
    model: Any,
    draws: int | None,
) -> None:
    """Column by column what was there and what came into the holes, and what that leaves out."""
    if columns:
        _columns(out, columns, draws)
    written(out, file, output, n_filled(columns), model, draws)


def n_filled(columns: Sequence[FilledColumn]) -> np.ndarray:
    """Cells that are filled, and the rows that they are in."""
    if not columns:
        return np.zeros(2, int)
    missing = np.stack([column.missing for column in columns])
    return np.array([missing.sum(), missing.any(axis=0).sum()])


def written(
    out: Console, file: Path, output: Path | None, n: np.ndarray, model: Any, draws: int | None
) -> None:
    """n: cells and rows, of `n_filled`."""
    where = "the standard output" if output is None else str(output)
    cells, rows = report.several(int(n[0]), "cell"), report.several(int(n[1]), "row")
    if n[0]:
        report.say(out, _BY_MEANS if draws is None else _BY_DRAWS)
    by = f", by {report.kind(model)}" if n[0] else ""
    each = f"{report.several(draws, 'table')}, " if draws else ""
    report.say(out, f"{file}: {cells} filled in {rows}{by}; {each}written to {where}")


def impossible(columns: Sequence[FilledColumn]) -> list[str]:
    """What is to be said of fills that no cell of their column is like."""
    numbers = [column for column in columns if not column.levels]
    whole = [column for column in numbers if column_types.is_whole(column.cells)]
    positive = [column for column in numbers if column_types.least(column.cells) >= 0]
    broken = {column.name: int(np.sum(column.fills != np.rint(column.fills))) for column in whole}
    below = {column.name: int(np.sum(column.fills < 0)) for column in positive}
    said = []
    for what, counts, remedy in (
        ("fractions in columns of whole numbers", broken,
         "--family auto, which is the default, fills whole numbers"),
        ("numbers below 0 in columns that have none", below,
         "--column-family COLUMN=gamma, or poisson for counts, fills none"),
    ):  # fmt: skip
        where = [f"{name} ({n})" for name, n in counts.items() if n]
        said += [f"fills {what}: {listed(where)}; {remedy}"] if where else []
    return said


def _columns(out: Console, columns: Sequence[FilledColumn], draws: int | None) -> None:
    spread = ["sd between\nthe draws"] if draws and draws > 1 else []
    table = report.table(
        "column", "cells\nfilled", "observed:\nmean (sd)", "filled:\nmean (sd)", *spread
    )
    for column in columns:
        if column.levels:
            codes = column_types.codes(column.cells, column.levels, column.name, "missing")
            told = [_commonest(part, column.levels) for part in (codes, column.fills)]
        else:
            told = [_moments(part) for part in (column_types.numbers(column.cells), column.fills)]
        if spread:
            between = np.sqrt(np.mean(np.var(column.fills, axis=0, ddof=1)))
            told.append("" if column.levels else f"{between:.4g}")
        table.add_row(column.name, str(column.fills.shape[1]), *told)
    out.print(table, "")


def _moments(values: np.ndarray) -> str:
    values = values[~np.isnan(values)]
    if not values.size:
        return "-"
    spread = f"{np.std(values, ddof=1):.4g}" if values.size > 1 else "-"
    return f"{np.mean(values):.4g} ({spread})"


def _commonest(codes: np.ndarray, levels: Sequence[str]) -> str:
    codes = codes[~np.isnan(codes)].astype(int)
    if not codes.size:
        return "-"
    counts = np.bincount(codes.ravel(), minlength=len(levels))
    return f"{levels[int(counts.argmax())]} ({100 * counts.max() / codes.size:.0f} %)"
