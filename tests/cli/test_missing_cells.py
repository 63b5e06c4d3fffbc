"""Tables with missing cells at the command line: how they are read, fitted, shown and filled."""

import csv
import decimal
import io as streams
import re
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import jaxem
from jaxem import families, io
from jaxem.cli import main
from jaxem.cli.cells import values
from jaxem.cli.columns import choose, family_of
from jaxem.families import Gaussian, GaussianParams
from jaxem.models import HMMParams

# Ozone, Solar.R, Wind and Temp of New York in 1973 (Chambers et al. 1983), as R has them.
AIR = Path(__file__).parent / "airquality.csv"

TEXT = """\
id,when,a,b,note,c
007,2024-01-05,1.50,2e1,"x, y",3
008,?,NA,18.0,?,4
009,2024-01-07,0.250,?,,nan
0010,,?, NA,z,
011,2024-01-09,-1,+21.5,NA,05
"""
COLUMNS = ("a", "b", "c")
HOLES = {(1, 2), (2, 3), (2, 5), (3, 2), (3, 3), (3, 5)}
X = np.array(
    [
        [1.5, 20, 3],
        [np.nan, 18, 4],
        [0.25, np.nan, np.nan],
        [np.nan, np.nan, np.nan],
        [-1, 21.5, 5],
    ]
)


def gaussian():
    """Two components of three columns that depend on each other."""
    root = np.array([[1.0, 0, 0], [0.5, 2, 0], [-0.7, 0.4, 1.5]])
    components = GaussianParams(
        np.array([[0.0, 20, 4], [2, 25, 3]]), np.stack([root @ root.T, 2 * root.T @ root])
    )
    params = jaxem.MixtureParams(np.array([0.7, 0.3]), components)
    return jaxem.Mixture(Gaussian("full"), 2), params


FILLING = jaxem.Mixture(Gaussian("full", missing=True), 2)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.safetensors"
    jaxem.save(path, *gaussian(), columns=COLUMNS)
    return str(path)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TEXT)
    return str(path)


def rows_of(path, separator=","):
    text = path.read_text() if isinstance(path, Path) else path
    return list(csv.reader(streams.StringIO(text), delimiter=separator))


def draws_key(seed=0):
    return jax.random.fold_in(jax.random.key(seed), 1)


# ---- what is filled, and what stays


