"""Hidden Markov models at the command line: sequences of a table, their order, and their states."""

import re

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import jaxem
from jaxem import io
from jaxem.cli import main, time_steps
from jaxem.cli.sequence_order import arrange
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


@pytest.mark.slow
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


@pytest.mark.slow
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


# ---- holes, and steps without a row


def recording(n=60, seed=0):
    """Two states of two columns; times 0, 1, ... and which of the rows are there."""
    rng = np.random.default_rng(seed)
    states = np.cumsum(rng.random(n) < 0.1) % 2
    x = np.round(rng.normal(size=(n, 2)) + 4 * states[:, None], 3)
    kept = rng.random(n) < 0.8
    kept[[0, -1]] = True
    kept[30:40] = False
    return x, kept


def write(path, **columns):
    pyarrow.csv.write_csv(pa.table(columns), path)
    return str(path)


def numbers(values):
    return pa.array(np.asarray(values, float), from_pandas=True)


def facts(text):
    return re.search(r"log-likelihood +(\S+)", text)[1]


@pytest.mark.slow
def test_steps_that_are_partly_missing_are_seen_by_what_they_have(tmp_path, capsys):
    """As the library does a list of sequences; decode takes their columns from the model."""
    x, _ = recording()
    rng = np.random.default_rng(1)
    x[rng.random(x.shape) < 0.2] = np.nan
    group = np.where(np.arange(60) < 35, "a", "b")
    time = np.tile(np.arange(60), 1)
    path = write(tmp_path / "t.csv", g=group, t=time, u=numbers(x[:, 0]), v=numbers(x[:, 1]))
    model, out = tmp_path / "m.safetensors", tmp_path / "out.csv"
    by = "--group-by", "g", "--order-by", "t"
    assert main(["fit-hmm", path, "--states", "2", "--starts", "3", *by, "-o", str(model)]) == 0
    said = capsys.readouterr().err
    assert f"has {np.isnan(x).sum()} missing cells in" in said and "by what it has" in said
    saved = io.read(model)
    assert saved.model == jaxem.HMM(jaxem.families.Gaussian("full", missing=True), 2)
    parts = [x[:35], x[35:]]
    best = jaxem.fit(saved.model, parts, key=jax.random.key(0), n_init=3)
    np.testing.assert_allclose(saved.notes["log_likelihood"], float(best.log_likelihood), rtol=1e-9)
    assert main(["decode", str(model), path, "-o", str(out)]) == 0
    found = pyarrow.csv.read_csv(out)
    paths, _ = jaxem.viterbi(saved.model, saved.params, parts)
    np.testing.assert_array_equal(found["state"].to_numpy(), np.concatenate(paths))


