"""What a fit is given: columns of a table, what is done about their missing cells, and what it is
to leave."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jaxem.analysis.patterns import Patterns, patterns_of
from jaxem.cli import beside, missing_cells, report
from jaxem.cli.cells import values
from jaxem.cli.column_types import Levels
from jaxem.cli.columns import Columns, choose, families_of
from jaxem.cli.options import ColumnOptions
from jaxem.cli.tables import Table
from jaxem.core.contracts import Family
from jaxem.families import Gaussian

_AS_IF = ", as if chance had made the holes"


class FitInput(NamedTuple):
    """What is fitted.

    about: what it is called. names, levels: of the columns, and of their categories. x: the rows,
    as the families take them: a family for each covariance structure. notes: further facts for the
    model file. remarks: what is to be said before it is fitted. n_covariates: how many of the
    columns, the last ones, the weights depend on.
    """

    about: str
    names: tuple[str, ...]
    x: Any
    levels: Levels
    families: Sequence[Family] = ()
    notes: Mapping[str, Any] = MappingProxyType({})
    remarks: Sequence[str] = ()
    n_covariates: int = 0


class Wanted(NamedTuple):
    """What a fit is to leave beside its printout.

    model, reports: files; standard_errors: by which method; command: the words that asked for it.
    """

    model: Path | None = None
    reports: Sequence[Path] = ()
    standard_errors: str | None = None
    command: Sequence[str] = ()


class _Settled(NamedTuple):
    """These columns of these rows.

    holed: the columns that have missing cells still. remarks: what was done about them; note: the
    short form of it, for a model's file, "" where none was missing.
    """

    table: pa.Table
    columns: Columns
    holed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    note: str = ""


def of_table(
    file: Path,
    table: Table,
    options: ColumnOptions,
    family: str,
    response: str | None = None,
    missing: str = "steps",
    concomitants: str | None = None,
) -> FitInput:
    """The columns that are asked for, and about their missing cells what --missing asks for.

    missing: "fit", "drop" or "error", or "steps" where the rows are those of sequences: no step is
    left out, which would close the gap. concomitants: the columns that the weights depend on.
    """

    def choosing(table: pa.Table, holes: bool = False) -> Columns:
        of_the_others = partial(
            choose, wanted=options.columns, family=family, assigned=options.column_family,
            response=response, holes=holes,
        )  # fmt: skip
        return beside.chosen(table, options, of_the_others, concomitants)

    settled = _settle(table.columns, choosing, missing, options.covariance)
    columns = settled.columns
    families = families_of(columns, options, settled.holed)
    x = values(settled.table, columns, families[0], gaps=missing == "steps")
    remarks = [*table.remarks, *columns.remarks, *settled.remarks]
    if not isinstance(families[0], Gaussian):
        remarks.append(report.families(columns))
    notes = {"missing": settled.note} if settled.note else {}
    if columns.covariates:
        notes["concomitants"] = ", ".join(columns.covariates)
    about, levels = str(file), columns.levels
    n = len(columns.covariates)
    return FitInput(about, columns.names, x, levels, families, notes, remarks, n)


def _settle(
    table: pa.Table, choosing: Callable[..., Columns], how: str, covariances: Sequence[str]
) -> _Settled:
    columns = choosing(table, holes=how != "error")
    names = columns.complete if how in ("drop", "error") else columns.fitted
    missing = missing_cells.marks(table, names)
    if not missing.any():
        return _Settled(table, columns)
    patterns = patterns_of(missing, names)
    if how == "error":
        raise ValueError(
            f"has {missing_cells.counted(patterns)}; --missing fit uses what the rows have, "
            "--missing drop leaves those rows out, and jaxem impute fills them"
        )
    missing_cells.check_observed(patterns)
    if how == "drop":
        return _dropped(table, choosing, missing)
    some = ~missing.all(axis=1)
    holed = tuple(np.array(names)[missing[some].any(axis=0)])
    remarks = _remark(patterns, how), *missing_cells.apart(patterns, columns, covariances)
    note = f"{missing.sum()}, in {report.several(patterns.n_incomplete, 'row')}"
    kept = table if how == "steps" else table.filter(pa.array(some))
    return _Settled(kept, columns, holed, remarks, note)


def _remark(patterns: Patterns, how: str) -> str:
    remark = f"has {missing_cells.counted(patterns)}"
    if patterns.n_incomplete > patterns.n_empty:
        remark += (
            f": each step is seen by what it has{_AS_IF}"
            if how == "steps"
            else f": each row is fitted by what it has{_AS_IF}; --missing drop leaves rows with "
            "holes out, --missing error refuses"
        )
    if patterns.n_empty:
        done = ": not observed" if how == "steps" else " left out of the fit"
        remark += f"; {missing_cells.wholly(patterns)}{done}"
    return remark


def _dropped(table: pa.Table, choosing: Callable[..., Columns], missing: np.ndarray) -> _Settled:
    holed = np.asarray(missing.any(axis=1))
    n, total = int(holed.sum()), report.several(len(holed), "row")
    if holed.all():
        raise ValueError(
            f"has a hole in every one of {total}: --missing drop leaves none; "
            "give --missing fit, or fewer --columns"
        )
    kept = table.filter(pa.array(~holed))
    remark = (
        f"{n} of {total} have missing cells and are left out; --missing fit uses what they have"
    )
    note = f"left out, with {report.several(n, 'row')}"
    return _Settled(kept, choosing(kept), (), (remark,), note)