def same_value(one, other):
    """Of two cells, however they are spelt."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


@pytest.mark.slow
def test_cells_that_are_there_keep_their_values(model, table, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["impute", table, "--model", model, "-o", str(out)]) == 0
    before, after = rows_of(TEXT), rows_of(out)
    assert after[0] == before[0] and len(after) == len(before)
    filled = np.asarray(jaxem.impute(FILLING, gaussian()[1], X))
    for i, (old, new) in enumerate(zip(before[1:], after[1:], strict=True)):
        for j, (was, cell) in enumerate(zip(old, new, strict=True)):
            if (i, j) in HOLES:
                assert float(cell) == filled[i, COLUMNS.index(before[0][j])]
            else:
                assert same_value(cell, was) or (was == "?" and cell == "")
    printed, err = capsys.readouterr()
    assert "5 rows, 3 columns; 6 of 15 cells (40.0 %) are missing, in 3 rows" in printed
    assert "6 cells filled in 3 rows, by 2 components, full covariance; " in printed
    assert "has 1 row without any value" in err
    assert "cells stay missing in columns that are not in the model: when (2), note (3)\n" in err


def test_the_filled_file_has_no_holes_left_and_is_copied_the_next_time(
    model, table, tmp_path, capsys
):
    once, twice = tmp_path / "once.csv", tmp_path / "twice.csv"
    assert main(["impute", table, "--model", model, "-o", str(once)]) == 0
    capsys.readouterr()
    assert main(["impute", str(once), "--model", model, "-o", str(twice)]) == 0
    out, err = capsys.readouterr()
    assert twice.read_bytes() == once.read_bytes()
    assert "has no missing cells in a, b, c: it is copied" in err
    assert "0 cells filled in 0 rows" in out


def test_without_an_output_the_table_alone_is_on_the_standard_output(model, table, capsys):
    assert main(["impute", table, "--model", model]) == 0
    out, err = capsys.readouterr()
    assert rows_of(out)[0] == rows_of(TEXT)[0] and len(rows_of(out)) == 6
    assert "share" in err and "written to the standard output" in err


def test_draws_come_one_under_another_with_their_number(model, table, tmp_path, capsys):
    out = tmp_path / "out.csv"
    arguments = ["impute", table, "--model", model, "--seed", "4", "-o", str(out)]
    assert main([*arguments, "--draws", "3"]) == 0
    head, *rows = rows_of(out)
    assert head == ["draw", *rows_of(TEXT)[0]]
    assert [row[0] for row in rows] == ["1"] * 5 + ["2"] * 5 + ["3"] * 5
    drawn = jaxem.impute(FILLING, gaussian()[1], X, key=draws_key(4), n_draws=3)
    found = np.array([[float(row[j]) for j in (3, 4, 6)] for row in rows])
    np.testing.assert_array_equal(found, np.asarray(drawn).reshape(15, 3))
    text = capsys.readouterr().out
    assert "sd between" in text and "3 tables, written to" in text
    assert "take the parameters as known" in text


def test_a_column_that_is_called_draw_keeps_its_name(tmp_path, model):
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_text("draw,a,b,c\nx,1,,2\n")
    assert main(["impute", str(path), "--model", model, "--draws", "1", "-o", str(out)]) == 0
    assert rows_of(out)[0] == ["draw_", "draw", "a", "b", "c"] and rows_of(out)[1][:3] == [
        "1", "x", "1"
    ]  # fmt: skip


def test_any_table_of_text_is_written_with_commas_or_tabs(model, tmp_path):
    path, out, tabs = (tmp_path / name for name in ("t.csv", "out.csv", "out.tsv"))
    path.write_text("a;b;c;where\n1,50;?;3,0;x,y\n0,5;20,25;4,0;z\n")
    x = np.array([[1.5, np.nan, 3], [0.5, 20.25, 4]])
    fill = np.asarray(jaxem.impute(FILLING, gaussian()[1], x))[0, 1]
    for place, separator in ((out, ","), (tabs, "\t")):
        assert main(["impute", str(path), "--model", model, "-o", str(place)]) == 0
        head, *rows = rows_of(place, separator)
        assert head == ["a", "b", "c", "where"]
        assert [[float(cell) for cell in row[:3]] for row in rows] == [[1.5, fill, 3], [*x[1]]]
        assert [row[3] for row in rows] == ["x,y", "z"]


def test_a_file_without_a_header_and_one_that_is_not_utf8(tmp_path, capsys):
    path, out, model = tmp_path / "t.csv", tmp_path / "out.csv", tmp_path / "m.safetensors"
    jaxem.save(model, *gaussian())
    arguments = ["impute", str(path), "--no-header", "--model", str(model), "-o", str(out)]
    path.write_bytes(b"1,2,3,x\n4,,6,y\n")
    assert main(arguments) == 0
    rows = rows_of(out)
    assert rows[:2] == [["column_1", "column_2", "column_3", "column_4"], ["1", "2", "3", "x"]]
    path.write_bytes(b"1,2,3,x\n4,,6,\xe9t\xe9\n")
    assert main(arguments) == 2
    assert "cannot be written (Invalid UTF8" in capsys.readouterr().err
    assert rows_of(out) == rows


def test_types_stay_as_they_are(model, tmp_path):
    """Of a pandas frame with its index too; whole numbers that get fractions become floats."""
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    moments = pd.to_datetime(["2024-01-01", None, "2024-01-03"])
    frame = pd.DataFrame(
        {
            "a": np.array([0.1, np.nan, 3], np.float32),
            "b": pd.array([2, 3, None], "Int64"),
            "when": moments,
            "c": [decimal.Decimal("1.25"), None, decimal.Decimal("2.50")],
        },
        index=pd.Index(["x", "y", "z"], name="who"),
    )
    frame.to_parquet(path)
    assert main(["impute", str(path), "--model", model, "-o", str(out)]) == 0
    before, after = pyarrow.parquet.read_table(path), pyarrow.parquet.read_table(out)
    assert after.column_names == ["a", "b", "when", "c", "who"]
    assert after.schema.types == [
        pa.float32(), pa.float64(), *before.schema.types[2:]
    ]  # fmt: skip
    x = np.array([[np.float32(0.1), 2, 1.25], [np.nan, 3, np.nan], [3, np.nan, 2.5]])
    filled = np.asarray(jaxem.impute(FILLING, gaussian()[1], x))
    np.testing.assert_array_equal(after["a"].to_numpy(), filled[:, 0].astype(np.float32))
    np.testing.assert_array_equal(after["b"].to_numpy(), filled[:, 1])
    cells = after["c"].to_pylist()
    assert cells[::2] == before["c"].to_pylist()[::2]
    assert abs(float(cells[1]) - filled[1, 2]) <= 0.0051
    assert after["when"].equals(before["when"]) and after["who"].to_pylist() == ["x", "y", "z"]
    table = tmp_path / "out.csv"
    assert main(["impute", str(path), "--model", model, "-o", str(table)]) == 0
    assert float(rows_of(table)[3][1]) == filled[2, 1]


def test_whole_numbers_that_a_float_cannot_hold_are_not_changed(model, tmp_path, capsys):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    columns = {"a": [2**60 + 1, None], "b": [1.0, 2.0], "c": [1.0, 2.0]}
    pyarrow.parquet.write_table(pa.table(columns), path)
    assert main(["impute", str(path), "--model", model, "-o", str(out)]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "has the column a of type int64, which cannot hold what fills it" in err
    assert not out.exists()


def test_nan_is_a_hole_and_cells_of_several_values_are_no_text(model, tmp_path, capsys):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    columns = {"a": [1.0, np.nan], "b": [1.0, 2.0], "c": [1.0, 2.0], "list": [[1, 2], [3]]}
    pyarrow.parquet.write_table(pa.table(columns), path)
    assert main(["impute", str(path), "--model", model, "-o", str(out)]) == 0
    after = pyarrow.parquet.read_table(out)
    assert after["list"].to_pylist() == [[1, 2], [3]]
    assert np.isfinite(after["a"].to_numpy()).all()  # NaN is a hole as null is
    for options in (["-o", str(tmp_path / "out.csv")], []):
        assert main(["impute", str(path), "--model", model, *options]) == 2
        assert "cannot be written (Unsupported Type:list" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


# ---- categories, counts, yes and no


@pytest.fixture
def mixed(tmp_path):
    """A model of columns of every kind, and a table for it."""
    blocks = {
        "bernoulli": families.Bernoulli(),
        "categorical": families.Categorical((3,)),
        "gaussian": Gaussian("diag"),
        "poisson": families.Poisson(),
    }
    components = {
        "bernoulli": families.BernoulliParams(np.array([[0.9, 0.8], [0.2, 0.1]])),
        "categorical": families.CategoricalParams((np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 0.1]]),)),
        "gaussian": GaussianParams(np.array([[0.0], [9.0]]), np.array([[1.0], [2.0]])),
        "poisson": families.PoissonParams(np.array([[2.3], [8.6]])),
    }
    params = jaxem.MixtureParams(np.array([0.5, 0.5]), components)
    model = jaxem.Mixture(families.Product(blocks), 2)
    path = tmp_path / "mixed.safetensors"
    columns = ("smokes", "paid", "colour", "size", "visits")
    levels = {"smokes": ("false", "true"), "paid": ("0", "1"), "colour": ("blue", "green", "red")}
    jaxem.save(path, model, params, columns=columns, levels=levels)
    return str(path), model, params


@pytest.mark.slow
def test_categories_and_counts_stay_whole(mixed, tmp_path):
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_text(
        "colour,size,visits,smokes,paid\n"
        "?,0.0,2,,1.0\n"
        "green,9,?,True,\n"
        "green,,3,FALSE,0.0\n"
        "?,9.5,9,False,1.0\n"
    )
    assert main(["impute", str(path), "--model", mixed[0], "-o", str(out)]) == 0
    rows = rows_of(out)
    # Row 1 is of the first component: red was never seen here.
    assert rows[1] == ["red", "0", "2", "true", "1"]
    assert rows[2] == ["green", "9", "9", "true", "0"]
    assert rows[3][:1] + rows[3][2:] == ["green", "3", "false", "0"]
    assert rows[4] == ["green", "9.5", "9", "false", "1"]


@pytest.mark.slow
def test_a_typed_file_keeps_its_types_of_categories(mixed, tmp_path):
    path, out = tmp_path / "t.arrow", tmp_path / "out.arrow"
    colour = pa.array(["green", None, "blue"]).dictionary_encode()
    columns = {
        "colour": colour,
        "size": [0.0, 0.5, None],
        "visits": pa.array([None, 3, 2], pa.uint8()),
        "smokes": pa.array([True, None, False]),
        "paid": pa.array([1, 0, None], pa.int8()),
    }
    table = pa.table(columns)
    pyarrow.feather.write_feather(table, str(path))
    arguments = ["impute", str(path), "--model", mixed[0], "-o", str(out)]
    assert main(arguments) == 0
    after = pyarrow.feather.read_table(str(out))
    assert after.schema.types == table.schema.types
    assert after["colour"].to_pylist() == ["green", "red", "blue"]
    assert after["visits"].to_pylist() == [2, 3, 2]
    assert after["smokes"].to_pylist() == [True, True, False]
    assert after["paid"].to_pylist() == [1, 0, 1]
    assert main([*arguments, "--draws", "4"]) == 0
    drawn = pyarrow.feather.read_table(str(out))
    assert drawn.schema.types == [pa.int32(), *table.schema.types]
    assert set(drawn["colour"].to_pylist()) <= {"blue", "green", "red"}
    seen = [i for i in range(12) if i % 3 != 1]
    assert [drawn["colour"][i].as_py() for i in seen] == ["green", "blue"] * 4


def test_a_category_that_the_model_does_not_know_stays(mixed, tmp_path, capsys):
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_text("colour,size,visits,smokes,paid\npurple,?,3,true,1\n")
    arguments = ["impute", str(path), "--model", mixed[0], "-o", str(out)]
    assert main(arguments) == 2
    assert "'purple'" in capsys.readouterr().err and not out.exists()
    assert main([*arguments, "--unseen", "missing"]) == 0
    assert rows_of(out)[1][0] == "purple" and float(rows_of(out)[1][1]) < 1


def test_a_word_for_a_hole_is_no_category(tmp_path):
    """Whatever the kind of file."""
    content = "answer,with\nyes,1\n?,2\nno,1\n NA,2\nnull,1\n,2\n"
    path = tmp_path / "t.csv"
    path.write_text(content)
    typed = pa.table({"answer": ["yes", "?", "no", " NA", "null", ""], "with": [1, 2, 1, 2, 1, 2]})
    pyarrow.parquet.write_table(typed, tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        table = frame_of(tmp_path / name)
        chosen = choose(table, family="categorical", holes=True)
        assert chosen.levels["answer"] == ("no", "yes")
        x = values(table, chosen, family_of(chosen, "full"))
        np.testing.assert_array_equal(x[:, 0], [1, np.nan, 0, np.nan, np.nan, np.nan])


def frame_of(path):
    from jaxem.cli import tables

    return tables.read(path).columns


def test_predict_keeps_the_words_of_other_columns(model, table, tmp_path, capsys):
    path = tmp_path / "whole.csv"
    path.write_text("a,b,c,land\n1,2,3,NA\n2,3,4,?\n3,4,5,x\n")
    assert main(["predict", model, str(path), "--keep"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [row[3] for row in rows[1:]] == ["NA", "?", "x"]


# ---- fits


def holed(n=60, seed=1):
    """Two groups in three columns, a quarter of the cells gone, and one row of holes alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + 6 * (np.arange(n) % 2)[:, None]
    x = np.round(x, 3)
    x[rng.random(x.shape) < 0.25] = np.nan
    x[0], x[1] = [1.5, 2.5, 3.5], np.nan
    return x


