"""Columns beside those that are fitted, at the command line: trials, limits, covariates."""

from functools import partial

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from scipy.stats import binom, norm

import jaxem
from jaxem import families, io
from jaxem.cli import beside, column_types, main
from jaxem.cli.cells import values
from jaxem.cli.columns import choose, family_of
from jaxem.cli.options import ColumnOptions
from jaxem.datasets import load_earthquakes


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Hits out of tries, lead with limits of detection, waits of which some went on, and who."""
    rng, n = np.random.default_rng(0), 200
    age, sex = rng.normal(40, 12, n).round(1), rng.choice(["f", "m"], n)
    late = rng.random(n) < 1 / (1 + np.exp(-(0.1 * (age - 40) + (sex == "m"))))
    tries = rng.integers(1, 20, n)
    lead, wait = np.exp(rng.normal(late, 0.5)), rng.exponential(np.where(late, 5, 1))
    columns = {
        "hits": rng.binomial(tries, np.where(late, 0.8, 0.3)),
        "tries": tries,
        "lead": np.maximum(lead, 0.7).round(3),
        "limit": pa.array(["<" if low else None for low in lead < 0.7]),
        "wait": np.minimum(wait, 4).round(4) + 0.001,
        "on": (wait > 4).astype(int),
        "size": rng.normal(np.where(late, 4, 0), 1).round(3),
        "age": age,
        "sex": sex,
    }
    path = tmp_path_factory.mktemp("samples") / "samples.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path, columns


def fit(path, *arguments):
    return main(["fit", str(path), "--components", "2", "--starts", "4", *arguments])


def read(path, name):
    return np.asarray(pyarrow.csv.read_csv(path)[name])


def test_columns_and_those_beside_them_are_arrays_of_the_data():
    table = pa.table({"a": [3, None], "n": [4, 5], "b": [1.0, 2.0], "s": ["<", None], "z": [1, 0]})
    kinds = [("a", "binomial"), ("b", "censored-normal")]
    given = ColumnOptions(column_family=kinds, trials="n", side=[("b", "s")])
    choosing = partial(choose, family="auto", assigned=kinds, holes=True)
    chosen = beside.chosen(table, given, choosing, "z")
    assert chosen.names == ("a", "n", "b", "s", "z") and chosen.fitted == ("a", "b")
    assert chosen.complete == ("a", "n", "b", "z")
    data, z = values(table, chosen, family_of(chosen, "full", given))
    np.testing.assert_array_equal(z, [[1], [0]])
    for found, expected in zip(data["binomial"], ([[3], [np.nan]], [4, 5]), strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(data["censored-normal"], ([[1], [2]], [[-1], [0]]), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_trials_of_each_row(samples, tmp_path, capsys):
    """Densities by scipy; a row's trials are found by the name of their column."""
    path, columns = samples
    model, labelled = tmp_path / "m.safetensors", tmp_path / "p.csv"
    given = ("--family", "binomial", "--columns", "hits", "--trials", "tries", "-o", str(model))
    assert fit(path, *given) == 0
    out, err = capsys.readouterr()
    assert "binomial: hits (with tries)" in err and "probability" in out
    saved = io.read(model)
    assert saved.model.family == families.Binomial() and saved.columns == ("hits", "tries")
    assert main(["predict", str(model), str(path), "-o", str(labelled)]) == 0
    weights, (probabilities,) = saved.params
    each = [binom.pmf(columns["hits"], columns["tries"], float(p)) for p in np.ravel(probabilities)]
    expected = np.log(np.asarray(weights) @ np.array(each))
    np.testing.assert_allclose(read(labelled, "log_density"), expected, rtol=1e-9)
    assert main(["sample", str(model), "-n", "5", "-o", str(tmp_path / "s.csv")]) == 0
    assert np.all(read(tmp_path / "s.csv", "tries") == 1)
    assert main(["impute", str(path), "--model", str(model)]) == 2
    assert "trials of their own are not filled" in capsys.readouterr().err


@pytest.mark.slow
def test_trials_of_all_rows(samples, tmp_path):
    model = tmp_path / "m.safetensors"
    given = ("--family", "binomial", "--columns", "hits", "--trials", "20", "-o", str(model))
    assert fit(samples[0], *given) == 0
    saved = io.read(model)
    assert saved.model.family == families.Binomial(20) and saved.columns == ("hits",)


