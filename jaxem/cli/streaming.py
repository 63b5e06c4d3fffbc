"""Tables of Parquet files that do not fit into memory: read block by block as they are fitted."""

import glob
import itertools
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxem.cli import column_look, report, tables
from jaxem.cli.column_types import KINDS
from jaxem.cli.columns import Columns, check_names, choose, families_of, without
from jaxem.cli.distributed import is_first
from jaxem.cli.errors import BadInput, as_bad_input
from jaxem.cli.fit_candidates import fit_arguments, mesh, one_fit, search
from jaxem.cli.fit_input import FitInput, Wanted
from jaxem.cli.options import ColumnOptions, FitOptions, ReadOptions
from jaxem.cli.tables import Table
from jaxem.core.contracts import Model
from jaxem.core.source import Source, sequences
from jaxem.families import Gaussian
from jaxem.fitting import first_look, processes, starts, streamed
from jaxem.fitting.options import Options
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.termination import awaited
from jaxem.sources import parquet
from jaxem.sources.parquet_files import Files
from jaxem.sources.parquet_files import files as of_files

_SUFFIXES = (".parquet", ".pq")
_FREE = Path("/proc/meminfo")
_WITHOUT = 4 << 30  # bytes, where the system does not tell what is free


def is_pattern(file: Path) -> bool:
    """Whether it names several files."""
    return not file.exists() and glob.has_magic(str(file))


def is_wanted(file: Path, most: int | None) -> bool:
    """Whether a table is read block by block: one of several files, and one larger than `most`."""
    if is_pattern(file):
        return True
    if file.suffix.lower() not in _SUFFIXES or not file.is_file():
        return False
    most = half_of_what_is_free() if most is None else most
    with as_bad_input(file):
        about = pq.read_metadata(file)
    return about.num_rows * about.num_columns * np.dtype(np.float64).itemsize > most


def files(file: Path) -> list[Path]:
    """What a name or a pattern names."""
    found = sorted(map(Path, glob.glob(str(file)))) if is_pattern(file) else [file]
    if not found:
        raise BadInput(f"{file}: there is no file that matches it")
    return found


def parts(file: Path, memory: int | None, options: ReadOptions) -> Iterator[tuple[Path, Table]]:
    """A table, or files one after another, in parts where they may not fit into memory; each with
    the file it is of."""
    own_parts = _parts(file, memory, options)
    first = next(own_parts, None)
    if first is None:
        raise BadInput(f"{file}: has column names but no rows; there is nothing to work on")
    return itertools.chain([first], own_parts)


def _parts(file: Path, memory: int | None, options: ReadOptions) -> Iterator[tuple[Path, Table]]:
    for own in files(file):
        with as_bad_input(own):
            if own.suffix.lower() in _SUFFIXES and is_wanted(file, memory):
                yield from ((own, part) for part in tables.parts(own))
            else:
                yield own, tables.read(own, *options)


def half_of_what_is_free() -> int:
    try:
        lines = _FREE.read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return _WITHOUT
    return free // 2


def source_of(
    file: Path,
    options: ColumnOptions,
    family: str,
    response: str | None,
    holes: str,
    everyone: Any = None,
) -> tuple[Source, FitInput]:
    """The columns that are asked for, after one look at all rows.

    everyone: a mesh over the devices of all processes that run the command.
    """
    _, columns, data = looked_at(file, options, family, everyone, response, holes)
    source = parquet(str(file), _tree(columns), categories=columns.levels, missing=tables.MISSING)
    return source, data


