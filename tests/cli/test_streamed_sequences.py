"""Sequences of Parquet files, at the command line, read some whole ones at a time: as in memory."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import io
from jaxem.cli import main, tables
from jaxem.cli.streamed_sequences import of_whole_groups
from jaxem.core import source
from jaxem.families import Poisson, PoissonParams
from jaxem.sources import parquet_files

LENGTHS = (30, 1, 55, 12, 40)
NAMES = ("dog", "ant", "cow", "bee", "cat")
N = sum(LENGTHS)
BY = "--group-by", "animal", "--order-by", "time"


def rows():
    """Counts of five animals, one after the other; time jumps, and two cells are missing."""
    rng = np.random.default_rng(0)
    busy = np.cumsum(rng.random(N) < 0.15) % 2
    calls = rng.poisson(np.where(busy, 9.0, 2.0)).astype(float)
    times = np.concatenate([np.cumsum(1 + (rng.random(n) < 0.1)) for n in LENGTHS])
    words = np.where(busy, "song", "cry")
    return pa.table({
        "animal": np.repeat(NAMES, LENGTHS),
        "time": times,
        "calls": pa.array(np.where(np.arange(N) % 60 == 5, np.nan, calls), from_pandas=True),
        "sound": pa.array(np.where(rng.random(N) < 0.9, words, "hum")),
    })  # fmt: skip


def shuffled(table):
    """Out of order, each animal by itself."""
    rng = np.random.default_rng(1)
    ends = np.cumsum(LENGTHS)
    order = [rng.permutation(n) + end - n for n, end in zip(LENGTHS, ends, strict=True)]
    return table.take(pa.array(np.concatenate(order)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two files, cut within the third animal, of which at most 16 rows are read at a time."""
    monkeypatch.setattr(source, "WHOLE", 1)
    monkeypatch.setattr(tables, "_ROWS", 16)
    monkeypatch.setattr(parquet_files, "_BATCH", 16 * 8)
    table = shuffled(rows())
    pq.write_table(table, tmp_path / "whole.parquet")
    pq.write_table(table[:50], tmp_path / "part-0.parquet", row_group_size=20)
    pq.write_table(table[50:], tmp_path / "part-1.parquet", row_group_size=20)
    return tmp_path


def fit(*arguments):
    given = ["--states", "2", "--starts", "2", "--family", "poisson", "--columns", "calls"]
    return main(["fit-hmm", *map(str, arguments), *given])


def likelihoods(text):
    return [float(found) for found in re.findall(r"log-likelihood +(\S+)", text)]


def decoded(folder, model, path, *arguments):
    out = folder / "decoded.parquet"
    assert main(["decode", str(model), str(path), "-o", str(out), *arguments]) == 0
    return pq.read_table(out)


@pytest.mark.slow
def test_a_streamed_chain_is_that_in_memory(folder, capsys):
    saved, whole = folder / "m.safetensors", folder / "whole.parquet"
    assert fit(whole, *BY, "-o", saved) == 0
    assert fit(folder / "part-*.parquet", *BY, "-o", folder / "streamed.safetensors") == 0
    printed = capsys.readouterr()
    expected, found = likelihoods(printed.out)
    assert found == pytest.approx(expected, rel=1e-7)
    assert "138 rows are read block by block" in printed.err
    assert "in some of the sequences time has" in printed.err
    notes = [io.read(path).notes for path in (saved, folder / "streamed.safetensors")]
    for name in ("n_sequences", "n_rows", "group_by", "order_by"):
        assert notes[0][name] == notes[1][name]


def saved_chain(folder):
    """A chain that no fit has found, in a file."""
    half = np.array([[0.9, 0.1], [0.2, 0.8]])
    params = jaxem.HMMParams(np.array([0.5, 0.5]), half, PoissonParams(np.array([[2.0], [9.0]])))
    notes, chain = (
        dict(zip(("group_by", "order_by"), BY[1::2], strict=True)),
        jaxem.HMM(Poisson(), 2),
    )
    jaxem.save(folder / "m.safetensors", chain, params, columns=("calls",), notes=notes)
    return folder / "m.safetensors"


@pytest.mark.slow
def test_states_are_told_some_sequences_at_a_time(folder, capsys):
    saved, whole = saved_chain(folder), folder / "whole.parquet"
    expected = decoded(folder, saved, whole)
    found = decoded(folder, saved, folder / "part-*.parquet", "--keep")
    np.testing.assert_array_equal(found["state"], expected["state"])
    np.testing.assert_allclose(found["probability_1"], expected["probability_1"], atol=1e-12)
    assert found.drop_columns(expected.column_names).equals(pq.read_table(whole))


@pytest.mark.slow
def test_steps_without_a_row_are_opened_in_each_part(folder, capsys):
    saved, whole = folder / "m.safetensors", folder / "whole.parquet"
    given = (*BY, "--step", "1")
    assert fit(whole, *given, "-o", saved) == 0
    assert fit(whole, *given, "--memory", "1KB", "--checkpoint", folder / "c.ckpt") == 0
    expected, found = likelihoods(capsys.readouterr().out)
    assert found == pytest.approx(expected, rel=1e-7)
    np.testing.assert_array_equal(
        decoded(folder, saved, whole, "--memory", "1KB")["state"],
        decoded(folder, saved, whole)["state"],
    )
    assert fit(whole, *given, "--memory", "1KB", "--checkpoint", folder / "c.ckpt") == 0
    assert likelihoods(capsys.readouterr().out) == [found]


