"""Columns of every kind at the command line: counts, categories, yes and no, responses."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import jaxem
from jaxem import families, io
from jaxem.cli import column_types, main
from jaxem.cli.cells import values
from jaxem.cli.columns import choose, family_of
from jaxem.cli.options import ColumnOptions
from jaxem.datasets import load_faithful


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two kinds of people, in columns of four kinds."""
    rng = np.random.default_rng(0)
    n = 240
    old = rng.random(n) < 0.4
    colours = np.array(["blue", "green", "red"])
    columns = {
        "colour": colours[np.where(old, rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.choice(3, n))],
        "member": np.where(rng.random(n) < np.where(old, 0.9, 0.2), "yes", "no"),
        "visits": rng.poisson(np.where(old, 9, 2)),
        "size": np.round(rng.normal(np.where(old, 4.0, 0.0), 1.0), 3),
        "id": [f"p{i}" for i in range(n)],
    }
    path = tmp_path_factory.mktemp("people") / "people.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path, columns


def fit(path, *arguments):
    return main(["fit", str(path), "--components", "2", "--starts", "6", *arguments])


@pytest.mark.slow
def test_a_family_for_each_column_is_printed_and_found_again(people, tmp_path, capsys):
    path, columns = people
    model = tmp_path / "m.safetensors"
    assert fit(path, "--family", "auto", "-o", str(model)) == 0
    out, err = capsys.readouterr()
    assert "of another value in every row: id" in err
    for part in ("categorical: colour (3 levels)", "bernoulli: member (2 levels)",
                 "poisson: visits", "gaussian: size"):  # fmt: skip
        assert part in err
    assert all(word in out for word in ("P(red)", "P(yes)", "rate", "std. deviation", "weight"))
    saved = io.read(model)
    assert saved.levels == {"colour": ("blue", "green", "red"), "member": ("no", "yes")}
    assert saved.columns == ("member", "colour", "size", "visits")

    x = {
        "bernoulli": (columns["member"] == "yes")[:, None].astype(float),
        "categorical": np.unique(columns["colour"], return_inverse=True)[1][:, None].astype(float),
        "gaussian": columns["size"][:, None],
        "poisson": columns["visits"][:, None].astype(float),
    }
    expected = jaxem.fit(saved.model, x, key=jax.random.key(0), n_init=6)
    log_density = jaxem.log_prob(saved.model, saved.params, x)
    np.testing.assert_allclose(np.sum(log_density), expected.log_likelihood, rtol=1e-7)

    assert main(["predict", str(model), str(path), "-o", str(tmp_path / "p.csv")]) == 0
    found = pyarrow.csv.read_csv(tmp_path / "p.csv")
    np.testing.assert_array_equal(found["label"], jaxem.predict(saved.model, saved.params, x))
    assert main(["sample", str(model), "-n", "50", "-o", str(tmp_path / "s.csv")]) == 0
    drawn = pyarrow.csv.read_csv(tmp_path / "s.csv")
    assert set(drawn["colour"].to_pylist()) <= {"blue", "green", "red"}
    assert main(["predict", str(model), str(tmp_path / "s.csv")]) == 0
    assert main(["show", str(model)]) == 0
    assert "P(red)" in capsys.readouterr().out


@pytest.mark.slow
def test_a_value_that_was_never_seen(people, tmp_path, capsys):
    path, _ = people
    model = tmp_path / "m.safetensors"
    assert fit(path, "--family", "categorical", "--columns", "colour,member", "-o", str(model)) == 0
    other = tmp_path / "other.csv"
    other.write_text("member,colour\nyes,purple\nno,\n")
    capsys.readouterr()
    assert main(["predict", str(model), str(other)]) == 2
    err = capsys.readouterr().err
    assert "column colour" in err and "'purple'" in err and "--unseen missing" in err
    assert main(["predict", str(model), str(other), "--unseen", "missing"]) == 0
    out = capsys.readouterr().out
    saved = io.read(model)
    rows = np.array([[-1, 1], [-1, 0]])  # colours are holes
    expected = jaxem.log_prob(saved.model, saved.params, rows)
    found = [float(line.split(",")[-1]) for line in out.splitlines()[1:]]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.slow
def test_a_column_may_be_told_its_family(people, capsys):
    path, _ = people
    assert fit(path, "--family", "auto", "--column-family", "visits=gaussian",
               "--columns", "visits,size,member") == 0  # fmt: skip
    assert "gaussian: visits, size" in capsys.readouterr().err


