"""Hidden Markov models at the command line: sequences of a table, their order, and their states."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import jaxem
from jaxem import io
from jaxem.cli import main
from jaxem.cli.series import arrange
from jaxem.datasets import load_faithful

LENGTHS = {"ant": 40, "bee": 25, "cat": 30}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Counts of three animals, as written by whoever notes one after the other."""
    rng = np.random.default_rng(0)
    columns = {"animal": [], "time": [], "calls": []}
    for animal, n in LENGTHS.items():
        busy = np.cumsum(rng.random(n) < 0.15) % 2
        columns["animal"] += [animal] * n
        columns["time"] += list(range(n))
        columns["calls"] += list(rng.poisson(np.where(busy, 9.0, 2.0)).astype(float))
    columns["calls"][5] = None
    table = pa.table(columns)
    shuffled = table.take(pa.array(rng.permutation(table.num_rows)))
    folder = tmp_path_factory.mktemp("tracks")
    pyarrow.csv.write_csv(table, folder / "tracks.csv")
    pyarrow.csv.write_csv(shuffled, folder / "shuffled.csv")
    return folder


def fit(path, *arguments):
    return main(["fit-hmm", str(path), "--states", "2", "--family", "poisson", "--starts", "4",
                 *map(str, arguments)])  # fmt: skip


def sequences(table):
    calls = np.array([np.nan if v is None else v for v in table["calls"].to_pylist()])
    return np.split(calls, np.cumsum(list(LENGTHS.values()))[:-1])


def test_sequences_are_told_apart_ordered_fitted_and_decoded(tracks, tmp_path, capsys):
    """The order of the rows does not matter where a column tells it."""
    model, out = tmp_path / "m.safetensors", tmp_path / "states.csv"
    grouped = "--group-by", "animal", "--order-by", "time"
    assert fit(tracks / "shuffled.csv", *grouped, "-o", model) == 0
    printed, err = capsys.readouterr()
    for part in ("2 states, poisson", "expected stay", "stationary share", "sequences", "rate"):
        assert part in printed
    assert "poisson: calls" in err
    saved = io.read(model)
    assert saved.notes["group_by"] == "animal" and saved.notes["n_sequences"] == 3
    assert saved.columns == ("calls",) and saved.notes["n_rows"] == 95

    parts = sequences(pyarrow.csv.read_csv(tracks / "tracks.csv"))
    like = jaxem.log_likelihood(saved.model, saved.params, parts)
    np.testing.assert_allclose(like, saved.notes["log_likelihood"], rtol=1e-9)
    arguments = ["decode", str(model), str(tracks / "shuffled.csv"), "--keep", "-o", str(out)]
    assert main(arguments) == 0
    decoded = pyarrow.csv.read_csv(out).sort_by([("animal", "ascending"), ("time", "ascending")])
    paths, _ = jaxem.viterbi(saved.model, saved.params, parts)
    np.testing.assert_array_equal(decoded["state"].to_numpy(), np.concatenate(paths))
    smoothed = np.concatenate(jaxem.smooth(saved.model, saved.params, parts))
    np.testing.assert_allclose(decoded["probability_1"].to_numpy(), smoothed[:, 1], atol=1e-12)
    counts = np.bincount(np.concatenate(paths))
    assert counts[0] > counts[1]  # in order of falling share


