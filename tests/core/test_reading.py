"""Whatever holds numbers gives the fit of their array; what holds none is told as what it is."""

import datetime
import sys
from decimal import Decimal
from fractions import Fraction

import jax
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxem
from jaxem.core import tables
from jaxem.families import Categorical, Gaussian, LinearRegression, Poisson, Product

KEY = jax.random.key(0)
MODEL = jaxem.Mixture(Gaussian("full"), 2)
RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(5, 1, (40, 2))])
HIDDEN = np.arange(100) < 12
EXPECTED = float(jaxem.fit(MODEL, X, key=KEY, n_init=2).log_likelihood)


class Holder:
    """What a tensor of another library is to NumPy."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class Interface:
    __array_interface__ = X.__array_interface__


class Capsule:
    def __dlpack__(self, **options):
        return X.__dlpack__(**options)

    def __dlpack_device__(self):
        return X.__dlpack_device__()


def frame(*labels):
    return pandas.DataFrame(X, columns=labels)


@pytest.mark.slow
@pytest.mark.parametrize(
    "x",
    [
        pandas.DataFrame(X),
        frame(("u", "a"), ("u", "b")),
        pandas.DataFrame(X, columns=pandas.MultiIndex.from_product([["u"], ["a", "b"]])),
        pandas.DataFrame(X, columns=pandas.to_datetime(["2020-01-01", "2020-02-01"])),
        frame("collect", "toarray"),
        frame("column_names", "columns"),
        frame("dtype", "shape"),
        frame(0.5, None),
        pandas.DataFrame(X, dtype="Float64"),
        pandas.DataFrame(X).convert_dtypes(dtype_backend="pyarrow"),
        polars.DataFrame(X),
        pyarrow.table({"a": X[:, 0], "b": X[:, 1]}),
        pyarrow.RecordBatch.from_pydict({"a": X[:, 0], "b": X[:, 1]}),
        Holder(X),
        Interface(),
        Capsule(),
        X.tolist(),
        [[Decimal(v) for v in row] for row in X],
        [[Fraction(v) for v in row] for row in X],
    ],
)
def test_holders_of_the_same_numbers(x):
    assert float(jaxem.fit(MODEL, x, key=KEY, n_init=2).log_likelihood) == EXPECTED


def test_columns_are_called_by_their_text():
    names = [0, ("u", 1), "b", datetime.date(2020, 1, 1)]
    labelled = pandas.DataFrame(np.ones((3, 4)), columns=pandas.Index(names, tupleize_cols=False))
    assert tables.column_names(labelled) == ("0", "('u', 1)", "b", "2020-01-01")
    with pytest.raises(ValueError, match=r"NaN.*columns: 0 \(1\)"):
        jaxem.fit(MODEL, pandas.DataFrame(np.where(X[0, 0] == X, np.nan, X)), key=KEY)
    for twice in (["a", "a"], [0, "0"]):
        with pytest.raises(ValueError, match=r"twice: .*; rename"):
            tables.table(pandas.DataFrame(X, columns=twice))


def test_columns_of_other_kinds_than_float():
    mixed = pandas.DataFrame(
        {
            "whole": pandas.array([1, None], dtype="Int64"),
            "flag": pandas.array([True, None], dtype="boolean"),
            "exact": [Decimal("1.5"), None],
            "level": pandas.Categorical([2, 1]),
            "single": np.ones(2, np.float32),
        }
    )
    expected = [[1, 1, 1.5, 2, 1], [np.nan, np.nan, np.nan, 1, 1]]
    np.testing.assert_array_equal(tables.table(mixed), expected)
    exact = polars.DataFrame({"a": [Decimal("1.5"), None], "b": [True, None]})
    np.testing.assert_array_equal(tables.table(exact), [[1.5, 1], [np.nan, np.nan]])
    other = pandas.DataFrame(
        {"text": ["a"], "day": pandas.to_datetime(["2020"]), "level": pandas.Categorical(["u"])}
    )
    with pytest.raises(ValueError, match=r"not numeric: text, day, level; drop"):
        tables.table(other)
    with pytest.raises(ValueError, match=r"x is a series of String"):
        tables.table(polars.Series(["a"]))


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, r"x is None"),
        ({"a": [1.0], "b": [2.0]}, r"x is a dict; give.*column_stack\(list\(x.values\(\)\)\)"),
        ((row for row in X), r"x is a generator; give list\(x\)"),
        (object(), r"x is of type object; give an array"),
        ([datetime.date(2020, 1, 1)], r"datetime.date\(2020, 1, 1\), of type date"),
        (np.array(["2020-01-01"], "M8[D]"), r"dates.*\(x - x.min\(\)\) / np.timedelta64\(1, 'D'\)"),
        (np.array([1, 2], "m8[s]"), r"spans of time.*x / np.timedelta64\(1, 's'\)"),
        (np.zeros(3, [("a", float), ("b", int)]), r"\(a, b\); give np.stack"),
        ([[1, 2], [3]], r"lengths: 1 to 2 numbers; fill them up$"),
        ([[1, 2], [3, [4, 5]]], r"rows have different lengths; fill them up$"),
        (polars.DataFrame(X).lazy(), r"x is a LazyFrame; give x.collect\(\)"),
    ],
)
def test_what_is_no_table_is_told_as_what_it_is(x, text):
    with pytest.raises(ValueError, match=text):
        jaxem.fit(MODEL, x, key=KEY)


def test_advice_of_the_errors_is_right():
    dates = np.array(["2020-01-01", "2020-01-03"], "M8[D]")
    assert tables.table((dates - dates.min()) / np.timedelta64(1, "D"))[1, 0] == 2
    fields = np.ones(3, [("a", float), ("b", int)])
    assert tables.table(np.stack([fields[name] for name in fields.dtype.names], axis=1)).shape == (
        3,
        2,
    )


def test_frames_without_narwhals(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ValueError, match=r"x is a DataFrame.*pip install 'jaxem\[frames\]'"):
        jaxem.fit(MODEL, pandas.DataFrame(X), key=KEY)
    assert tables.table(Holder(X)) is X


# ---- masks: NaN in data and responses, 0 in weights, -1 in labels


def log_likelihood(model, x, **options):
    return float(jaxem.fit(model, x, key=KEY, n_init=2, max_iter=50, **options).log_likelihood)


def masked(array, mask=HIDDEN, junk=777):
    mask = np.broadcast_to(mask.reshape(-1, *[1] * (array.ndim - 1)), array.shape)
    return np.ma.array(np.where(mask, junk, array).astype(array.dtype), mask=mask)


@pytest.mark.slow
def test_masked_rows_and_cells():
    model = jaxem.Mixture(Gaussian("full", missing=True), 2)
    one = np.arange(2) == 1
    holes = np.where(HIDDEN[:, None] & one, np.nan, X)
    marks = np.ma.array(np.where(np.isnan(holes), 777, X), mask=np.isnan(holes))
    expected = log_likelihood(model, holes)
    assert log_likelihood(model, marks) == expected
    assert log_likelihood(model, list(marks)) == expected
    with pytest.raises(ValueError, match="12 NaN"):
        log_likelihood(MODEL, marks)
    assert tables.table(marks.astype(np.float32)).dtype == np.float32


@pytest.mark.slow
def test_masked_responses():
    y = X.sum(1)
    expected = log_likelihood(
        jaxem.Mixture(LinearRegression(), 2), (X[:, :1], np.where(HIDDEN, np.nan, y))
    )
    for given in (masked(y), masked(y)[:, None], pandas.Series(y).mask(HIDDEN)):
        model = jaxem.Mixture(LinearRegression(), 2)
        assert log_likelihood(model, (X[:, :1], given)) == expected


@pytest.mark.slow
def test_masked_weights_and_labels():
    label = (np.arange(100) >= 60).astype(int)
    weight = np.where(HIDDEN, 0, 2.0)
    expected = log_likelihood(MODEL, X, sample_weight=weight)
    assert log_likelihood(MODEL, X, sample_weight=masked(np.full(100, 2.0))) == expected
    assert log_likelihood(MODEL, X, sample_weight=masked(np.full(100, 2))) == expected
    expected = log_likelihood(MODEL, X, labels=np.where(HIDDEN, -1, label))
    nullable = pandas.Series(label, dtype="Int64").mask(HIDDEN)
    places = [None if own else int(of) for own, of in zip(HIDDEN, label, strict=True)]
    for given in (masked(label), nullable, polars.Series(places)):
        assert log_likelihood(MODEL, X, labels=given) == expected
    both = np.stack([X, X])
    many = jaxem.fit_many(
        MODEL, both, key=KEY, n_init=1, max_iter=5, sample_weight=masked(np.ones((2, 100)).T).T
    )
    plain = jaxem.fit_many(
        MODEL, both, key=KEY, n_init=1, max_iter=5, sample_weight=np.stack([weight, weight]) / 2
    )
    np.testing.assert_array_equal(many.log_likelihood, plain.log_likelihood)


@pytest.mark.slow
def test_masked_counts_and_codes():
    counts, exposure = RNG.poisson(3, 100), RNG.uniform(0.5, 2, 100)
    model = jaxem.Mixture(Poisson(exposure=True), 2)
    expected = log_likelihood(model, (np.where(HIDDEN, np.nan, counts), exposure))
    assert log_likelihood(model, (masked(counts), exposure)) == expected
    with pytest.raises(ValueError, match=r"12 exposures that are missing or not above 0.*drop"):
        log_likelihood(model, (counts, masked(exposure)))
    codes = RNG.integers(0, 3, (100, 2))
    classes = jaxem.Mixture(Categorical(3), 2)
    expected = log_likelihood(classes, np.where(HIDDEN[:, None], -1, codes))
    assert log_likelihood(classes, masked(codes)) == expected
    mixed = jaxem.Mixture(Product({"a": Categorical(3), "b": Gaussian("diag")}), 2)
    expected = log_likelihood(mixed, {"a": np.where(HIDDEN[:, None], -1, codes), "b": X})
    assert log_likelihood(mixed, {"a": masked(codes), "b": X}) == expected
    filled = jaxem.impute(jaxem.Mixture(Poisson(), 1), jaxem.MixtureParams(
        np.ones(1), jaxem.families.PoissonParams(np.full((1, 1), 2.7))
    ), masked(counts))  # fmt: skip
    np.testing.assert_allclose(filled, np.where(HIDDEN, 2.7, counts), rtol=1e-15)


@pytest.mark.slow
def test_masked_sequences():
    model = jaxem.HMM(Gaussian("full"), 2)
    parts, marks = np.split(X, 4), np.split(HIDDEN, 4)
    holes = [np.where(m[:, None], np.nan, own) for own, m in zip(parts, marks, strict=True)]
    given = [masked(own, m) for own, m in zip(parts, marks, strict=True)]
    expected = log_likelihood(model, holes)
    assert log_likelihood(model, given) == expected
    batch = log_likelihood(model, np.stack(holes))
    assert log_likelihood(model, np.ma.stack(given)) == batch
    states = [np.zeros(25, int)] * 4
    known = [np.where(m, -1, own) for own, m in zip(states, marks, strict=True)]
    expected = log_likelihood(model, parts, labels=known)
    own = [masked(own, m, 0) for own, m in zip(states, marks, strict=True)]
    assert log_likelihood(model, parts, labels=own) == expected


def test_masked_parameters_and_lengths_are_errors():
    params = jaxem.fit(MODEL, X, key=KEY, n_init=1, max_iter=1).params
    own = params._replace(weights=np.ma.array([0.5, 0.5], mask=[0, 1]))
    with pytest.raises(ValueError, match="weights is masked in places"):
        jaxem.em(MODEL, own, X)
    with pytest.raises(ValueError, match="weights is masked in places"):
        jaxem.fit(MODEL, X, key=KEY, prior=jaxem.MixturePrior(weights=own.weights + 1))
    with pytest.raises(ValueError, match="lengths is masked in places"):
        jaxem.fit(
            jaxem.HMM(Gaussian("full"), 2), X.reshape(4, 25, 2), key=KEY,
            lengths=np.ma.array([25] * 4, mask=[0, 0, 1, 0]),
        )  # fmt: skip
