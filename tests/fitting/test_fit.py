"""The doors: what goes in, what comes out, under jit and vmap, and what a second call costs."""

from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxem
from jaxem import Status
from jaxem.families import Gaussian
from laws.compare import close

MODEL = jaxem.Mixture(Gaussian("full"), 2)


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(80, 2)) + 4.0 * (np.arange(80) % 2)[:, None]


def fit(x, model=MODEL, **options):
    return jaxem.fit(model, x, key=jax.random.key(0), **{"n_init": 3, **options})


@pytest.mark.slow
def test_frames_lists_and_whole_numbers_are_accepted(x):
    whole = np.round(x * 10).astype(int)
    expected = fit(whole.astype(float))
    names = ["a", "b c"]
    columns = dict(zip(names, whole.T, strict=True))
    for data in (
        whole,
        whole.tolist(),
        jnp.asarray(whole),
        pandas.DataFrame(columns),
        pandas.DataFrame(columns).astype("Int64"),
        polars.DataFrame(columns),
        pyarrow.table(columns),
    ):
        result = fit(data)
        close(result.params, expected.params)
        named = not isinstance(data, (np.ndarray, list, jax.Array))
        assert result.provenance.columns == (("a", "b c") if named else None)


@pytest.mark.slow
def test_one_feature_may_be_flat(x):
    close(fit(x[:, 0]).params, fit(x[:, :1]).params, rtol=0, atol=0)
    assert fit(pandas.Series(x[:, 0])).params.components.means.shape == (2, 1)


def test_the_printout_says_what_a_person_wants_to_know(x):
    result = fit(pandas.DataFrame(x, columns=["a", "b"]), labels=None)
    text = str(result)
    for word in (
        "Gaussian('full')", "80 rows", "2 columns", "CONVERGED", "log-likelihood", "BIC",
        f"{float(result.bic):.4f}", "iterations", "3 of 3", "float64",
    ):  # fmt: skip
        assert word in text, text
    assert repr(result) == text and len(text.splitlines()) <= 8
    title, *lines = text.splitlines()
    shown = ElementTree.fromstring(result._repr_html_())
    assert shown.findtext("caption") == title
    cells = [(row.findtext("th"), row.findtext("td")) for row in shown.iter("tr")]
    assert [f"{name:16}{value}" for name, value in cells] == lines


def test_criteria_are_minus_two_log_likelihood_plus_a_penalty(x):
    result = fit(x)
    assert result.n_free_parameters == 11
    ll = float(result.log_likelihood)
    np.testing.assert_allclose(result.aic, -2 * ll + 22)
    np.testing.assert_allclose(result.bic, -2 * ll + 11 * np.log(80))


def test_raise_for_status_carries_the_remedy(x):
    fit(x).raise_for_status()
    with pytest.raises(jaxem.FitError, match=r"MAX_ITER.*raise max_iter"):
        fit(x, max_iter=2).raise_for_status()
    with pytest.raises(jaxem.FitError, match=r"DEGENERATE.*fewer components.*prior.*tied"):
        fit(np.repeat(x, 2, axis=1)).raise_for_status()


def test_every_start_is_kept_and_the_best_is_returned(x):
    result = fit(x, n_init=7)
    r = result.restarts
    assert r.log_likelihood.shape == r.n_iter.shape == r.status.shape == (7,)
    assert r.params.components.covariances.shape == (7, 2, 2, 2)
    assert result.log_likelihood == jnp.max(r.log_likelihood)
    for i in range(7):
        one = jax.tree.map(lambda leaf: leaf[i], r.params)  # noqa: B023
        _, log_likelihood = jaxem.e_step(MODEL, one, x)
        np.testing.assert_allclose(r.log_likelihood[i], log_likelihood, rtol=1e-12)


def test_starts_are_the_same_whatever_their_number(x):
    few, many = fit(x, n_init=3).restarts, fit(x, n_init=7).restarts
    close(few.params, jax.tree.map(lambda leaf: leaf[:3], many.params))
    again = fit(x, n_init=3).restarts
    close(again, few, rtol=0, atol=0)
    other = jaxem.fit(MODEL, x, key=jax.random.key(9), n_init=3, max_iter=0).restarts
    assert not np.array_equal(other.params.components.means, few.params.components.means)


def test_a_warm_start_continues_where_the_last_fit_ended(x):
    short = fit(x, max_iter=5, tol=0.0)
    warm = fit(x, init=short.params, max_iter=5, tol=0.0)
    long = jaxem.em(MODEL, fit(x, max_iter=0, n_init=1).params, x, max_iter=0)
    assert long.n_iter == 0 and warm.restarts.status.shape == (1,)
    straight = fit(x, max_iter=10, tol=0.0)
    np.testing.assert_allclose(warm.log_likelihood, straight.log_likelihood, rtol=1e-10)


