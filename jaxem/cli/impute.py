"""The command that fills the holes of a table."""

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa
import typer
from rich.console import Console

import jaxem
from jaxem import io
from jaxem.cli import (
    impute_parts,
    impute_summary,
    missing_cells,
    options,
    outputs,
    report,
    streaming,
    tables,
)
from jaxem.cli.columns import listed
from jaxem.cli.command import command, precision
from jaxem.cli.errors import DONE, INTERRUPTED, NOT_CONVERGED, BadInput, as_bad_input
from jaxem.cli.filled_columns import FilledColumn, completed, filled_columns, numbered
from jaxem.cli.fit_candidates import (
    complain,
    find,
    mixtures,
    planned,
    print_comparison,
)
from jaxem.cli.found import left_open
from jaxem.cli.impute_task import Task, filling_model, is_chain, of_model, of_table
from jaxem.cli.options import Counts
from jaxem.fitting.plan import FitPlan

_DRAWS = 1  # draws take this stream of the seed; fits take the seed itself, as jaxem fit does


class Filler(NamedTuple):
    """What the holes are filled by, None where there is nothing; status: the exit status."""

    model: Any
    params: Any
    status: int


@command("jaxem impute people.csv --components 1:4 -o filled.csv")
def impute(
    file: options.Tables,
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Fill by this model, of jaxem fit -o or fit-hmm -o, instead of fitting one."
        ),
    ] = None,
    components: options.FewComponents = None,
    family: options.FamilyName = "auto",
    draws: Annotated[
        int | None,
        typer.Option(min=1, help="Draw what fills the holes, for so many completed tables."),
    ] = None,
    starts: options.Starts = 100,
    output: options.TableOutput = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write a picture of what is missing to this file, .png or .pdf."),
    ] = None,
    unseen: options.Unseen = "error",
    memory: options.Memory = None,
    share: options.ShareOf = None,
    column_options: options.ColumnOptions,
    sequence_options: options.SequenceOptions,
    fit_options: options.FitOptions,
    read_options: options.ReadOptions,
) -> int:
    """Fill the missing cells of a table.

    A mixture that is fitted to what is there fills them. Missing are empty cells, NA, NaN, nan,
    null and ?, in text too. First it says which cells are missing together, and how often. Then
    mixtures are fitted, as jaxem fit does, and that of the lowest BIC fills the holes; or the model
    of --model does, without a fit.

    Without --family, columns of text, of yes and no, and of two whole numbers are categories, and
    all other numbers one Gaussian. A hole gets its mean, given the cells of its row that are there:
    a whole number among whole ones, from 0 where none is below; among categories the most probable.
    With --draws it is drawn instead. The completed tables then come one under another, a first
    column, draw, counts them from 1, and they differ as much as the model leaves open.

    By a model of jaxem fit-hmm the rows are steps of sequences, told apart and ordered as in jaxem
    decode, and a hole is filled by what its neighbours tell too.

    All else stays as it is: rows, columns and their order, columns that are not in the model, and
    the values of the cells that are there.

    Parquet files that do not fit into memory are read, and written, some rows at a time, by
    --model. With --share several processes fill a share of them each, after a look at all.
    """
    output = output if share is None else outputs.of_share(output, share)
    inputs = [*streaming.files(file), *([] if model is None else [model])]
    outputs.check(inputs, table=output, plot=plot)
    if model and (components or column_options.columns or column_options.column_family):
        raise BadInput("--model is fitted; leave out --components, --columns, --column-family")
    saved = filling_model(model) if model else None
    if any(own is not None for own in sequence_options) and not is_chain(saved):
        raise BadInput(
            "--group-by, --order-by and --step are of sequences: give --model a hidden Markov "
            "model of jaxem fit-hmm, or leave them out"
        )
    if share is not None or streaming.is_wanted(file, memory):
        if draws is not None or plot is not None:
            raise BadInput(f"{file}: --draws and --plot need the table in memory; leave them out")
        given = impute_parts.Given(file, memory, share, read_options, unseen, sequence_options)
        return impute_parts.fill(given, saved, output)
    with precision(saved.dtype if saved else fit_options.dtype):
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            jobs = []
            if saved:
                task = of_model(saved, table.columns, unseen, sequence_options)
            else:
                task = of_table(table.columns, family, column_options)
                if task.missing.any():
                    models = mixtures(task.families, components or _few(task))
                    jobs = planned(models, task.some, starts, fit_options)
        out = report.output() if output else report.errors()
        _tell(out, file, table, task)
        if plot:
            _draw(plot, task)
        filler = _filler(saved, jobs, file, task, out)
        if filler.status and filler.params is None:
            return filler.status
        with as_bad_input(file):
            columns = _fill(filler, task, table.columns, fit_options.seed, draws)
            each = [completed(table.cells, columns, i) for i in range(draws or 1)]
    report.remark(file, (*_left(task, columns), *impute_summary.impossible(columns)))
    outputs.write_table(output, numbered(each) if draws else each[0])
    impute_summary.show(out, file, output, columns, filler.model, draws)
    return filler.status