def test_a_model_is_shown_drawn_from_and_not_taken_for_a_mixture(tracks, tmp_path, capsys):
    model, picture = tmp_path / "m.safetensors", tmp_path / "m.png"
    assert fit(tracks / "tracks.csv", "--group-by", "animal", "--transitions", "left-right",
               "--columns", "calls", "-o", model, "--report", picture) == 0  # fmt: skip
    assert "state 1 is never left" in capsys.readouterr().err
    assert picture.stat().st_size > 10_000
    assert main(["show", str(model)]) == 0
    out = capsys.readouterr().out
    assert "left-right transitions" in out and "for ever" in out and "told apart by" in out
    assert main(["sample", str(model), "-n", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '"calls","state"' and len(lines) == 8
    assert main(["predict", str(model), str(tracks / "tracks.csv")]) == 2
    assert "use jaxem decode" in capsys.readouterr().err

    flowers = tmp_path / "f.csv"
    np.savetxt(flowers, load_faithful().x, delimiter=",", header="a,b", comments="")
    mixture = tmp_path / "f.safetensors"
    assert main(["fit", str(flowers), "--components", "1", "--starts", "1", "-o",
                 str(mixture)]) == 0  # fmt: skip
    assert main(["decode", str(mixture), str(flowers)]) == 2
    assert "use jaxem predict" in capsys.readouterr().err


def test_numbers_of_states_are_compared(tracks, capsys):
    assert fit(tracks / "tracks.csv", "--states", "1:3", "--group-by", "animal", "--columns",
               "calls", "--initial", "stationary") == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "The lowest BIC" in out and "k = 2, poisson" in out


BAD = {
    "rows of animal '...' in several places: row": ["shuffled.csv", "--group-by", "animal"],
    "two rows at time 0;.*--group-by": ["tracks.csv", "--order-by", "time"],
    "text in the column animal": ["tracks.csv", "--order-by", "animal"],
    "no column 'animals'; did you mean 'animal'": ["tracks.csv", "--group-by", "animals"],
    "empty cells in the column calls": ["tracks.csv", "--group-by", "calls"],
    "it cannot be both": ["tracks.csv", "--group-by", "animal", "--columns", "animal,calls"],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_sequences_are_one_line(message, tracks, capsys):
    name, *arguments = BAD[message]
    assert fit(tracks / name, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1

    assert re.search(message, err), err


def test_whole_numbers_tell_the_order_exactly():
    stamps = np.array([2, 0, 1]) + 2**60
    steps = arrange(pa.table({"t": stamps}), None, "t")
    np.testing.assert_array_equal(steps.order, [1, 2, 0])
    with pytest.raises(ValueError, match=f"two rows at t {2**60};"):
        arrange(pa.table({"t": [2**60, 2**60]}), None, "t")


def test_categories_and_cells_of_several_values():
    kinds = pa.array(["b", "a", "b"]).dictionary_encode()
    steps = arrange(pa.table({"g": kinds, "t": [2, 0, 1]}), "g", "t")
    np.testing.assert_array_equal(steps.order, [2, 0, 1])
    with pytest.raises(ValueError, match="text in the column g"):
        arrange(pa.table({"g": kinds}), None, "g")
    for by in ({"group_by": "l", "order_by": None}, {"group_by": None, "order_by": "l"}):
        with pytest.raises(ValueError, match="cells of several values in the column l"):
            arrange(pa.table({"l": [[1, 2], [3]]}), **by)


def test_decode_says_which_columns_the_model_was_fitted_by(tracks, tmp_path, capsys):
    model, other = tmp_path / "m.safetensors", tmp_path / "one.csv"
    assert fit(tracks / "tracks.csv", "--group-by", "animal", "--order-by", "time",
               "-o", model) == 0  # fmt: skip
    table = pyarrow.csv.read_csv(tracks / "tracks.csv").slice(0, 40)
    pyarrow.csv.write_csv(table.drop_columns(["animal"]), other)
    capsys.readouterr()
    assert main(["decode", str(model), str(other)]) == 2
    assert "by which the model was fitted (--group-by)" in capsys.readouterr().err
    assert main(["decode", str(model), str(other), "--group-by", ""]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 41


def test_dates_tell_the_order():
    days = pa.array([3, 1, 2], pa.date32())
    steps = arrange(pa.table({"day": days}), None, "day")
    np.testing.assert_array_equal(steps.order, [1, 2, 0])
    np.testing.assert_array_equal(steps.joined(np.array([10, 20, 30])), [30, 10, 20])
    twice = pa.table({"day": pa.array([3, 1, 1], pa.date32()), "of": ["a", "b", "b"]})
    with pytest.raises(ValueError, match="two rows of of 'b' at day 1970-01-02"):
        arrange(twice, "of", "day")