def write(path, x, names=("a", "b", "c")):
    rows = [",".join("?" if np.isnan(v) else str(v) for v in row) for row in x]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def fitted():
    """The fit that the commands are to find: of the rows that have anything."""
    x = holed()
    some = x[~np.isnan(x).all(1)]
    return jaxem.fit(FILLING, some, key=jax.random.key(0), n_init=4)


@pytest.mark.slow
def test_fit_uses_rows_with_holes_unless_told_not_to(fitted, tmp_path, capsys):
    x = holed()
    path, model = write(tmp_path / "t.csv", x), tmp_path / "fit.safetensors"
    arguments = ["fit", path, "--components", "2", "--starts", "4"]
    assert main([*arguments, "-o", str(model)]) == 0
    out, err = capsys.readouterr()
    gone = np.isnan(x)
    each = ", ".join(f"{name} ({n})" for name, n in zip("abc", gone.sum(0), strict=True))
    lead = f"{gone.sum()} missing cells in {gone.any(1).sum()} of 60 rows, in columns: {each}"
    assert f"has {lead}: each row is fitted by what it has" in err
    assert "--missing drop leaves rows with holes out, --missing error refuses" in err
    assert f"{gone.all(1).sum()} rows without any value left out of the fit" in err
    saved = io.read(model)
    assert saved.model == FILLING
    np.testing.assert_allclose(
        saved.notes["log_likelihood"], float(fitted.log_likelihood), rtol=1e-12
    )
    assert re.search(rf"missing cells +{gone.sum()}, in {gone.any(1).sum()} rows", out)

    assert main([*arguments, "--missing", "error"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"has {lead}; --missing fit uses what the rows have" in err


def test_dropped_rows_are_counted(tmp_path, capsys):
    x = holed()
    whole = x[~np.isnan(x).any(1)]
    path, other = write(tmp_path / "t.csv", x), write(tmp_path / "whole.csv", whole)
    arguments = ["--components", "1", "--starts", "1", "--missing"]
    facts = []
    for file, how in ((path, "drop"), (other, "error"), (other, "fit")):
        assert main(["fit", file, *arguments, how]) == 0
        out, err = capsys.readouterr()
        facts.append(re.search(r"log-likelihood +(\S+)", out)[1])
        if how == "drop":
            assert f"{60 - len(whole)} of 60 rows have missing cells and are left out" in err
        else:
            assert err == ""
    assert len(set(facts)) == 1  # rows with holes, left out by us or before


@pytest.mark.slow
def test_impute_fits_as_fit_does_and_fills_as_impute(fitted, tmp_path, capsys):
    x = holed()
    path, out, picture = write(tmp_path / "t.csv", x), tmp_path / "o.csv", tmp_path / "p.png"
    arguments = ["impute", path, "--components", "2", "--starts", "4", "-o", str(out)]
    assert main([*arguments, "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    found = np.array([[float(v) for v in row] for row in rows_of(out)[1:]])
    np.testing.assert_array_equal(found[~np.isnan(x)], x[~np.isnan(x)])
    expected = np.asarray(jaxem.impute(FILLING, fitted.params, x))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert picture.read_bytes().startswith(b"\x89PNG")
    patterns = re.findall(r"^(\(none\)|\(all\)|[abc, ]+?) +(\d+) +(\d+\.\d) %$", printed, re.M)
    counts = {name: int(n) for name, n, _ in patterns[: len(np.unique(np.isnan(x), axis=0))]}
    assert counts["(all)"] == np.isnan(x).all(1).sum()
    assert counts["(none)"] == (~np.isnan(x)).all(1).sum()
    assert counts["a, b"] == (np.isnan(x) == [True, True, False]).all(1).sum()
    assert sum(counts.values()) == 60
    assert "--draws 5" in printed


def test_airquality_is_filled_as_by_the_fit_of_r(tmp_path, capsys):
    """R's norm 1.0.11.1 and lavaan 0.6.14: log-likelihood, means and covariances of one normal."""
    mean = np.array([41.8711730195979, 184.846806249845, 9.95751633986928, 77.8823529411765])
    covariance = np.array(
        [
            [1044.01864306448, 942.52984181323, -64.6359276936995, 209.56350282618],
            [942.52984181323, 8090.7016612068, -17.3353803413116, 238.073311327028],
            [-64.6359276936995, -17.3353803413116, 12.3304173608441, -15.1723183391004],
            [209.56350282618, 238.073311327028, -15.1723183391004, 89.0057670126874],
        ]
    )
    out = tmp_path / "filled.csv"
    options = ["--components", "1", "--starts", "1", "--tol", "1e-12", "--family", "gaussian"]
    assert main(["impute", str(AIR), *options, "-o", str(out)]) == 0
    text = capsys.readouterr().out
    for line in ("(none)", "Ozone", "Solar.R", "Ozone, Solar.R"):
        assert re.search(rf"^{re.escape(line)} +\d+ +\d+\.\d %$", text, re.M)
    before, after = rows_of(AIR), rows_of(out)
    for old, new in zip(before[1:], after[1:], strict=True):
        gone = np.array([cell == "NA" for cell in old])
        assert [c for c, g in zip(new, gone, strict=True) if not g] == [
            c for c, g in zip(old, gone, strict=True) if not g
        ]
        x = np.array([float(cell) for cell in new])
        there = ~gone
        slope = covariance[np.ix_(gone, there)] @ np.linalg.inv(covariance[np.ix_(there, there)])
        np.testing.assert_allclose(
            x[gone], mean[gone] + slope @ (x[there] - mean[there]), rtol=1e-5
        )
    assert sum("NA" in row for row in before) == 42


@pytest.mark.slow
def test_what_the_documentation_shows_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(AIR.parents[2])
    page = Path("scripts/docs/howto/command_line.md").read_text(encoding="utf-8")
    command = re.search(r"^jaxem (impute tests/.*) -o filled.csv --plot holes.png$", page, re.M)
    shown = re.search(r"^tests/cli/airquality.csv: .*?(?=^```)", page, re.M | re.S)
    assert command and shown
    few = ["--components", "1:3", "--starts", "20"]  # the same optimum, in less time
    assert main([*command[1].split(), *few, "-o", str(tmp_path / "f.csv")]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line in shown[0].splitlines():
        assert line in printed


# ---- what cannot be


@pytest.mark.slow
def test_columns_never_seen_together_are_named(tmp_path, capsys):
    path, out = tmp_path / "t.csv", tmp_path / "o.csv"
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(30, 3)), 3)
    x[::2, 0], x[1::2, 1] = np.nan, np.nan
    write(path, x)
    options = ["--components", "1", "--starts", "1"]
    assert main(["impute", str(path), *options, "-o", str(out)]) in (0, 1)
    err = capsys.readouterr().err
    assert "has columns that no row has both of: a and b;" in err and "not identified" in err


BAD = {
    ("a,b,c\n1,,\n2,,3\n", "--model", "{model}"): None,  # a model needs no value of a column
    ("a,b\n1,\n2,\n3,\n",): "has not a single value in the columns b, .*give --columns a$",
    ("a,b\n?,NA\n,\n",): "has not a single value in the columns a, b",
    ("what\nx\ny\n?\n", "--family", "gaussian"): "no columns that can be gaussian",
    ("a,b\n1,2\n3,?\n4,5\n", "--components", "9"): "use at most 3 components",
    ("a,b\n1,2\n3,?\n", "--columns", "a,d"): "no column 'd'",
    ("a,b\n1,2\n3,?\n", "--model", "{model}"): "no column 'c'; .*fitted on a, b, c",
    ("a,b,c\n1,2,x\n3,?,y\n", "--model", "{model}"): "no numbers in the columns c",
    ("a,b\n1,2\n3,?\n", "--model", "{model}", "--components", "2"): "leave out --components",
    ("a,b\n1,2\n3,?\n", "--model", "{table}"): "is no model file",
    ("a,b\n1,2\n3,?\n", "--model", "{chain}"): "the model was fitted on 3, whose names",
    ("a,b\n1,2\n3,?\n", "--order-by", "a"): "are of sequences: give --model a hidden Markov",
    ("a,b\n1,2\n3,?\n", "--model", "{lines}"): "takes whole rows alone",
    ("a,b\n1,2\n3,?\n", "--family", "multinomial"): "takes whole rows alone",
    ("a,b\n1,2\n3,?\n", "--draws", "0"): "--draws",
    ("a,b\n1,2\n3,?\n", "--plot", "p.docx"): ".docx files cannot be written",
    ("a,b\n1,2\n3,inf\n4,?\n",): "has 1 infinite cell, in columns: b",
}


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_one_line(given, model, tmp_path, capsys):
    content, *options = given
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_text(content)
    out.write_text("old")
    places = {"model": model, "table": path}
    if any("chain" in option for option in options):
        places["chain"] = tmp_path / "chain.safetensors"
        emissions = gaussian()[1].components
        half = np.full((2, 2), 0.5)
        jaxem.save(
            places["chain"], jaxem.HMM(Gaussian("full"), 2), HMMParams(half[0], half, emissions)
        )
    if any("lines" in option for option in options):
        places["lines"] = tmp_path / "lines.safetensors"
        lines = families.LinearRegressionParams(np.ones((1, 2)), np.ones(1))
        of_lines = jaxem.Mixture(families.LinearRegression(), 1)
        jaxem.save(places["lines"], of_lines, jaxem.MixtureParams(np.ones(1), lines))
    options = [option.format(**places) for option in options]
    status = main(["impute", str(path), *options, "-o", str(out)])
    printed, err = capsys.readouterr()
    if BAD[given] is None:
        assert status == 0
        return
    assert status == 2 and printed == "" and out.read_text() == "old"
    assert err.count("\n") == 1 and err.startswith("jaxem: ")
    assert re.search(BAD[given], err.rstrip("\n"))


def test_a_file_that_is_there_is_replaced_only_as_asked(model, table, capsys):
    before = Path(table).read_text()
    assert main(["impute", table, "--model", model, "-o", table]) == 2
    assert "--output is the input" in capsys.readouterr().err
    assert Path(table).read_text() == before
    assert main(["impute", table, "--model", model, "-o", model + ".xlsx"]) == 2
    assert ".xlsx files cannot be written" in capsys.readouterr().err


def test_help_says_what_a_hole_is(capsys):
    assert main(["impute", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "empty cells, NA, NaN, nan, null and ?" in text and "Example: jaxem impute" in text


# ---- what nothing is known of, and what a column cannot hold


def arms():
    """Two groups far apart; the second never had the last column."""
    rng = np.random.default_rng(9)
    z = np.repeat([0, 1], 30)
    x = np.round(rng.normal(size=(60, 3)) + 8.0 * z[:, None], 3)
    x[z == 1, 2], x[5, 2] = np.nan, np.nan
    return x


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [[], ["--column-family", "lab=exponential"]])
def test_what_a_component_never_has_is_told_and_its_holes_stay(kinds, tmp_path, capsys):
    x = np.abs(arms())
    path, out = write(tmp_path / "t.csv", x, ("a", "b", "lab")), tmp_path / "out.csv"
    model = tmp_path / "m.safetensors"
    arguments = [path, "--components", "2", "--starts", "3", *kinds]
    assert main(["fit", *arguments, "-o", str(model)]) == 0
    as_bad_input = re.compile(r"no row of component [01] has column lab: .*not identified")
    assert as_bad_input.search(capsys.readouterr().err)
    for own in ([*arguments], [path, "--model", str(model)]):
        assert main(["impute", *own, "-o", str(out)]) == 0
        printed, err = capsys.readouterr()
        assert bool(as_bad_input.search(err)) == ("--model" not in own)
        assert "holes stay in the columns lab (30)" in err
        assert "1 cell filled in 1 row" in printed and "nan" not in printed
        cells = np.array([row[2] for row in rows_of(out)[1:]])
        assert np.all(cells[30:] == "") and np.isfinite(float(cells[5]))


def children(n=120):
    """Whole numbers from 0 that depend on another column, as pandas writes them with holes."""
    rng = np.random.default_rng(1)
    kids = rng.poisson(np.exp(rng.normal(0, 1, n))).astype(float)
    size = np.round(kids + rng.normal(0, 0.5, n), 2)
    smokes = np.where(rng.random(n) < 0.5, 1.0, 0.0)
    kids[rng.random(n) < 0.3], smokes[rng.random(n) < 0.3] = np.nan, np.nan
    return np.stack([kids, size, smokes], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("draws", [[], ["--draws", "3"]])
def test_whole_numbers_are_filled_whole_and_from_0(draws, tmp_path, capsys):
    x = children()
    path, out = write(tmp_path / "t.csv", x, ("kids", "size", "smokes")), tmp_path / "out.csv"
    arguments = ["impute", path, "--components", "2", "--starts", "2", *draws, "-o", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "gaussian: kids, size; bernoulli: smokes (2 levels)" in said.err
    assert "columns are independent of each other: smokes, and of kids, size together" in said.err
    assert "weakened in what is filled" in said.err
    head, *rows = rows_of(out)
    found = np.array(
        [[float(row[head.index(name)]) for name in ("kids", "smokes")] for row in rows]
    )
    gone = np.tile(np.isnan(x[:, [0, 2]]), (3 if draws else 1, 1))
    assert np.all(found[gone] >= 0) and np.all(found[gone] == np.rint(found[gone]))
    assert set(found[:, 1]) == {0.0, 1.0}
    # What size tells of kids is not lost.
    lost = gone[:, 0]
    size = np.tile(x[:, 1], 3 if draws else 1)
    assert np.corrcoef(found[lost, 0], size[lost])[0, 1] > 0.8

    assert main([*arguments, "--family", "gaussian"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"fills fractions in columns of whole numbers: kids \(\d+\), smokes", err)
    assert "independent" not in err


@pytest.mark.slow
def test_numbers_below_0_are_told_where_none_is(tmp_path, capsys):
    rng = np.random.default_rng(2)
    other = rng.normal(size=80)
    income = np.round(np.maximum(5 * other + rng.normal(size=80), 0.01), 3)
    income[other < np.quantile(other, 0.2)] = np.nan
    path = write(tmp_path / "t.csv", np.stack([income, other], axis=1), ("income", "other"))
    arguments = [
        "impute",
        path,
        "--components",
        "1",
        "--starts",
        "1",
        "-o",
        str(tmp_path / "o.csv"),
    ]
    assert main(arguments) == 0
    assert re.search(r"fills numbers below 0 in columns that have none: income \(\d+\)",
                     capsys.readouterr().err)  # fmt: skip


@pytest.mark.slow
def test_names_are_no_categories_to_fill_by(tmp_path, capsys):
    names = [f"name {i // 2}" for i in range(60)]
    rows = [f"{n},{'xy'[i % 2]},{i % 7}.5" for i, n in enumerate(names)]
    path, out = tmp_path / "t.csv", tmp_path / "o.csv"
    path.write_text("\n".join(["who,arm,size", *rows, ",,1.5"]) + "\n")
    assert main(["impute", str(path), "--components", "1", "--starts", "1", "-o", str(out)]) == 0
    assert "columns left out, not numeric: who" in capsys.readouterr().err
    assert rows_of(out)[-1][0] == "" and rows_of(out)[-1][1] in "xy"
