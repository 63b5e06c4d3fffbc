"""Parquet files that are read block by block, at the command line."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import families
from jaxem.cli import main, tables
from jaxem.core import source
from jaxem.datasets import load_faithful
from jaxem.sources import categories


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Old Faithful in two files."""
    monkeypatch.setattr(source, "WHOLE", 1)
    x = load_faithful().x
    for number, rows in enumerate((x[:200], x[200:])):
        table = pa.table({"eruptions": rows[:, 0], "waiting": rows[:, 1]})
        pq.write_table(table, tmp_path / f"part-{number}.parquet")
    return tmp_path


def fit(*arguments):
    return main(["fit", *map(str, arguments), "--components", "2", "--starts", "4"])


def test_files_are_fitted_as_one_table(folder, capsys):
    saved, checkpoint = folder / "model.safetensors", folder / "fit.ckpt"
    given = (folder / "part-*.parquet", "-o", saved, "--checkpoint", checkpoint)
    assert fit(*given) == 0
    printed = capsys.readouterr()
    assert "272 rows, 2 columns; 2 components" in printed.out
    assert float(re.search(r"log-likelihood +(\S+)", printed.out)[1]) == pytest.approx(
        -1130.26396, abs=1e-4
    )
    assert "272 rows are read block by block" in printed.err
    _, params = jaxem.load(saved)
    assert np.all(np.diff(params.weights) <= 0)
    assert checkpoint.exists()
    assert fit(*given) == 0  # it has ended
    np.testing.assert_array_equal(jaxem.load(saved)[1].components.means, params.components.means)


@pytest.mark.slow
def test_files_are_fitted_by_t_components_too(folder, capsys):
    given = ("--family", "student-t", "--degrees-of-freedom", "shared")
    assert fit(folder / "part-*.parquet", *given) == 0
    assert "-1130.1789" in capsys.readouterr().out


@pytest.mark.slow
def test_files_are_fitted_by_several_devices(folder, capsys):
    assert fit(folder / "part-*.parquet") == fit(folder / "part-*.parquet", "--devices", 2) == 0
    one, two = re.findall(r"log-likelihood +(\S+)", capsys.readouterr().out)
    assert one == two
    assert fit(folder / "part-*.parquet", "--devices", 99) == 2
    assert "--devices 99: there are 4" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_larger_than_memory_is_read_block_by_block(folder, capsys):
    path = folder / "part-0.parquet"
    assert fit(path, "--memory", "1GB") == fit(path, "--memory", "1KB") == 0
    whole, streamed = re.findall(r"log-likelihood +(\S+)", capsys.readouterr().out)
    assert whole == streamed


@pytest.mark.slow
def test_cells_that_are_missing_are_holes(folder, capsys):
    x = load_faithful().x.copy()
    x[::9, 1] = np.nan
    path = folder / "holes.parquet"
    pq.write_table(pa.table({"eruptions": x[:, 0], "waiting": x[:, 1]}), path)
    assert fit(path, "--memory", "1GB") == fit(path, "--memory", "1KB") == 0
    whole, streamed = re.findall(r"log-likelihood +(\S+)", capsys.readouterr().out)
    assert whole == streamed
    assert fit(path, "--memory", "1KB", "--missing", "error") == 2
    assert "holes.parquet: has missing cells, in columns: waiting (31)" in capsys.readouterr().err