def looked_at(
    file: Path,
    options: ColumnOptions,
    family: str,
    everyone: Any,
    response: str | None = None,
    holes: str = "fit",
    told_by: Sequence[str] = (),
) -> tuple[Files, Columns, FitInput]:
    """-> (the files, their columns that are fitted, what is fitted). told_by: columns that tell
    where and when, and are none of those."""
    if holes == "drop":
        raise BadInput(f"{file}: --missing drop needs the table in memory; give --missing fit")
    team, _ = processes.of_mesh(everyone)
    found = of_files(str(file)) if team is None else team.own(lambda: of_files(str(file)))
    with as_bad_input(file):
        wanted = _wanted(found, options, response, told_by)
    look = column_look.look(found, wanted, team)
    with as_bad_input(file):
        table = without(look.table, told_by, options.columns)
        columns = choose(table, options.columns, family, options.column_family, response,
                         holes != "error")  # fmt: skip
        _check_whole(columns, options)
        look.check(columns)
        holed = look.holed(columns.names)
        if holed and holes == "error":
            where = ", ".join(f"{name} ({n})" for name, n in holed.items())
            raise ValueError(
                f"has missing cells, in columns: {where}; --missing fit uses what the rows have"
            )
        families = families_of(columns, options, holed)
    remarks = [*look.remarks, *columns.remarks]
    if not isinstance(families[0], Gaussian):
        remarks.append(report.families(columns))
    data = FitInput(str(file), columns.names, None, columns.levels, families, {}, remarks)
    return found, columns, data


def _check_whole(columns: Columns, options: ColumnOptions) -> None:
    """ValueError for columns that take others beside them."""
    each = {kind: KINDS[kind].beside for kind in columns.by_kind}
    if isinstance(options.trials, int):
        each = {kind: of for kind, of in each.items() if of != "row"}
    kinds = [kind for kind, of in each.items() if of]
    if kinds:
        raise ValueError(
            f"is read block by block, which {kinds[0]} columns with others beside them are not; "
            "give --memory above its size, or another --family"
        )


def _wanted(
    found: Files, options: ColumnOptions, response: str | None, told_by: Sequence[str]
) -> list[str] | None:
    """The columns that are named, for which the others are not read; None for all."""
    assigned = [name for name, _ in options.column_family or ()]
    chosen = [] if options.columns is None else tables.split_names(options.columns)
    names = [*chosen, *assigned, *filter(None, [response]), *told_by]
    if options.columns is None and not told_by:
        return None
    check_names(pa.table({name: pa.nulls(0) for name in found.schema}), names)
    return None if options.columns is None else list(dict.fromkeys(names))


def _tree(columns: Columns) -> Any:
    """The names in the form in which the family takes the columns."""
    each = {kind: list(names) for kind, names in columns.by_kind.items()}
    own = each if len(each) > 1 else next(iter(each.values()))
    return own if columns.response is None else (own, columns.response)


def planned(
    models: Sequence[Model],
    source: Source,
    data: FitInput,
    n_init: Any,
    options: FitOptions,
    checkpoint: Path | None,
    everyone: Any = None,
) -> tuple[Sequence[FitPlan], FitInput]:
    """A fit of each model, after one look at the source; -> (fits, the pool as what is drawn)."""
    if checkpoint is not None:
        one_fit(models)
    key = jax.random.key(options.seed)
    begin = starts.in_one_round(starts.begin("portfolio", key, n_init, None))
    given = Options(**fit_arguments(options))
    over = mesh(options.devices) if everyone is None else everyone
    seen = first_look.look(models[0], source, streamed.seed_of(begin), everyone)
    jobs = [
        streamed.planned(model, source, given, begin, checkpoint, seen, over) for model in models
    ]
    remark = f"{seen.n_rows:,} rows are read block by block, once an iteration for all starts"
    x, notes = seen.pool.x, dict(data.notes)
    if seen.lengths is not None:
        x, notes = sequences(seen.pool)[0], {"n_sequences": seen.lengths.n, **notes}
    return jobs, data._replace(x=x, notes=notes, remarks=(*data.remarks, remark))


def search_of(
    jobs: Sequence[FitPlan],
    data: FitInput,
    options: FitOptions,
    wanted: Wanted,
    checkpoint: Path | None,
    everyone: Any,
) -> int:
    """Fit every job; of several processes the first says and writes what came of it."""
    if everyone is not None and not is_first():
        wanted = Wanted()
    else:
        report.remark(data.about, data.remarks)
    with awaited() if checkpoint else nullcontext():
        return search(jobs, data, options, wanted)
