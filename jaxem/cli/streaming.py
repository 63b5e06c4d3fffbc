"""Tables of Parquet files that do not fit into memory: read block by block as they are fitted."""

import glob
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow.parquet as pq

from jaxem.cli import tables
from jaxem.cli.column_types import GAUSSIAN, STUDENT_T
from jaxem.cli.columns import Columns, families_of
from jaxem.cli.errors import BadInput, as_bad_input
from jaxem.cli.fit_candidates import fit_arguments, mesh, mixtures, one_fit
from jaxem.cli.fit_input import FitInput
from jaxem.cli.options import ColumnOptions, Counts, FitOptions, ReadOptions
from jaxem.cli.tables import Table
from jaxem.core.source import Source
from jaxem.fitting import first_look, processes, starts, streamed
from jaxem.fitting.options import Options
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.processes import Team
from jaxem.sources import parquet

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
    """The columns that are asked for, which are numbers, for Gaussian components.

    everyone: a mesh over the devices of all processes that run the command.
    """
    if family not in (GAUSSIAN, STUDENT_T) or response is not None or options.column_family:
        raise BadInput(
            f"{file}: a table that is read block by block is fitted by Gaussian components, or by "
            "--family student-t; leave out another --family, --response and --column-family, or "
            "fit a table that fits into memory"
        )
    if holes == "drop":
        raise BadInput(f"{file}: --missing drop needs the table in memory; give --missing fit")
    wanted = None if options.columns is None else [c.strip() for c in options.columns.split(",")]
    team, _ = processes.of_mesh(everyone)

    def opened() -> Source:
        return parquet(str(file), columns=wanted)

    source = opened() if team is None else team.own(opened)
    names: Any = source.names
    holed = names if family == GAUSSIAN and holes == "fit" and _has_holes(source, team) else ()
    families = families_of(Columns({family: names}, None, {}, ()), options, holed)
    return source, FitInput(str(file), names, None, {}, families)


def _has_holes(source: Source, team: Team | None) -> bool:
    if team is None:
        return any(np.isnan(piece.x).any() for piece in source.pieces())
    share = team.share(source)
    return any(team.together(lambda: _has_holes(share, None)))


def planned(
    source: Source,
    data: FitInput,
    components: Counts,
    n_init: Any,
    options: FitOptions,
    checkpoint: Path | None,
    noise: bool,
    everyone: Any = None,
) -> tuple[Sequence[FitPlan], FitInput]:
    """A fit of each candidate, after one look at the source; -> (fits, the pool as what is
    drawn)."""
    models = mixtures(data.families, components, noise)
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
    return jobs, data._replace(x=seen.pool.x, remarks=(remark,))
