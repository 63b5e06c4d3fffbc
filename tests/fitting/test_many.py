"""Many data sets at once: each as by itself, in one Result that indexes like a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from compilations import compilations

import jaxem
from jaxem import HMM, Mixture
from jaxem.families import Gaussian, LinearRegression, Poisson
from laws.compare import close

KEY = jax.random.key(7)
MODEL = Mixture(Gaussian("full"), 2)
B, N = 5, 60
OPTIONS = {"n_init": 3, "tol": 1e-9}


@pytest.fixture(scope="module")
def xs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, N, 2)) + 4.0 * (np.arange(N) % 2)[None, :, None]


@pytest.fixture(scope="module")
def many(xs):
    return jaxem.fit_many(MODEL, xs, key=KEY, **OPTIONS)


def alone(x, i, **options):
    key = jax.random.split(KEY, B)[i]
    return jaxem.fit(MODEL, x, key=key, **OPTIONS, **options)


def same(a, b):
    """Equal to rounding, with the same starts and iterations."""
    close(a.params, b.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-12)
    np.testing.assert_array_equal(a.n_iter, b.n_iter)
    np.testing.assert_array_equal(a.status, b.status)
    np.testing.assert_allclose(a.restarts.log_likelihood, b.restarts.log_likelihood, rtol=1e-10)


def test_each_set_is_fitted_as_by_itself(xs, many):
    for i in (0, 3):
        same(many[i], alone(xs[i], i))


@pytest.mark.slow
def test_fit_inside_jit_and_vmap_equals_the_one_outside(xs, many):
    fit = jax.jit(jax.vmap(lambda x, key: jaxem.fit(MODEL, x, key=key, **OPTIONS)))
    inside = fit(xs, jax.random.split(KEY, B))
    same(inside, many)
    assert isinstance(inside, jaxem.Result) and len(inside) == B
    same(jax.jit(lambda x, key: jaxem.fit(MODEL, x, key=key, **OPTIONS))(
        xs[1], jax.random.split(KEY, B)[1]), many[1])  # fmt: skip


@pytest.mark.slow
def test_vmap_over_weights_keys_and_tolerances_alone(xs):
    """Only some arguments have lanes; the others are shared by all."""
    weights = jnp.asarray(np.random.default_rng(1).integers(0, 3, (2, N)).astype(float))
    start = alone(xs[0], 0).params

    def em(weight, tol):
        return jaxem.em(MODEL, start, xs[0], sample_weight=weight, tol=tol)

    tols = jnp.array([1e-3, 1e-10])
    found = jax.vmap(em)(weights, tols)
    for i in range(2):
        same(found[i], em(weights[i], tols[i]))


@pytest.mark.slow
def test_forward_derivatives_go_through_the_lanes(xs):
    start = alone(xs[0], 0).params

    def mean(shift):
        found = jaxem.em(MODEL, start, jnp.asarray(xs[0]) + shift, max_iter=20, acceleration=None)
        return found.params.components.means[0, 0]

    shifts = jnp.array([0.0, 0.1])
    _, slopes = jax.vmap(lambda s: jax.jvp(mean, (s,), (jnp.ones(()),)))(shifts)
    np.testing.assert_allclose(slopes, 1, rtol=1e-6)  # a maximum moves with the data


@pytest.mark.slow
def test_ragged_sets_end_at_weights_of_zero(xs):
    lengths = [60, 31, 45, 60, 8]
    ragged = [x[:n] for x, n in zip(xs, lengths, strict=True)]
    weight = (np.arange(N) < np.array(lengths)[:, None]).astype(float)
    broken = np.where(weight[:, :, None] > 0, xs, np.nan)  # what has weight 0 may be anything
    found = jaxem.fit_many(MODEL, broken, key=KEY, sample_weight=weight, **OPTIONS)
    np.testing.assert_allclose(found.total_weight, lengths)
    as_list = jaxem.fit_many(MODEL, ragged, key=KEY, **OPTIONS)
    same(found, as_list)
    for i in (1, 2):
        same(found[i], alone(broken[i], i, sample_weight=weight[i]))
        warm = jaxem.em(MODEL, found[i].params, ragged[i], tol=1e-9)
        np.testing.assert_allclose(warm.log_likelihood, found.log_likelihood[i], rtol=1e-7)


@pytest.mark.slow
def test_labels_prior_and_families_of_two_parts(xs):
    labels = np.tile(np.where(np.arange(N) < 10, np.arange(N) % 2, -1), (B, 1))
    found = jaxem.fit_many(MODEL, xs, key=KEY, labels=labels, reg_covar=0.1, **OPTIONS)
    same(found[2], alone(xs[2], 2, labels=labels[2], reg_covar=0.1))
    assert (found.log_posterior < found.log_likelihood).all()
    model = Mixture(LinearRegression(), 1)
    X, y = xs[:, :, :1], xs[:, :, 1]
    found = jaxem.fit_many(model, (X, y), key=KEY, n_init=1)
    slopes = [np.polyfit(X[i, :, 0], y[i], 1)[0] for i in range(B)]
    np.testing.assert_allclose(found.params.components.coefficients[:, 0, 1], slopes, rtol=1e-6)


@pytest.mark.slow
def test_holes(xs):
    broken = xs.copy()
    broken[:, ::7, 0] = np.nan
    model = Mixture(Gaussian("full", missing=True), 1)
    found = jaxem.fit_many(model, broken, key=KEY, n_init=1, tol=1e-10)
    own = jaxem.fit(model, broken[3], key=jax.random.split(KEY, B)[3], n_init=1, tol=1e-10)
    close(found[3].params, own.params, rtol=1e-6, atol=1e-8)


def test_a_result_of_many_indexes_like_a_table(many):
    assert len(many) == B and bool(many)
    assert many.params.components.means.shape == (B, 2, 2)
    assert many[1].log_likelihood == many.log_likelihood[1]
    assert many[-1].bic == many.bic[-1] and len(many[1:3]) == 2
    assert len(many[np.asarray(many.converged)]) == int(np.sum(many.converged))
    each = list(many)
    assert len(each) == B and "starts" in str(each[2])
    np.testing.assert_array_equal(each[2].status, many.status[2])
    close(jax.tree.map(lambda leaf: leaf[1], many).params, many[1].params, rtol=0, atol=0)
    one = many[0]
    with pytest.raises(TypeError):
        len(one)
    with pytest.raises(TypeError):
        one[0]
    assert one  # a fit is something
    text = str(many)
    for word in ("5 fits", "Gaussian('full')", "5 CONVERGED", "median", "at most"):
        assert word in text, text
    assert jax.tree.structure(many) == jax.tree.structure(many._replace(params=many.params))


def test_few_programs_serve_many_calls(xs, many):
    with compilations() as names:
        jaxem.fit_many(MODEL, xs + 1, key=jax.random.key(1), n_init=3, tol=1e-7, max_iter=77)
        jaxem.fit_many(MODEL, xs[:3], key=jax.random.key(1), n_init=3)
    assert not [name for name in names if "_fit" in name]


@pytest.mark.parametrize(
    ("xs_of", "options", "words"),
    [
        (lambda xs: xs[0, 0], {}, r"give \(b, n, d\)"),
        (lambda xs: [], {}, "empty list"),
        (lambda xs: xs, {"sample_weight": np.ones(N)}, r"give \(5, 60\)"),
        (lambda xs: xs, {"sample_weight": np.eye(B, N)[::-1] * 0}, r"sample_weight\[0\]"),
        (lambda xs: np.where(xs == xs[2, 3, 1], np.nan, xs), {}, "x has 1 .*NaN"),
        (lambda xs: xs, {"init": None}, "init is None"),
        (lambda xs: list(xs), {"labels": [np.zeros(3, int)] * B}, "labels has other lengths"),
    ],
)
def test_bad_input_is_told(xs, xs_of, options, words):
    with pytest.raises(ValueError, match=words):
        jaxem.fit_many(MODEL, xs_of(xs), key=KEY, **options)


def test_sequences_and_tracers_are_told_what_to_do(xs):
    with pytest.raises(ValueError, match=r"use jax.vmap over jaxem.fit"):
        jaxem.fit_many(HMM(Poisson(), 2), np.ones((3, 9, 1)), key=KEY)
    with pytest.raises(ValueError, match=r"inside jit use jax.vmap"):
        jax.jit(lambda xs: jaxem.fit_many(MODEL, xs, key=KEY).params)(xs)


def test_frames_in_a_list(xs, many):
    frames = [pandas.DataFrame(x, columns=["a", "b"]) for x in xs]
    same(jaxem.fit_many(MODEL, frames, key=KEY, **OPTIONS), many)
