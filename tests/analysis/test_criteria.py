import jax
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

import jaxem
from jaxem import families
from jaxem.datasets import load_iris
from jaxem.families import Gaussian, GaussianParams


@pytest.fixture(scope="module", params=["full", "tied", "diag", "spherical"])
def fitted(request):
    x = load_iris().x
    theirs = GaussianMixture(3, covariance_type=request.param, random_state=0, tol=1e-8).fit(x)
    params = jaxem.MixtureParams(
        theirs.weights_ / theirs.weights_.sum(), GaussianParams(theirs.means_, theirs.covariances_)
    )
    return jaxem.Mixture(Gaussian(request.param), 3), params, x, theirs


def test_aic_and_bic_are_scikit_learns(fitted):
    model, params, x, theirs = fitted
    np.testing.assert_allclose(jaxem.aic(model, params, x), theirs.aic(x), rtol=1e-10)
    np.testing.assert_allclose(jaxem.bic(model, params, x), theirs.bic(x), rtol=1e-10)


def test_icl_adds_twice_the_entropy_of_the_responsibilities(fitted):
    model, params, x, theirs = fitted
    r = theirs.predict_proba(x)
    entropy = -np.sum(r * np.log(np.where(r > 0, r, 1)))
    np.testing.assert_allclose(jaxem.icl(model, params, x), theirs.bic(x) + 2 * entropy, rtol=1e-9)


def test_weights_are_frequencies(fitted):
    model, params, x, _ = fitted
    times = np.arange(150) % 3
    repeated = np.repeat(x, times, axis=0)
    for criterion in (jaxem.aic, jaxem.bic, jaxem.icl):
        np.testing.assert_allclose(
            criterion(model, params, x, sample_weight=times),
            criterion(model, params, repeated),
            rtol=1e-11,
        )


@pytest.mark.slow
def test_a_fit_says_the_same_of_itself():
    x = load_iris().x
    model = jaxem.Mixture(Gaussian("full"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2)
    np.testing.assert_allclose(jaxem.aic(model, result.params, x), result.aic, rtol=1e-12)
    np.testing.assert_allclose(jaxem.bic(model, result.params, x), result.bic, rtol=1e-12)


# ---- N is of the rows that tell anything

RNG = np.random.default_rng(0)
N, EMPTY = 60, 25
CODES, COUNTS = RNG.integers(0, 3, (N, 2)) * 1.0, RNG.poisson(3, (N, 2)) * 1.0
NORMAL, POSITIVE = RNG.normal(size=(N, 2)), RNG.gamma(2, 1, (N, 2)) + 0.1


def and_empty(x, fill=np.nan):
    return np.concatenate([x, np.full((EMPTY, *x.shape[1:]), fill)])


def responses(y):
    """Regressors are there in the rows whose response is not."""
    return (NORMAL, y), (and_empty(NORMAL, 0.3), and_empty(y))


def cells(x):
    return x, and_empty(x)


FAMILIES = {
    "gaussian": (Gaussian("full", missing=True), *cells(NORMAL)),
    "diagonal": (Gaussian("diag", missing=True), *cells(NORMAL)),
    "categorical": (families.Categorical(3), CODES, and_empty(CODES, -1)),
    "bernoulli": (families.Bernoulli(), *cells((CODES > 0) * 1.0)),
    "poisson": (families.Poisson(), *cells(COUNTS)),
    "exposure": (
        families.Poisson(exposure=True),
        (COUNTS, POSITIVE[:, 0]), (and_empty(COUNTS), and_empty(POSITIVE[:, 0], 2.0)),
    ),
    "more varied counts": (families.NegativeBinomial(), *cells(COUNTS)),
    "trials": (
        families.Binomial(),
        (COUNTS, np.full(N, 30.0)), (and_empty(COUNTS), np.full(N + EMPTY, 30.0)),
    ),
    "gamma": (families.Gamma(), *cells(POSITIVE)),
    "exponential": (families.Exponential(), *cells(POSITIVE)),
    "angles": (families.VonMises(), *cells(NORMAL)),
    "linear": (families.LinearRegression(), *responses(NORMAL.sum(1))),
    "logistic": (families.LogisticRegression(), *responses((NORMAL[:, 0] > 0.2) * 1.0)),
    "counts on regressors": (families.PoissonRegression(), *responses(COUNTS[:, 0])),
    "product": (
        families.Product({"a": families.Categorical(3), "b": Gaussian("full", missing=True)}),
        {"a": CODES, "b": NORMAL}, {"a": and_empty(CODES, -1), "b": and_empty(NORMAL)},
    ),
}  # fmt: skip


@pytest.mark.slow(but=("logistic",))
@pytest.mark.parametrize("name", FAMILIES)
def test_rows_of_nothing_but_holes_are_none_of_n(name):
    family, rows, more = FAMILIES[name]
    model = jaxem.Mixture(family, 2)
    data = jaxem.read(model, rows)
    one = jax.jit(family.fit_one_component, static_argnums=2)
    params = jaxem.MixtureParams(np.array([0.3, 0.7]), one(data.rows.x, data.rows.weight, 2))
    for criterion in (jaxem.bic, jaxem.icl):
        expected = criterion(model, params, data)
        np.testing.assert_allclose(criterion(model, params, more), expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (jaxem.Mixture, "exposure"),
        (jaxem.Mixture, "product"),
        (jaxem.HMM, "logistic"),
        (jaxem.HMM, "product"),
    ],
)
def test_nor_are_they_in_a_fit(kind, name):
    family, rows, more = FAMILIES[name]
    model, options = kind(family, 1), dict(key=jax.random.key(0), n_init=1, tol=1e-10)
    expected = jaxem.fit(model, rows, **options)
    result = jaxem.fit(model, more, **options, block_size=16 if kind is jaxem.Mixture else None)
    assert float(result.total_weight) == float(expected.total_weight) == N
    np.testing.assert_allclose(result.bic, expected.bic, rtol=1e-8)
    np.testing.assert_allclose(jaxem.bic(model, result.params, more), result.bic, rtol=1e-12)


@pytest.mark.slow
def test_a_row_of_a_known_component_tells_of_the_weights():
    x, labels = and_empty(NORMAL), np.full(N + EMPTY, -1)
    labels[-5:] = 0
    for kind in (jaxem.Mixture, jaxem.HMM):
        model = kind(Gaussian("full", missing=True), 2)
        options = dict(key=jax.random.key(0), n_init=1, max_iter=1)
        assert float(jaxem.fit(model, x, labels=labels, **options).total_weight) == N + 5


def test_nothing_at_all_is_an_error():
    model, key = jaxem.Mixture(families.Poisson(), 2), jax.random.key(0)
    with pytest.raises(ValueError, match="no row that tells anything"):
        jaxem.fit(model, np.full((9, 2), np.nan), key=key)
    some = np.where(np.arange(9)[:, None] < 4, COUNTS[:9], np.nan)
    with pytest.raises(ValueError, match="no row that tells anything"):
        jaxem.fit(model, some, key=key, sample_weight=(np.arange(9) > 5) * 1.0)
