"""Columns whose log density is what is left of terms a billion times as large.

Numbers are those of mpmath with 60 digits, for the data as it is rounded to its dtype.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import i0e, logsumexp

import jaxem
from jaxem import families

GRID = np.linspace(-1.7, 1.7, 40)  # standard deviations from the mean


def one(family, x, **options):
    options = {"key": jax.random.key(0), "n_init": 2, "tol": 1e-9, **options}
    return jaxem.fit(jaxem.Mixture(family, 1), x, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "mean", "sd", "log_likelihood", "shape", "within"),
    [
        (np.float64, 300, 3, -100.95525909039, 9873.51835797, 1e-11),
        (np.float64, 1013, 0.3, -8.8517219528634, 11258499.5628, 1e-11),
        (np.float64, 50, 0.005, 154.92206063977, 98742509.1839, 1e-11),
        (np.float64, 1e6, 1, -57.010634008532, 987425099177.0, 1e-9),
        (np.float32, 300, 3, -100.95528273579, 9873.50668403, 1e-6),
        (np.float32, 1013, 0.3, -8.8513787343685, 11258692.7707, 1e-5),
        (np.float32, 50, 0.005, 154.92251246397, 98744739.9219, 1e-5),
        (np.float32, 1e6, 1, -56.905430696343, 992632803411.0, 1e-2),  # a step of x is sd / 16
    ],
)
def test_narrow_gammas(dtype, mean, sd, log_likelihood, shape, within):
    result = one(families.Gamma(), (mean + sd * GRID).astype(dtype))
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=within, atol=1e-6)
    np.testing.assert_allclose(result.params.components.shapes, [[shape]], rtol=within)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "mean", "log_likelihood"),
    [
        (np.float64, 1e4, -241.22728404659),
        (np.float64, 1e8, -425.42567690078),
        (np.float64, 1e12, -609.63267002283),
        (np.float32, 1e4, -241.22728404659),
        (np.float32, 1e6, -333.3222218424),
        (np.float32, 1e8, -425.42165028079),
    ],
)
def test_large_counts(dtype, mean, log_likelihood):
    x = np.round(mean + np.sqrt(mean) * GRID).astype(dtype)
    result = one(families.Poisson(), x)
    assert result.converged
    within = 1e-12 if dtype is np.float64 else 1e-6
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=within)
    np.testing.assert_allclose(result.params.components.rates, [[mean]], rtol=within)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "mean", "sd", "log_likelihood", "concentration", "within"),
    [
        (np.float64, 3.0, 0.1, 35.072374231456, 99.1444245733, 1e-11),
        (np.float64, 3.0, 1e-3, 219.29957512248, 987425.49904, 1e-11),
        (np.float64, -1.0, 1e-5, 403.50638458979, 9874250992.04, 1e-10),
        (np.float32, 3.0, 0.1, 35.072376469469, 99.1444356111, 1e-5),
        (np.float32, 3.0, 1e-3, 219.30001134267, 987447.03601, 1e-5),
        (np.float32, -1.0, 1e-5, 403.50707419915, 9874591466.71, 1e-3),  # a step of x is sd / 170
    ],
)
def test_angles_near_each_other(dtype, mean, sd, log_likelihood, concentration, within):
    result = one(families.VonMises(), (mean + sd * GRID).astype(dtype))
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=within)
    np.testing.assert_allclose(result.params.components.concentrations[0, 0], concentration, within)


# ---- two components, near enough for one pivot and too far for it; rows of both, and of neither

GAMMA_X = [[299.97], [300.0], [300.05], [310.0]]
GAMMAS = {
    300.0: [2.087686032449685, 2.587619363281976, 1.198718123313237, -54348.49620470582],
    600.0: [-19319715.96830849, -19314715.46837517, -19306383.52394307, -17702399.88553257],
}
POISSON_X = [[1e10], [9999900000.0], [20000100000.0], [3.0]]
POISSONS = {
    1e10: [-12.43186399818323, -12.93186066483323, -3863012938.945402, -9999999932.714207],
    2e10: [-3068528206.832411, -3068597522.050464, -13.02843967178717, -19999999930.63477],
    0.5: [-227189981117.9359, -227187609218.6248, -468245347049.2645, -4.371201010907891],
}
COUNTS = [[25e8, 25e8, 50e8], [25e8 + 1e5, 25e8 - 1e5, 50e8], [3, 0, 1], [5e9, 25e8, 25e8]]
MULTINOMIALS = {
    (0.25, 0.25, 0.5): [
        -23.13086004502494, -27.13086004529161, -3.465735902799727, -1732867974.530723,
    ],
    (0.5, 0.25, 0.25): [
        -1732867974.530723, -1732798663.812667, -2.079441541679836, -23.13086004502494,
    ],
}  # fmt: skip
ANGLES = [[3.0], [3.0002], [-1.0], [-1.0001]]
VON_MISES = {
    3.0: [8.29140183752151, 6.291401844188617, -165364353.7949594, -165356785.4431971],
    -1.0: [-165364353.7949594, -165349216.4378669, 8.29140183752151, 7.791401837938287],
}


def gammas(means):
    m = np.array(means)[:, None]
    return families.GammaParams(np.full_like(m, 1e8), 1e8 / m)


@pytest.mark.slow(but=("gamma",))
@pytest.mark.parametrize(
    ("family", "params_of", "x", "table"),
    [
        (families.Gamma(), gammas, GAMMA_X, GAMMAS),
        (
            families.Poisson(),
            lambda means: families.PoissonParams(np.array(means)[:, None]),
            POISSON_X,
            POISSONS,
        ),
        (
            families.Multinomial(),
            lambda rows: families.MultinomialParams(np.array(rows)),
            COUNTS,
            MULTINOMIALS,
        ),
        (
            families.VonMises(),
            lambda m: families.VonMisesParams(np.array(m)[:, None], np.full((len(m), 1), 1e8)),
            ANGLES,
            VON_MISES,
        ),
    ],
    ids=["gamma", "poisson", "multinomial", "von mises"],
)
def test_densities(family, params_of, x, table):
    """Each component alone, its own pivot, and all together."""
    x = jnp.asarray(x, float)
    for chosen in ([key] for key in table), [list(table)]:
        for some in chosen:
            params = jax.tree.map(jnp.asarray, params_of(some))
            found, _ = family.evaluate(family.prepare(params, None), x)
            expected = np.array([table[key] for key in some])
            # What a mean or an angle is rounded by moves a row's density by so much.
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=2e-6)


def _mixture(log_density, weights):
    logs = np.log(np.asarray(weights, float))[:, None]
    return logsumexp(np.array(log_density) + logs, axis=0).sum()


def _two(rng, of):
    return of((rng.random(800) < 0.4).astype(int))


def _gamma_case(rng):
    x = _two(rng, lambda z: rng.gamma(1e6, np.array([300, 301])[z] / 1e6))[:, None]

    def log_density(params, x):
        a, b = params
        return [
            stats.gamma.logpdf(x[:, 0], *own, scale=1 / r)
            for *own, r in zip(a[:, 0], b[:, 0], strict=True)
        ]

    return families.Gamma(), x, log_density


def _poisson_case(rng):
    x = _two(rng, lambda z: rng.poisson(np.array([1e6, 1.005e6])[z]))[:, None]
    return (
        families.Poisson(), x,
        lambda params, x: [stats.poisson.logpmf(x[:, 0], rate) for rate in params.rates[:, 0]],
    )  # fmt: skip


def _less_rare_case(rng):
    """Rates that one pivot serves."""
    x = _two(rng, lambda z: rng.poisson(np.array([3e4, 3.1e4])[z]))[:, None]
    return _poisson_case(rng)[0], x, _poisson_case(rng)[2]


def _multinomial_case(rng):
    p = np.array([[0.2, 0.3, 0.5], [0.201, 0.298, 0.501]])
    x = _two(rng, lambda z: np.array([rng.multinomial(10**6, p[i]) for i in z]))

    def log_density(params, x):
        rows = params.probabilities / params.probabilities.sum(1, keepdims=True)
        return [stats.multinomial.logpmf(x.astype(int), x.sum(1).astype(int), p) for p in rows]

    return families.Multinomial(), x, log_density


def _von_mises_case(rng):
    x = _two(rng, lambda z: rng.normal(np.array([3.1, 3.104])[z], 1e-3))[:, None]

    def log_density(params, x):
        return [
            -2 * c * np.sin((x[:, 0] - m) / 2) ** 2 - np.log(2 * np.pi * i0e(c))
            for m, c in zip(*(leaf[:, 0] for leaf in params), strict=True)
        ]

    return families.VonMises(), x, log_density


def _beta_case(rng):
    x = _two(rng, lambda z: rng.beta(np.array([3e5, 3.03e5])[z], 7e5))[:, None]

    def log_density(params, x):
        pairs = zip(*(leaf[:, 0] for leaf in params), strict=True)
        return [stats.beta.logpdf(x[:, 0], m * n, (1 - m) * n) for m, n in pairs]

    return families.Beta(), x, log_density


def _negative_binomial_case(rng):
    """Of sizes for which scipy has the digits."""
    share = 1e4 / (1e4 + np.array([1e6, 1.2e6]))
    x = _two(rng, lambda z: rng.negative_binomial(1e4, share[z]))[:, None]

    def log_density(params, x):
        pairs = zip(*(leaf[:, 0] for leaf in params), strict=True)
        return [stats.nbinom.logpmf(x[:, 0], s, s / (s + m)) for m, s in pairs]

    return families.NegativeBinomial(), x, log_density


CASES = [_gamma_case, _poisson_case, _less_rare_case, _multinomial_case, _von_mises_case,
         _beta_case, _negative_binomial_case]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_mixtures_in_float32(case):
    """The log-likelihood is that of the parameters, by scipy in float64, and no step falls."""
    family, x, log_density = case(np.random.default_rng(1))
    x = x.astype(np.float32)
    result = jaxem.fit(jaxem.Mixture(family, 2), x, key=jax.random.key(0), n_init=3)
    assert result.dtype == "float32"
    assert all(jaxem.Status(int(s)).converged for s in result.restarts.status)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), result.params)
    expected = _mixture(log_density(params.components, x.astype(float)), params.weights)
    np.testing.assert_allclose(result.log_likelihood, expected, atol=8e-6 * len(x))


@pytest.mark.slow
def test_a_narrow_prior_keeps_its_digits():
    """Rows seen before, as many as wanted, at the optimum: the fit is theirs."""
    x = 300 + 3e-4 * GRID
    alone = one(families.Gamma(), x)
    gap = float(np.mean(np.log1p((x - 300) / 300) - (x - 300) / 300))
    prior = families.GammaPrior(rows=1e6, mean=300.0, mean_log=np.log(300.0) + gap)
    both = one(families.Gamma(), x, prior=jaxem.MixturePrior(components=prior))
    assert alone.converged and both.converged
    np.testing.assert_allclose(both.params.components.shapes, alone.params.components.shapes, 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "value"),
    [(families.Gamma(), 300.0), (families.Gamma(), 1e-7), (families.VonMises(), 3.0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_without_spread_are_degenerate(family, value, dtype):
    result = one(family, np.full(30, value, dtype))
    assert result.status == jaxem.Status.DEGENERATE
