"""Rows, components and starts are filled up to a few numbers: other data find the programs."""

import jax
import numpy as np
import pytest
from compilations import compilations

import jaxem
from jaxem import families
from jaxem.core import filled_rows
from jaxem.core.dataset import as_dataset
from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.fitting import sizes
from laws.compare import close

KEY, OTHER = jax.random.split(jax.random.key(0))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(180, 2)) + 5.0 * (np.arange(180) % 3)[:, None]
MODEL = jaxem.Mixture(Gaussian("diag"), 3)
KNOWN = np.where(np.arange(180) < 6, np.arange(180) % 3, -1)
COUNTS = RNG.poisson(np.where(np.arange(90) % 30 < 15, 2.0, 9.0)).astype(float)


def fit(x=X[:150], model=MODEL, **options):
    return jaxem.fit(model, x, **({"key": KEY, "n_init": 5} | options))


# ---- what is no reason to compile


@pytest.fixture(scope="module")
def first():
    fit(labels=KNOWN[:150])
    return fit()


OTHERS = {
    "rows": lambda: fit(X[:147]),
    "more_rows": lambda: fit(X[-155:]),
    "starts": lambda: fit(n_init=73),
    "one_start": lambda: fit(n_init=1),
    "components": lambda: fit(model=MODEL.with_n_components(4)),
    "weights": lambda: fit(sample_weight=1.0 + np.arange(150) % 3),
    "labels": lambda: fit(labels=KNOWN[::-1][:150]),
    "key": lambda: fit(key=OTHER),
    "settings": lambda: fit(tol=1e-9, max_iter=77, min_count=2.0, min_variance_ratio=1e-4),
    "given_parameters": lambda: jaxem.em(MODEL, fit().params, X[:146]),
}


@pytest.mark.slow(but=("given_parameters",))
@pytest.mark.parametrize("name", OTHERS)
def test_a_fit_finds_the_programs_of_another(name, first):
    if name == "given_parameters":
        OTHERS[name]()  # one start from them has programs of its own
    with compilations() as names:
        result = OTHERS[name]()
    assert result.converged and not names


@pytest.mark.slow
def test_what_is_said_of_rows_finds_them_too(first):
    def all_of(x):
        params = first.params
        jaxem.predict(MODEL, params, x)
        jaxem.log_prob(MODEL, params, x)
        jaxem.log_likelihood(MODEL, params, x)
        jaxem.icl(MODEL, params, x)
        jaxem.standard_errors(MODEL, fit(x, tol=1e-10).params, x)

    all_of(X[:150])
    with compilations() as names:
        all_of(X[:145])
    assert not names


def test_holes_of_other_rows_are_filled_by_the_same_programs(first):
    def filled(x):
        return jaxem.impute(MODEL, first.params, x)

    whole = filled(HOLED)
    with compilations() as names:
        fewer = filled(HOLED[:147])
    assert not names
    np.testing.assert_array_equal(fewer, whole[:147])
    assert not np.isnan(whole).any()


def test_few_components_are_told_of_by_one_program(first):
    means, covariances = map(np.asarray, first.params.components)
    many = jaxem.MixtureParams(np.ones(8) / 8, GaussianParams(means[[0] * 8], covariances[[0] * 8]))
    jaxem.predict_proba(MODEL.with_n_components(8), many, X[:150])
    two = jaxem.MixtureParams(np.ones(2) / 2, GaussianParams(means[:2], covariances[:2]))
    with compilations() as names:
        jaxem.predict_proba(MODEL, first.params, X[:150])
        jaxem.predict_proba(MODEL.with_n_components(2), two, X[:148])
    assert not names


@pytest.mark.slow
def test_a_search_over_components_fits_by_one_program():
    mixture = pytest.importorskip("jaxem.sklearn").GaussianMixture

    def score(k, x):
        return mixture(k, covariance_type="tied", random_state=0).fit(x).score(x[:40])

    score(7, X[:150])
    with compilations() as names:
        score(2, X[:147])
    assert not names


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_a_prior_of_plain_numbers_compiles_nothing(structure):
    k, d = 7, 5  # shapes of no other test here
    scale = (
        2.0
        if structure in ("full", "tied")
        else np.full(() if structure == "spherical" else d, 2.0)
    )
    own = GaussianPrior(mean=np.zeros(d), mean_precision=0.1, degrees_of_freedom=9.0, scale=scale)
    model = jaxem.Mixture(Gaussian(structure), k)
    with compilations() as names:
        model.as_prior(jaxem.MixturePrior(components=own), 1e-3, np.zeros((30, d)))
    assert not names


