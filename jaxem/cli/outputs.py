"""Files that the commands write: checked before any work, then written whole or not at all."""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from jaxem.analysis.select import Selection
from jaxem.cli.column_types import Levels
from jaxem.cli.errors import BadInput, as_bad_input, needs
from jaxem.cli.fit_input import Wanted
from jaxem.cli.found import Fitted
from jaxem.cli.options import Share
from jaxem.cli.tables import first_sentence
from jaxem.core import files
from jaxem.sources.written import part_name

_PAGES = (".html", ".htm")  # of a report
_PICTURES = (".png", ".pdf", ".svg")  # of those that matplotlib writes, those that people want
_TABLES = (".csv", ".tsv", ".parquet", ".arrow")


def check(
    inputs: Sequence[Path],
    *,
    model: Path | None = None,
    table: Path | None = None,
    reports: Sequence[Path] = (),
    plot: Path | None = None,
) -> None:
    """BadInput unless each of these can be written, and none is an input or another of them."""
    taken = {os.path.realpath(path): "the input" for path in inputs}
    if table is not None:
        _check_suffix(table, _TABLES, _WRITERS)
    plots = [] if plot is None else [plot]
    for picture, pages in [*((path, _PAGES) for path in reports), *((path, ()) for path in plots)]:
        needs("matplotlib")
        from matplotlib.backend_bases import FigureCanvasBase

        known = {f".{name}" for name in FigureCanvasBase.get_supported_filetypes()}
        _check_suffix(picture, [*pages[:1], *_PICTURES], {*pages, *known})
    written = [("--output", path) for path in (model or table,) if path is not None]
    written += [("--report", path) for path in reports] + [("--plot", path) for path in plots]
    for option, path in written:
        place = os.path.realpath(path)
        if place in taken:
            raise BadInput(f"{path}: {option} is {taken[place]}; give another name")
        taken[place] = f"the file of {option} too"
        with as_bad_input():
            files.check_writable(path)
    if model is not None:
        needs("safetensors")
        if model.suffix.lower() in _WRITERS:  # a table that would be lost
            better = f"give {model.stem}.safetensors"
            raise BadInput(f"{model}: --output is a model file, not a table; {better}")


def of_share(folder: Path | None, share: Share) -> Path:
    """The file of a share, in the folder that those of all go to."""
    if folder is None or folder.is_file():
        raise BadInput("--share writes one file of several: give a folder by -o")
    with as_bad_input(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder / part_name(*share)


def check_drawable(reports: Sequence[Path], model: Any) -> None:
    """BadInput for models that have no page of pictures."""
    path = next((path for path in reports if not _is_html(path)), None)
    if path is None:
        return
    from jaxem.plot.column_page import drawable
    from jaxem.plot.regressions import is_regression

    if not drawable(model.family) and not is_regression(model):
        raise BadInput(
            f"{path}: --report has no picture of this family; give {path.stem}.html, which tells "
            "of every kind"
        )


def _is_html(path: Path) -> bool:
    return path.suffix.lower() in _PAGES


def _check_suffix(path: Path, usual: Sequence[str], known: Iterable[str]) -> None:
    """BadInput, which names the usual ones, unless it is known."""
    if path.suffix.lower() not in known:
        what = f"{path.suffix} files cannot be written" if path.suffix else "has no extension"
        raise BadInput(f"{path}: {what}; give one of {', '.join(usual)}")


def write_reports(wanted: Wanted, fitted: Fitted, selection: Selection | None) -> None:
    """Each a page of HTML, or one of pictures."""
    for path in wanted.reports:
        with as_bad_input(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fonts without a letter, folders that are not writable
            if _is_html(path):
                from jaxem.cli import html_report

                html_report.write(path, wanted, fitted, selection)
            else:
                write_figure(path, _pictures(fitted, selection))


def _pictures(fitted: Fitted, selection: Selection | None) -> Any:
    from jaxem import plot

    data = fitted.data
    return plot.overview(fitted.result, data.x, selection, data.names, levels=data.levels)


def write_figure(path: Path, figure: Any) -> None:
    with as_bad_input(), warnings.catch_warnings(), files.replacing(path) as temporary:
        warnings.simplefilter("ignore")  # fonts without a letter
        figure.savefig(temporary, format=path.suffix[1:].lower())


def table(columns: Mapping[str, Any]) -> pa.Table:
    return pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()})


def decoded(x: Any, names: Sequence[str], levels: Levels) -> pa.Table:
    """Rows of a model as a table; categories by their names."""
    leaves = (np.asarray(leaf) for leaf in jax.tree.leaves(x))
    columns = [column for leaf in leaves for column in leaf.reshape(len(leaf), -1).T]
    return table(
        {
            name: np.array(levels[name])[column.astype(int)] if name in levels else column
            for name, column in zip(names, columns, strict=True)
        }
    )


def beside(left: pa.Table, right: pa.Table) -> pa.Table:
    """The columns of both; a name of the right one that is taken gets an underscore."""
    for name, values in zip(right.column_names, right.columns, strict=True):
        while name in left.column_names:
            name += "_"
        left = left.append_column(name, values)
    return left


def write_table(path: Path | None, table: pa.Table) -> None:
    """Without a path as CSV on the standard output."""
    write_parts(path, iter([table]))


def write_parts(path: Path | None, parts: Iterator[pa.Table]) -> None:
    """Tables of the same columns, one after another, as they come: one at least."""
    first = next(parts)
    if path is None:
        with _possible("the standard output"):
            _write(pyarrow.csv.CSVWriter(sys.stdout.buffer, first.schema), first, parts)
        return
    with as_bad_input(), files.replacing(path) as temporary, _possible(path):
        _write(_WRITERS[path.suffix.lower()](temporary, first.schema), first, parts)


def _write(writer: Any, first: pa.Table, parts: Iterator[pa.Table]) -> None:
    with writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part.cast(first.schema))


@contextmanager
def _possible(where: object) -> Iterator[None]:
    """BadInput for types that a kind of file does not have, such as lists in CSV."""
    try:
        yield
    except pa.ArrowException as error:
        reason = f"cannot be written ({first_sentence(error)})"
        raise BadInput(f"{where}: {reason}; give a .parquet file") from None


def _tsv(path: str, schema: pa.Schema) -> Any:
    options = pyarrow.csv.WriteOptions(delimiter="\t")
    return pyarrow.csv.CSVWriter(path, schema, write_options=options)


def _arrow(path: str, schema: pa.Schema) -> Any:
    return pa.ipc.new_file(path, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


_WRITERS = {
    ".csv": pyarrow.csv.CSVWriter,
    ".tsv": _tsv,
    ".parquet": pyarrow.parquet.ParquetWriter,
    ".pq": pyarrow.parquet.ParquetWriter,
    ".arrow": _arrow,
    ".feather": _arrow,
    ".ipc": _arrow,
}
