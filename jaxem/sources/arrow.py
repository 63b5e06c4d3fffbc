"""Record batches of Arrow, from whatever yields them: a dataset, a database, a stream."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxem.core.source import Piece, Source
from jaxem.sources.categories import Levels
from jaxem.sources.columns import Columns, chosen
from jaxem.sources.schema import schema_of


def arrow(
    make_reader: Any,
    columns: Any = None,
    sample_weight: str | None = None,
    labels: str | None = None,
    fingerprint: str = "",
    categories: Any = (),
    missing: Sequence[str] = (),
    sequence: str | None = None,
) -> Source:
    """What a function returns each time it is called: a `pyarrow.RecordBatchReader`.

    make_reader: called once for every pass, such as
        lambda: dataset.scanner(batch_size=65536).to_reader()
        and must give the same rows each time. That scanner comes to hold all of a Parquet file,
        unless it is given fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False);
        `parquet` reads such files in little memory.
    columns, sample_weight, labels, categories, missing, sequence: as `parquet` takes them.
    fingerprint: what tells the rows from others, where a checkpoint is kept.

    Errors: ValueError for columns that are not there or are no numbers.
    """
    if not callable(make_reader):
        raise ValueError(
            f"make_reader is a {type(make_reader).__name__}; give a function that returns a new "
            "reader for each pass, such as lambda: dataset.scanner().to_reader()"
        )
    make: Any = make_reader
    schema = schema_of(make().schema)
    given = columns, sample_weight, labels, categories, missing, sequence
    own = chosen(schema, "the reader", *given)
    return Arrow(make, own, own.names, fingerprint)


@dataclass(frozen=True, eq=False)
class Arrow(Source):
    make_reader: Callable[[], Any]
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
        """The columns, and the levels of all rows."""
        return self.columns.known(self.make_reader()) if self.columns.unknown else self.columns

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        return self._known.pieces(self._from(first))

    def _from(self, first: int) -> Iterator[tuple[Any, str]]:
        at = 0
        for number, batch in enumerate(self.make_reader()):
            stop = at + batch.num_rows
            if stop > first and batch.num_rows:
                yield batch.slice(max(0, first - at)), f"record batch {number}"
            at = stop
