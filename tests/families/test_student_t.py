"""Multivariate t components: published optima, outliers, digits, and what else can be done."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma

import jaxem
from jaxem import datasets
from jaxem.families import Gaussian, StudentT, StudentTParams
from jaxem.families.student_t.degrees_of_freedom import LEAST, MOST, Evidence, Own
from jaxem.families.student_t.tails import tail_normaliser

KEY = jax.random.key(0)


def fit(family, k, x, **options):
    options = {"key": KEY, "n_init": 10, "tol": 1e-9, **options}
    return jaxem.fit(jaxem.Mixture(family, k), x, **options)


def in_order(values):
    values = np.asarray(values)
    return values[np.argsort(values[:, 0])]


# ---- best known optima


@pytest.mark.slow
def test_best_known_optimum_of_old_faithful():
    """From 60 starts of a plain ECME, whose degrees of freedom end at 500: without that cap there
    is a little more."""
    result = fit(StudentT("full"), 2, datasets.load_faithful().x, n_init=8)
    assert result.converged and int(result.n_free_parameters) == 13
    assert 0 < float(result.log_likelihood) + 1129.946263698057 < 0.01
    assert float(result.params.components.degrees_of_freedom.max()) == MOST


@pytest.mark.slow
def test_best_known_optimum_of_iris_with_four_degrees_of_freedom():
    """From R's teigen and 60 starts of a plain ECME."""
    result = fit(StudentT("full", 4), 3, datasets.load_iris().x, n_init=8)
    assert result.converged and int(result.n_free_parameters) == 44
    np.testing.assert_allclose(result.log_likelihood, -190.98975121776985, rtol=1e-9)
    means = in_order(result.params.components.means)
    expected = [
        [4.98837949386516, 3.3984901625765644, 1.458096402575239, 0.2298429351028626],
        [5.946579318313375, 2.8038272265268565, 4.223207651371331, 1.3059987128903243],
        [6.487475415627282, 2.946264683306139, 5.420819972737092, 1.9891360117584278],
    ]
    np.testing.assert_allclose(means, expected, rtol=2e-4)


# ---- outliers


def with_outliers(seed):
    """Two unit clusters of 100 rows at (-3, 0) and (3, 0); 22 rows, 10 %, from -30 to 30."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(size=(200, 2)) + np.repeat([[-3, 0], [3, 0]], 100, axis=0)
    return clean, np.concatenate([clean, rng.uniform(-30, 30, size=(22, 2))])


@pytest.mark.slow
def test_outliers_leave_the_means_where_they_are():
    """No mean moves by more than 5 % of the distance between the clusters, 6; of a Gaussian mixture
    one moves by more than half of it. The weights tell the outliers."""
    clean, x = with_outliers(0)
    there = np.repeat([1.0, 0.0], [len(clean), len(x) - len(clean)])
    found = {}
    for name, family in {"t": StudentT(), "normal": Gaussian()}.items():
        before, after = (fit(family, 2, x, sample_weight=w) for w in (there, np.ones(len(x))))
        means = [in_order(result.params.components.means) for result in (before, after)]
        found[name] = np.linalg.norm(means[1] - means[0], axis=1).max()
        if name == "t":
            model, params = after.provenance.model, after.params
    assert found["t"] < 0.05 * 6 and found["normal"] > 0.5 * 6
    found = np.asarray(jaxem.outlier_weights(model, params, x))
    far = np.min([np.linalg.norm(x - [side, 0], axis=1) for side in (-3, 3)], axis=0) > 8
    assert found[far].max() < 0.2 < np.quantile(found[: len(clean)], 0.05)


def test_weights_are_those_of_the_distances():
    x = np.random.default_rng(0).normal(size=(50, 2))
    model = jaxem.Mixture(StudentT("spherical", 3), 2)
    means, scales = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([1.0, 2.0])
    own = StudentTParams(means, scales, np.array([3.0, 3.0]))
    params = jaxem.MixtureParams(np.array([0.3, 0.7]), own)
    shares = np.asarray(jaxem.predict_proba(model, params, x))
    distance = ((x[:, None] - means[None]) ** 2).sum(2) / scales
    found = jaxem.outlier_weights(model, params, x)
    np.testing.assert_allclose(found, (shares * 5 / (3 + distance)).sum(1), rtol=1e-10)
    with pytest.raises(ValueError, match=r"families\.StudentT"):
        jaxem.outlier_weights(jaxem.Mixture(Gaussian(), 2), None, x)


# ---- digits


@pytest.mark.parametrize("nu", [LEAST, 0.5, 3.0, 50.0, 1e4, MOST])
def test_the_normaliser_keeps_its_digits(nu):
    """Against scipy's density at the centre, which loses some of its own far out."""
    expected = stats.t.logpdf(0.0, nu) + 0.5 * np.log(2 * np.pi)
    one = tail_normaliser(jnp.array([nu]), 1)
    np.testing.assert_allclose(one[0], expected, rtol=1e-9, atol=2e-9 if nu > 1e3 else 1e-12)
    single = tail_normaliser(jnp.array([nu], jnp.float32), 1)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single[0], one[0], rtol=1e-5, atol=1e-6)


