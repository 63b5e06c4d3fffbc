"""What one iteration over Parquet files will take, from a second of reading and of computing."""

import os
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import pyarrow.parquet as pq
import typer

import jaxem
from jaxem.cli import options, report
from jaxem.cli.command import command, precision
from jaxem.cli.errors import DONE, BadInput, as_bad_input
from jaxem.core import source as pieces
from jaxem.core.contracts import Model, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.source import Piece, Source
from jaxem.families import Gaussian
from jaxem.families.gaussian.structures import STRUCTURES
from jaxem.fitting import sizes, stream
from jaxem.fitting.read_ahead import AHEAD
from jaxem.sources import parquet

_TEXT = (".csv", ".tsv", ".txt")
_SECONDS = 1.0  # of reading, and of computing
_ROWS = 1 << 18  # of those read are computed with, at most
_STARTS = "Starts that go through the rows together."
_DEVICES = "Devices that share the rows, each as fast as that of this machine."
_COVARIANCE = f"One of {', '.join(STRUCTURES)}."


class Measured(NamedTuple):
    """Seconds a row of reading, and of an iteration of one start on one device; bytes of sums."""

    reading: float
    computing: float
    sums: int


@command("jaxem plan 'rows/*.parquet' --components 64 --devices 8")
def plan(
    file: options.Tables,
    components: Annotated[int, typer.Option(min=1, help="Number of components.")],
    *,
    covariance: Annotated[str, typer.Option(metavar="NAME", help=_COVARIANCE)] = "full",
    columns: Annotated[str | None, typer.Option(help="Names between commas.")] = None,
    starts: Annotated[int, typer.Option(min=1, help=_STARTS)] = 1,
    devices: Annotated[int, typer.Option(min=1, help=_DEVICES)] = 1,
    dtype: Annotated[Literal["float64", "float32"] | None, typer.Option(help=options.DTYPE)] = None,
) -> int:
    """Predict the memory and time of a fit over Parquet files.

    It is of an iteration of a Gaussian mixture.
    Some of the rows are read, and fitted, for about a second each; the rest is arithmetic. An
    iteration reads all rows once, whatever the number of starts, while the device computes: the
    slower of the two binds.
    """
    if Path(file).suffix.lower() in _TEXT:
        raise BadInput(
            f"{file}: plan looks at Parquet files, which are read block by block; a table of text "
            "is read whole, and needs no plan: jaxem fit takes it as it is"
        )
    with precision(dtype), as_bad_input():  # which names the files
        wanted = None if columns is None else [name.strip() for name in columns.split(",")]
        source = parquet(str(file), columns=wanted)
        model = jaxem.Mixture(Gaussian(covariance), components)
        sample, reading = _read(model, source)
        rows = as_dataset(model, sample.x).rows
        measured = Measured(reading, *_computing(model, rows.x))
        n, stored = _of_files(source)
        said = _said(model, rows, measured, n, starts, devices)
    out = report.output()
    what = f"{n:,} rows, {len(source.names or ())} columns, {size(stored)} in files"
    report.say(out, f"{file}: {what}; {model!r}\n")
    out.print(report.two_columns(said))
    return DONE


def _of_files(source: Any) -> tuple[int, int]:
    """-> (rows, bytes on disk)."""
    paths = [Path(path) for path in source.paths]
    return sum(pq.read_metadata(path).num_rows for path in paths), sum(map(os.path.getsize, paths))


def _read(model: Model, source: Source) -> tuple[Piece, float]:
    """-> (the first rows, seconds a row), by reading for a while."""
    began, n, kept, held = time.perf_counter(), 0, [], 0
    for piece in source.pieces():
        stream.checked(model, piece)
        n += piece.n_rows
        if held < _ROWS:
            kept.append(piece)
            held += piece.n_rows
        if time.perf_counter() - began > _SECONDS:
            break
    took = time.perf_counter() - began
    return pieces.part(pieces.joined(kept), slice(_ROWS)), took / n


def _computing(model: Model, x: Any) -> tuple[float, int]:
    """-> (seconds a row and iteration, bytes of the sums over rows)."""
    params = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=1).params
    sums, _ = jaxem.e_step(model, params, x)

    def seconds(steps: int) -> float:
        given: Any = {"tol": 0.0, "acceleration": None, "max_iter": steps}
        began = time.perf_counter()
        jax.block_until_ready(jaxem.em(model, params, x, **given).log_likelihood)
        return time.perf_counter() - began

    few, steps = min(seconds(1) for _ in range(3)), 2
    while (more := seconds(1 + steps)) - few < _SECONDS / 2 and steps < 1 << 12:
        steps *= 2
    took = more - few if more > few else more  # less than the clock's noise: at most all of it
    return took / (steps * x.shape[0]), sum(s.nbytes for s in jax.tree.leaves(sums))


def _said(
    model: Model, rows: Rows, of: Measured, n: int, starts: int, devices: int
) -> dict[str, str]:
    reading, computing = n * of.reading, n * of.computing * starts / devices
    each = rows.x.nbytes // rows.n_units
    block = stream.block_size_of(model, stream.like_rows(rows, n), n, None)
    made = sizes.numbers_per_unit(model, rows) * block * rows.weight.dtype.itemsize
    part = stream.blocks_a_part(rows, block, n) * block * each
    binds = "reading" if reading > computing else "computing"
    return {
        "an iteration": f"{duration(max(reading, computing))}: {binds} binds",
        "reading": f"{duration(reading)}, at {1 / of.reading:,.0f} rows a second",
        "computing": f"{duration(computing)}, at {1 / of.computing:,.0f} rows a second for one "
        "start on one device",
        "memory": f"{size((AHEAD + 2) * part + made)} for blocks; "
        f"all rows would take {size(n * each)}",
        "sums": f"{size(starts * of.sums)} an iteration, which devices add up",
    }


def duration(seconds: float) -> str:
    """Two figures of it, in a unit that suits."""
    units = (86400, "days"), (3600, "h"), (60, "min"), (1, "s")
    unit, name = next((own for own in units if seconds >= 2 * own[0]), (1e-3, "ms"))
    return f"{float(f'{seconds / unit:.2g}'):g} {name}"


def size(n: int) -> str:
    """Two figures of bytes."""
    units = (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")
    unit, name = next((own for own in units if n >= own[0]), (1, "bytes"))
    return f"{float(f'{n / unit:.2g}'):g} {name}"
