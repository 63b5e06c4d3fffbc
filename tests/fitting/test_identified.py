"""Columns that no row of a component has: told, and not filled by what a start made of them."""

import warnings

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.families import Gaussian

N = 40
Z = np.repeat([0, 1], N)


def groups(d=3, seed=9):
    """Two groups far apart, of which the second never has the last column."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * N, d)) + 8.0 * Z[:, None]
    x[Z == 1, -1] = np.nan
    return x


def blocks():
    x = groups()
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (2 * N, 1)).astype(float)
    colours = rng.integers(0, 3, (2 * N, 1))
    counts[Z == 1], colours[Z == 1] = np.nan, -1
    return {"size": x[:, :2], "visits": counts, "colour": colours}


def counts():
    rng = np.random.default_rng(1)
    x = rng.poisson(2.0 + 40 * Z[:, None], (2 * N, 3)).astype(float)
    x[Z == 1, 2] = np.nan
    return x


OF_BLOCKS = families.Product({"size": Gaussian("full", missing=True), "visits": families.Poisson(),
                              "colour": families.Categorical(3)})  # fmt: skip
CASES = {
    "full": (Gaussian("full", missing=True), groups, ["column 2"]),
    "tied": (Gaussian("tied", missing=True), groups, ["column 2"]),
    "diag": (Gaussian("diag", missing=True), groups, ["column 2"]),
    "poisson": (families.Poisson(), counts, ["column 2"]),
    "product": (
        OF_BLOCKS, blocks, ["column 0 of block 'visits'", "column 0 of block 'colour'"],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_column_that_a_component_never_has_is_told_and_not_filled(name):
    family, make, whats = CASES[name]
    model, x = jaxem.Mixture(family, 2), make()
    with pytest.warns(UserWarning, match="no row of component . has ") as told:
        result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2)
    second = int(jaxem.predict(model, result.params, x)[-1])
    for text in (str(told[0].message), str(result)):
        assert f"no row of component {second} has" in text and "not identified" in text
        assert all(what in text for what in whats)
    with pytest.warns(UserWarning, match="its holes stay NaN"):
        filled = jaxem.impute(model, result.params, x)
    if name == "product":
        assert np.isnan(filled["visits"][Z == 1]).all() and np.all(filled["colour"][Z == 1] == -1)
        assert filled["colour"].dtype == x["colour"].dtype
        return
    assert np.isnan(np.asarray(filled)[Z == 1, 2]).all()
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(np.asarray(filled)[seen], x[seen])
    with pytest.warns(UserWarning, match="its holes stay NaN"):
        draws = jaxem.impute(model, result.params, x, key=jax.random.key(1), n_draws=2)
    assert np.isnan(np.asarray(draws)[:, Z == 1, 2]).all()
    # One row that has it, and rows of which there are few, are filled.
    x[-1, 2] = 13.0
    assert np.isfinite(np.asarray(jaxem.impute(model, result.params, x))).all()
    assert np.isfinite(np.asarray(jaxem.impute(model, result.params, make()[-2:]))).all()


@pytest.mark.slow
def test_a_state_has_columns_too():
    model, x = jaxem.HMM(Gaussian("full", missing=True), 2), groups()
    with pytest.warns(UserWarning, match="no row of state . has column 2:"):
        result = jaxem.fit(model, [x, x[::-1]], key=jax.random.key(0), n_init=2)
    with pytest.warns(UserWarning, match="no row of state . has column 2.*its holes stay NaN"):
        filled = jaxem.impute(model, result.params, [x, x[::-1]])
    assert np.isnan(filled[0][Z == 1, 2]).all() and np.isfinite(filled[0][Z == 0]).all()


@pytest.mark.slow
def test_a_pair_that_a_component_never_has_together_is_told():
    x = groups()
    rng = np.random.default_rng(3)
    x[Z == 1, 2] = 8 + rng.normal(size=N)
    x[(Z == 1) & (np.arange(2 * N) % 2 == 0), 0] = np.nan
    x[(Z == 1) & (np.arange(2 * N) % 2 == 1), 2] = np.nan
    full = jaxem.Mixture(Gaussian("full", missing=True), 2)
    with pytest.warns(UserWarning, match="no row of component . has both column 0 and column 2:"):
        jaxem.fit(full, x, key=jax.random.key(0), n_init=2)
    for structure in ("tied", "diag"):  # a covariance of all, and none
        model = jaxem.Mixture(Gaussian(structure, missing=True), 2)
        jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=20)


@pytest.mark.filterwarnings("ignore:sample_weight adds up")
@pytest.mark.parametrize("weight", [1e-3, 1.0, 50.0])
def test_weights_of_any_size_say_the_same(weight):
    model, x = jaxem.Mixture(Gaussian("diag", missing=True), 2), groups()
    params = jaxem.MixtureParams(
        np.array([0.5, 0.5]),
        families.GaussianParams(np.array([[0.0, 0, 0], [8, 8, 5]]), np.ones((2, 3))),
    )
    with pytest.warns(UserWarning, match="no row of component 1 has column 2:"):
        jaxem.em(model, params, x, np.full(2 * N, weight), max_iter=2)
    x[-1, 2] = 8.0
    jaxem.em(model, params, x, np.full(2 * N, weight), max_iter=2)


@pytest.mark.slow
def test_what_a_prior_or_a_known_number_tells_is_identified():
    model, x = jaxem.Mixture(Gaussian("full", missing=True), 2), groups()
    own = families.GaussianPrior(mean=np.array([4.0, 4, 4]), mean_precision=1.0)
    prior = jaxem.MixturePrior(components=own)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2, prior=prior)
    assert np.isfinite(jaxem.impute(model, result.params, x, prior=prior)).all()
    with pytest.warns(UserWarning, match="its holes stay NaN"):
        jaxem.impute(model, result.params, x)
    means = np.full((2, 3), np.nan)
    means[:, 2] = 5.0
    free = np.full((2, 3), np.nan)
    fixed = jaxem.MixtureParams(np.full(2, np.nan), families.GaussianParams(means, free))
    diagonal = jaxem.Mixture(Gaussian("diag", missing=True), 2)
    jaxem.fit(diagonal, x, key=jax.random.key(0), n_init=2, fixed=fixed)
    counting = jaxem.Mixture(families.Poisson(), 2)
    gamma = jaxem.MixturePrior(components=families.PoissonPrior(2.0, 0.5))
    jaxem.fit(counting, counts(), key=jax.random.key(0), n_init=2, prior=gamma)


@pytest.mark.slow
def test_tables_without_holes_and_models_of_other_rows_are_silent():
    """A column that none of these rows has is one that a model of other rows is to fill."""
    model = jaxem.Mixture(Gaussian("full", missing=True), 2)
    whole = np.where(np.isnan(groups()), 5.0 + np.arange(2 * N)[:, None] % 3, groups())
    result = jaxem.fit(model, whole, key=jax.random.key(0), n_init=2)
    assert result.provenance.remarks == ()
    whole[:, 2] = np.nan
    assert np.isfinite(np.asarray(jaxem.impute(model, result.params, whole))).all()


def test_the_best_of_a_selection_is_told_of():
    models = [jaxem.Mixture(Gaussian("diag", missing=True), k) for k in (1, 2)]
    with pytest.warns(UserWarning, match="no row of component . has column 2:"):
        chosen = jaxem.select(models, groups(), key=jax.random.key(0), n_init=2)
    assert "no row of component" in str(chosen.best)


def test_columns_are_called_by_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(groups(), columns=["a", "b", "lab"])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        jaxem.fit(jaxem.Mixture(Gaussian("diag", missing=True), 2), frame, key=jax.random.key(0),
                  n_init=2)  # fmt: skip
    assert "has column lab:" in str(told[0].message)
