import datetime
import decimal

import jax
import numpy as np
import pyarrow as pa
import pytest

from jaxem.cli import cells
from jaxem.cli.columns import choose, suggestion
from jaxem.families import Gaussian

TABLE = pa.table(
    {
        "whole": [1, 2, 3],
        "real number": [0.5, 1.5, 2.5],
        "flag": [True, False, True],
        "price": [decimal.Decimal("1.25"), decimal.Decimal("2.5"), decimal.Decimal("0")],
        "species": ["a", "b", "c"],
        "day": [datetime.date(2024, 1, day) for day in (1, 2, 3)],
    }
)


def read(table, *wanted):
    return cells.values(table, choose(table, *wanted), Gaussian())


def matching(table, names, d):
    row = jax.ShapeDtypeStruct((1, d), np.float64)
    return cells.matching(table, Gaussian(), row, names, {})


def test_every_numeric_column_is_taken_and_the_rest_is_named():
    chosen = choose(TABLE)
    assert chosen.names == ("whole", "real number", "flag", "price")
    x = read(TABLE)
    assert x.dtype == np.float64
    expected = [[1, 0.5, 1, 1.25], [2, 1.5, 0, 2.5], [3, 2.5, 1, 0]]
    np.testing.assert_array_equal(x, expected)
    assert chosen.left_out == ("not numeric: species, day",)


def test_a_column_without_a_name_is_left_out_and_said():
    table = pa.Table.from_arrays([pa.array([0, 1]), pa.array([2.5, 3.5])], names=["", "a"])
    chosen = choose(table)
    assert chosen.names == ("a",)
    assert chosen.left_out == ("without a name: 1",)


def test_named_columns_come_in_the_order_asked_for():
    chosen = choose(TABLE, "real number, whole")
    assert chosen.names == ("real number", "whole")
    expected = [[0.5, 1], [1.5, 2], [2.5, 3]]
    np.testing.assert_array_equal(read(TABLE, "real number, whole"), expected)
    assert chosen.left_out == ()


def test_a_name_with_a_comma_stands_in_quotes():
    table = pa.table({"p, abs [kPa]": [1.0, 2.0], "t": [3.0, 5.0]})
    assert choose(table, 't,"p, abs [kPa]"').names == ("t", "p, abs [kPa]")


def test_constant_columns_are_left_out_unless_they_are_named():
    table = pa.table({"a": [1.0, 2.0], "one": [1.0, 1.0]})
    chosen = choose(table)
    assert chosen.names == ("a",) and chosen.left_out == ("constant: one",)
    np.testing.assert_array_equal(read(table), [[1.0], [2.0]])
    assert choose(table, "a,one").names == ("a", "one")
    assert choose(table.slice(0, 1)).names == ("a", "one")


WRONG = {
    "specis": "no column 'specis'; did you mean 'species'\\? its columns are whole, real number",
    "Whole": "no column 'Whole'; did you mean 'whole'",
    "zzz": "no column 'zzz'; its columns are",
    "": "no column ''",
    "whole,whole": "names a column twice",
    "whole,species": "column species, which is not numeric, but gaussian; .* out by --columns",
}


@pytest.mark.parametrize("wanted", WRONG)
def test_wrong_names(wanted):
    with pytest.raises(ValueError, match=WRONG[wanted]):
        choose(TABLE, wanted)


def test_no_numeric_columns():
    with pytest.raises(
        ValueError, match=r"no columns that can be gaussian \(it has species\); give --columns"
    ):
        choose(TABLE.select(["species"]))


def test_missing_and_infinite_cells_are_counted_by_column():
    table = pa.table(
        {
            "a": pa.array([1, None, 3], pa.int64()),
            "b": pa.array([np.nan, None, 1.0]),
            "c": pa.array([1.0, 2.0, np.inf]),
            "d": pa.nulls(3),
        }
    )
    with pytest.raises(
        ValueError, match=r"6 missing cells, in columns: a \(1\), b \(2\), d \(3\); drop"
    ):
        read(table)
    with pytest.raises(ValueError, match=r"1 infinite cell, in columns: c \(1\); correct"):
        read(table, "c")


def test_matching_finds_the_columns_of_a_model_by_name():
    x = matching(TABLE, ("real number", "whole"), 2)
    np.testing.assert_array_equal(x, [[0.5, 1], [1.5, 2], [2.5, 3]])


def test_matching_without_names_takes_all_numbers_if_they_are_as_many():
    np.testing.assert_array_equal(matching(TABLE, None, 4), read(TABLE))
    with pytest.raises(ValueError, match=r"has 4 numeric columns .* was fitted on 3, whose names"):
        matching(TABLE, None, 3)


def test_matching_says_what_is_not_there():
    with pytest.raises(ValueError, match=r"no column 'Whole'; did you mean 'whole'\? its columns"):
        matching(TABLE, ("Whole", "price"), 2)
    missing = r"no column 'p' and no column 'q' and no column 'r' and more; .*fitted on p, q, r, s$"
    with pytest.raises(ValueError, match=missing):
        matching(TABLE, ("p", "q", "r", "s"), 4)
    with pytest.raises(ValueError, match="no numbers in the columns species; the model was fitted"):
        matching(TABLE, ("whole", "species"), 2)
    table = pa.table({"a": pa.array([1, None, 3], pa.int64())})
    with pytest.raises(ValueError, match=r"1 missing cell, in columns: a \(1\); drop those rows"):
        matching(table, ("a",), 1)


def test_nearest_name():
    assert suggestion("ful", ["full", "tied"]) == "did you mean 'full'? "
    assert suggestion("xyz", ["full", "tied"]) == ""