def test_a_model_of_whole_steps_decodes_steps_with_holes(tmp_path, capsys):
    x, _ = recording()
    whole = jaxem.HMM(jaxem.families.Gaussian("diag"), 2)
    emissions = jaxem.families.GaussianParams(np.array([[0.0, 0], [4, 4]]), np.ones((2, 2)))
    half = np.array([[0.9, 0.1], [0.1, 0.9]])
    params = jaxem.HMMParams(np.array([0.5, 0.5]), half, emissions)
    model = tmp_path / "m.safetensors"
    jaxem.save(model, whole, params, columns=("u", "v"))
    x[5, 0] = np.nan
    path = write(tmp_path / "t.csv", u=numbers(x[:, 0]), v=numbers(x[:, 1]))
    assert main(["decode", str(model), path]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    # By the forward-backward recursion with the density of what step 5 has alone.
    logs = -0.5 * np.nansum((x[:, None] - emissions.means[None]) ** 2, axis=2)
    forward, back = [np.array([0.5, 0.5]) * np.exp(logs[0])], [np.ones(2)]
    for own in logs[1:]:
        forward.append((forward[-1] @ half) * np.exp(own))
    for own in logs[:0:-1]:
        back.append(half @ (np.exp(own) * back[-1]))
    smoothed = np.array(forward) * np.array(back[::-1])
    smoothed /= smoothed.sum(axis=1, keepdims=True)
    found = [float(row.split(",")[2]) for row in rows]
    np.testing.assert_allclose(found, smoothed[:, 1], atol=1e-9)


@pytest.mark.slow(but=("hours",))
@pytest.mark.parametrize("kind", ["whole numbers", "days", "hours"])
def test_gaps_are_told_and_opened(kind, tmp_path, capsys):
    """As the file with empty rows has them; `decode` takes the step from the model."""
    x, kept = recording()
    t = np.arange(60)
    origin = np.datetime64("2024-02-20T05:00", "s")
    times, step = {
        "whole numbers": (3 * t, "3"),
        "days": ((origin + t * np.timedelta64(1, "D")).astype("datetime64[D]"), "1D"),
        "hours": (origin + t * np.timedelta64(90, "m"), "90min"),
    }[kind]
    x[~kept] = np.nan
    columns = {"t": times, "u": numbers(x[:, 0]), "v": numbers(x[:, 1])}
    empty = write(tmp_path / "empty.csv", **columns)
    table = pa.table(columns).filter(pa.array(kept)).take(
        pa.array(np.random.default_rng(2).permutation(kept.sum()))
    )  # fmt: skip
    gaps = tmp_path / "gaps.csv"
    pyarrow.csv.write_csv(table, gaps)
    model, out = tmp_path / "m.safetensors", tmp_path / "out.csv"
    arguments = ["--states", "2", "--starts", "2", "--order-by", "t"]
    assert main(["fit-hmm", empty, *arguments, "-o", str(model)]) == 0
    assert main(["decode", str(model), empty, "--keep", "-o", str(out)]) == 0
    right = pyarrow.csv.read_csv(out).filter(pa.array(kept))
    expected, said = capsys.readouterr()
    assert "--step" not in said

    assert main(["fit-hmm", str(gaps), *arguments]) == 0
    taken, said = capsys.readouterr()
    lost, n = int((~kept).sum()), int((np.diff(np.flatnonzero(kept)) > 1).sum())
    assert f"t has {n} gaps, of {lost} steps of {step} without a row, the longest from " in said
    assert f"give --step {step} to leave such steps open" in said
    assert facts(taken) != facts(expected)

    assert main(["fit-hmm", str(gaps), *arguments, "--step", step, "-o", str(model)]) == 0
    opened, said = capsys.readouterr()
    assert facts(opened) == facts(expected)
    assert f"{lost} steps of {step} without a row, which were not observed" in said
    assert main(["decode", str(model), str(gaps), "--keep", "-o", str(out)]) == 0
    found = pyarrow.csv.read_csv(out)
    assert found["t"].equals(pyarrow.csv.read_csv(gaps)["t"])  # the rows are those of the file
    found = found.sort_by("t")
    np.testing.assert_array_equal(found["state"].to_numpy(), right["state"].to_numpy())
    np.testing.assert_allclose(
        found["probability_1"].to_numpy(), right["probability_1"].to_numpy(), atol=1e-9
    )


def test_steps_are_counted_within_each_sequence():
    table = pa.table({"g": ["a", "b", "a", "b", "a"], "t": [0.1, 7.0, 0.4, 7.1, 0.2]})
    steps = arrange(table, "g", "t", time_steps.parse("0.1"))
    np.testing.assert_array_equal(steps.order, [0, 4, 2, 1, 3])
    np.testing.assert_array_equal(steps.lengths, [4, 2])
    a, b = steps.split(np.arange(5.0)[:, None])
    np.testing.assert_array_equal(a[:, 0], [0, 4, np.nan, 2])
    np.testing.assert_array_equal(b[:, 0], [1, 3])
    np.testing.assert_array_equal(steps.joined([np.array([5, 6, 7, 8]), np.array([9, 10])]),
                                  [5, 9, 8, 10, 6])  # fmt: skip
    assert arrange(table, "g", "t").remarks == (
        "t has 1 gap, of 1 step of 0.1 without a row, the longest from 0.2 to 0.4 of g 'a'; each "
        "gap is taken as one step: give --step 0.1 to leave such steps open",
    )


@pytest.mark.slow(but=("draws1",))
@pytest.mark.parametrize("draws", [[], ["--draws", "2"]])
def test_holes_of_sequences_are_filled_by_their_neighbours(draws, tmp_path, capsys):
    """As the library fills the list of them, with the steps between that have no row."""
    x, kept = recording()
    x[3, 0], x[7] = np.nan, np.nan
    kept[[3, 7]], group = True, np.where(np.arange(60) < 35, "a", "b")
    emissions = jaxem.families.GaussianParams(np.array([[0.0, 0], [4, 4]]), np.ones((2, 2)))
    half = np.array([[0.9, 0.1], [0.1, 0.9]])
    params = jaxem.HMMParams(np.array([0.5, 0.5]), half, emissions)
    hmm = jaxem.HMM(jaxem.families.Gaussian("diag", missing=True), 2)
    model, out = tmp_path / "m.safetensors", tmp_path / "out.csv"
    notes = {"group_by": "g", "order_by": "t", "step": "1"}
    jaxem.save(model, hmm, params, columns=("u", "v"), notes=notes)
    table = pa.table({"g": group, "t": np.arange(60), "u": numbers(x[:, 0]), "v": numbers(x[:, 1])})
    order = np.r_[0, np.random.default_rng(0).permutation(np.flatnonzero(kept)[1:])]  # a is first
    pyarrow.csv.write_csv(table.take(pa.array(order)), tmp_path / "t.csv")
    arguments = ["impute", str(tmp_path / "t.csv"), "--model", str(model), "-o", str(out), *draws]
    assert main(arguments) == 0
    assert "3 cells filled in 2 rows, by 2 states" in capsys.readouterr().out
    found = pyarrow.csv.read_csv(out)
    x[~kept] = np.nan
    key = {"key": jax.random.fold_in(jax.random.key(0), 1), "n_draws": 2} if draws else {}
    filled = jaxem.impute(hmm, params, [x[:35], x[35:]], **key)
    right = np.concatenate(filled, axis=1 if draws else 0)[..., order, :].reshape(-1, 2)
    got = np.stack([found["u"].to_numpy(), found["v"].to_numpy()], axis=1)
    np.testing.assert_allclose(got, right, atol=1e-12)


def test_equal_steps_and_months_are_no_gaps():
    months = pa.array(
        np.arange("2020-01", "2023-01", dtype="datetime64[M]").astype("datetime64[D]")
    )
    for times in (months, [0.0, 0.5, 1.0], [7], [3, 5, 7, 9], [0.0, 0.33, 0.67, 1.0]):
        assert arrange(pa.table({"t": times}), None, "t").remarks == ()
    uneven = pa.table({"t": [0.0, 1.1, 2.0, 3.2, 9.9]})
    assert "a chain has equal steps" in arrange(uneven, None, "t").remarks[0]


@pytest.mark.parametrize("times, step, message", [
    ([0, 2, 3, 4.5], "1", "no whole number of steps of 1 apart: t goes on from 3.0 to 4.5"),
    ([0, 10], "3", "no whole number of steps of 3 apart"),
    ([0, 1], "1h", "has numbers in the column t; give --step a number, as in 1$"),
    (np.array(["2024-01-01", "2024-01-03"], "datetime64[D]"), "1", "give --step a unit, as in 1D"),
    ([0, 1e9], "1", "too many to open"),
])  # fmt: skip
def test_steps_that_cannot_be(times, step, message):
    with pytest.raises(ValueError, match=message):
        arrange(pa.table({"t": times}), None, "t", time_steps.parse(step))


@pytest.mark.parametrize("text", ["0", "-1", "h", "1m", "1 year", "nan"])
def test_what_is_no_step(text, tracks, capsys):
    assert fit(tracks / "tracks.csv", "--order-by", "time", "--step", text) == 2
    assert "give a number above 0, or of time with a unit" in capsys.readouterr().err
    with pytest.raises(ValueError, match="give --order-by too"):
        arrange(pa.table({"t": [1]}), None, None, time_steps.parse("1"))
