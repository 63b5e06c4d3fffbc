"""Text files as people have them: separators, headers, decimal commas, Windows."""

import numpy as np
import pytest

from jaxem.cli import main, tables

TEXT = "length,wait_time\n1.5,79\n2.5,54\n3.5,60\n"
COLUMNS = {"length": [1.5, 2.5, 3.5], "wait_time": [79, 54, 60]}


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read(path, **options)

    return read


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(read, separator):
    table = read(TEXT.replace(",", separator))
    assert table.columns.to_pydict() == COLUMNS
    assert table.remarks == ()


@pytest.mark.parametrize("separator", [" ", "|"])
def test_any_other_separator_is_told(read, separator):
    assert read(TEXT.replace(",", separator), separator=separator).columns.to_pydict() == COLUMNS


def test_one_column_with_spaces_in_its_name(read):
    assert read("wait time\n1.5\n2\n").columns.to_pydict() == {"wait time": [1.5, 2.0]}


def test_commas_in_names_and_decimals_do_not_separate(read):
    table = read("a, cm;b, cm\n1,5;2,5\n2,5;3,0\n")
    assert table.columns.to_pydict() == {"a, cm": [1.5, 2.5], "b, cm": [2.5, 3.0]}


def test_commas_in_quotes_do_not_separate(read):
    assert read('"a, cm";b\n1.5;2\n').columns.to_pydict() == {"a, cm": [1.5], "b": [2]}


def test_decimal_commas(read):
    table = read("Länge;Art;n\n1,5;x,y;1\n-2,25e1;z;2\n;w;3\n")
    assert table.columns["Länge"].to_pylist() == [1.5, -22.5, None]
    assert table.columns["Art"].to_pylist() == ["x,y", "z", "w"]
    assert table.columns["n"].to_pylist() == [1, 2, 3]
    assert table.remarks == ("commas in numbers are taken as decimal commas",)


def test_decimal_points_stay_where_a_column_is_text(read):
    table = read("a;b\n1.5;x\n2.5;y\n")
    assert table.columns["a"].to_pylist() == [1.5, 2.5]
    assert table.remarks == ()


HEADLESS = {
    "numbers": ("1.5,79\n2.5,54\n", [[1.5, 2.5], [79, 54]]),
    "and a class": ("5.1,3.5,setosa\n4.9,3.0,setosa\n", [[5.1, 4.9], [3.5, 3.0], ["setosa"] * 2]),
    "a hole in the first row": ("1.5,NA\n2.5,4\n", [[1.5, 2.5], [None, 4]]),
    "decimal commas": ("1,5;2\n2,5;3\n", [[1.5, 2.5], [2, 3]]),
    "equal numbers": ("1.5,1.5\n2.5,4\n", [[1.5, 2.5], [1.5, 4.0]]),
}


@pytest.mark.parametrize("name", HEADLESS)
def test_a_first_row_of_numbers_is_not_lost(read, name):
    content, columns = HEADLESS[name]
    with pytest.raises(ValueError, match="first row of numbers; give --no-header if it is data"):
        read(content)
    table = read(content, header=False)
    assert table.columns.column_names == [f"column_{i + 1}" for i in range(len(columns))]
    assert list(table.columns.to_pydict().values()) == columns


@pytest.mark.parametrize("names", ["a,2020", "2020,a"])
def test_one_name_that_is_no_number_is_enough(read, names):
    table = read(f"{names}\n1.5,2\n")
    assert table.columns.column_names == names.split(",")
    assert table.columns.num_rows == 1 and table.remarks == ()


def test_header_and_no_header_are_obeyed(read):
    table = read("2019,2020\n1.5,2\n", header=True)
    assert table.columns.to_pydict() == {"2019": [1.5], "2020": [2]}
    assert table.remarks == ()
    table = read("0,1\n1.5,2\n", header=False)
    assert table.columns.to_pydict() == {"column_1": [0.0, 1.5], "column_2": [1, 2]}
    assert table.remarks == ()


def test_from_windows_with_quotes(read):
    table = read(b'\xef\xbb\xbf"a b",c\r\n"1.5","2"\r\n"2.5","3"\r\n\r\n')
    assert table.columns.to_pydict() == {"a b": [1.5, 2.5], "c": [2, 3]}


@pytest.mark.parametrize("word", ["", "NA", "NaN", "nan", "?", " ?", " NA"])
def test_a_missing_cell_leaves_the_column_numeric(read, word):
    column = read(f"a, b\n1, 2.5\n2,{word}\n").columns["b"]
    assert tables.is_numeric(column.type)
    np.testing.assert_array_equal(column.to_numpy(), [2.5, np.nan])


@pytest.mark.slow
@pytest.mark.parametrize("separator", ["tab", "\\t", "\t"])
def test_a_tab_as_people_write_it(separator, tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text(TEXT.replace(",", "\t"))
    arguments = ["fit", str(path), "--components", "1", "--starts", "1", "--separator"]
    assert main([*arguments, separator]) == 0
    assert "3 rows, 2 columns" in capsys.readouterr().out
    for bad in ("", ";;", "é", "\n", '"'):
        assert main([*arguments, bad]) == 2
        assert "give one character" in capsys.readouterr().err
