"""Frames in give frames out: of the same library, with the numbers of the array's own answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxem
from jaxem.families import (
    Bernoulli,
    BernoulliParams,
    Gaussian,
    GaussianParams,
    LinearRegression,
    LinearRegressionParams,
    Product,
    StudentT,
    StudentTParams,
)
from jaxem.models.mixture import MixtureParams

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (30, 2)), RNG.normal(4, 1, (20, 2))])
HOLED = np.where((np.arange(50)[:, None] + [0, 2]) % 7 == 0, np.nan, X)
INDEX = pandas.MultiIndex.from_product([range(25), ["u", "v"]])[::-1]
MODEL = jaxem.Mixture(Gaussian("diag"), 2)
MEANS = np.array([[0.0, 0.1], [4.0, 3.9]])
PARAMS = MixtureParams(np.array([0.6, 0.4]), GaussianParams(MEANS, np.ones((2, 2))))
HMM = jaxem.HMM(MODEL.family, 2)
CHAIN = jaxem.HMMParams(PARAMS.weights, np.array([[0.9, 0.1], [0.2, 0.8]]), PARAMS.components)


def in_pandas(x, **more):
    return pandas.DataFrame(x, columns=["a", "b"], index=INDEX, **more)


def in_polars(x):
    return polars.DataFrame(x, ["a", "b"]).fill_nan(None)


def in_arrow(x):
    return pyarrow.Table.from_pandas(pandas.DataFrame(x, columns=["a", "b"]))


KINDS = {
    in_pandas: (pandas.DataFrame, pandas.Series),
    in_polars: (polars.DataFrame, polars.Series),
    in_arrow: (pyarrow.Table, pyarrow.ChunkedArray),
}


def columns_of(frame):
    return list(frame.column_names if isinstance(frame, pyarrow.Table) else frame.columns)


def same_numbers(found, expected):
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("read", [False, True], ids=["given", "read"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_told_of_in_frames_of_their_kind(kind, read):
    frame, series = KINDS[kind]
    x = jaxem.read(MODEL, kind(X)) if read else kind(X)
    for verb, name in ((jaxem.predict, "component"), (jaxem.log_prob, "log_density")):
        found = verb(MODEL, PARAMS, x)
        assert type(found) is series and getattr(found, "name", name) == name
        same_numbers(found, verb(MODEL, PARAMS, X))
    found = jaxem.predict_proba(MODEL, PARAMS, x)
    assert type(found) is frame and columns_of(found) == ["component_0", "component_1"]
    same_numbers(found, jaxem.predict_proba(MODEL, PARAMS, X))


def test_the_index_of_pandas_is_kept():
    frame = in_pandas(X)
    for verb in (jaxem.predict, jaxem.predict_proba, jaxem.log_prob):
        assert verb(MODEL, PARAMS, frame).index.equals(INDEX)
        assert verb(MODEL, PARAMS, jaxem.read(MODEL, frame)).index.equals(INDEX)
    filled = jaxem.impute(MODEL, PARAMS, in_pandas(HOLED))
    assert filled.index.equals(INDEX) and isinstance(filled.index, pandas.MultiIndex)
    labelled = frame.assign(group=jaxem.predict(MODEL, PARAMS, frame))  # by the index
    np.testing.assert_array_equal(labelled["group"], jaxem.predict(MODEL, PARAMS, X))


def test_arrays_stay_arrays():
    for verb in (jaxem.predict, jaxem.predict_proba, jaxem.log_prob):
        assert isinstance(verb(MODEL, PARAMS, X), jax.Array | np.ndarray)
    assert isinstance(jaxem.impute(MODEL, PARAMS, HOLED), np.ndarray)


def test_a_frame_under_jit_and_grad_is_an_array():
    frame = in_pandas(X)
    total = jax.jit(lambda params: jnp.sum(jaxem.log_prob(MODEL, params, frame)))
    expected = np.sum(jaxem.log_prob(MODEL, PARAMS, X))
    np.testing.assert_allclose(total(PARAMS), expected, rtol=1e-12)
    filled = jax.jit(lambda params: jaxem.impute(MODEL, params, in_pandas(HOLED)))(PARAMS)
    np.testing.assert_allclose(filled, jaxem.impute(MODEL, PARAMS, HOLED), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_and_a_list_of_them(kind):
    frame, series = KINDS[kind]
    path, log_joint = jaxem.viterbi(HMM, CHAIN, kind(X))
    assert type(path) is series and getattr(path, "name", "state") == "state"
    same_numbers(path, jaxem.viterbi(HMM, CHAIN, X)[0])
    assert np.ndim(log_joint) == 0 and isinstance(log_joint, jax.Array)
    for verb in (jaxem.smooth, jaxem.filter_states):
        found = verb(HMM, CHAIN, kind(X))
        assert type(found) is frame and columns_of(found) == ["state_0", "state_1"]
        same_numbers(found, verb(HMM, CHAIN, X))
        own = verb(HMM, CHAIN, [kind(X), X])
        assert type(own[0]) is frame and type(own[1]) is np.ndarray
        same_numbers(own[0], verb(HMM, CHAIN, [X, X])[0])
    assert type(jaxem.predict(HMM, CHAIN, [kind(X), X])[0]) is series
    assert jaxem.log_prob(HMM, CHAIN, [kind(X), X]).shape == (2,)  # of sequences, not of rows


def test_the_rows_of_other_data():
    """The frame of the first part that is one says what the rows are called."""
    regressors, response = X[:, :1], pandas.Series(X[:, 1], index=INDEX)
    lines = jaxem.Mixture(LinearRegression(), 2)
    at = MixtureParams(PARAMS.weights, LinearRegressionParams(MEANS, np.ones(2)))
    assert jaxem.predict(lines, at, (regressors, response)).index.equals(INDEX)
    assert jaxem.predict(lines, at, (in_pandas(X)[["a"]], X[:, 1])).index.equals(INDEX)
    mixed = jaxem.Mixture(Product({"u": MODEL.family, "v": MODEL.family}), 2)
    at = MixtureParams(PARAMS.weights, {"u": PARAMS.components, "v": PARAMS.components})
    shares = jaxem.predict_proba(mixed, at, {"u": X, "v": in_polars(X)})
    assert isinstance(shares, polars.DataFrame)
    one = jaxem.Mixture(Gaussian("diag"), 2)
    own = jax.tree.map(lambda leaf: leaf[:, :1], PARAMS.components)
    assert isinstance(
        jaxem.predict(one, MixtureParams(PARAMS.weights, own), response), pandas.Series
    )


def test_weights_of_outliers_and_of_trimmed_rows():
    tails = jaxem.Mixture(StudentT("diag"), 2)
    own = StudentTParams(MEANS, np.ones((2, 2)), np.full(2, 5.0))
    weights = jaxem.outlier_weights(tails, MixtureParams(PARAMS.weights, own), in_pandas(X))
    assert weights.name == "outlier_weight" and weights.index.equals(INDEX)
    kept = jaxem.trimmed_weights(MODEL, PARAMS, in_pandas(X), 0.1)
    assert kept.name == "trimmed_weight" and kept.index.equals(INDEX)
    same_numbers(kept, jaxem.trimmed_weights(MODEL, PARAMS, X, 0.1))


# ---- filled tables


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_filled(kind):
    frame = KINDS[kind][0]
    found = jaxem.impute(MODEL, PARAMS, kind(HOLED))
    assert type(found) is frame and columns_of(found) == ["a", "b"]
    same_numbers(found, jaxem.impute(MODEL, PARAMS, HOLED))
    drawn = jaxem.impute(MODEL, PARAMS, kind(HOLED), key=jax.random.key(0), n_draws=2)
    assert [type(own) for own in drawn] == [frame, frame]
    expected = jaxem.impute(MODEL, PARAMS, HOLED, key=jax.random.key(0), n_draws=2)
    same_numbers(np.stack([np.asarray(own) for own in drawn]), expected)
    first, _ = jaxem.impute(HMM, CHAIN, [kind(HOLED), X])
    assert type(first) is frame
    same_numbers(first, jaxem.impute(HMM, CHAIN, [HOLED, X])[0])


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [0.5, None], pandas.MultiIndex.from_product([["u"], ["a", "b"]])],
    ids=["numbers", "odd", "levels"],
)
def test_any_labels_of_pandas_come_back(labels):
    given = pandas.DataFrame(HOLED, columns=labels, index=[3] * 50)
    found = jaxem.impute(MODEL, PARAMS, given)
    assert found.columns.equals(given.columns) and found.index.equals(given.index)
    same_numbers(found, jaxem.impute(MODEL, PARAMS, HOLED))
    assert given.columns.equals(pandas.DataFrame(columns=labels).columns)  # the caller's
    assert np.isnan(given.to_numpy()).sum() == np.isnan(HOLED).sum()


def test_types_of_columns_that_had_holes():
    """What is whole stays so where what fills it is whole; a column without holes is as it was."""
    answers = jaxem.Mixture(Bernoulli(), 1)
    at = MixtureParams(np.ones(1), BernoulliParams(np.array([[0.9, 0.2, 0.8]])))
    frame = pandas.DataFrame(
        {
            "whole": pandas.array([1, None], dtype="Int64"),
            "truth": pandas.array([None, True], dtype="boolean"),
            "sure": np.array([0, 1], np.int8),
        }
    )
    found = jaxem.impute(answers, at, frame)
    assert list(found.dtypes) == list(frame.dtypes)
    assert found.to_numpy().tolist() == [[1, False, 0], [1, True, 1]]
    counts = pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64"), "b": [0.5, 1.0]})
    filled = jaxem.impute(MODEL, PARAMS, counts)
    assert filled["a"].dtype.kind == "f" and filled["a"][0] == 1 and filled["a"][1] % 1 != 0
    small = in_pandas(HOLED.astype(np.float32))
    assert set(jaxem.impute(MODEL, PARAMS, small).dtypes) == {np.dtype(np.float32)}


def test_a_hole_that_stays_is_one():
    """Of a column that no row of its component has, nothing is known."""
    far = np.where((np.arange(50)[:, None] >= 30) & [False, True], np.nan, HOLED)
    with pytest.warns(UserWarning, match="stay NaN"):
        expected = jaxem.impute(MODEL, PARAMS, far)
        found = jaxem.impute(MODEL, PARAMS, in_polars(far))
    assert np.isnan(expected).any() and found["b"].is_nan().sum() == 0
    same_numbers(found.fill_null(np.nan), expected)
