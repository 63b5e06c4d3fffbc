"""Holes of files that do not fit into memory: looked at once, then filled some rows at a time."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from jaxem import io
from jaxem.analysis import filling, patterns
from jaxem.analysis.patterns import Patterns
from jaxem.cli import (
    impute_summary,
    missing_cells,
    outputs,
    report,
    sequence_order,
    shares,
    streamed_sequences,
    streaming,
)
from jaxem.cli.command import precision
from jaxem.cli.errors import DONE, BadInput, as_bad_input
from jaxem.cli.filled_columns import completed, filled_columns, filled_type
from jaxem.cli.impute_task import Task, is_chain, of_model
from jaxem.cli.options import ReadOptions, SequenceOptions, Share
from jaxem.cli.tables import Table
from jaxem.core.contracts import Params
from jaxem.fitting.identified import Open


class Given(NamedTuple):
    """Files, and how they are read. order: how rows are sequences, where the model is of those."""

    file: Path
    memory: int | None
    share: Share | None
    read: ReadOptions
    unseen: str
    order: SequenceOptions

    def parts(self, saved: io.Saved) -> Iterator[tuple[Path, Table]]:
        """All of them."""
        if not is_chain(saved):
            return streaming.parts(self.file, self.memory, self.read)
        return streamed_sequences.parts(self.file, self.memory, self.read, self._group_by(saved))

    def own_parts(self, saved: io.Saved) -> Iterator[tuple[Path, Table]]:
        """Those that are to be filled."""
        if self.share is None:
            return self.parts(saved)
        if not is_chain(saved):
            return shares.rows(self.file, self.share)
        return shares.sequences(self.file, self.share, self._group_by(saved))

    def _group_by(self, saved: io.Saved) -> str | None:
        return sequence_order.used(saved.notes, self.order).group_by


class Seen(NamedTuple):
    """What a look at all parts finds. others: missing cells in columns that the model lacks.

    schema: of the filled table; left_open: what no row like theirs has.
    """

    patterns: Patterns
    others: Counter
    schema: pa.Schema
    left_open: Open


def fill(given: Given, saved: io.Saved | None, output: Path | None) -> int:
    """Write the table, its holes filled by the model; return the exit status."""
    if saved is None:
        raise BadInput(
            f"{given.file}: is filled some rows at a time, by a model that is fitted: fit one by "
            "jaxem fit, which reads such files too, and give it by --model"
        )
    out = report.output() if output else report.errors()
    with precision(saved.dtype):
        seen = _look(given, saved)
        _tell(out, given.file, seen)
        left, n = Counter(), np.zeros(2, int)
        parts = _filled(given, saved, seen, left, n)
        first = next(parts, seen.schema.empty_table())  # of a share that has no rows
        outputs.write_parts(output, itertools.chain([first], parts))
    report.remark(given.file, missing_cells.unfilled(left))
    impute_summary.written(out, given.file, output, n, saved.model, None)
    return DONE


def _filled(
    given: Given, saved: io.Saved, seen: Seen, left: Counter, n: np.ndarray
) -> Iterator[pa.Table]:
    """The parts; `left` and `n` count the holes that stay, and what is filled."""
    for own, table in given.own_parts(saved):
        with as_bad_input(own):
            task = of_model(saved, table.columns, given.unseen, given.order)
            left.update(dict(zip(task.patterns.columns, task.patterns.cells, strict=True)))
            columns = []
            if task.missing.any():
                data, params = _read(saved, task)
                found = filling.completed(data, params, seen.left_open)
                found = found if task.steps is None else task.steps.joined(found)
                each = jax.tree.map(lambda leaf: leaf[None], found)
                columns = filled_columns(table.columns, task.names, task.levels, task.whole, each)
            left.subtract({column.name: int(column.missing.sum()) for column in columns})
            n += impute_summary.n_filled(columns)
            yield completed(table.cells, columns, 0).cast(seen.schema)


def _read(saved: io.Saved, task: Task) -> tuple[Any, Params]:
    x = task.x if task.steps is None else task.steps.split(task.x)
    data = filling.read(saved.model, x)
    return data, data.model.as_params(saved.params, data.rows)


# ---- the first look


def _look(given: Given, saved: io.Saved) -> Seen:
    each, others, schemas, counts = [], Counter(), [], []
    task: Any = None  # of the last part, and its data: a table has one
    data: Any = None
    of_order = streamed_sequences.once()
    for own, table in given.parts(saved):
        with as_bad_input(own):
            task = of_model(saved, table.columns, given.unseen, given.order)
            each.append(task.patterns)
            others += missing_cells.of_others(table.columns, task.names)
            schemas.append(table.cells.schema)
            report.remark(own, (*table.remarks, *of_order(task.remarks)))
            data, params = _read(saved, task)
            counts += filling.counted(data, params)
    found = patterns.together(each)
    with as_bad_input(given.file):
        schema = _filled_schema(
            pa.unify_schemas(schemas, promote_options="permissive"), task, found
        )
    return Seen(found, others, schema, filling.open_in_parts(data, counts))


def _filled_schema(schema: pa.Schema, task: Task, found: Patterns) -> pa.Schema:
    """Of the table once its holes are filled. task: of any part."""
    types = schema.types
    for name, whole, cells in zip(task.names, task.whole, found.cells, strict=True):
        if cells:
            place = schema.get_field_index(name)
            kind = filled_type(schema.field(place).type, name in task.levels, whole)
            schema = schema.set(place, pa.field(name, kind))
    if schema.types != types:
        return schema.remove_metadata()  # what pandas notes there is of the old types
    return schema


def _tell(out: Any, file: Path, seen: Seen) -> None:
    said = missing_cells.outside(seen.others)
    if seen.patterns.n_empty:
        said.append(f"has {missing_cells.wholly(seen.patterns)}: there is nothing in them to go by")
    if not seen.patterns.missing.any():
        said.append("has no missing cells in the columns of the model: it is copied")
    report.remark(file, said)
    with suppress(BrokenPipeError):  # whoever reads may be gone; the file is to be written
        missing_cells.show(out, str(file), seen.patterns)