@pytest.mark.slow
def test_a_response(people, tmp_path, capsys):
    path, _ = people
    for family, kind, word in (
        ("gaussian", families.LinearRegression, "error scale"),
        ("poisson", families.PoissonRegression, "(intercept)"),
    ):
        model = tmp_path / f"{family}.safetensors"
        status = fit(path, "--response", "visits", "--family", family, "--columns", "size", "-o",
                     str(model))  # fmt: skip
        assert status == 0
        out, err = capsys.readouterr()
        assert word in out and f"visits ({family}) depends on size" in err
        assert isinstance(io.read(model).model.family, kind)
        assert main(["predict", str(model), str(path), "-o", str(tmp_path / "p.csv")]) == 0
        assert main(["sample", str(model)]) == 2
        assert "no rows to draw" in capsys.readouterr().err
    assert fit(path, "--response", "member", "--family", "auto", "--columns", "size") in (0, 1)
    assert "member (bernoulli) depends on size" in capsys.readouterr().err


@pytest.mark.slow
def test_t_components(tmp_path, capsys):
    """Of the geyser, with R's log-likelihood; with pictures."""
    table, saved = tmp_path / "geyser.csv", tmp_path / "t.safetensors"
    np.savetxt(table, load_faithful().x, delimiter=",", header="eruptions,waiting", comments="")
    given = ("--family", "student-t", "--degrees-of-freedom", "shared", "--components", "2")
    more = ("--starts", "2", "-o", str(saved), "--report", str(tmp_path / "t.png"))
    assert main(["fit", str(table), *given, *more]) == 0
    out, err = capsys.readouterr()
    assert "-1130.1789" in out and "deg. freedom" in out and "student-t: eruptions, waiting" in err
    assert io.read(saved).model.family == families.StudentT("full", "shared")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert main(["show", str(saved)]) == 0 and "student t, full scale" in capsys.readouterr().out


