"""Independent columns: digits at extremes, limits of parameters, and what is told of bad cells."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import optimize, stats

import jaxem
from jaxem import families
from jaxem.core.capabilities.collapse import Collapses
from jaxem.families import (
    BetaParams,
    BinomialParams,
    InverseGaussianParams,
    LogNormalParams,
    NegativeBinomialParams,
    WeibullParams,
    ZeroInflatedPoissonParams,
)
from jaxem.families.negative_binomial import moved_slope

KEY = jax.random.key(0)
GRID = np.linspace(-1.7, 1.7, 40)  # standard deviations from the mean
POSITIVE = {
    "log-normal": families.LogNormal(),
    "weibull": families.Weibull(),
    "inverse-gaussian": families.InverseGaussian(),
    "beta": families.Beta(),
}


def fit(family, x, k=1, **options):
    options = {"key": KEY, "n_init": 2, "tol": 1e-9, **options}
    return jaxem.fit(jaxem.Mixture(family, k), x, **options)


# ---- densities whose terms are up to 1e16 times what is left of them, by mpmath


def log_normal(x, m, s):
    z = mpmath.log(x / m) / s
    return -mpmath.log(x * s) - mpmath.log(2 * mpmath.pi) / 2 - z**2 / 2


def weibull(x, a, b):
    return mpmath.log(a / x) + a * mpmath.log(x / b) - (x / b) ** a


def inverse_gaussian(x, m, s):
    return mpmath.log(s / (2 * mpmath.pi * x**3)) / 2 - s * (x - m) ** 2 / (2 * m**2 * x)


def beta(x, m, n):
    a, b = m * n, (1 - m) * n
    logs = mpmath.loggamma(a + b) - mpmath.loggamma(a) - mpmath.loggamma(b)
    return logs + (a - 1) * mpmath.log(x) + (b - 1) * mpmath.log(1 - x)


def negative_binomial(x, m, s):
    logs = mpmath.loggamma(s + x) - mpmath.loggamma(s) - mpmath.loggamma(x + 1)
    return logs + s * mpmath.log(s / (s + m)) + (x * mpmath.log(m / (s + m)) if x else 0)


def zero_inflated(x, w, m):
    if x == 0:
        return mpmath.log(w + (1 - w) * mpmath.exp(-m))
    return mpmath.log(1 - w) + x * mpmath.log(m) - m - mpmath.loggamma(x + 1)


def binomial(x, p):
    n = mpmath.mpf(2 * 10**9)
    logs = mpmath.loggamma(n + 1) - mpmath.loggamma(x + 1) - mpmath.loggamma(n - x + 1)
    return logs + x * mpmath.log(p) + (n - x) * mpmath.log(1 - p)


EXTREMES = {
    "log-normal": (
        families.LogNormal(), log_normal,
        LogNormalParams([300.0, 2e-9], [1e-8, 3.0]), [300.000003, 299.999998, 1e-9, 1e3],
    ),
    "weibull": (
        families.Weibull(), weibull,
        WeibullParams([1e8, 0.3], [300.0, 2e-9]), [300.000003, 299.99999, 1e-9, 250.0],
    ),
    "inverse-gaussian": (
        families.InverseGaussian(), inverse_gaussian,
        InverseGaussianParams([300.0, 2e-9], [3e18, 1e-8]), [300.000003, 299.999998, 1e-9, 1e3],
    ),
    "beta": (
        families.Beta(), beta,
        BetaParams([0.3, 0.005], [1e12, 40.2]), [0.3, 0.3000007, 1e-6, 0.9],
    ),
    "negative-binomial": (
        families.NegativeBinomial(), negative_binomial,
        NegativeBinomialParams([1e6, 0.5], [1e10, 1e-3]), [1e6, 1001000.0, 0.0, 12.0],
    ),
    "nearly-poisson": (
        families.NegativeBinomial(), negative_binomial,
        NegativeBinomialParams([1e3, 3.0], [1e15, 1e30]), [1e3, 950.0, 0.0, 2.0],
    ),
    "zero-inflated": (
        families.ZeroInflatedPoisson(), zero_inflated,
        ZeroInflatedPoissonParams([1e-9, 0.4], [1e8, 2e3]), [1e8, 100020000.0, 0.0, 1990.0],
    ),
    "binomial": (
        families.Binomial(2 * 10**9), binomial,
        BinomialParams([0.3, 1e-9]), [6e8, 600100000.0, 1000.0, 0.0],
    ),
}  # fmt: skip


@partial(jax.jit, static_argnums=0)
def log_density(family, params, x):
    return family.evaluate(family.prepare(params, None), x)[0]


@pytest.mark.parametrize("name", EXTREMES)
def test_densities_keep_their_digits(name):
    family, exact, params, x = EXTREMES[name]
    own = jax.tree.map(
        lambda leaf: jnp.asarray(leaf)[:, None], type(params)(*map(np.array, params))
    )
    found = log_density(family, own, jnp.asarray(x)[:, None])
    with mpmath.workdps(60):
        expected = [
            [float(exact(mpmath.mpf(value), *map(mpmath.mpf, of))) for value in x]
            for of in zip(*params, strict=True)
        ]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


# ---- fits of narrow columns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "narrow", "within"), [(np.float64, 1e-6, 1e-6), (np.float32, 1e-4, 2e-3)]
)
def test_narrow_columns(dtype, narrow, within):
    """All in one product; the estimates are NumPy's of what the columns are rounded to."""
    x = {name: (0.3 * (1 + narrow * GRID)).astype(dtype)[:, None] for name in POSITIVE}
    result = fit(families.Product(POSITIVE), x)
    assert result.converged and result.dtype == np.dtype(dtype).name
    own, exact = result.params.components, x["beta"][:, 0].astype(float)
    logs = np.log(exact)
    close = partial(np.testing.assert_allclose, rtol=within)
    close(own["log-normal"].medians, [[np.exp(logs.mean())]], rtol=1e-6)
    close(own["log-normal"].scales, [[logs.std()]])
    mean = exact.mean()
    close(own["inverse-gaussian"].shapes, [[1 / np.mean((exact - mean) ** 2 / (mean**2 * exact))]])
    close(own["beta"].means, [[mean]], rtol=1e-6)
    close(own["beta"].sizes, [[mean * (1 - mean) / exact.var() - 1]], rtol=max(within, 1e-4))

    def slope(a):
        z = (exact / mean) ** a
        return 1 / a + (logs - np.log(mean)).mean() - z @ (logs - np.log(mean)) / z.sum()

    close(own["weibull"].shapes, [[optimize.brentq(slope, 0.1 / narrow, 10 / narrow, xtol=1e-3)]])


