"""Factor analysers: factanal, principal components, mixtures, wide rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from scipy import stats

import jaxem
from jaxem.families import FactorAnalyzer, FactorAnalyzerParams

KEY = jax.random.key(0)


def fit(family, k, x, **options):
    options = {"key": KEY, "n_init": 3, "tol": 1e-9, **options}
    return jaxem.fit(jaxem.Mixture(family, k), x, **options)


def covariances(family, params):
    return np.asarray(family.moments(params.components)[1])


# Six tests of 112 persons: R's ability.cov, of Smith and Stanley (1983).
ABILITY = np.array([
    [24.641, 5.991, 33.520, 6.023, 20.755, 29.701],
    [5.991, 6.700, 18.137, 1.782, 4.936, 7.204],
    [33.520, 18.137, 149.831, 19.424, 31.430, 50.753],
    [6.023, 1.782, 19.424, 12.711, 4.757, 9.075],
    [20.755, 4.936, 31.430, 4.757, 52.604, 66.762],
    [29.701, 7.204, 50.753, 9.075, 66.762, 135.292],
])  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("q", "n_free", "log_likelihood", "uniquenesses"),
    [
        (1, 18, -2059.36648457491,
         [13.173051973465, 5.71227929336263, 112.101403087025, 11.5686345828061,
          12.1891942269369, 37.846735110527]),
        (2, 23, -2023.40413473797,
         [11.2171788228214, 3.9485255203813, 32.6900616010065, 9.78011601134887,
          2.75917233094951, 45.1318327101568]),
    ],
)  # fmt: skip
def test_one_component_is_factor_analysis(q, n_free, log_likelihood, uniquenesses):
    """R's factanal, 30 starts, of rows that have this very covariance."""
    drawn = np.random.default_rng(0).normal(size=(112, 6))
    q_of, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    x = np.sqrt(112) * q_of @ np.linalg.cholesky(ABILITY).T
    np.testing.assert_allclose(np.cov(x.T, bias=True), ABILITY, rtol=1e-10)
    result = fit(FactorAnalyzer(q), 1, x, max_iter=3000)
    assert result.converged and int(result.n_free_parameters) == n_free
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=1e-10)
    found = result.params.components.uniquenesses[0]
    np.testing.assert_allclose(found, uniquenesses, rtol=1e-3)


