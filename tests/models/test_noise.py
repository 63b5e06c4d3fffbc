"""Mixtures with a component that is spread over the box of the data; laws are in tests/laws."""

import jax
import numpy as np
import pytest
from outliers import GROUPS, SPOILT

import jaxem
from jaxem import families, plot
from jaxem.core import pool, source

MODEL = jaxem.Mixture(families.Gaussian("full"), 2, noise=True)


@pytest.fixture(scope="module")
def noisy():
    return jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=30)


@pytest.mark.slow
def test_outliers_are_noise_and_move_nothing(noisy):
    """Means within 5 % of the distance of the groups from those of the clean rows."""
    clean = jaxem.fit(
        jaxem.Mixture(families.Gaussian("full"), 2), GROUPS, key=jax.random.key(0), n_init=30
    )
    ours, theirs = (
        np.asarray(of.params.components.means)[np.argsort(of.params.components.means[:, 0])]
        for of in (noisy, clean)
    )
    assert np.max(np.abs(ours - theirs)) < 0.05 * np.linalg.norm(theirs[1] - theirs[0])
    labels = np.asarray(jaxem.predict(MODEL, noisy.params, SPOILT))
    assert np.all(labels[270:] == 2) and np.mean(labels[:270] == 2) < 0.02
    assert noisy.params.noise.share == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(noisy.params.noise.low, SPOILT.min(axis=0))
    np.testing.assert_array_equal(noisy.params.noise.high, SPOILT.max(axis=0))


def test_probabilities_have_a_column_of_noise(noisy):
    """Whatever number of components it was compiled for."""
    found = np.asarray(jaxem.predict_proba(MODEL, noisy.params, SPOILT))
    assert found.shape == (300, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-14)
    three = jaxem.Mixture(families.Gaussian("full"), 3, noise=True)
    params = jaxem.NoisyMixtureParams(
        np.append(noisy.params.weights, 0.0),
        jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[:1]]), noisy.params.components),
        noisy.params.noise,
    )
    more = np.asarray(jaxem.predict_proba(three, params, SPOILT))
    np.testing.assert_allclose(np.delete(more, 2, axis=1), found, atol=1e-14)
    assert np.all(np.asarray(jaxem.predict(three, params, SPOILT))[270:] == 3)


@pytest.mark.slow
def test_box_is_no_free_parameter(noisy):
    assert jaxem.n_free_parameters(MODEL, noisy.params) == 12
    errors = jaxem.standard_errors(MODEL, noisy.params, SPOILT).noise
    assert np.all(np.isnan(errors.low)) and np.all(np.isnan(errors.high))
    share = float(noisy.params.noise.share)
    assert float(errors.share) == pytest.approx(np.sqrt(share * (1 - share) / 300), rel=0.1)


@pytest.mark.slow
def test_errors_of_a_box_below_0_are_those_of_one_above(noisy):
    moved = noisy.params._replace(
        components=noisy.params.components._replace(means=noisy.params.components.means + 100),
        noise=noisy.params.noise._replace(
            low=noisy.params.noise.low + 100, high=noisy.params.noise.high + 100
        ),
    )
    here = jaxem.standard_errors(MODEL, noisy.params, SPOILT)
    there = jaxem.standard_errors(MODEL, moved, SPOILT + 100)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), here, there)


def test_box_is_that_of_all_rows_in_every_start():
    """Starts of many rows look at some of them each; a smaller box would be a higher density."""
    x = np.random.default_rng(0).normal(size=(20_000, 2))
    x[[17, 4321]] = [[-50, 40], [60, -70]]
    fit = jaxem.fit(MODEL, x, key=jax.random.key(1), n_init=4, max_iter=3)
    noise = fit.restarts.params.noise
    np.testing.assert_array_equal(noise.low, np.tile([-50.0, -70.0], (4, 1)))
    np.testing.assert_array_equal(noise.high, np.tile([60.0, 40.0], (4, 1)))


def _large(monkeypatch):
    """3000 rows count as many, and starts look at 400, which are not the four that make the box; a
    row that is further out has weight 0."""
    monkeypatch.setattr(pool, "POOL", 400)
    monkeypatch.setattr(source, "WHOLE", 1 << 10)
    x = np.random.default_rng(0).normal(size=(3000, 2))
    weight = np.where(np.arange(3000) == 5, 0.0, 1.0)
    places, _ = pool.drawn(3000, weight, pool.seed_of(jax.random.key(1)))
    others = np.setdiff1d(np.arange(100, 3000), places)[[10, 500, 1000, 2000]]
    x[others] = [[-50, 40], [60, -70], [0, 45], [-55, 0]]
    x[5] = 1e4
    return x, weight