@pytest.mark.parametrize("name", POSITIVE)
def test_columns_without_spread_have_a_ratio_of_zero(name):
    family = POSITIVE[name]

    @jax.jit
    def ratio(x):
        params = family.fit_one_component(x, jnp.ones(30), 1)
        return family.variance_ratio(params, jnp.ones(1), None)

    same = np.full((30, 1), 0.3)
    assert ratio(same) == 0 and ratio(same + 1e-9 * np.arange(30)[:, None]) == 1
    assert isinstance(family, Collapses)


FAR = {
    "log-normal": (LogNormalParams, [1e-5, 1.0], lambda p: p.scales**2),
    "inverse-gaussian": (InverseGaussianParams, [1e-3, 1.0], lambda p: p.means / p.shapes),
    "beta": (BetaParams, [1e-4, 1e4], lambda p: (1 - p.means) / p.means / p.sizes),
}


@pytest.mark.parametrize("name", FAR)
def test_a_spread_that_rounding_hides_is_not_taken_for_none(name):
    """From far away no digit of it is left, and one step must not collapse."""
    (kind, far, spread), family = FAR[name], POSITIVE[name]
    params = kind(*(jnp.full((1, 1), value) for value in far))

    @jax.jit
    def step(x):
        r = jnp.ones((1, 40))
        sums = family.statistics(params, x, family.evaluate(params, x)[1], r)
        return family.m_step(params, sums, None, jnp.ones(1, bool))

    new = step(jnp.asarray(0.3 * (1 + 1e-12 * GRID))[:, None])
    assert 1e-13 < float(spread(new)[0, 0]) < 1e-4
    np.testing.assert_allclose(family.mean(new), [[0.3]], rtol=1e-6)


