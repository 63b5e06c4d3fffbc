"""The bootstrap: its refits against fits of the same data, its spread against known laws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import HMM, Mixture, Status
from jaxem.analysis import alignment, resampling
from jaxem.core import parameters
from jaxem.core.dataset import as_dataset
from jaxem.core.numerics import draw
from jaxem.families import (
    Categorical,
    Gaussian,
    GaussianParams,
    LinearRegression,
    Multinomial,
    Poisson,
    Product,
    VonMises,
)
from jaxem.fitting import sizes
from jaxem.fitting.agreement import agreement
from laws.compare import close

KEY = jax.random.key(3)
TWO = Mixture(Gaussian("full"), 2)


def data(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.4, rng.normal(0, 1, n), rng.normal(4, 1, n))[:, None]


@pytest.fixture(scope="module")
def x():
    return data(150)


@pytest.fixture(scope="module")
def params(x):
    return jaxem.fit(TWO, x, key=KEY, n_init=3, tol=1e-10).params


@pytest.fixture(scope="module")
def found(x, params):
    return jaxem.bootstrap(TWO, params, x, key=KEY, n_boot=60, tol=1e-9)


# ---- the refits


def test_a_refit_is_the_fit_of_its_rows(x, params, found):
    keys = jax.random.split(jax.random.split(KEY)[0], 60)
    counts = np.asarray(resampling.counts(keys, resampling.units(as_dataset(TWO, x))))
    assert not counts[:, 150:].any()
    counts = counts[:, :150]
    assert (counts.sum(axis=1) == 150).all()
    for b in (0, 41):
        drawn = np.repeat(x, counts[b].astype(int), axis=0)
        own = jaxem.em(TWO, params, drawn, tol=1e-12)
        np.testing.assert_allclose(found.log_likelihood[b], own.log_likelihood, rtol=1e-9)
        refit = jax.tree.map(lambda leaf: leaf[b], found.params)  # noqa: B023
        close(refit, own.params, rtol=1e-3, atol=1e-4)


def test_groups_and_threads_change_nothing(x, params, found, monkeypatch):
    monkeypatch.setattr(sizes, "n_cores", lambda: 3)
    monkeypatch.setattr(sizes, "_GROUP", 150 * 2 * 7)
    again = jaxem.bootstrap(TWO, params, x, key=KEY, n_boot=60, tol=1e-9)
    close(again.params, found.params, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(again.status, found.status)


def test_weights_are_frequencies(x, params):
    weight = np.arange(150) % 3.0
    units = resampling.units(as_dataset(TWO, x, weight))
    assert units.n == 150
    keys = jax.random.split(KEY, 400)
    counts = np.asarray(resampling.counts(keys, units))[:, :150]
    assert (counts[:, weight == 0] == 0).all() and (counts.sum(axis=1) == 150).all()
    # Each count is binomial(150, w / 150): mean w, variance w (1 - w / 150).
    assert abs(counts[:, weight == 1].mean() - 1) < 0.02
    assert abs(counts[:, weight == 2].var() / (2 * (1 - 2 / 150)) - 1) < 0.05


@pytest.mark.slow
def test_the_spread_of_one_component_is_known():
    x = np.random.default_rng(5).normal(3, 2, (400, 1))
    one = Mixture(Gaussian("full"), 1)
    fit = jaxem.fit(one, x, key=KEY, n_init=1)
    for parametric in (False, True):
        found = jaxem.bootstrap(one, fit.params, x, key=KEY, n_boot=2000, parametric=parametric)
        se = found.standard_errors.components
        # sd / sqrt(n); a standard deviation of 2000 refits is known to 1.6 %.
        assert abs(se.means.item() / (x.std() / 20) - 1) < 0.07
        expected = np.sqrt(2 / 400) * x.var()
        assert abs(se.covariances.item() / expected - 1) < (0.07 if parametric else 0.15)
        lower, upper = found.intervals(0.9)
        half = 1.645 * x.std() / 20
        assert abs(lower.components.means.item() - (x.mean() - half)) < 0.15 * half
        assert abs(upper.components.means.item() - (x.mean() + half)) < 0.15 * half
        assert found.standard_errors.weights.item() == 0


def test_what_the_refits_say_is_that_of_their_columns(found, params):
    means = found.params.components.means[:, :, 0]
    np.testing.assert_allclose(
        found.standard_errors.components.means[:, 0], means.std(axis=0, ddof=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        found.intervals(0.8).lower.components.means[:, 0], np.quantile(means, 0.1, axis=0)
    )
    np.testing.assert_allclose(
        found.bias.components.means[:, 0],
        means.mean(axis=0) - np.asarray(params.components.means)[:, 0],
        rtol=1e-9, atol=1e-12,
    )  # fmt: skip
    with pytest.raises(ValueError, match="level is 95"):
        found.intervals(95)


def test_failures_are_counted_shown_and_left_out(x, params, found):
    status = found.status.copy()
    status[:3] = (Status.DEGENERATE, Status.NONFINITE, Status.MAX_ITER)
    spoilt = jax.tree.map(lambda leaf: np.where(np.arange(60) < 3, 1e9, leaf.T).T, found.params)
    failed = found._replace(status=status, params=spoilt)
    assert failed.n_failed == 3 and np.all(failed.intervals(0.95).upper.components.means < 10)
    assert "3 failed and left out: 1 MAX_ITER, 1 DEGENERATE, 1 NONFINITE" in str(failed)
    text = str(found)
    for word in ("60 nonparametric", "all converged", "components.means[1, 0]", "97.5 %"):
        assert word in text, text
    short = jaxem.bootstrap(TWO, params, x, key=KEY, n_boot=60, tol=1e-9, max_iter=2)
    assert short.n_failed == 60 and np.isnan(short.standard_errors.weights).all()


def test_fresh_starts_come_in_the_order_of_the_fit(x, params, found):
    fresh = jaxem.bootstrap(TWO, params, x, key=KEY, n_boot=60, tol=1e-9, n_init=3)
    assert (fresh.log_likelihood >= found.log_likelihood - 1e-4).all()
    order = np.argsort(np.asarray(params.components.means)[:, 0])
    means = fresh.params.components.means[fresh.converged][:, order, 0]
    assert (means[:, 0] < means[:, 1]).all()


@pytest.mark.slow
def test_a_prior_and_fixed_numbers_are_those_of_the_fit(x, params):
    fixed = jaxem.MixtureParams(None, GaussianParams(jnp.array([[4.0], [jnp.nan]]), None))
    own = jaxem.em(TWO, params, x, fixed=fixed).params
    found = jaxem.bootstrap(TWO, own, x, key=KEY, n_boot=8, fixed=fixed)
    assert (found.params.components.means[:, 0] == 4).all()
    prior = jaxem.MixturePrior(weights=1e6)
    found = jaxem.bootstrap(TWO, params, x, key=KEY, n_boot=8, prior=prior)
    assert np.abs(found.params.weights - 0.5).max() < 1e-3


def test_float32_stays_float32(x, params):
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    found = jaxem.bootstrap(TWO, single, x.astype(np.float32), key=KEY, n_boot=4)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.params)} == {np.dtype(np.float32)}
    assert found.intervals().lower.weights.dtype == np.float32


# ---- parametric: what the model says nothing of stays


def resample_like(model, params, x, weight=None):
    """-> (the rows, new ones in their place); without those that only fill up."""
    data = resampling.individuals(as_dataset(model, x, weight))
    new = resampling.simulated(model, params, data.for_fit, jax.random.split(KEY, 2))
    n = data.n_rows if data.for_fit.weight.ndim == 1 else len(data.for_fit.weight)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf)[:n],
        (data.for_fit, jax.tree.map(lambda leaf: leaf[0], new)),
    )


@pytest.mark.slow
def test_holes_stay_where_they_were():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (60, 3)), rng.normal(6, 1, (60, 3))])
    x[rng.random(x.shape) < 0.2] = np.nan
    x = x[~np.isnan(x).all(axis=1)]
    model = Mixture(Gaussian("full", missing=True), 2)
    params = jaxem.fit(model, x, key=KEY, n_init=2).params
    rows, new = resample_like(model, params, x)
    np.testing.assert_array_equal(np.isnan(new.x.values), np.isnan(rows.x.values))
    seen = ~np.isnan(new.x.values) & (np.asarray(rows.weight) > 0)[..., None]
    assert (new.x.values != np.asarray(rows.x.values))[seen].all()
    found = jaxem.bootstrap(model, params, x, key=KEY, n_boot=6, parametric=True)
    assert found.n_failed == 0


@pytest.mark.slow
def test_regressors_exposures_and_totals_stay():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    y[3] = np.nan
    model = Mixture(LinearRegression(), 1)
    params = jaxem.fit(model, (X, y), key=KEY, n_init=1).params
    _, new = resample_like(model, params, (X, y))
    np.testing.assert_array_equal(new.x[0], X)
    np.testing.assert_array_equal(np.isnan(new.x[1]), np.isnan(y))
    exposure = rng.uniform(1, 500, 40)
    counts = rng.poisson(3 * exposure).astype(float)[:, None]
    model = Mixture(Poisson(exposure=True), 1)
    params = jaxem.fit(model, (counts, exposure), key=KEY, n_init=1).params
    _, new = resample_like(model, params, (counts, exposure))
    np.testing.assert_array_equal(new.x[1], exposure)
    assert abs(new.x[0].sum() / counts.sum() - 1) < 0.05
    totals = rng.multinomial(rng.integers(1, 30, 40), [0.2, 0.3, 0.5]).astype(float)
    model = Mixture(Multinomial(), 1)
    params = jaxem.fit(model, totals, key=KEY, n_init=1).params
    _, new = resample_like(model, params, totals)
    np.testing.assert_array_equal(new.x.sum(axis=1), totals.sum(axis=1))


@pytest.mark.slow
def test_a_product_is_drawn_block_by_block():
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(30, 1)), "b": rng.integers(0, 3, (30, 2)).astype(float)}
    x["b"][0, 0] = -1
    model = Mixture(Product({"a": Gaussian("diag"), "b": Categorical(3)}), 1)
    params = jaxem.fit(model, x, key=KEY, n_init=1).params
    _, new = resample_like(model, params, x)
    assert np.isnan(new.x["b"][0, 0]) and np.isnan(new.x["b"]).sum() == 1
    assert (new.x["a"] != x["a"]).all()


def test_rows_of_weight_three_are_three_rows(params):
    x, weight = data(10, 1), np.array([3.0, 0, 1, 0.5, 0.5, 1, 1, 1, 1, 2.0])
    rows, new = resample_like(TWO, params, x, weight)
    assert rows.weight.shape == (11,) and (np.asarray(rows.weight) == 1).all()
    assert len(np.unique(new.x)) == 11


# ---- sequences


@pytest.mark.slow
def test_sequences_are_drawn_whole():
    hmm = HMM(Poisson(), 2)
    rng = np.random.default_rng(0)
    sequences = [rng.poisson(rng.choice([2, 9]), 7 + i).astype(float) for i in range(12)]
    params = jaxem.fit(hmm, sequences, key=KEY, n_init=3).params
    units = resampling.units(as_dataset(hmm, sequences))
    keys = jax.random.split(jax.random.split(KEY)[0], 5)
    weight = np.asarray(resampling.counts(keys, units))
    owner = np.asarray(units.owner)
    counts = [[w[owner == i] for i in range(12)] for w in weight]
    assert all(len(set(steps)) == 1 for own in counts for steps in own)
    assert all(sum(steps[0] for steps in own) == 12 for own in counts)
    assert (weight[:, owner < 0] == 0).all()
    found = jaxem.bootstrap(hmm, params, sequences, key=KEY, n_boot=5, tol=1e-9)
    often = [int(steps[0]) for steps in counts[2]]
    drawn = [of for of, times in zip(sequences, often, strict=True) for _ in range(times)]
    own = jaxem.em(hmm, params, drawn, tol=1e-9)
    np.testing.assert_allclose(found.log_likelihood[2], own.log_likelihood, rtol=1e-8)


@pytest.mark.slow
def test_one_sequence_has_the_parametric_bootstrap_alone():
    hmm = HMM(Gaussian("full"), 2)
    rng = np.random.default_rng(1)
    states = np.cumsum(rng.random(200) < 0.1) % 2
    x = rng.normal(5.0 * states, 1)[:, None]
    params = jaxem.fit(hmm, x, key=KEY, n_init=3).params
    with pytest.raises(ValueError, match=r"one sequence.*parametric=True"):
        jaxem.bootstrap(hmm, params, x, key=KEY)
    found = jaxem.bootstrap(hmm, params, x, key=KEY, n_boot=20, parametric=True)
    assert found.n_failed == 0
    se = found.standard_errors
    assert (se.emissions.means < 0.3).all() and (se.emissions.means > 0.03).all()
    assert (np.diagonal(found.params.transition, axis1=1, axis2=2) > 0.7).all()
    batch = x.reshape(4, 50, 1)
    with pytest.raises(ValueError, match="as often as its weight says"):
        jaxem.bootstrap(hmm, params, batch, key=KEY, sample_weight=[2, 1, 1, 1], parametric=True)


@pytest.mark.slow
def test_directions_do_not_jump_at_half_a_turn():
    rng = np.random.default_rng(0)
    x = np.mod(rng.vonmises(np.pi, 4, 80) + np.pi, 2 * np.pi) - np.pi  # around the jump
    model = Mixture(VonMises(), 1)
    params = jaxem.fit(model, x, key=KEY, n_init=1).params
    found = jaxem.bootstrap(model, params, x, key=KEY, n_boot=40)
    assert found.standard_errors.components.directions.item() < 0.2
    lower, upper = (of.components.directions.item() for of in found.intervals())
    assert lower < params.components.directions.item() < upper


# ---- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_boot": 0}, "n_boot is 0"),
        ({"n_init": -1}, "n_init is -1"),
        ({"parametric": "yes"}, "parametric is 'yes'"),
        ({"key": 0}, "key is 0"),
        ({"tol": -1}, "tol is -1"),
        ({"n_init": 1, "init": "best"}, "init is 'best'"),
    ],
)
def test_bad_input_is_told(x, params, options, words):
    with pytest.raises(ValueError, match=words):
        jaxem.bootstrap(TWO, params, x, **{"key": KEY, "n_boot": 2, **options})


def test_traced_data_is_told(x, params):
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda x: jaxem.bootstrap(TWO, params, x, key=KEY).params)(x)


# ---- alignment


def test_assignments_are_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    for case in range(200):
        k = int(rng.integers(1, 6))
        a = rng.random((k, k)) if case % 2 else rng.integers(0, 3, (k, k)).astype(float)
        best = max(sum(a[range(k), order]) for order in itertools.permutations(range(k)))
        (order,) = alignment.assignments(a[None])
        assert sorted(order) == list(range(k))
        np.testing.assert_allclose(sum(a[range(k), order]), best, rtol=1e-12)
    (order,) = alignment.assignments(np.array([[[np.nan, np.nan], [np.nan, 2.0]]]))
    np.testing.assert_array_equal(order, [0, 1])  # a fit that failed agrees with nothing


@pytest.mark.slow
@pytest.mark.parametrize("block", [16, 1000])
def test_a_permuted_fit_comes_back(block):
    x = np.random.default_rng(0).normal(size=(90, 2)) + 4.0 * (np.arange(90) % 3)[:, None]
    model = Mixture(Gaussian("tied"), 3)
    found = jaxem.fit(model, x, key=KEY, n_init=3).params
    params = jax.device_get(found)
    rows = as_dataset(model, x).rows
    orders = np.array(list(itertools.permutations(range(3))))
    moved = [parameters.take(model.constraints, params, order) for order in orders]
    agreements = [agreement(model, rows, found, jax.device_put(own), block) for own in moved]
    np.testing.assert_allclose(np.sum(agreements, axis=(1, 2)), 90)
    back = alignment.assignments(np.stack(agreements))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *moved)
    for i in range(6):
        own = jax.tree.map(lambda leaf: leaf[i], alignment.aligned(model, stacked, back))  # noqa: B023
        close(own, params, rtol=0, atol=0)


@pytest.mark.slow
def test_draws_never_take_what_has_no_odds():
    odds = jnp.array([0.0, 1, 0, 2, 0])
    assert set(np.asarray(draw(KEY, odds, (1000,))).tolist()) == {1, 3}