@pytest.mark.slow
def test_box_of_a_large_table_is_that_of_all_its_rows(monkeypatch):
    """Outside of a box that some rows give, the noise would have the density that it has within."""
    x, weight = _large(monkeypatch)
    model = jaxem.Mixture(families.Gaussian("diag"), 2, noise=True)
    options = {"key": jax.random.key(1), "n_init": 2, "max_iter": 8}
    fit = jaxem.fit(model, x, sample_weight=weight, **options)
    np.testing.assert_array_equal(fit.params.noise.low, [-55.0, -70.0])
    np.testing.assert_array_equal(fit.params.noise.high, [60.0, 45.0])
    parts = [(x[at : at + 500], weight[at : at + 500], None) for at in range(0, 3000, 500)]
    rows = jaxem.sources.batches(lambda: iter(parts))
    streamed = jaxem.fit(model, rows, **options)
    jax.tree.map(np.testing.assert_array_equal, streamed.params.noise[1:], fit.params.noise[1:])
    np.testing.assert_allclose(streamed.log_likelihood, fit.log_likelihood, rtol=1e-12)


@pytest.mark.slow
def test_box_of_online_em_is_that_of_all_rows(monkeypatch):
    x, weight = _large(monkeypatch)
    rows = jaxem.sources.batches(lambda: iter([(x, weight, None)]))
    model = jaxem.Mixture(families.Gaussian("diag"), 2, noise=True)
    fit = jaxem.fit_online(model, rows, key=jax.random.key(1), n_init=2)
    np.testing.assert_array_equal(fit.params.noise.low, [-55.0, -70.0])
    np.testing.assert_array_equal(fit.params.noise.high, [60.0, 45.0])


def test_box_may_be_given():
    box = jaxem.Noise(None, np.array([-20.0, -20.0]), np.array([30.0, 30.0]))
    known = jaxem.NoisyMixtureParams(None, None, box)
    fit = jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=3, fixed=known)
    np.testing.assert_array_equal(fit.params.noise.low, box.low)
    np.testing.assert_array_equal(fit.params.noise.high, box.high)
    inside = jaxem.log_prob(MODEL, fit.params, SPOILT)
    np.testing.assert_allclose(fit.log_likelihood, np.sum(inside), rtol=1e-12)


@pytest.mark.slow
def test_share_may_be_fixed():
    nothing = jaxem.Noise(0.2, None, None)
    fixed = jaxem.NoisyMixtureParams(None, None, nothing)
    result = jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=10, fixed=fixed)
    assert result.params.noise.share == 0.2 and result.n_free_parameters == 11


def test_noise_given_a_column_is_noise(noisy):
    """The density of the columns left is that of both over that of what is given."""
    low, high = SPOILT.min(axis=0), SPOILT.max(axis=0)
    grid = np.linspace(low[0] - 300, high[0] + 300, 200_001)  # on which the first is integrated out
    for value in (SPOILT[280, 1], SPOILT[3, 1]):
        rest, params = jaxem.conditional(MODEL, noisy.params, {1: value})
        assert rest.noise and params.noise.low == low[0] and params.noise.high == high[0]
        points = np.stack([grid, np.full_like(grid, value)], axis=1)
        joint = np.exp(np.asarray(jaxem.log_prob(MODEL, noisy.params, points)))
        share, volume = float(noisy.params.noise.share), np.prod(high - low)
        inside = (grid >= low[0]) & (grid <= high[0])
        beside = np.trapezoid(joint - share / volume, grid) + share / (high[1] - low[1])
        found = np.exp(np.asarray(jaxem.log_prob(rest, params, grid[inside])))
        np.testing.assert_allclose(found, joint[inside] / beside, rtol=1e-6)


def test_drawn_rows_have_their_shares(noisy):
    x, labels = jaxem.sample(MODEL, noisy.params, jax.random.key(1), 4000)
    of_noise = np.asarray(labels) == 2
    assert np.mean(of_noise) == pytest.approx(float(noisy.params.noise.share), abs=0.02)
    _, low, high = jax.device_get(noisy.params.noise)
    own = np.asarray(x)[of_noise]
    assert np.all((own >= low) & (own <= high))


def test_model_files_hold_noise(noisy, tmp_path):
    jaxem.save(tmp_path / "noisy.safetensors", MODEL, noisy.params)
    model, params = jaxem.load(tmp_path / "noisy.safetensors")
    assert model == MODEL
    jax.tree.map(np.testing.assert_array_equal, params, noisy.params)


def test_pictures_show_noise(noisy):
    figure = plot.overview(noisy, SPOILT)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "noise" in entries


def test_a_row_alone_is_labelled(noisy):
    """A box is asked for where one is fitted."""
    alone = [int(jaxem.predict(MODEL, noisy.params, SPOILT[i : i + 1])[0]) for i in (0, 280)]
    assert alone == np.asarray(jaxem.predict(MODEL, noisy.params, SPOILT[[0, 280]])).tolist()


@pytest.mark.parametrize(
    ("family", "x", "told"),
    [
        (families.Gaussian("full", missing=True), np.array([[1.0, np.nan]] * 9), "without holes"),
        (families.Gaussian("full"), np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 3.0]]), "column 0 is"),
    ],
)
def test_what_has_no_box_is_refused(family, x, told):
    with pytest.raises(ValueError, match=told):
        jaxem.fit(jaxem.Mixture(family, 1, noise=True), x, key=jax.random.key(0), n_init=1)
