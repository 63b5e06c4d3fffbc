"""Confidence intervals: the ends of a profile are where a refit says they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import optimize, stats

import jaxem
from jaxem import Mixture, MixtureParams, families
from jaxem.families import Gaussian, GaussianParams, Poisson, PoissonParams

RNG = np.random.default_rng(0)
SIDE = RNG.random(150) < 0.4
COUNTS = RNG.poisson(np.where(SIDE, 2.0, 9.0))[:, None].astype(float)
POISSON = Mixture(Poisson(), 2)
START = MixtureParams(np.array([0.4, 0.6]), PoissonParams(np.array([[2.0], [9.0]])))


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


@pytest.fixture(scope="module")
def best():
    return jaxem.em(POISSON, START, COUNTS, tol=1e-13)


@pytest.mark.slow
def test_wald_is_the_normal_quantile_of_the_standard_errors(best):
    se = flat(jaxem.standard_errors(POISSON, best.params, COUNTS))
    for level in (0.5, 0.95, np.float32(0.99)):
        found = jaxem.confidence_intervals(POISSON, best.params, COUNTS, level)
        z = stats.norm.ppf((1 + float(level)) / 2)
        np.testing.assert_allclose(flat(found.lower), flat(best.params) - z * se, rtol=1e-6)
        np.testing.assert_allclose(flat(found.upper), flat(best.params) + z * se, rtol=1e-6)
    wide = jaxem.confidence_intervals(POISSON, best.params, COUNTS, errors="sandwich")
    assert not np.allclose(flat(wide.lower), flat(found.lower))


@pytest.mark.slow
def test_profile_ends_are_where_refits_have_the_quantile(best):
    """2 (l_max - l) of a fit with the number fixed at the end is the quantile of chi^2."""
    found = jaxem.confidence_intervals(POISSON, best.params, COUNTS, 0.9, "profile")
    quantile = stats.chi2(1).ppf(0.9)
    for end, side in ((found.lower, -1), (found.upper, 1)):
        rate = float(end.components.rates[1, 0])
        assert side * (rate - float(best.params.components.rates[1, 0])) > 0
        for fixed in (
            MixtureParams(None, PoissonParams(np.array([[np.nan], [rate]]))),
            MixtureParams(np.array([float(end.weights[0]), np.nan]), None),
        ):
            refit = jaxem.em(POISSON, best.params, COUNTS, fixed=fixed, tol=1e-14, max_iter=10_000)
            fall = 2 * float(best.log_likelihood - refit.log_likelihood)
            assert fall == pytest.approx(quantile, rel=1e-6)
    np.testing.assert_allclose(found.lower.weights[0], 1 - found.upper.weights[1], rtol=1e-9)


@pytest.mark.slow
def test_profile_of_one_component_by_the_book():
    """The variance: n (s2 / v - 1 - log(s2 / v)) = z^2; the mean: n log(1 + (m - x)^2 / s2)."""
    x = RNG.normal(2, 3, 40)[:, None]
    n, variance = len(x), x.var()
    params = MixtureParams(np.ones(1), GaussianParams(x.mean(0)[None], np.array([[[variance]]])))
    found = jaxem.confidence_intervals(Mixture(Gaussian("full"), 1), params, x, method="profile")
    quantile = stats.chi2(1).ppf(0.95)
    half = np.sqrt(variance * np.expm1(quantile / n))
    np.testing.assert_allclose(flat(found.lower.components.means), x.mean() - half, rtol=1e-6)
    np.testing.assert_allclose(flat(found.upper.components.means), x.mean() + half, rtol=1e-6)

    def fall(v):
        return n * (variance / v - 1 - np.log(variance / v)) - quantile

    for end, between in ((found.lower, (1e-2, variance)), (found.upper, (variance, 100))):
        expected = optimize.brentq(fall, *between, xtol=1e-12)
        np.testing.assert_allclose(flat(end.components.covariances), expected, rtol=1e-6)
    assert found.lower.weights[0] == found.upper.weights[0] == 1


@pytest.mark.slow
def test_a_range_that_ends_first_leaves_an_end_open():
    """One event in a rare group: the likelihood falls too little before the rate of 0."""
    x = np.r_[np.zeros(30), np.ones(1)][:, None]
    model = Mixture(Poisson(), 1)
    params = MixtureParams(np.ones(1), PoissonParams(np.array([[1 / 31]])))
    found = jaxem.confidence_intervals(model, params, x, 0.9999, "profile")
    assert float(found.upper.components.rates[0, 0]) > 1 / 31
    rates = np.array([float(found.lower.components.rates[0, 0]),
                      float(found.upper.components.rates[0, 0])])  # fmt: skip
    falls = 2 * (-31 * (1 / 31 - rates) + np.log(1 / 31 / rates))
    np.testing.assert_allclose(falls, stats.chi2(1).ppf(0.9999), rtol=1e-6)
    with pytest.warns(UserWarning, match=r"leave the range of components.rates\[0, 0\]"):
        wald = jaxem.confidence_intervals(model, params, x)
    assert float(wald.lower.components.rates[0, 0]) < 0  # blind to the end of the range


@pytest.mark.slow
def test_fixed_numbers_are_both_ends(best):
    fixed = MixtureParams(None, PoissonParams(np.array([[2.0], [np.nan]])))
    params = jaxem.em(POISSON, best.params, COUNTS, fixed=fixed, tol=1e-13).params
    for method in ("wald", "profile"):
        found = jaxem.confidence_intervals(POISSON, params, COUNTS, method=method, fixed=fixed)
        ends = np.stack([flat(found.lower), flat(found.upper)])
        np.testing.assert_array_equal(ends[:, 2], 2.0)
        assert (ends[0, [0, 1, 3]] < ends[1, [0, 1, 3]]).all()


@pytest.mark.slow
def test_traced_calls(best):
    expected = jaxem.confidence_intervals(POISSON, best.params, COUNTS)
    found = jax.jit(lambda x: jaxem.confidence_intervals(POISSON, best.params, x))(COUNTS)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-8)
    with pytest.raises(ValueError, match="not for traced values"):
        jax.jit(lambda x: jaxem.confidence_intervals(POISSON, best.params, x, method="profile"))(
            jnp.asarray(COUNTS)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 95}, "level is 95"),
        ({"method": "bayes"}, "method is 'bayes'"),
        ({"method": "profile", "errors": "outer"}, "a profile needs none"),
        ({"errors": "hessian"}, "'hessian'"),
    ],
)
def test_bad_input_is_said(best, options, message):
    with pytest.raises(ValueError, match=message):
        jaxem.confidence_intervals(POISSON, best.params, COUNTS, **options)


@pytest.mark.slow
def test_wald_intervals_that_leave_a_range_are_named():
    """One success of twelve: 0.083 +- 1.96 sqrt(0.083 0.917 / 12), from -0.073."""
    x = np.zeros((12, 2))
    x[0], x[:5, 1] = 1, 1
    model = Mixture(families.Bernoulli(), 1)
    params = jaxem.em(model, jaxem.MixtureParams(np.ones(1), families.BernoulliParams(
        np.array([[0.2, 0.5]]))), x).params  # fmt: skip
    with pytest.warns(UserWarning, match=r"of components.probabilities\[0, 0\]; take method="):
        found = jaxem.confidence_intervals(model, params, x)
    np.testing.assert_allclose(found.lower.components.probabilities[0, 0], -0.07305, atol=1e-4)
    profile = jaxem.confidence_intervals(model, params, x, method="profile")
    assert profile.lower.components.probabilities[0, 0] > 0


@pytest.mark.slow
def test_a_variance_is_named_and_a_covariance_is_not():
    x = np.array([[0.0, 0], [1, -1.5], [2, -1.6], [3, -3.5]])
    model = Mixture(Gaussian("tied"), 1)
    params = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, min_count=0).params
    with pytest.warns(UserWarning, match="leave the range") as told:
        jaxem.confidence_intervals(model, params, x, 0.9999)
    text = str(told[0].message)
    assert "covariances[0, 0], " in text and "covariances[1, 1];" in text
    assert "[0, 1]" not in text and "means" not in text


@pytest.mark.slow
def test_degrees_of_freedom_are_positive_at_both_ends():
    """Those of their logarithm, whose standard error is se / nu by the delta method."""
    x = np.random.default_rng(2).standard_t(4, 40)[:, None]
    model = Mixture(families.StudentT("full"), 1)
    params = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, tol=1e-12).params
    lower, upper = jaxem.confidence_intervals(model, params, x)
    nu = float(params.components.degrees_of_freedom[0])
    se = float(jaxem.standard_errors(model, params, x).components.degrees_of_freedom[0])
    ends = [float(end.components.degrees_of_freedom[0]) for end in (lower, upper)]
    assert nu - 1.96 * se < 0 < ends[0] < nu < ends[1]
    np.testing.assert_allclose(np.log(np.divide(ends, nu)), np.array([-1, 1]) * 1.959964 * se / nu,
                               rtol=1e-6)  # fmt: skip
