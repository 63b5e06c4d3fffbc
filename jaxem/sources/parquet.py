"""Parquet files as one table, read a few row groups at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxem.core.source import Piece, Source, nearest
from jaxem.sources import runs
from jaxem.sources.categories import Levels
from jaxem.sources.columns import Columns, chosen
from jaxem.sources.fingerprints import of_files
from jaxem.sources.parquet_files import files, opened, read
from jaxem.sources.schema import schema_of


def parquet(
    paths: Any,
    columns: Any = None,
    sample_weight: str | None = None,
    labels: str | None = None,
    categories: Any = (),
    missing: Sequence[str] = (),
    sequence: str | None = None,
) -> Source:
    """The rows of Parquet files as one table, file after file.

    paths: a name, a pattern such as "rows/*.parquet" (in the order of names), or a list of them.
    columns: names of a table's columns, all but those of weights and labels by default; for data of
        another form a tuple or a dict of such lists, as `fit` takes x: (["a", "b"], "y") of a
        regression, {"size": ["a", "b"], "colour": ["c"]} of a `families.Product`.
    sample_weight, labels: names of columns.
    categories: names of columns whose values, most often text, are categories; or a dict with the
        levels of each, such as the `levels` of the source that a model was fitted to. They become
        whole numbers from 0, the places among the levels, as `families.Categorical` takes them.
        Without levels the first use of the source reads these columns, and `source.levels` has what
        there is in all files, sorted: `Categorical(tuple(map(len, source.levels.values())))`.
    missing: words, such as "NA", that stand for a category that is missing, as null does.
    sequence: the column that tells of which sequence a row is, for an `HMM`: rows one after another
        with the same value are the steps of one, whatever files they lie in. Weights are those of
        sequences, the same in all rows of one.

    Numbers of several kinds become the widest of them; null is NaN.

    Errors: OSError where a file cannot be read; ValueError for files that differ, which are named,
    for columns that are not there or are no numbers, and for a value that is none of the levels.
    """
    found = files(paths)
    schema, first = found.schema, found.paths[0]
    own = chosen(schema, first, columns, sample_weight, labels, categories, missing, sequence)
    more = (sorted(own.levels.items()), own.unknown, own.absent) if own.coded else ()
    more = more if sequence is None else (*more, sequence)
    told = of_files(found.paths, own.tree, sample_weight, labels, *more)
    return Parquet(found.paths, found.groups, own, own.names, told)


@dataclass(frozen=True, eq=False)
class Parquet(Source):
    paths: tuple[str, ...]
    groups: tuple[np.ndarray, ...]  # of each file its row groups: (g, 2) rows and bytes
    columns: Columns
    names: tuple[str, ...] | None
    fingerprint: str

    @property
    def levels(self) -> Levels:
        return self._known.levels

    @property
    def column_names(self) -> tuple[str, ...]:
        return self.columns.leaf_names

    @cached_property
    def _known(self) -> Columns:
        """The columns, and the levels of all files."""
        own = self.columns
        return own.known(self._batches(own.unknown)) if own.unknown else own

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        for path, groups in zip(self.paths, self.groups, strict=True):
            with opened(path) as file:
                self._check(path, file, int(groups[:, 0].sum()))
                yield from read(path, file, None, list(names))

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        return self._known.pieces(self._from(first))

    def _from(self, first: int) -> Iterator[tuple[Any, str]]:
        """Record batches from row `first` on, and where their rows are."""
        skip = first
        for path, groups in zip(self.paths, self.groups, strict=True):
            n = int(groups[:, 0].sum())
            if not skip or skip < n:
                with opened(path) as file:
                    self._check(path, file, n)
                    yield from self._of_file(path, file, skip)
            skip = max(0, skip - n)

    def cuts(self, n: int) -> np.ndarray:
        """Between row groups, for as many bytes each as those allow; of sequences between those."""
        name = self.columns.sequence
        if name is not None:
            each = (runs.values(of.column(name), name) for of in self._batches([name]))
            return nearest(np.concatenate([[0], runs.lengths(each)]), n)
        rows, size = np.cumsum([(0, 0), *np.concatenate(self.groups)], axis=0).T
        place = np.abs(size[:, None] - size[-1] * np.arange(n + 1) / n).argmin(axis=0)
        place[-1] = len(rows) - 1
        return rows[place]

    def _check(self, path: str, file: Any, had: int) -> None:
        """ValueError for a file that has become another."""
        self.columns.check(schema_of(file.schema_arrow), path)
        if file.metadata.num_rows != had:
            raise ValueError(
                f"{path} had {had:,} rows when it was first read, and now has "
                f"{file.metadata.num_rows:,}: it must stay as it is"
            )

    def _of_file(self, path: str, file: Any, first: int) -> Iterator[tuple[Any, str]]:
        """From row `first` on; row groups that lie before it are not read."""
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        stops = np.cumsum(sizes)
        groups = np.flatnonzero(stops > first)
        if not len(groups):
            return
        at = int(stops[groups[0]]) - sizes[groups[0]]
        for batch in read(path, file, groups.tolist(), self.columns.read):
            stop = at + batch.num_rows
            if stop > first:
                begin = max(at, first)
                yield batch.slice(begin - at), f"{path}, rows {begin:,} to {stop - 1:,}"
            at = stop