@pytest.mark.slow
def test_a_step_of_weibulls_moves_both_at_once():
    """The scale goes along with the shape: an error of 1 % leaves one of its square."""
    family = families.Weibull()
    x = jnp.asarray(np.random.default_rng(0).weibull(2.0, (40, 1)))
    best = family.fit_one_component(x, jnp.ones(40), 1)
    near = best._replace(shapes=1.01 * best.shapes)
    sums = family.statistics(near, x, None, jnp.ones((1, 40)))
    new = family.m_step(near, sums, None, jnp.ones(1, bool))
    for found, expected in zip(new, best, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4)


# ---- limits of counts


@pytest.mark.slow
def test_counts_that_vary_no_more_than_poissons():
    """The size grows until it changes nothing: the fit is that of a Poisson distribution."""
    x = np.random.default_rng(0).binomial(10, 0.4, 300).astype(float)
    result = fit(families.NegativeBinomial(), x)
    poisson = stats.poisson.logpmf(x, x.mean()).sum()
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, poisson, atol=1e-5)
    np.testing.assert_allclose(result.params.components.means, [[x.mean()]], rtol=1e-12)
    assert result.params.components.sizes > 1e4 * x.mean()


@pytest.mark.slow
@pytest.mark.parametrize("means", [[3.0, 4.0], [9.0, 0.5]])
def test_a_slope_is_seen_from_other_means(means):
    """The sums at other means have it, without the change."""
    family = families.NegativeBinomial()
    x = jnp.asarray(np.random.default_rng(0).poisson([3.0, 6.0], (20, 2)).astype(float))
    params = NegativeBinomialParams(jnp.array([[5.0, 2.0]]), jnp.array([[1.5, 7.0]]))
    there = params._replace(means=jnp.array([means]))
    count, away, slope, _ = family.statistics(params, x, None, jnp.ones((1, 20)))[0]
    moved = slope + moved_slope(count[None], away[None], params, there.means)[0]
    expected = family.statistics(there, x, None, jnp.ones((1, 20)))[0, 2]
    np.testing.assert_allclose(moved, expected, rtol=1e-10)


@pytest.mark.slow
def test_a_mixture_of_sizes_is_scipys():
    rng = np.random.default_rng(2)
    x = np.where(rng.random(500) < 0.4, rng.negative_binomial(3, 0.4, 500),
                 rng.negative_binomial(8, 0.15, 500)).astype(float)  # fmt: skip
    result = fit(families.NegativeBinomial(), x, 2, n_init=6)

    def log_likelihood(t):
        w, (m, s) = 1 / (1 + np.exp(-t[0])), np.exp(t[1:].reshape(2, 2))
        each = [
            stats.nbinom.pmf(x, own, own / (own + mean)) for mean, own in zip(m, s, strict=True)
        ]
        return -np.log(w * each[0] + (1 - w) * each[1]).sum()

    weights, components = result.params
    t = np.r_[np.log(weights[0] / weights[1]), np.log(np.ravel(components))]
    np.testing.assert_allclose(-log_likelihood(t), result.log_likelihood, rtol=1e-10)
    best = optimize.minimize(log_likelihood, t + 0.05, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(-best.fun, result.log_likelihood, rtol=1e-8)


@pytest.mark.slow
def test_fewer_zeros_than_poissons_are_no_inflation():
    x = np.random.default_rng(0).binomial(6, 0.5, 200).astype(float)
    result = fit(families.ZeroInflatedPoisson(), x)
    np.testing.assert_array_equal(result.params.components.inflations, [[0.0]])
    np.testing.assert_allclose(result.params.components.rates, [[x.mean()]], rtol=1e-12)
    assert result.converged and "inflations" in str(result.boundary)


@pytest.mark.slow
def test_nothing_but_zeros():
    result = fit(families.ZeroInflatedPoisson(), np.zeros((20, 1)))
    assert result.converged and float(result.log_likelihood) == 0


@pytest.mark.slow
def test_trials_of_each_row_or_of_all():
    rng = np.random.default_rng(0)
    x = rng.binomial(20, np.where(rng.random(200) < 0.4, 0.2, 0.7)).astype(float)
    one = fit(families.Binomial(20), x, 2)
    other = fit(families.Binomial(), (x, np.full(200, 20)), 2)
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-10)
    p = np.asarray(one.params.components.probabilities)
    expected = stats.binom.pmf(x, 20, p) * np.asarray(one.params.weights)[:, None]
    np.testing.assert_allclose(np.log(expected.sum(0)).sum(), one.log_likelihood, rtol=1e-10)


