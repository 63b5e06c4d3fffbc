"""Columns by name, for data that came in no frame: a table that prints."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxem.core import html_tables, text_tables


class ColumnTable(dict):
    """Columns (k,) by name, the first of them text, as `pandas.DataFrame(table)` takes them.

    It prints as a table, with a line for each column: a few rows of many numbers.
    """

    def __str__(self) -> str:
        return "\n".join(text_tables.lines(self._cells))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_tables.grid(self._cells)

    @property
    def _cells(self) -> list[Sequence[str]]:
        (_, head), *columns = self.items()
        return [("", *head), *((name, *map(_cell, values)) for name, values in columns)]


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{np.asarray(value, float):.5g}"