@pytest.mark.slow
def test_columns_of_text_are_streamed_too(folder, capsys):
    given = ["fit-hmm", "--states", "2", "--starts", "2", "--family", "categorical", *BY]
    saved = folder / "m.safetensors"
    for path in ("whole.parquet", "part-*.parquet"):
        more = ["--columns", "sound", "-o", str(saved)]
        assert main([*given, str(folder / path), *more]) == 0
    expected, found = likelihoods(capsys.readouterr().out)
    assert found == pytest.approx(expected, rel=1e-7)
    assert io.read(saved).levels == {"sound": ("cry", "hum", "song")}


def test_holes_of_sequences_are_filled_in_parts(folder, capsys):
    saved, found = saved_chain(folder), []
    for path in ("whole.parquet", "part-*.parquet"):
        out = folder / f"filled-{len(found)}.parquet"
        given = ["impute", str(folder / path), "--model", str(saved), "-o", str(out)]
        assert main(given) == 0
        found.append(pq.read_table(out))
    assert found[0]["calls"].null_count == 0
    np.testing.assert_allclose(found[1]["calls"], found[0]["calls"], rtol=1e-9)
    assert found[1].drop_columns("calls").equals(found[0].drop_columns("calls"))
    told = [line for line in capsys.readouterr().err.splitlines() if "without a row" in line]
    assert len(told) == 2 and "in some of the sequences time has" in told[1]


@pytest.mark.slow(but=("decode-9",))
@pytest.mark.parametrize("n", [1, 3, 9])
@pytest.mark.parametrize("name", ["decode", "impute"])
def test_shares_have_the_sequences_that_begin_in_them(name, n, folder, capsys):
    """A row group is shorter than the longest sequence, so that some shares are empty."""
    saved, out = saved_chain(folder), folder / "shares"

    def run(file, *to):
        given = {"decode": [saved, file, "--keep"], "impute": [file, "--model", saved]}[name]
        assert main([name, *map(str, given), *map(str, to)]) == 0

    run(folder / "whole.parquet", "-o", folder / "expected.parquet")
    for i in range(n):
        run(folder / "part-*.parquet", "-o", out, "--share", f"{i}/{n}")
    each = [pq.read_table(path) for path in sorted(out.iterdir())]
    assert len(each) == n and (0 in map(len, each)) == (n == 9)
    animals = [set(own["animal"].to_pylist()) for own in each]
    assert sum(map(len, animals)) == len(NAMES)
    found, expected = pa.concat_tables(each), pq.read_table(folder / "expected.parquet")
    assert found.schema.equals(expected.schema)
    for column in found.column_names:
        if pa.types.is_floating(found[column].type):
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-9)
        else:
            assert found[column].equals(expected[column])


def test_what_is_wrong_of_shares_is_one_line(folder, capsys):
    again = rows().filter(pa.array(np.repeat(NAMES, LENGTHS) == "ant"))
    pq.write_table(again.set_column(1, "time", pa.array([99])), folder / "part-2.parquet")
    given = ["decode", str(saved_chain(folder)), str(folder / "part-*.parquet")]
    to = ["-o", str(folder / "out"), "--share", "0/9"]
    for more, message in (
        (to, "animal 'ant' in several places"),
        ([*to, "--group-by", ""], "tell them apart by --group-by"),
        ([*to, "--group-by", "animals"], "has no column 'animals'"),
        (to[2:], "give a folder by -o"),
    ):
        assert main([*given, *more]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
        assert not list(folder.glob("out/*"))


WRONG = {
    "animal 'ant' in several places; sort the rows by animal": BY,
    "tell them apart by --group-by": (),
    "has no column 'animals'": ("--group-by", "animals"),
    "in --columns, and in --group-by": ("--group-by", "calls"),
    "need the table in memory": (*BY, "--standard-errors", "observed"),
    "empty cells in the column animal": BY,
    "--checkpoint is of one fit": (*BY, "--checkpoint", "c", "--states", "1:2"),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_one_line(message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if "several places" in message:
        again = rows().filter(pa.array(np.repeat(NAMES, LENGTHS) == "ant"))
        again = again.set_column(1, "time", pa.array([99]))
        pq.write_table(again, folder / "part-2.parquet")
    if "empty cells" in message:
        nobody = pa.array([None] * N, pa.string())
        pq.write_table(rows().set_column(0, "animal", nobody), folder / "part-1.parquet")
    given = ["fit-hmm", "part-*.parquet", "--states", "2", "--starts", "2", "--columns", "calls"]
    assert main([*given, "--family", "poisson", *WRONG[message]]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error


@pytest.mark.parametrize("size", [1, 7, 16, 200])
def test_parts_are_cut_between_groups(size):
    table = rows()
    parts = ((Path(f"{i}"), table[i : i + size]) for i in range(0, N, size))
    found = [whole for _, whole in of_whole_groups(parts, "animal")]
    assert pa.concat_tables(found).equals(table)
    assert [name for own in found for name in own["animal"].unique().to_pylist()] == list(NAMES)