@pytest.mark.slow
def test_folds_and_samples_drawn_again_share_them(first):
    def drawn(n_boot, x):
        return jaxem.bootstrap(MODEL, first.params, x, key=KEY, n_boot=n_boot, max_iter=5)

    drawn(40, X[:150])
    with compilations() as names:
        drawn(37, X[:148])
    assert not names


def test_a_fit_is_the_same_bits_whatever_was_compiled_before(first):
    for other in OTHERS.values():
        other()
    jax.tree.map(np.testing.assert_array_equal, fit(), first)


# ---- results are those of the rows themselves

HOLED = np.where(RNG.random((150, 2)) < 0.1, np.nan, X[:150])
ALIKE = {
    "whole": (MODEL, X[:150], {}),
    "weights": (MODEL, X[:150], {"sample_weight": np.arange(150) % 3 + 0.5}),
    "labels": (MODEL, X[:150], {"labels": KNOWN[:150]}),
    "full": (jaxem.Mixture(Gaussian("full"), 2), X[:90], {}),
    "holes": (jaxem.Mixture(Gaussian("full", missing=True), 2), HOLED, {}),
    "counts": (jaxem.Mixture(families.Poisson(), 2), COUNTS, {}),
    "chain": (jaxem.HMM(families.Poisson(), 2), COUNTS, {}),
    "chains": (jaxem.HMM(families.Poisson(), 2), [COUNTS[:33], COUNTS[33:52], COUNTS[52:]], {}),
    "line": (jaxem.Mixture(families.LinearRegression(), 2), (X[:130, :1], X[:130, 1]), {}),
}


@pytest.mark.slow(but=("full",))
@pytest.mark.parametrize("name", ALIKE)
def test_a_fit_is_that_of_the_rows_themselves(name, monkeypatch):
    model, x, options = ALIKE[name]
    found = fit(x, model, tol=1e-9, **options)
    said = jaxem.predict_proba(model, found.params, x)
    monkeypatch.setattr(filled_rows, "filled", lambda rows: rows)
    monkeypatch.setattr(sizes, "padded_k", lambda model, rows, search=False: model.n_components)
    expected = fit(x, model, tol=1e-9, **options)
    close(found.params, expected.params, rtol=1e-7, atol=1e-9)
    close(found.health, expected.health, rtol=1e-6)
    for one in ("log_likelihood", "bic", "total_weight"):
        np.testing.assert_allclose(getattr(found, one), getattr(expected, one), rtol=1e-11)
    np.testing.assert_array_equal(found.restarts.status, expected.restarts.status)
    assert found.provenance == expected.provenance
    close(said, jaxem.predict_proba(model, expected.params, x), rtol=1e-6, atol=1e-9)


# ---- sizes


def test_sizes_are_few_and_near():
    small = [filled_rows.size(n, 100) for n in range(1, 4000)]
    assert all(0 <= size - n <= max(7, n / 8) for n, size in enumerate(small, 1))
    assert len(set(small)) < 80
    large = [filled_rows.size(n, 1 << 19) for n in range(4000, 9000)]
    assert all(0 <= size - n <= n / 32 for n, size in enumerate(large, 4000))


def test_large_tables_and_single_sequences_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(filled_rows, "_MOST", 2 * len(X) - 1)
    data = as_dataset(MODEL, X)
    assert data.for_fit is data.rows
    chain = as_dataset(jaxem.HMM(families.Poisson(), 2), COUNTS)
    assert chain.filled.n_units == 1


def test_what_is_filled_up_has_weight_0_and_ends_sequences():
    lanes = as_dataset(jaxem.HMM(families.Poisson(), 2), [COUNTS[:33], COUNTS[:30], COUNTS[:9]])
    rows, filled = lanes.rows, lanes.filled
    t, n = rows.weight.shape
    assert filled.weight.sum() == rows.weight.sum() == 72
    assert filled.first[t:].all() and filled.first[:, n:].all()
    same = filled_rows.unfilled(filled.weight, rows)
    np.testing.assert_array_equal(same, rows.weight)
