"""The table of candidates in narrow terminals."""

import io

import pytest
from rich.console import Console

from jaxem.cli import report

WIDEST = (
    "*",
    "12",
    "spherical",
    "-12345.678",
    "24680.12",
    "119",
    "100/102",
    "12",
    "CONVERGED",
    "12.3",
)


@pytest.mark.parametrize("width", [200, 80, 78, 65, 60])
def test_no_number_is_divided(width):
    """Of columns that are left out all are: those that stay fit."""
    table = report.comparison(width)
    cells = dict(zip(report._COMPARED, WIDEST, strict=True))
    table.add_row(*(cells[str(column.header)] for column in table.columns))
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    last = out.getvalue().splitlines()[-1].split()
    assert last == [cells[str(column.header)] for column in table.columns]
    kept = ["k", "covariance", "log-lik.", "BIC", "status"]
    assert set(kept) <= {str(column.header) for column in table.columns}
