"""Each error says what is wrong, where, and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import polars
import pytest
import scipy.sparse

import jaxem
from jaxem.families import Gaussian, GaussianParams

MODEL = jaxem.Mixture(Gaussian("full"), 2)
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(20, 3))
PARAMS = jaxem.MixtureParams(
    jnp.array([0.5, 0.5]), GaussianParams(jnp.zeros((2, 3)), jnp.stack([jnp.eye(3)] * 2))
)


def with_value(value, *places):
    x = X.copy()
    for place in places:
        x[place] = value
    return x


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (
            with_value(np.nan, (0, 1), (4, 1), (2, 2)),
            r"3 NaN.*columns: 1 \(2\), 2 \(1\); take.*missing=True.*drop",
        ),
        (with_value(np.inf, (0, 0)), r"1 NaN or infinite.*columns: 0 \(1\)"),
        (jnp.asarray(with_value(np.nan, (0, 0))), r"1 NaN"),
        (pandas.DataFrame(with_value(np.nan, (0, 1)), columns=list("abc")), r"columns: b \(1\)"),
        (pandas.DataFrame({"a": [1.0, 2.0], "kind": ["x", "y"]}), r"not numeric: kind; drop"),
        (pandas.DataFrame({"a": [1, None, 3]}, dtype="Int64"), r"1 NaN"),
        (pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), r"twice: a; rename"),
        (pandas.DataFrame(index=range(3)), r"no columns"),
        ([["a", "b"], ["c", "d"]], r"holds text"),
        (np.array([["a", 1.0]], dtype=object), r"holds text"),
        (X.astype(complex), r"complex.*two columns"),
        (X.astype(np.float16), r"float16; give float32 or float64"),
        (jnp.asarray(X, jnp.bfloat16), r"bfloat16"),
        ([[1.0, 2.0], [3.0]], r"different lengths"),
        (X[None], r"\(1, 20, 3\); it must be \(n, d\)"),
        (np.float64(3.0), r"\(\); it must be"),
        (np.empty((0, 3)), r"no rows"),
        (np.empty((5, 0)), r"no columns"),
        (pandas.DataFrame(X).astype("float16"), r"float16; give float32 or float64"),
        (polars.DataFrame({"a": [1.0]}).lazy(), r"LazyFrame; give x.collect\(\)"),
        (scipy.sparse.eye_array(5), r"give x.toarray\(\)"),
        (np.ma.masked_less(X, -1.0), r"NaN"),
        (X * 1e-170, r"columns 0, 1, 2 spread.*rescale"),
        (X * 1e170, r"columns 0, 1, 2 spread.*rescale"),
        (np.zeros((9, 3)), r"1 distinct row, fewer than the 2 components"),
        (X[:1], r"1 distinct row.*at most 1"),
    ],
)
def test_data(x, text):
    with pytest.raises(ValueError, match=text):
        jaxem.fit(MODEL, x, key=KEY)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(sample_weight=np.ones(19)), r"\(19,\), x has 20 rows"),
        (dict(sample_weight=-np.ones(20)), r"20 negative.*row 0.*frequencies"),
        (dict(sample_weight=np.zeros(20)), r"all zero"),
        (dict(sample_weight=np.full(20, np.nan)), r"NaN"),
        (dict(sample_weight=np.eye(20)[0]), r"1 distinct row"),
        (dict(key=jax.random.split(KEY)), r"give one key"),
        (dict(sample_weight=np.full(20, 1e308)), r"adds up to more.*rescale"),
        (dict(max_iter=2**40), r"max_iter is 1099511627776; give at most 2147483647"),
        (dict(labels=np.full(20, 2)), r"20 values outside -1..1 .*row 0: 2"),
        (dict(labels=np.full(20, -2)), r"outside"),
        (dict(labels=np.zeros(20)), r"float64; give integers, -1 where unknown"),
        (dict(labels=np.zeros(3, int)), r"\(3,\), x has 20 rows"),
        (dict(tol=-1e-3), r"tol is -0.001; give a number from 0"),
        (dict(tol=np.nan), r"tol is nan"),
        (dict(tol="small"), r"tol is 'small'"),
        (dict(max_iter=-1), r"max_iter is -1; give a whole number from 0"),
        (dict(max_iter=2.5), r"max_iter is 2.5"),
        (dict(n_init=0), r"n_init is 0; give a whole number from 1"),
        (dict(block_size=0), r"block_size is 0"),
        (dict(reg_covar=-1e-6), r"reg_covar"),
        (dict(init="kmeans"), r"'kmeans'; it must be one of 'portfolio', 'k-means\+\+'"),
        (
            dict(prior=0.1),
            r"prior is a float; give MixturePrior\(weights, components, fixed, trim, precision\)",
        ),
        (
            dict(prior=jaxem.MixturePrior(weights=0.0)),
            r"weights is 0.0; a Dirichlet has a mode from 1",
        ),
        (dict(min_count=-1), r"min_count"),
        (dict(key=0), r"key is 0; give one key, such as jax.random.key\(0\)"),
    ],
)
def test_options(options, text):
    with pytest.raises(ValueError, match=text):
        jaxem.fit(MODEL, X, **{"key": KEY, **options})


def test_shapes_that_disagree_with_the_parameters():
    four = np.concatenate([X, X[:, :1]], axis=1)
    for verb in (jaxem.em, jaxem.e_step, jaxem.log_prob, jaxem.predict, jaxem.predict_proba):
        with pytest.raises(ValueError, match="x has 4 columns, params were made for 3"):
            verb(MODEL, PARAMS, four)
        with pytest.raises(ValueError, match=r"weights has shape \(2,\), expected \(3,\)"):
            verb(jaxem.Mixture(Gaussian("full"), 3), PARAMS, X)
        with pytest.raises(
            ValueError, match=r"covariances has shape \(2, 3, 3\), expected \(2, 3\)"
        ):
            verb(jaxem.Mixture(Gaussian("diag"), 2), PARAMS, X)
        with pytest.raises(ValueError, match="give MixtureParams"):
            verb(MODEL, (PARAMS.weights, PARAMS.components), X)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dict(weights=[2.0, 3.0]), r"weights is \[2. 3.\]; it must be from 0 and add up to 1"),
        (dict(weights=[-0.5, 1.5]), r"from 0"),
        (dict(weights=[0.5, np.nan]), r"weights holds NaN"),
        (dict(weights=np.array([0.5j, 0.5])), r"give real numbers"),
        (dict(means=np.full((2, 3), np.nan)), r"means holds NaN"),
        (dict(covariances=np.stack([np.triu(np.ones((3, 3)))] * 2)), r"not symmetric"),
    ],
)
def test_values_of_the_parameters(change, text):
    weights = change.pop("weights", PARAMS.weights)
    params = jaxem.MixtureParams(weights, PARAMS.components._replace(**change))
    for verb in (jaxem.em, jaxem.e_step, jaxem.log_prob):
        with pytest.raises(ValueError, match=text):
            verb(MODEL, params, X)
    with pytest.raises(ValueError, match=text):
        jaxem.sample(MODEL, params, KEY, 3)
    with pytest.raises(ValueError, match=text):
        jaxem.n_free_parameters(MODEL, params)


@pytest.mark.parametrize(
    ("structure", "covariances", "text"),
    [
        ("full", [np.eye(3), np.eye(3) - 0.5], r"\[1\], of component 1, is not positive definite"),
        ("full", [np.diag([1, -2.0, 1]), np.eye(3)], r"\[0\], of component 0.*eigenvalue is -2;"),
        ("tied", np.eye(3) - 0.5, r"covariances is not positive definite.*correlations"),
        ("diag", [[1, 1, 1], [1, 0, -1]], r"covariances\[1, 2\] is -1; it must be at least 0"),
        ("spherical", [-2, 1], r"covariances\[0\] is -2; it must be at least 0"),
    ],
)
def test_starting_covariances_are_positive_definite(structure, covariances, text):
    own = PARAMS._replace(components=PARAMS.components._replace(covariances=covariances))
    chain = jaxem.HMMParams([0.5, 0.5], np.full((2, 2), 0.5), own.components)
    for missing in (False, True):
        family = Gaussian(structure, missing=missing)
        with pytest.raises(ValueError, match=text):
            jaxem.em(jaxem.Mixture(family, 2), own, X)
        with pytest.raises(ValueError, match=text):
            jaxem.fit(jaxem.Mixture(family, 2), X, key=KEY, init=own)
        with pytest.raises(ValueError, match=text):
            jaxem.em(jaxem.HMM(family, 2), chain, X)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_singular_covariances_are_a_status(dtype):
    """As a fit that collapsed returns them: they can be saved, drawn and gone on from."""
    for structure, value in (("full", np.ones((2, 3, 3))), ("diag", [[1, 1, 1], [1, 0, 1]])):
        own = PARAMS.components._replace(covariances=np.asarray(value, dtype))
        result = jaxem.em(jaxem.Mixture(Gaussian(structure), 2), PARAMS._replace(components=own), X)
        assert int(result.status) in (jaxem.Status.DEGENERATE, jaxem.Status.NONFINITE)


@pytest.mark.slow
def test_parameters_may_be_lists():
    lists = jaxem.MixtureParams(
        [0.5, 0.5], GaussianParams([[0, 0, 0], [1, 1, 1]], np.stack([np.eye(3)] * 2).tolist())
    )
    arrays = jax.tree.map(
        jnp.asarray,
        jaxem.MixtureParams(
            np.array([0.5, 0.5]),
            GaussianParams(np.array([[0.0] * 3, [1.0] * 3]), np.stack([np.eye(3)] * 2)),
        ),
    )
    given = jaxem.em(MODEL, lists, X, max_iter=2).params
    expected = jaxem.em(MODEL, arrays, X, max_iter=2).params
    jax.tree.map(np.testing.assert_array_equal, given, expected)
    statistics, _ = jaxem.e_step(MODEL, lists, X)
    jaxem.m_step(MODEL, lists, statistics)
    assert jaxem.sample(MODEL, lists, KEY, 4)[0].shape == (4, 3)


def test_numbers_that_do_not_fit_float32():
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"too large for float32.*x64"):
        jaxem.fit(MODEL, with_value(1e300, (0, 0)), key=KEY)


def test_rows_of_weight_zero_may_hold_anything():
    weight = np.ones(20)
    weight[0] = 0
    result = jaxem.fit(MODEL, with_value(np.nan, 0), key=KEY, sample_weight=weight, n_init=2)
    assert np.isfinite(float(result.log_likelihood))