@pytest.mark.slow
def test_limits_of_two_kinds(samples, tmp_path, capsys):
    """As the library fits them; a report, and what is drawn is another table of the same kind."""
    path, columns = samples
    model, page = tmp_path / "m.safetensors", tmp_path / "r.html"
    kinds = ("--family", "censored-normal", "--column-family", "wait=censored-exponential")
    sides = ("--side", "lead=limit", "--side", "wait=on", "--columns", "lead,wait")
    assert fit(path, *kinds, *sides, "-o", str(model), "--report", str(page)) == 0
    out, err = capsys.readouterr()
    assert "censored-normal: lead (with limit); censored-exponential: wait (with on)" in err
    assert all(word in out for word in ("rate", "mean", "scale")) and "lead" in page.read_text()
    saved = io.read(model)
    assert saved.columns == ("wait", "on", "lead", "limit")
    below = -np.array([of == "<" for of in columns["limit"].to_pylist()], float)
    x = {
        "censored-exponential": (columns["wait"][:, None], columns["on"][:, None].astype(float)),
        "censored-normal": (columns["lead"][:, None], below[:, None]),
    }
    expected = jaxem.fit(saved.model, x, key=jax.random.key(0), n_init=4)
    found = np.sum(jaxem.log_prob(saved.model, saved.params, x))
    np.testing.assert_allclose(found, expected.log_likelihood, rtol=1e-9)
    assert main(["sample", str(model), "-n", "30", "-o", str(tmp_path / "s.csv")]) == 0
    assert main(["predict", str(model), str(tmp_path / "s.csv")]) == 0
    assert main(["impute", str(path), "--model", str(model)]) == 2
    assert "fills no holes" in capsys.readouterr().err


@pytest.mark.slow
def test_states_of_censored_columns(samples, tmp_path, capsys):
    path, model = samples[0], tmp_path / "m.safetensors"
    given = ("--states", "2", "--starts", "2", "--family", "censored-normal", "--columns", "lead")
    assert main(["fit-hmm", str(path), *given, "--side", "lead=limit", "-o", str(model)]) == 0
    assert "lead    mean" in capsys.readouterr().out
    assert main(["decode", str(model), str(path), "-o", str(tmp_path / "d.csv")]) == 0
    assert len(read(tmp_path / "d.csv", "state")) == 200


def test_words_and_numbers_tell_limits():
    words = pa.chunked_array([["<", "=", ">", None]])
    numbers = pa.chunked_array([[-1.0, 0.0, 1.0, None]])
    for column in (words, numbers):
        np.testing.assert_array_equal(column_types.sides(column, "a"), [-1, 0, 1, 0])
    with pytest.raises(ValueError, match="has 'low' in the column a, which tells limits"):
        column_types.sides(pa.chunked_array([["low"]]), "a")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "weights"])
def test_a_picture_of_what_depends_on_columns(samples, kind, tmp_path):
    given = {
        "linear": ("--columns", "age,tries", "--response", "size"),
        "weights": ("--columns", "size", "--concomitants", "age,sex"),
    }[kind]
    assert fit(samples[0], *given, "--report", str(tmp_path / "page.png")) == 0
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.slow
def test_weights_by_columns(samples, tmp_path, capsys):
    """Log odds are printed, and predict writes the weights of each row: by the formula."""
    path, columns = samples
    model, labelled, page = (tmp_path / name for name in ("m.safetensors", "p.csv", "r.html"))
    given = ("--columns", "size", "--concomitants", "age,sex", "--standard-errors", "observed")
    assert fit(path, *given, "-o", str(model), "--report", str(page)) == 0
    out = capsys.readouterr().out
    assert "weights by 2 covariates" in out and "log odds against component 0" in out
    assert "log odds, sex = m[1]" in out and "log odds, age[0]" not in out
    text = page.read_text()
    assert "the weights depend on age, sex" in text and "What the weights depend on" in text
    saved = io.read(model)
    assert saved.columns == ("size", "age", "sex") and saved.levels == {"sex": ("f", "m")}
    assert main(["predict", str(model), str(path), "-o", str(labelled)]) == 0
    z = np.column_stack([np.ones(200), columns["age"], columns["sex"] == "m"])
    odds = np.exp(z @ np.asarray(saved.params.coefficients).T)
    weights = odds / odds.sum(axis=1, keepdims=True)
    found = np.column_stack([read(labelled, f"weight_{k}") for k in (0, 1)])
    np.testing.assert_allclose(found, weights, rtol=1e-9)
    means, covariances = (np.ravel(of) for of in saved.params.components)
    each = norm.pdf(columns["size"][:, None], means, np.sqrt(covariances))
    expected = np.log(np.sum(weights * each, axis=1))
    np.testing.assert_allclose(read(labelled, "log_density"), expected, rtol=1e-8)
    assert main(["show", str(model)]) == 0 and "sex = m" in capsys.readouterr().out
    assert main(["sample", str(model)]) == 2
    assert "says nothing of the columns that its weights" in capsys.readouterr().err


