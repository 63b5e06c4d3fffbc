"""What `jaxem impute` can fill: the holes of a table, by a model or by a family to be fitted."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from jaxem import families, io
from jaxem.analysis.patterns import Patterns, patterns_of
from jaxem.cli import beside, column_types, missing_cells, report, sequence_order
from jaxem.cli.cells import matching, matching_names, values
from jaxem.cli.column_types import AUTO, GAUSSIAN, Levels
from jaxem.cli.columns import Columns, choose, families_of, listed
from jaxem.cli.command import read_model
from jaxem.cli.errors import as_bad_input
from jaxem.cli.filled_columns import whole_by_family
from jaxem.cli.options import ColumnOptions, SequenceOptions
from jaxem.cli.sequence_order import Series
from jaxem.cli.tables import is_numeric
from jaxem.core import emissions
from jaxem.core.capabilities import holes
from jaxem.core.contracts import Family
from jaxem.families.gaussian.structures import STRUCTURES
from jaxem.families.generalized_regression import GeneralizedRegression
from jaxem.families.independent_columns import IndependentColumns
from jaxem.models import HMM

_WHOLE_ROWS = (
    families.Multinomial, families.StudentT, families.LinearRegression, GeneralizedRegression,
)  # fmt: skip


class Task(NamedTuple):
    """What is to be filled.

    names, levels: the columns of the model, and x their values, as it takes them. missing: which of
    them are not there, (n, d). whole: which are filled by whole numbers, whatever their family.
    families: those to fit, none where a model is given. remarks: what is to be said of them.
    steps: where the rows are those of sequences.
    """

    names: Sequence[str]
    levels: Levels
    x: Any
    missing: np.ndarray
    whole: Sequence[bool]
    families: Sequence[Family] = ()
    remarks: Sequence[str] = ()
    steps: Series | None = None

    @property
    def patterns(self) -> Patterns:
        return patterns_of(self.missing, self.names)

    @property
    def some(self) -> Any:
        """The values in the rows that have any: the others say nothing to a fit."""
        rows = ~self.missing.all(axis=1)
        return jax.tree.map(lambda leaf: leaf[rows], self.x)


def filling_model(path: Path) -> io.Saved:
    """A model that says of each of its columns what may stand in it; BadInput for others."""
    saved = read_model(path)
    model: Any = saved.model
    with as_bad_input(path):
        _check_fills(model.family)
    return saved


def _check_fills(family: Family) -> None:
    parts = [of for _, of in family.blocks] if isinstance(family, families.Product) else [family]
    for of in parts:
        if isinstance(of, _WHOLE_ROWS):
            raise ValueError(f"{of!r} takes whole rows alone: jaxem impute cannot fill by it")
        if isinstance(of, IndependentColumns):
            of.check_imputable()


def is_chain(saved: io.Saved | None) -> bool:
    return saved is not None and isinstance(saved.model, HMM)


def of_model(saved: io.Saved, table: pa.Table, unseen: str, options: SequenceOptions) -> Task:
    """The columns of a model, wherever they are in a table."""
    steps = sequence_order.as_fitted(table, saved.notes, options) if is_chain(saved) else None
    model: Any = saved.model
    like, family = emissions.like_x(model, saved.params), holes.with_holes(model.family)
    p = model.n_covariates
    names = matching_names(table, (like, jax.ShapeDtypeStruct((1, p), float)), saved.columns)
    x = matching(table, family, like, names, saved.levels, unseen, n_covariates=p)
    names = names[: len(names) - p]  # of which holes may be filled
    marks = missing_cells.marks(table, names)
    whole = whole_by_family(family, x[0] if p else x)
    remarks = () if steps is None else steps.remarks
    return Task(names, saved.levels, x, marks, whole, remarks=remarks, steps=steps)


def of_table(table: pa.Table, family: str, options: ColumnOptions) -> Task:
    """Columns of a table that are to be fitted; each must have a value somewhere."""
    covariances = options.covariance
    of_the_others = partial(
        choose, wanted=options.columns, family=family, assigned=options.column_family, holes=True,
        guess=column_types.guess_to_fill,
    )  # fmt: skip
    chosen = beside.chosen(table, options, of_the_others)
    gone = missing_cells.marks(table, chosen.names)
    patterns = patterns_of(gone, chosen.names)
    missing_cells.check_observed(patterns)
    holed = [name for name, of in zip(chosen.names, gone.T, strict=True) if of.any()]
    candidates = families_of(chosen, options, holed)
    _check_fills(candidates[0])
    x = values(table, chosen, candidates[0])
    remarks = chosen.remarks
    remarks += [] if isinstance(candidates[0], families.Gaussian) else [report.families(chosen)]
    remarks += missing_cells.apart(patterns, chosen, covariances)
    remarks += _weakened(chosen, covariances)
    whole = whole_by_family(candidates[0], x)
    if family == AUTO:
        pairs = zip(whole, chosen.names, strict=True)
        whole = [own or _is_whole(table[name]) for own, name in pairs]
    return Task(chosen.names, chosen.levels, x, gone, whole, candidates, remarks)


def _is_whole(column: pa.ChunkedArray) -> bool:
    return is_numeric(column.type) and column_types.is_whole(column)


def _weakened(chosen: Columns, covariances: Sequence[str]) -> list[str]:
    """What is to be said of columns that know of each other by their component alone."""
    names, normal = chosen.names, chosen.by_kind.get(GAUSSIAN, ())
    together = len(normal) > 1 and all(STRUCTURES[name].matrices for name in covariances)
    alone = [name for name in names if not (together and name in normal)]
    if len(names) < 2 or not alone:
        return []
    rest = f", and of {', '.join(normal)} together" if together else ""
    return [
        f"within a component, columns are independent of each other: {listed(alone)}{rest}; what "
        "is between them is told by the components alone, and weakened in what is filled where "
        "these are few: --components 20 tells more of it, and --family gaussian takes numbers "
        "together"
    ]