def _tell(out: Console, file: Path, table: tables.Table, task: Task) -> None:
    """What is missing, and what is not looked at."""
    patterns, said = task.patterns, [*table.remarks, *task.remarks]
    more = "; see --columns, and --family for columns of text" if task.families else ""
    said += missing_cells.outside(missing_cells.of_others(table.columns, task.names), more)
    if patterns.n_empty and task.steps is None:
        said.append(f"has {missing_cells.wholly(patterns)}: there is nothing in them to go by")
    report.remark(file, said)
    with suppress(BrokenPipeError):  # whoever reads may be gone; the file is to be written
        missing_cells.show(out, str(file), patterns)


def _few(task: Task) -> Counts:
    """The numbers of components to try: never more than there are distinct rows."""
    leaves = [leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(task.some)]
    different = len(np.unique(np.nan_to_num(np.concatenate(leaves, axis=1)), axis=0))
    return options.FEW._replace(last=min(options.FEW.last, different))


def _draw(path: Path, task: Task) -> None:
    from matplotlib.figure import Figure

    from jaxem import plot

    patterns = task.patterns
    size = min(14.0, 5.5 + 0.4 * len(task.names)), min(8.0, 3.0 + 0.3 * len(patterns.rows))
    holes = np.where(task.missing, np.nan, 0.0)
    figure = Figure(figsize=size, layout="constrained")
    plot.missing_patterns(holes, names=task.names, ax=figure.subplots())
    outputs.write_figure(path, figure)


def _filler(
    saved: io.Saved | None, jobs: Sequence[FitPlan], file: Path, task: Task, out: Console
) -> Filler:
    if not task.missing.any():
        report.complain(f"{file}: has no missing cells in {listed(task.names)}: it is copied")
        return Filler(None, None, DONE)
    if saved:
        return Filler(saved.model, saved.params, DONE)
    found = find(jobs, str(file))
    if found is None:
        return Filler(None, None, INTERRUPTED)
    with suppress(BrokenPipeError):
        print_comparison(out, found, str(file), task.names)
        report.remark(file, left_open(found, task.names))
    status, result = complain(found, str(file)), found.best.result
    if not found.best.regular:
        report.complain(f"{file}: no fit is regular, so nothing is filled or written")
        return Filler(None, None, status or NOT_CONVERGED)
    return Filler(result.provenance.model, result.params, status)


def _fill(
    filler: Filler, task: Task, table: pa.Table, seed: int, draws: int | None
) -> list[FilledColumn]:
    """The columns with holes, and what goes into them."""
    if filler.params is None:
        return []
    key = None if draws is None else jax.random.fold_in(jax.random.key(seed), _DRAWS)
    with warnings.catch_warnings():  # what is not filled is counted by `_left`
        warnings.simplefilter("ignore")
        x = task.x if task.steps is None else task.steps.split(task.x)
        found = jaxem.impute(filler.model, filler.params, x, key=key, n_draws=draws)
    if task.steps is not None:
        found = task.steps.joined(found, axis=0 if draws is None else 1)
    if draws is None:
        found = jax.tree.map(lambda leaf: leaf[None], found)
    return filled_columns(table, task.names, task.levels, task.whole, found)


def _left(task: Task, columns: Sequence[FilledColumn]) -> list[str]:
    """What is to be said of holes that stay."""
    left = Counter(dict(zip(task.names, task.missing.sum(axis=0), strict=True)))
    left.subtract({column.name: column.missing.sum() for column in columns})
    return missing_cells.unfilled(left)