@pytest.mark.slow
def test_flexmix_has_the_same_log_odds(tmp_path, capsys):
    """R's flexmix 2.3-18, best of 20 runs to 1e-13: flexmix(count ~ 1, k = 2, model =
    FLXMRglm(family = "poisson"), concomitant = FLXPmultinom(~ decade))."""
    table, model = tmp_path / "quakes.csv", tmp_path / "m.safetensors"
    year, count = np.asarray(load_earthquakes().x).T
    rows = pa.table({"count": count.astype(int), "decade": (year - 1950) / 10})
    pyarrow.csv.write_csv(rows, table)
    given = ("--family", "poisson", "--columns", "count", "--concomitants", "decade")
    assert fit(table, *given, "--tol", "1e-13", "-o", str(model)) == 0
    assert "-353.829810" in capsys.readouterr().out
    params = io.read(model).params
    np.testing.assert_allclose(params.coefficients[1], [-0.261719, -0.313716], atol=1e-5)
    np.testing.assert_allclose(np.ravel(params.components.rates), [14.880604, 25.363075], rtol=2e-6)
    np.testing.assert_allclose(params.weights, [0.5722497, 0.4277503], atol=2e-6)


@pytest.mark.slow
def test_noise_beside_weights_by_columns(samples, tmp_path, capsys):
    columns = samples[1]
    spoilt, model = tmp_path / "s.csv", tmp_path / "m.safetensors"
    far = np.where(np.arange(200) % 12 == 0, 40.0 - np.arange(200), columns["size"])
    pyarrow.csv.write_csv(pa.table({"size": far, "age": columns["age"]}), spoilt)
    given = ("--columns", "size", "--concomitants", "age", "--noise", "-o", str(model))
    assert fit(spoilt, *given, "--report", str(tmp_path / "r.html")) == 0
    out = capsys.readouterr().out
    heads = next(line for line in out.splitlines() if line.startswith("log odds against"))
    assert heads.split()[-2:] == ["1", "noise"] and "rows that are noise" in out
    assert "noise" in (tmp_path / "r.html").read_text()
    assert main(["predict", str(model), str(spoilt), "-o", str(tmp_path / "p.csv")]) == 0
    weights = np.column_stack([read(tmp_path / "p.csv", f"weight_{k}") for k in range(3)])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.slow
def test_holes_are_filled_by_what_covariates_tell(samples, tmp_path):
    path, columns = samples
    model, filled, holed = (tmp_path / name for name in ("m.safetensors", "f.csv", "h.csv"))
    assert fit(path, "--columns", "size", "--concomitants", "age", "-o", str(model)) == 0
    size = pa.array([None, *columns["size"][1:]])
    pyarrow.csv.write_csv(pa.table({"age": columns["age"], "size": size}), holed)
    assert main(["impute", str(holed), "--model", str(model), "-o", str(filled)]) == 0
    saved = io.read(model)
    weights = jaxem.concomitant_weights(saved.model, saved.params, columns["age"][:1])
    expected = np.asarray(weights)[0] @ np.ravel(saved.params.components.means)
    assert read(filled, "size")[0] == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.slow
def test_rows_without_trials_are_dropped_where_that_is_asked_for(samples, tmp_path, capsys):
    path, holed = samples[0], tmp_path / "h.csv"
    table = pyarrow.csv.read_csv(path)
    tries = pa.array([None, *table["tries"].to_pylist()[1:]])
    place = table.column_names.index("tries")
    pyarrow.csv.write_csv(table.set_column(place, "tries", tries), holed)
    given = ("--family", "binomial", "--columns", "hits", "--trials", "tries")
    assert fit(holed, *given) == 2
    assert "1 missing cell, in columns: tries (1); drop" in capsys.readouterr().err
    assert fit(holed, *given, "--missing", "drop") == 0
    assert "199 rows" in capsys.readouterr().out


BINOMIAL, CENSORED = ("--family", "binomial", "--columns", "hits"), ("--family", "censored-normal")
WRONG = {
    BINOMIAL: "numbers of trials are not known; give --trials COLUMN",
    (*BINOMIAL, "--trials", "0"): "give a number of trials from 1, or a column",
    (*BINOMIAL, "--trials", "tris"): "no column 'tris'; did you mean 'tries'",
    (*BINOMIAL, "--trials", "age"): "trials that are not whole numbers from 0",
    (*BINOMIAL, "--trials", "hits"): "the column hits named twice",
    ("--columns", "size", "--trials", "tries"): "--trials is for binomial columns",
    (*CENSORED, "--columns", "lead"): "give --side lead=COLUMN",
    (*CENSORED, "--columns", "lead", "--side", "lead=sex"): "in the column sex, which tells limits",
    (*CENSORED, "--columns", "lead", "--side", "lead"): "such as lead=lead_limit",
    (*CENSORED, "--columns", "lead", "--side", "lead=limit", "--side", "size=on"): "column size",
    ("--columns", "size", "--side", "size=limit"): "--side is for censored-normal or",
    ("--columns", "size", "--concomitants", "limit"): "missing cells, in columns: limit",
    ("--columns", "size,age", "--concomitants", "age"): "the column age named twice",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_one_line(samples, arguments, capsys):
    assert fit(samples[0], *arguments) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1 and WRONG[arguments] in err