def test_inside_jit_and_vmap_as_outside(x):
    outside = fit(x)
    inside = jax.jit(lambda x: fit(x))(jnp.asarray(x))
    close(inside.params, outside.params)
    assert str(inside) == str(outside)
    texts = []
    jax.jit(lambda x: (texts.append(str(fit(x))), fit(x))[1])(jnp.asarray(x))
    assert "traced" in texts[0]

    sets = jnp.stack([jnp.asarray(x), jnp.asarray(x) * 2 + 1])
    batch = jax.vmap(lambda x: fit(x))(sets)
    for i in range(2):
        one = fit(sets[i])
        close(jax.tree.map(lambda leaf: leaf[i], batch.params), one.params)  # noqa: B023
        np.testing.assert_allclose(batch.bic[i], one.bic)
        assert batch.status[i] == one.status
    assert "fits of" in str(batch)
    batch.raise_for_status()

    weights = jnp.ones((2, 80)).at[1, :40].set(0.0)
    swept = jax.vmap(lambda w, tol: jaxem.em(MODEL, outside.params, x, w, tol=tol))(
        weights, jnp.array([1e-3, 1e-9])
    )
    alone = jaxem.em(MODEL, outside.params, x[40:], tol=1e-9)
    close(jax.tree.map(lambda leaf: leaf[1], swept.params), alone.params, rtol=1e-9)


@pytest.mark.slow
def test_ragged_data_sets_under_vmap_through_weights_of_zero(x):
    sizes = (80, 50)
    padded = jnp.stack(
        [jnp.asarray(np.where(np.arange(80)[:, None] < s, x, np.nan)) for s in sizes]
    )
    weights = jnp.stack([(jnp.arange(80) < s).astype(float) for s in sizes])
    batch = jax.vmap(lambda x, w: fit(x, sample_weight=w))(padded, weights)
    assert np.all(batch.converged)
    short = jaxem.em(MODEL, jax.tree.map(lambda leaf: leaf[1], batch.params), x[:50])
    np.testing.assert_allclose(batch.log_likelihood[1], short.log_likelihood, rtol=1e-6)


def test_a_second_call_compiles_nothing(x):
    """Also with other numbers for tol, key, max_iter, thresholds, and of other types."""
    data, other = jnp.asarray(x), jnp.asarray(x + 1)
    tol, ones = jnp.asarray(1e-3), jnp.full(80, 1.0)  # of weak types
    fit(data, sample_weight=np.ones(80), tol=tol)
    fit(data, sample_weight=ones)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "compile" in event else None
    )
    try:
        fit(data, tol=0, max_iter=7)
        fit(data, sample_weight=ones, tol=tol)
        fit(data, tol=np.float32(1e-3), max_iter=np.int64(9), min_variance_ratio=1e-2)
        jaxem.fit(MODEL, other, key=jax.random.key(5), n_init=3, min_count=4)
        jaxem.fit(jaxem.Mixture(Gaussian("full"), 2), x, key=jax.random.key(6), n_init=3)
        seen = [event for event in compiled if "backend_compile" in event]
    finally:
        jax.monitoring.clear_event_listeners()
    assert not seen


@pytest.mark.slow
def test_float32_is_said_when_the_data_were_float64(x):
    with jax.enable_x64(False):
        result = fit(x.copy())
        assert result.dtype == np.float32 and result.params.weights.dtype == np.float32
        assert "float32 (the data is float64" in str(result) and "jax_enable_x64" in str(result)
        assert "the data is" not in str(fit(x.astype(np.float32)))
        assert "the data is float64" in str(fit([tuple(row) for row in x.tolist()]))
        assert result.converged


def test_predictions_agree_with_each_other(x):
    params = fit(x).params
    proba = jaxem.predict_proba(MODEL, params, x)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(jaxem.predict(MODEL, params, x), proba.argmax(1))
    _, log_likelihood = jaxem.e_step(MODEL, params, x)
    np.testing.assert_allclose(jaxem.log_prob(MODEL, params, x).sum(), log_likelihood)
    np.testing.assert_allclose(jaxem.predict_proba(MODEL, params, x[:1]), proba[:1], rtol=1e-10)
    assert jaxem.n_free_parameters(MODEL, params) == 11


def test_statistics_of_blocks_as_small_as_one_row_add_up(x):
    params = fit(x).params
    whole = jaxem.e_step(MODEL, params, x)
    parts = [jaxem.e_step(MODEL, params, part) for part in (x[:1], x[1:30], x[30:])]
    close(jax.tree.map(lambda *leaves: sum(leaves), *parts), whole)


def test_sample_then_fit_recovers(getkey):
    truth = fit(
        np.random.default_rng(0).normal(size=(80, 2)) + [[0, 3 * (i % 2)] for i in range(80)]
    )
    x, labels = jaxem.sample(MODEL, truth.params, getkey(), 20_000)
    share = np.bincount(np.asarray(labels)) / 20_000
    np.testing.assert_allclose(share, truth.params.weights, atol=0.02)
    again = jaxem.em(MODEL, truth.params, x)
    close(again.params, truth.params, rtol=0, atol=0.1)
    assert Status(int(again.status)) == Status.CONVERGED