# ---- bad cells and holes


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (families.LogNormal(), [[1.0], [0.0], [2.0]], r"not above 0.*LogNormal.*0 \(1\); .*row 1"),
        (families.Weibull(), [[1.0], [-2.0], [2.0]], "not above 0.*-2 in row 1"),
        (families.InverseGaussian(), [[1.0], [np.inf], [2.0]], "not above 0.*inf in row 1"),
        (families.Beta(), [[0.5], [1.0], [0.2]], "not between 0 and 1.*1 in row 1"),
        (families.NegativeBinomial(), [[1.0], [2.5]], "not whole numbers from 0.*2.5 in row 1"),
        (families.ZeroInflatedPoisson(), [[1.0], [-1.0]], "not whole numbers from 0.*-1 in row 1"),
        (families.Binomial(3), [[1.0], [4.0]], "number of trials.*4 in row 1"),
        (families.Binomial(), [[1.0], [4.0]], r"give the tuple \(successes, trials\)"),
        (families.Binomial(), ([1.0, 4.0], [3.0, 3.0]), r"number of trials.*0 \(1\).*4 in row 1"),
        (families.Binomial(), ([1.0, 4.0], [3.0, 4.5]), r"trials that are not whole.*4.5 in row 1"),
    ],
)
def test_cells_that_cannot_be(family, x, message):
    with pytest.raises(ValueError, match=message):
        fit(family, x if isinstance(x, tuple) else np.array(x))


def test_bad_specs_and_priors():
    for wrong in (0, 2.5, "many"):
        with pytest.raises(ValueError, match="n_trials"):
            families.Binomial(wrong)
    x = np.ones((9, 1))
    for family, own, message in (
        (families.Weibull(), families.GammaPrior(), "takes no prior"),
        (families.NegativeBinomial(), families.GammaPrior(), "takes no prior"),
        (families.LogNormal(), families.LogNormalPrior(rows=-1.0), "rows"),
        (families.Beta(), families.BetaPrior(1.0, 0.5, 0.0), r"size\[0, 0\]"),
        (families.InverseGaussian(), families.InverseGaussianPrior(1.0, -1.0), "mean"),
        (families.ZeroInflatedPoisson(), families.ZeroInflatedPoissonPrior(0, 3, 2), "no mode"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(family, 0.5 * x if isinstance(family, families.Beta) else x,
                prior=jaxem.MixturePrior(components=own))  # fmt: skip


MEANS = {
    "log-normal": (LogNormalParams, [2.0, 0.5], stats.lognorm(0.5, scale=2.0).mean()),
    "weibull": (WeibullParams, [1.5, 2.0], stats.weibull_min(1.5, scale=2.0).mean()),
    "inverse-gaussian": (InverseGaussianParams, [2.0, 3.0], 2.0),
    "beta": (BetaParams, [0.4, 5.0], 0.4),
}


@pytest.mark.slow(but=("log-normal",))
@pytest.mark.parametrize("name", MEANS)
def test_a_hole_is_filled_with_the_mean(name):
    kind, numbers, mean = MEANS[name]
    params = kind(*(jnp.full((1, 2), value) for value in numbers))
    model = jaxem.Mixture(POSITIVE[name], 1)
    filled = jaxem.impute(model, jaxem.MixtureParams(jnp.ones(1), params), [[0.5, np.nan]])
    np.testing.assert_allclose(filled, [[0.5, mean]], rtol=1e-12)