def test_a_step_in_nu_leads_uphill_and_stops_at_the_ends():
    """From the evidence of rows of one component: to the solution, as far as 1e6 where there is
    none, and no further."""
    rng, step = np.random.default_rng(0), jax.jit(lambda *of: Own().estimate(*of, 1))
    for distance, nu in ((rng.standard_t(3, 4000) ** 2, 3.2), (np.ones(50), 5.0)):
        for _ in range(40):
            u = (nu + 1) / (nu + distance)
            log_u = np.log(u) + digamma((nu + 1) / 2) - np.log((nu + 1) / 2)
            sums = np.sum([np.ones_like(u), u - 1 - log_u, (u - 1) ** 2], axis=1)
            evidence = Evidence(*(jnp.array([own]) for own in sums))
            nu = float(step(evidence, jnp.array([nu]))[0])
        slope = [np.sum(stats.t.logpdf(np.sqrt(distance), nu * by)) for by in (0.999, 1.001)]
        slope = (slope[1] - slope[0]) / 0.002
        assert (nu == MOST) if distance[0] == 1 else abs(slope) < 1e-2 * len(distance) ** 0.5


@pytest.mark.slow
def test_clusters_far_apart_in_float32():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.standard_t(4, (400, 5)), rng.standard_t(4, (400, 5)) + 1e4])
    x = x.astype(np.float32)
    result = fit(StudentT(), 2, x, n_init=2, tol=1e-7)
    assert result.converged and result.dtype == np.float32
    weights, own = result.params
    each = zip(*(np.asarray(leaf, float) for leaf in own), strict=True)
    logs = [stats.multivariate_t(m, c, nu).logpdf(x.astype(float)) for m, c, nu in each]
    total = np.logaddexp.reduce(np.array(logs) + np.log(weights)[:, None]).sum()
    np.testing.assert_allclose(result.log_likelihood, total, rtol=1e-6)
    np.testing.assert_allclose(in_order(own.means), [[0] * 5, [1e4] * 5], atol=0.3)
    scales = np.asarray(own.scales)
    assert np.all((scales > -0.5) & (scales < 2)) and np.all(own.degrees_of_freedom < 20)


@pytest.mark.slow
def test_normal_rows_have_a_normal_limit():
    """Where tails are lighter than normal ones, nu grows without end."""
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    x = x.astype(np.float32)
    result = fit(StudentT(), 1, x, tol=1e-6, n_init=2)
    assert result.converged and float(result.params.components.degrees_of_freedom[0]) > 1e4
    normal = stats.multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(x).sum()
    np.testing.assert_allclose(result.log_likelihood, normal, rtol=1e-5)


# ---- structures, priors, what is legal