@pytest.mark.slow
def test_one_isotropic_component_is_probabilistic_principal_components():
    """s^2 = mean of the smaller eigenvalues, C = U (D - s^2 I) U' + s^2 I (Tipping and Bishop)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)) * [3, 2, 1, 1, 0.8, 0.9] @ rng.normal(size=(6, 6)) + 100
    result = fit(FactorAnalyzer(2, "isotropic"), 1, x, n_init=1, tol=1e-12)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    noise = values[:4].mean()
    large = vectors[:, 4:] * (values[4:] - noise) @ vectors[:, 4:].T + noise * np.eye(6)
    np.testing.assert_allclose(result.params.components.uniquenesses, [noise], rtol=1e-5)
    np.testing.assert_allclose(covariances(result.provenance.model.family, result.params)[0], large,
                               atol=1e-4 * values[-1])  # fmt: skip
    best = stats.multivariate_normal(x.mean(0), large).logpdf(x).sum()
    np.testing.assert_allclose(result.log_likelihood, best, rtol=1e-9)
    assert int(result.n_free_parameters) == 6 + 12 - 1 + 1


def drawn(n=150, d=6):
    """Two components of two factors each, 3 apart; -> (family, params, x, labels)."""
    rng = np.random.default_rng(1)
    means = np.stack([np.zeros(d), np.full(d, 3.0)])
    loadings, uniquenesses = rng.normal(size=(2, d, 2)), 0.3 + 0.5 * rng.random((2, d))
    own = FactorAnalyzerParams(means, loadings, uniquenesses)
    params = jaxem.MixtureParams(np.array([0.4, 0.6]), own)
    model = jaxem.Mixture(FactorAnalyzer(2), 2)
    return model, params, *map(np.asarray, jaxem.sample(model, params, jax.random.key(2), n))


@pytest.mark.slow
@pytest.mark.parametrize("uniquenesses", ["free", "shared"])
def test_em_climbs_and_finds_the_components(uniquenesses):
    model, truth, x, labels = drawn()
    model = jaxem.Mixture(FactorAnalyzer(2, uniquenesses), 2)
    result = jaxem.fit(model, x, key=KEY, n_init=3, max_iter=0)
    params, climb = result.params, []
    for _ in range(40):
        statistics, total = jaxem.e_step(model, params, x)
        climb.append(float(total))
        params = jaxem.m_step(model, params, statistics)
    assert np.all(np.diff(climb) > -1e-9 * abs(climb[0])) and climb[-1] > climb[0] + 1
    agree = np.mean(np.asarray(jaxem.predict(model, params, x)) == labels)
    assert max(agree, 1 - agree) > 0.95
    if uniquenesses == "free":
        assert climb[-1] > float(jnp.sum(jaxem.log_prob(model, truth, x)))


@pytest.mark.slow
def test_far_clusters_in_float32():
    *_, x, labels = drawn()
    x = (x + 1e4 * labels[:, None]).astype(np.float32)
    result = fit(FactorAnalyzer(2), 2, x, tol=1e-6)
    assert result.converged and result.dtype == np.float32
    found = result.params
    logs = [
        stats.multivariate_normal(m, c).logpdf(x.astype(float)) + np.log(w)
        for w, m, c in zip(*map(np.float64, (found.weights, found.components.means)),
                           covariances(FactorAnalyzer(2), found).astype(float), strict=True)
    ]  # fmt: skip
    total = np.logaddexp.reduce(logs).sum()
    np.testing.assert_allclose(result.log_likelihood, total, rtol=1e-5)
    order = np.argsort(found.components.means[:, 0])
    own = covariances(FactorAnalyzer(2), found)[order].diagonal(0, 1, 2)
    sample = np.stack([x[labels == k].astype(float).var(0) for k in (0, 1)])
    np.testing.assert_allclose(own, sample, rtol=1e-3)  # as at any maximum


def test_nothing_is_made_of_columns_by_columns():
    """In the programs of a start and of a step: d is a number that no other size has."""
    d, q, family = 101, 2, FactorAnalyzer(2)
    x = jnp.ones((7, d))
    params = FactorAnalyzerParams(jnp.ones((3, d)), jnp.ones((3, d, q)), jnp.ones((3, d)))

    def steps(params, x, r):
        pooled = family.fit_one_component(x, r[0], 3)
        prepared = family.prepare(params, None)
        density, cache = family.evaluate(prepared, x)
        sums = family.statistics(prepared, x, cache, r)
        prior, there = family.starting_prior(pooled, r[:, 0], None), jnp.ones(3, bool)
        return density, family.m_step(params, sums, prior, there)

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            for out in equation.outvars:
                yield out.aval.shape
            for inner in jaxprs_in_params(equation.params):
                yield from sizes(inner)

    program = jax.make_jaxpr(steps)(params, x, jnp.ones((3, 7))).jaxpr
    shapes = list(sizes(program))
    assert (7, d) in shapes and not [shape for shape in shapes if shape.count(d) > 1]


def test_a_collapse_is_told_from_a_heywood_case():
    """Of a component on few rows all uniquenesses go to 0, of a Heywood case one does."""
    family, rest = FactorAnalyzer(1), np.ones((2, 4, 1))
    for small, collapsed in ((np.full(4, 1e-6), True), (np.array([1e-6, 1, 1, 1]), False)):
        given = np.zeros((2, 4)), rest, np.stack([np.ones(4), small])
        params = FactorAnalyzerParams(*map(jnp.asarray, given))
        ratio = family.variance_ratio(params, jnp.array([0.5, 0.5]), None)
        assert ratio[0] > 0.5 and (ratio[1] < 1e-3) == collapsed
    x = np.concatenate(
        [np.random.default_rng(0).normal(size=(60, 4)), [[9, 9, 9, 9], [9, 9, 9, 8]]]
    )
    result = fit(FactorAnalyzer(1), 2, x, n_init=1, init=_spike(x), max_iter=200)
    assert int(result.status) == jaxem.Status.DEGENERATE


def _spike(x):
    """A component on the last two rows."""
    means, ones = np.stack([x[:-2].mean(0), x[-2:].mean(0)]), np.ones((2, 4))
    own = FactorAnalyzerParams(means, 0.5 * ones[:, :, None], ones * [[1.0], [0.1]])
    return jaxem.MixtureParams(np.array([0.97, 0.03]), own)


def test_bad_specifications_are_told():
    with pytest.raises(ValueError, match="n_factors is 0"):
        FactorAnalyzer(0)
    with pytest.raises(ValueError, match="uniquenesses is 'none'"):
        FactorAnalyzer(1, "none")
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="3 columns, too few for 3 factors"):
        fit(FactorAnalyzer(3), 1, x)
    with pytest.raises(ValueError, match="reg_covar is for covariances"):
        fit(FactorAnalyzer(1), 1, x, reg_covar=0.1)
    model = jaxem.Mixture(FactorAnalyzer(1), 1)
    params = FactorAnalyzerParams(np.zeros((1, 3)), np.zeros((1, 3, 1)), -np.ones((1, 3)))
    with pytest.raises(ValueError, match="uniquenesses"):
        jaxem.log_prob(model, jaxem.MixtureParams(np.ones(1), params), x)