WRONG = {
    ("--degrees-of-freedom", "4"): "--degrees-of-freedom is for student-t columns",
    ("--family", "student-t", "--degrees-of-freedom", "0"): "give a number from 0.01 to 1e+06",
    ("--factors", "2"): "--factors is for factor-analyzer columns, and there are none",
    ("--low", "2"): "--low is for truncated-normal or truncated-exponential columns",
    ("--family", "truncated-normal", "--low", "3", "--high", "2"): "give low < high",
    ("--family", "truncated-normal", "--columns", "size", "--low", "1"): "beyond the limits",
    ("--family", "binned-normal", "--columns", "visits"): "give three numbers or more",
    ("--family", "binned-normal", "--edges", "2,1"): "give three numbers or more",
    ("--family", "exponential", "--columns", "visits"): "visits, which is not above 0",
    ("--family", "poison"): "did you mean 'poisson'",
    ("--family", "poisson", "--columns", "size"): "size, which is not whole numbers from 0",
    ("--family", "poisson", "--columns", "colour"): "colour, which is not numeric",
    ("--family", "negative-binomial", "--columns", "size"): "not whole numbers from 0",
    ("--family", "log-normal", "--columns", "visits"): "visits, which is not above 0",
    ("--family", "beta", "--columns", "visits"): "not between 0 and 1",
    ("--family", "bernoulli", "--columns", "colour"): "of more than two values",
    ("--column-family", "colour"): "give a column and a family",
    ("--column-family", "color=poisson"): "did you mean 'colour'",
    ("--response", "visit"): "did you mean 'visits'",
    ("--response", "colour", "--family", "categorical"): "cannot be categorical",
    ("--response", "colour"): "the response colour, which is not numeric",
    ("--family", "poisson", "--covariance", "full,tied"): "--covariance is for Gaussian columns",
    ("--family", "multinomial", "--report", "p.png"): "--report has no picture of this family",
    ("--family", "poisson", "--reg-covar", "0.1"): "--reg-covar is for covariances",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_one_line(people, arguments, capsys):
    assert fit(people[0], *arguments) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert WRONG[arguments] in err


def test_item_profiles_are_the_report_of_classes(people, tmp_path, capsys):
    picture = tmp_path / "classes.png"
    assert fit(people[0], "--family", "categorical", "--columns", "colour,member",
               "--report", str(picture)) in (0, 1)  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG")


KINDS = {
    "text": (["a", "b", "c", "a"], "categorical"),
    "two words": (["a", "b", "a", "a"], "bernoulli"),
    "yes or no": ([True, False, True, True], "bernoulli"),
    "0 and 1": ([0, 1, 1, 0], "bernoulli"),
    "counts": ([0, 3, 1, 7], "poisson"),
    "incomes": ([31000, 52750, 28400, 75100], "gaussian"),
    "with a negative": ([-1, 3, 1, 7], "gaussian"),
    "decimals": ([0.5, 1.0, 2.0, 3.0], "gaussian"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_type_tells_the_kind(name):
    cells, kind = KINDS[name]
    assert column_types.guess(pa.chunked_array([cells])) == kind


@pytest.mark.parametrize("family", ["auto", "categorical", "bernoulli"])
def test_cells_that_are_no_plain_values_are_left_out(family):
    table = pa.table({"list": [[1], [2], [1]], "bytes": [b"\xe9", b"a", b"a"], "flag": [0, 1, 1]})
    assert choose(table, family=family).names == ("flag",)
    assert choose(table, family="auto", guess=column_types.guess_to_fill).names == ("flag",)


def test_numbers_as_categories_keep_their_values():
    table = pa.table({"answer": [4, 2, 9, 2, None], "with": [1.0, 2.0, 2.0, 1.0, 1.0]})
    chosen = choose(table, family="categorical")
    assert chosen.levels == {"answer": ("2", "4", "9"), "with": ("1", "2")}
    family = family_of(chosen, "full")
    assert family == families.Categorical((3, 2))
    expected = [[1, 0], [0, 1], [2, 1], [0, 0], [np.nan, 0]]
    np.testing.assert_array_equal(values(table, chosen, family), expected)


NUMBERS = {
    "exponential": (families.Exponential(), [0.5, 2.0, 3.5]),
    "gamma": (families.Gamma(), [0.5, 2.0, 3.5]),
    "log-normal": (families.LogNormal(), [0.5, 2.0, 3.5]),
    "weibull": (families.Weibull(), [0.5, 2.0, 3.5]),
    "inverse-gaussian": (families.InverseGaussian(), [0.5, 2.0, 3.5]),
    "beta": (families.Beta(), [0.5, 0.2, 0.9]),
    "von-mises-fisher": (families.VonMisesFisher(), [0.5, 0.2, -0.9]),
    "negative-binomial": (families.NegativeBinomial(), [0, 2, 3]),
    "zero-inflated-poisson": (families.ZeroInflatedPoisson(), [0, 2, 3]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_families_of_numbers_by_name(name):
    family, cells = NUMBERS[name]
    good, bad = (pa.table({"a": column}) for column in (cells, [-1.5, *cells]))
    assert family_of(choose(good, family=name), "full") == family
    with pytest.raises(ValueError, match=r"a, which is not (above 0|between|whole numbers)"):
        choose(bad, "a", family=name)


def test_families_with_settings_by_name():
    table = pa.table({"a": [0, 2, 1, 2], "b": [1, 0, 2, 0]})
    settings = {
        "contaminated-normal": (ColumnOptions(), families.ContaminatedNormal("full")),
        "factor-analyzer": (ColumnOptions(factors=1), families.FactorAnalyzer(1)),
        "truncated-normal": (ColumnOptions(low=0.0), families.TruncatedNormal(0.0, np.inf)),
        "truncated-exponential": (
            ColumnOptions(low=0.0, high=3.0), families.TruncatedExponential(0.0, 3.0)
        ),
        "binned-normal": (
            ColumnOptions(edges=(0.0, 1.0, 4.0, np.inf)),
            families.BinnedNormal((0.0, 1.0, 4.0, np.inf)),
        ),
    }  # fmt: skip
    for name, (options, family) in settings.items():
        assert family_of(choose(table, family=name), "full", options) == family


@pytest.mark.slow
def test_factors_and_limits(tmp_path, capsys):
    """Loadings and uniquenesses are printed, and a truncated column has its limits in the file."""
    rng, n = np.random.default_rng(1), 150
    z = rng.normal(size=n)
    table = {name: a * z + rng.normal(0, 0.5, n) for name, a in (("u", 1), ("v", -2), ("w", 1))}
    table["wait"] = np.abs(rng.normal(1, 1, n)) + 0.5
    path, model = tmp_path / "t.csv", tmp_path / "m.safetensors"
    pyarrow.csv.write_csv(pa.table(table), path)
    kinds = ("--family", "factor-analyzer", "--factors", "1", "--low", "0.5", "--column-family",
             "wait=truncated-normal")  # fmt: skip
    options = ("--components", "1", "--starts", "1", "-o", str(model))
    assert main(["fit", str(path), *kinds, *options]) == 0
    out, err = capsys.readouterr()
    assert "loading 0" in out and "uniqueness" in out and "factor-analyzer: u, v, w" in err
    assert dict(io.read(model).model.family.blocks)["truncated-normal"].low == 0.5
    assert main(["predict", str(model), str(path), "-o", str(tmp_path / "p.csv")]) == 0


@pytest.mark.slow
def test_counts_and_lifetimes(tmp_path, capsys):
    """What is drawn from the fit of a table is another table of the same kinds."""
    rng, n = np.random.default_rng(1), 160
    late = rng.random(n) < 0.4
    table = {
        "life": np.where(late, 5.0, 1.0) * rng.weibull(3.0, n),
        "calls": rng.negative_binomial(3, np.where(late, 0.1, 0.6)),
    }
    path, model, again = tmp_path / "t.csv", tmp_path / "m.safetensors", tmp_path / "s.csv"
    pyarrow.csv.write_csv(pa.table(table), path)
    kinds = "--column-family", "life=weibull", "--column-family", "calls=negative-binomial"
    assert fit(path, "--family", "auto", *kinds, "-o", str(model)) == 0
    out, _ = capsys.readouterr()
    assert all(word in out for word in ("scale", "shape", "size", "mean"))
    assert main(["sample", str(model), "-n", "60", "-o", str(again)]) == 0
    assert main(["predict", str(model), str(again)]) == 0