@pytest.mark.slow(but=("EVE",))
@pytest.mark.parametrize("name", ["VEE", "EVE"])
def test_structures_that_link_components_climb(name):
    """EM never falls from where a start begins, whether c goes into volumes or not."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.standard_t(3, (60, 2)), rng.standard_t(3, (60, 2)) * [1, 3] + 6])
    model = jaxem.Mixture(StudentT(name, "shared"), 2)
    family, climb = model.family, []
    own = family.fit_one_component(jnp.asarray(x), jnp.ones(len(x)), 2)
    means, nu = np.array([[0.0, 1.0], [5.0, 7.0]]), np.array([2.0, 2.0])
    params = jaxem.MixtureParams(np.array([0.4, 0.6]), StudentTParams(means, own.scales, nu))
    for _ in range(12):
        statistics, total = jaxem.e_step(model, params, x)
        climb.append(float(total))
        params = jaxem.m_step(model, params, statistics)
    assert np.all(np.diff(climb) > -1e-9 * abs(climb[0])) and climb[-1] > climb[0] + 1
    model.as_params(params, None)  # the scales are of the structure


@pytest.mark.slow
def test_a_hidden_markov_model():
    """Two states, of which one has outliers: the states are found, nu too."""
    params = jaxem.HMMParams(
        jnp.array([0.5, 0.5]), jnp.array([[0.95, 0.05], [0.1, 0.9]]),
        StudentTParams(jnp.array([[0.0], [6.0]]), jnp.array([1.0, 1.0]), jnp.array([3.0, 3.0])),
    )  # fmt: skip
    model = jaxem.HMM(StudentT("spherical", degrees_of_freedom="shared"), 2)
    x, _ = jaxem.sample(model, params, jax.random.key(1), 800)
    result = jaxem.fit(model, x, key=KEY, n_init=4)
    assert result.converged
    np.testing.assert_allclose(in_order(result.params.emissions.means), [[0], [6]], atol=0.3)
    assert 2 < float(result.params.emissions.degrees_of_freedom[0]) < 5
    weights = jaxem.outlier_weights(model, result.params, x)
    assert weights.shape == (800,) and float(weights.min()) < 0.2


@pytest.mark.slow
def test_newcombs_measurements():
    """Newcomb's data: R's fitdistr, which gives those of the scale, the root of ours."""
    x = np.array(
        [28, 26, 33, 24, 34, -44, 27, 16, 40, -2, 29, 22, 24, 21, 25, 30, 23, 29, 31, 19, 24, 20,
         36, 32, 36, 28, 25, 21, 28, 29, 37, 25, 28, 26, 30, 32, 36, 26, 30, 22, 36, 23, 27, 27,
         28, 27, 31, 27, 26, 33, 26, 32, 32, 24, 39, 28, 24, 25, 32, 25, 29, 27, 28, 29, 16, 23.0]
    )  # fmt: skip
    result = fit(StudentT(), 1, x, tol=1e-12)
    np.testing.assert_allclose(result.log_likelihood, -215.3759037654063, rtol=1e-12)
    np.testing.assert_allclose(result.params.components.degrees_of_freedom, 2.131133, rtol=1e-5)
    model, ones = result.provenance.model, np.ones(66)

    def nu(weight):
        found = jaxem.em(model, result.params, x, sample_weight=weight, tol=1e-13)
        return found.params.components.degrees_of_freedom[0]

    slope, (up, down) = jax.grad(nu)(ones), (nu(ones + by * np.eye(66)[5]) for by in (1e-2, -1e-2))
    np.testing.assert_allclose(slope[5], (up - down) / 2e-2, rtol=1e-3)  # an outlier's
    errors = jaxem.standard_errors(result.provenance.model, result.params, x).components
    scale = float(result.params.components.scales[0, 0, 0]) ** 0.5
    np.testing.assert_allclose(errors.means[0, 0], 0.608905089753589, rtol=1e-4)
    np.testing.assert_allclose(errors.scales[0, 0, 0] / (2 * scale), 0.618935994812871, rtol=1e-4)
    np.testing.assert_allclose(errors.degrees_of_freedom[0], 0.662310453063142, rtol=1e-4)


@pytest.mark.slow
def test_moments_and_marginals():
    family = StudentT()
    params = StudentTParams(
        jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.stack([jnp.array([[2.0, 0.5], [0.5, 1.0]])] * 2),
        jnp.array([6.0, 1.5]),
    )  # fmt: skip
    means, covariances = family.moments(params)
    np.testing.assert_allclose(covariances[0], 1.5 * params.scales[0])
    assert np.isnan(covariances[1]).all() and np.isfinite(means).all()
    alone, own = family.marginal(params, np.array([0]))
    x = np.linspace(-3, 3, 7)[:, None]
    found = alone.evaluate(alone.prepare(own, None), jnp.asarray(x))[0][0]
    np.testing.assert_allclose(found, stats.t.logpdf(x[:, 0], 6, 1, 2**0.5), rtol=1e-12)


def test_bad_specifications_are_told():
    for wrong in ("one", 0.0, -1, np.inf, np.nan, True, (3,)):
        with pytest.raises(ValueError, match="degrees_of_freedom is"):
            StudentT("full", wrong)
    with pytest.raises(ValueError, match="covariance is 'round'"):
        StudentT("round")
    assert StudentT("full", 4) == StudentT("VVV", 4.0)
    x = np.random.default_rng(0).normal(size=(20, 2))
    own = StudentTParams(np.zeros((1, 2)), np.eye(2)[None], np.array([5.0]))
    params = jaxem.MixtureParams(np.ones(1), own)
    with pytest.raises(ValueError, match="fixed at 4"):
        jaxem.log_prob(jaxem.Mixture(StudentT(degrees_of_freedom=4), 1), params, x)
    wrong = params._replace(components=own._replace(degrees_of_freedom=np.array([1e7])))
    with pytest.raises(ValueError, match=r"from 0\.01 to"):
        jaxem.log_prob(jaxem.Mixture(StudentT(), 1), wrong, x)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit(StudentT(), 1, x)