WRONG = {
    "nothing": (["no-*.parquet"], "there is no such file, and none that matches it"),
    "size": (["part-0.parquet", "--memory", "4XB"], "give a size such as 500MB or 4GB"),
    "checkpoint": (
        ["part-0.parquet", "--checkpoint", "c", "--components", "1:2"], "--checkpoint is of one fit"
    ),
    "several": (
        ["part-*.parquet", "--checkpoint", "c", "--components", "1:2"], "--checkpoint is of one fit"
    ),
    "family": (["part-*.parquet", "--family", "beta"], "has no columns that can be beta"),
    "beside": (["part-*.parquet", "--family", "censored-normal"], "columns with others beside"),
    "dropped": (["part-*.parquet", "--missing", "drop"], "--missing drop needs the table"),
    "errors": (["part-*.parquet", "--standard-errors", "observed"], "need the table in memory"),
    "columns": (["part-*.parquet", "--columns", "size"], "has no column 'size'; its columns are"),
    "damaged": (["damaged-*.parquet"], "is no Parquet file, or is cut short"),
    "differ": (["*-0.parquet", "--memory", "1KB"], "no column other, which"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if name == "damaged":
        (folder / "damaged-0.parquet").write_bytes(b"PAR1 and no more")
    if name == "differ":
        pq.write_table(pa.table({"other": [1.0], "waiting": [2.0]}), folder / "a-0.parquet")
    arguments, message = WRONG[name]
    extra = [] if "--components" in arguments else ["--components", "2"]
    assert main(["fit", *arguments, *extra]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error, error


@pytest.mark.slow
def test_pictures_are_of_some_of_the_rows(folder):
    pytest.importorskip("matplotlib")
    picture = folder / "page.png"
    assert fit(folder / "part-*.parquet", "--report", picture) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_files_are_labelled_some_rows_at_a_time(folder, capsys, monkeypatch, suffix):
    monkeypatch.setattr(tables, "_ROWS", 64)
    saved, out = folder / "model.safetensors", folder / f"labelled{suffix}"
    assert fit(folder / "part-0.parquet", "-o", saved) == 0
    given = ["predict", str(saved), str(folder / "part-*.parquet"), "--keep", "-o", str(out)]
    assert main(given) == 0
    found = tables.read(out).cells
    x = load_faithful().x
    model, params = jaxem.load(saved)
    assert found.column_names[:3] == ["eruptions", "waiting", "label"]
    np.testing.assert_array_equal(found["eruptions"], x[:, 0])
    np.testing.assert_array_equal(found["label"], jaxem.predict(model, params, x))
    np.testing.assert_allclose(found["log_density"], jaxem.log_prob(model, params, x), rtol=1e-12)


def test_a_file_of_other_columns_leaves_nothing_behind(folder, capsys):
    saved, out = folder / "model.safetensors", folder / "labelled.csv"
    assert fit(folder / "part-0.parquet", "-o", saved) == 0
    pq.write_table(pa.table({"eruptions": [1.0], "height": [2.0]}), folder / "part-2.parquet")
    given = ["predict", str(saved), str(folder / "part-*.parquet"), "-o", str(out)]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "part-2.parquet: " in told and "waiting" in told and not out.exists()
    assert main(["predict", str(saved), str(folder / "none-*.parquet")]) == 2
    assert "there is no" in capsys.readouterr().err
    pq.write_table(pa.table({"eruptions": [1.0], "waiting": [2.0]})[:0], folder / "empty.parquet")
    assert main(["predict", str(saved), str(folder / "empt*.parquet")]) == 2
    assert "no rows" in capsys.readouterr().err


def test_files_of_text_are_labelled_one_after_another(folder, capsys):
    saved = folder / "model.safetensors"
    assert fit(folder / "part-0.parquet", "-o", saved) == 0
    for number in range(2):
        (folder / f"rows-{number}.csv").write_text("eruptions,waiting\n3.1,70\n")
    capsys.readouterr()
    assert main(["predict", str(saved), str(folder / "rows-*.csv")]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith('"label"') and len(lines) == 2 and lines[0] == lines[1]


# ---- holes


@pytest.fixture
def holed(folder):
    """Whole numbers of which the first rows have none missing, text, and a column that no row of
    a component has; in two files."""
    x = np.round(10 * load_faithful().x)
    rng = np.random.default_rng(0)
    first, second = x[:, 0].copy(), x[:, 1].copy()
    first[100:][rng.random(172) < 0.2] = np.nan
    second[rng.random(272) < 0.1] = np.nan
    whole = pa.array(np.nan_to_num(first).astype(int), mask=np.isnan(first))
    columns = {
        "note": ["x", None] * 136, "eruptions": whole, "waiting": pa.array(second, from_pandas=True)
    }  # fmt: skip
    table = pa.table(columns)
    for number, rows in enumerate((table[:150], table[150:])):
        pq.write_table(rows, folder / f"holed-{number}.parquet")
    pq.write_table(table, folder / "whole.parquet")
    saved = folder / "model.safetensors"
    assert fit(folder / "whole.parquet", "--columns", "eruptions,waiting", "-o", saved) == 0
    return folder


def filled(folder, file, out, *more):
    given = ["impute", folder / file, "--model", folder / "model.safetensors", "-o", folder / out]
    assert main(list(map(str, (*given, *more)))) == 0
    return tables.read(folder / out).cells


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_holes_are_filled_some_rows_at_a_time(holed, capsys, monkeypatch, suffix):
    expected = filled(holed, "whole.parquet", "expected.parquet", "--memory", "1GB")
    capsys.readouterr()
    monkeypatch.setattr(tables, "_ROWS", 64)
    found = filled(holed, "holed-*.parquet", f"found{suffix}")
    printed, err = capsys.readouterr()
    assert "272 rows, 3 columns" not in printed and "cells (" in printed
    assert re.search(r"\d+ cells filled in \d+ rows, by 2 components", printed)
    assert "note (136)" in err
    if suffix == ".parquet":
        assert found.schema.equals(expected.schema)
        assert found["note"].equals(expected["note"])
    for name in ("eruptions", "waiting"):
        assert found[name].null_count == 0
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


@pytest.mark.slow
def test_what_no_row_of_a_component_has_stays_open_as_in_memory(folder, capsys, monkeypatch):
    """In the second file no long eruption has a waiting time; in the first some have."""
    x = load_faithful().x
    long = x[:, 0] > 3
    saved = folder / "model.safetensors"
    assert fit(folder / "part-*.parquet", "-o", saved) == 0
    for name, keep in (("none", ~long), ("some", ~long | (np.arange(272) < 30))):
        waiting = np.where(keep, x[:, 1], np.nan)
        table = pa.table({"eruptions": x[:, 0], "waiting": pa.array(waiting, from_pandas=True)})
        pq.write_table(table, folder / f"{name}.parquet")
        expected = filled(folder, f"{name}.parquet", "expected.csv", "--memory", "1GB")
        capsys.readouterr()
        monkeypatch.setattr(tables, "_ROWS", 64)
        found = filled(folder, f"{name}.parquet", "found.csv", "--memory", "1KB")
        assert ("holes stay in the columns waiting" in capsys.readouterr().err) == (name == "none")
        np.testing.assert_array_equal(found["waiting"].is_null(), expected["waiting"].is_null())
        assert (found["waiting"].null_count > 100) == (name == "none")


@pytest.mark.slow
def test_what_cannot_be_filled_in_parts_so_says(holed, capsys):
    model, files, out = (
        str(holed / of) for of in ("model.safetensors", "holed-*.parquet", "o.csv")
    )
    pq.write_table(pa.table({"eruptions": [None, 1.0], "waiting": ["?", "soon"]}),
                   holed / "holed-2.parquet")  # fmt: skip
    for more, said in (
        ([], "give it by --model"),
        (["--model", model, "--draws", "2"], "--draws and --plot need the table in memory"),
        (["--model", model, "--plot", str(holed / "p.png")], "need the table in memory"),
        (["--model", model], "holed-2.parquet: has no numbers in the columns waiting"),
    ):
        assert main(["impute", files, *more, "-o", out]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1 and not (holed / "o.csv").exists(), err


# ---- columns of text


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Numbers, text, yes and no, counts, a constant column and names, with missing cells."""
    monkeypatch.setattr(source, "WHOLE", 1)
    rng, n = np.random.default_rng(0), 400
    group = np.arange(n) % 2
    colour = rng.choice(["red", "blue", "NA"], n, p=[0.5, 0.4, 0.1]).astype(object)
    colour[300:][colour[300:] == "red"] = "green"
    table = pa.table(
        {
            "size": rng.normal(size=n) + 4 * group,
            "colour": pa.array(colour, pa.string()).dictionary_encode(),
            "visits": rng.poisson(2 + 6 * group),
            "member": pa.array((rng.random(n) < 0.2 + 0.6 * group).tolist()),
            "always": [1.0] * n,
            "name": [f"row {i}" for i in range(n)],
        }
    )
    pq.write_table(table, tmp_path / "whole.parquet")
    for number, first in enumerate(range(0, n, 100)):
        pq.write_table(table.slice(first, 100), tmp_path / f"part-{number}.parquet")
    return tmp_path


KINDS = {
    "auto": ["--family", "auto"],
    "categorical": ["--columns", "colour,member", "--family", "categorical"],
    "assigned": ["--column-family", "visits=categorical"],
    "bernoulli": ["--family", "bernoulli"],
    "response": ["--columns", "size", "--response", "visits", "--family", "poisson"],
}


@pytest.mark.slow(but=("categorical",))
@pytest.mark.parametrize("name", KINDS)
def test_columns_of_any_kind_are_chosen_and_fitted_as_in_memory(name, mixed, capsys):
    """The printout too: parameters by the names of columns and levels."""
    own, told = KINDS[name], []
    for file, size in (("whole.parquet", "1GB"), ("whole.parquet", "1KB"), ("part-*.parquet", "1")):
        saved = mixed / "model.safetensors"
        more = ["--memory", size] if size != "1" else []
        assert fit(mixed / file, *own, *more, "-o", saved) in (0, 1)
        printed = capsys.readouterr()
        said = [line.split(": ", 2)[-1] for line in printed.err.splitlines()]
        said = [line for line in said if "missing cell" not in line and "by block" not in line]
        table = printed.out.partition(": ")[2].partition("\ndata ")[0]
        log_likelihood = float(re.search(r"log-likelihood +(\S+)", printed.out)[1])
        told.append((table, said, jaxem.io.read(saved).levels, log_likelihood))
    assert told[0] == told[1] == told[2]
    if name == "auto":
        assert "constant: always" in str(told[0][1]) and "name" in str(told[0][1])
        assert told[0][2]["colour"] == ("blue", "green", "red")


@pytest.mark.slow
def test_rows_of_text_are_labelled_by_a_streamed_model(mixed, capsys):
    saved, out = mixed / "model.safetensors", mixed / "out.parquet"
    own = ["--columns", "colour,member", "--family", "auto"]
    assert fit(mixed / "part-*.parquet", *own, "-o", saved) in (0, 1)
    assert main(["predict", str(saved), str(mixed / "part-*.parquet"), "-o", str(out)]) == 0
    assert pq.read_table(out).num_rows == 400
    pq.write_table(pa.table({"colour": ["pink"], "member": [True]}), mixed / "new.parquet")
    assert main(["predict", str(saved), str(mixed / "new.parquet"), "-o", str(out)]) == 2
    said = "has values in the column colour that the model was not fitted on: 'pink'"
    assert said in capsys.readouterr().err


def test_what_text_cannot_be_is_one_line(mixed, monkeypatch, capsys):
    for own, said in (
        (["--columns", "colour"], "has the column colour, which is not numeric, but gaussian"),
        (["--columns", "name", "--family", "categorical"], "of another value in every row"),
        (["--columns", "colour", "--family", "auto", "--missing", "error"],
         "has missing cells, in columns: colour ("),
    ):  # fmt: skip
        assert fit(mixed / "part-*.parquet", *own) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    monkeypatch.setattr(categories, "MOST", 2)
    assert fit(mixed / "part-*.parquet", "--columns", "colour", "--family", "auto") == 2
    assert "has over 2 values in the columns colour" in capsys.readouterr().err


@pytest.mark.slow
def test_text_is_labelled_and_filled_some_rows_at_a_time(folder, capsys, monkeypatch):
    """As it is where the table is read whole."""
    rng, x = np.random.default_rng(0), load_faithful().x
    kind = np.where(x[:, 0] < 3, "short", "long").astype(object)
    kind[rng.random(len(x)) < 0.2] = None
    waiting = np.where(rng.random(len(x)) < 0.1, np.nan, x[:, 1])
    table = pa.table({"kind": kind, "waiting": pa.array(waiting, from_pandas=True)})
    path, saved = folder / "text.parquet", folder / "model.safetensors"
    pq.write_table(table, path)
    assert fit(path, "--family", "auto", "-o", saved) == 0
    monkeypatch.setattr(tables, "_ROWS", 64)
    commands = {
        "predict": ["predict", str(saved), str(path), "--keep"],
        "impute": ["impute", str(path), "--model", str(saved)],
    }
    for name, given in commands.items():
        found = []
        for memory in ("1GB", "1KB"):
            out = folder / f"{name}-{memory}.parquet"
            assert main([*given, "--memory", memory, "-o", str(out)]) == 0
            found.append(pq.read_table(out))
        whole, parts = found
        assert parts.schema == whole.schema and parts["kind"].equals(whole["kind"])
        for column in whole.drop_columns("kind").column_names:
            np.testing.assert_allclose(parts[column], whole[column], rtol=1e-9)
        assert parts["kind"].null_count == (0 if name == "impute" else table["kind"].null_count)


@pytest.mark.slow(but=("6",))
@pytest.mark.parametrize("n", [3, 6])
def test_shares_of_files_are_labelled_together_as_all(n, folder, capsys, monkeypatch):
    """Of four row groups, the last of a file smaller; of six shares some are empty."""
    x, saved = load_faithful().x, folder / "model.safetensors"
    for number, rows in enumerate((x[:200], x[200:])):
        table = pa.table({"eruptions": rows[:, 0], "waiting": rows[:, 1]})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=80)
    half = families.GaussianParams(np.array([[2.0, 55], [4.3, 80]]), np.ones((2, 2)))
    params = jaxem.MixtureParams(np.array([0.4, 0.6]), half)
    model = jaxem.Mixture(families.Gaussian("diag"), 2)
    jaxem.save(saved, model, params, columns=("eruptions", "waiting"))
    given = ["predict", str(saved), str(folder / "part-*.parquet"), "--keep", "-o"]
    for i in range(n):
        assert main([*given, str(folder / "labelled"), "--share", f"{i}/{n}"]) == 0
    paths = sorted((folder / "labelled").iterdir())
    assert [path.name for path in paths] == [f"part-{i:05}-of-{n:05}.parquet" for i in range(n)]
    each = [pq.read_table(path) for path in paths]
    assert (0 in map(len, each)) == (n == 6)
    found = pa.concat_tables(each)
    np.testing.assert_array_equal(found["eruptions"], x[:, 0])
    np.testing.assert_array_equal(found["label"], jaxem.predict(model, params, x))
    capsys.readouterr()
    for wrong in (
        ["out", "--share", "3/3"],
        ["out", "--share", "1"],
        [str(saved), "--share", "0/2"],
    ):
        assert main([*given, *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
