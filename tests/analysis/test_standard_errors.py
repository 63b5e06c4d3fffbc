"""Standard errors: against R's numDeriv, second differences, each other, and closed forms."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations
from jax.flatten_util import ravel_pytree
from scipy import stats
from scipy.special import logsumexp

import jaxem
from jaxem import HMM, HMMParams, HMMPrior, Mixture, MixtureParams, MixturePrior, datasets
from jaxem.families import (
    Bernoulli,
    BernoulliParams,
    Categorical,
    CategoricalParams,
    Gaussian,
    GaussianParams,
    LinearRegression,
    LinearRegressionParams,
    Poisson,
    PoissonParams,
    PoissonPrior,
)

RNG = np.random.default_rng(0)
SIDE = RNG.random(150) < 0.4
NUMBERS = np.where(SIDE, RNG.normal(0, 1, 150), RNG.normal(4, 1, 150))[:, None]
POINTS = np.where(SIDE[:, None], RNG.normal(0, 1, (150, 2)), RNG.normal(2.5, 1, (150, 2)))
COUNTS = RNG.poisson(np.where(SIDE, 2.0, 9.0))[:, None].astype(float)
LEVELS = np.where(SIDE[:, None], RNG.random((150, 4)) < 0.8, RNG.random((150, 4)) < 0.3)
LEVELS = LEVELS.astype(float)
SLOPES = RNG.normal(size=(150, 1))
RESPONSES = np.where(SIDE, 1 + 2 * SLOPES[:, 0], -1 - SLOPES[:, 0]) + RNG.normal(0, 0.5, 150)
HOLES = np.where(RNG.random((150, 2)) < 0.2, np.nan, POINTS)
HOLES[np.isnan(HOLES).all(1)] = 0.0
QUAKES = datasets.load_earthquakes().x[:, 1]
SHARES = np.array([0.4, 0.6])

GAUSSIAN = Mixture(Gaussian("full"), 2)
POISSON = Mixture(Poisson(), 2)
CHAIN = HMM(Poisson(), 2)
LINE = LinearRegressionParams(np.array([[1.0, 2.0], [-1.0, -1.0]]), np.full(2, 0.5))
NORMAL = GaussianParams(np.array([[0.0], [4.0]]), np.ones((2, 1, 1)))
SQUARE = np.array([[0.0, 0.0], [2.5, 2.5]])
RATES = PoissonParams(np.array([[2.0], [9.0]]))
CHAIN_START = HMMParams(
    np.full(2, 0.5), np.array([[0.9, 0.1], [0.1, 0.9]]), PoissonParams(np.array([[15.0], [26.0]]))
)
YES = np.array([0.8, 0.3])
CASES = {
    "full": (GAUSSIAN, NUMBERS, MixtureParams(SHARES, NORMAL)),
    "diag": (
        Mixture(Gaussian("diag"), 2),
        POINTS,
        MixtureParams(SHARES, GaussianParams(SQUARE, np.ones((2, 2)))),
    ),
    "tied": (
        Mixture(Gaussian("tied"), 2),
        POINTS,
        MixtureParams(SHARES, GaussianParams(SQUARE, np.eye(2))),
    ),
    "holes": (
        Mixture(Gaussian("full", missing=True), 2),
        HOLES,
        MixtureParams(SHARES, GaussianParams(SQUARE, np.stack([np.eye(2)] * 2))),
    ),
    "poisson": (POISSON, COUNTS, MixtureParams(SHARES, RATES)),
    "categorical": (
        Mixture(Categorical(n_categories=(2,) * 4), 2),
        LEVELS,
        MixtureParams(
            SHARES, CategoricalParams((np.stack([1 - YES, YES], 1),) * 4)
        ),
    ),
    "regression": (
        Mixture(LinearRegression(common_scale=True), 2),
        (SLOPES, RESPONSES),
        MixtureParams(SHARES, LINE),
    ),
    "chain": (CHAIN, QUAKES, CHAIN_START),
    "stationary": (HMM(Poisson(), 2, initial="stationary"), QUAKES, CHAIN_START),
}  # fmt: skip


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


def fitted(name):
    model, x, start = CASES[name]
    return model, jaxem.em(model, start, x, tol=1e-12, max_iter=5000).params, x


def hessian(function, theta, step=1e-4):
    """By central differences, steps relative to the size of each number."""
    h = step * np.maximum(np.abs(theta), 0.1)
    eye = np.diag(h)
    return np.array(
        [
            [
                (function(theta + a + b) - function(theta + a - b)
                 - function(theta - a + b) + function(theta - a - b)) / (4 * a.sum() * b.sum())
                for b in eye
            ]
            for a in eye
        ]
    )  # fmt: skip


def by_differences(function, theta):
    return np.sqrt(np.diag(np.linalg.inv(-hessian(function, np.asarray(theta)))))


# ---- R, numDeriv 2016.8-1.1: inverse of the Hessian of the log-likelihood at its maximum


def test_numderiv_faithful():
    x = datasets.load_faithful().x
    covariances = [
        [[0.0691676725593117, 0.435167624443513], [0.435167624443513, 33.6972820723022]],
        [[0.169968435747093, 0.94060931927023], [0.94060931927023, 36.0462113175528]],
    ]
    means = [[2.03638845461996, 54.4785163769683], [4.28966197309599, 79.9681151738561]]
    weights = np.array([0.355872857105708, 1 - 0.355872857105708])
    params = MixtureParams(weights, GaussianParams(np.array(means), np.array(covariances)))
    se = jaxem.standard_errors(Mixture(Gaussian("full"), 2), params, x)
    np.testing.assert_allclose(se.weights, [0.0290891102268566] * 2, rtol=1e-5)
    expected = [
        [0.0271083515066802, 0.591873774356089], [0.0314031146204144, 0.456185725792339],
    ]  # fmt: skip
    np.testing.assert_allclose(se.components.means, expected, rtol=1e-5)
    expected = [
        [[0.0105749619537161, 0.166001668351279], [0.166001668351279, 4.85472222058662]],
        [[0.0188718752411353, 0.210417784557844], [0.210417784557844, 3.92514376060409]],
    ]
    np.testing.assert_allclose(se.components.covariances, expected, rtol=1e-5)


@pytest.mark.slow
def test_numderiv_galaxies():
    deviations = np.array([0.422509054371838, 2.20380023450352, 0.921717088642548])
    weights = np.array([0.0853652867349654, 0.878051345741465])
    means = np.array([9.71013923952944, 21.4038505957676, 33.0443820890298])
    components = GaussianParams(means[:, None], (deviations**2)[:, None, None])
    params = MixtureParams(np.append(weights, 1 - weights.sum()), components)
    x = datasets.load_galaxies().x
    se = jaxem.standard_errors(Mixture(Gaussian("full"), 3), params, x)
    np.testing.assert_allclose(se.weights[:2], [0.0308573864730683, 0.0361365544206813], rtol=1e-5)
    expected = [0.159695083033028, 0.259729152716329, 0.532183065749324]
    np.testing.assert_allclose(se.components.means[:, 0], expected, rtol=1e-5)
    expected = [0.112921048756086, 0.183722296287895, 0.376300356721225]
    of_deviations = se.components.covariances[:, 0, 0] / (2 * deviations)
    np.testing.assert_allclose(of_deviations, expected, rtol=1e-5)


@pytest.mark.slow
def test_numderiv_latent_classes():
    items = [
        [0.963630110609988, 0.806428171418426, 0.686637126882052, 0.845418841065338,
         0.921013738243672],
        [0.846912698012907, 0.51948564446124, 0.293053070807058, 0.602681343482599,
         0.770769607125713],
    ]  # fmt: skip
    weights = np.array([0.660461025238818, 1 - 0.660461025238818])
    params = MixtureParams(weights, BernoulliParams(np.array(items)))
    se = jaxem.standard_errors(Mixture(Bernoulli(), 2), params, datasets.load_lsat().x)
    expected = [
        [0.0152308307975157, 0.0436420453089041, 0.0543865919275231, 0.0357269946141548,
         0.0244256562319409],
        [0.0429250803433573, 0.0734203956785268, 0.101995767224197, 0.0685623607256154,
         0.0477175428663064],
    ]  # fmt: skip
    np.testing.assert_allclose(se.weights[0], 0.149185946307624, rtol=1e-4)
    np.testing.assert_allclose(se.components.probabilities, expected, rtol=1e-4)


# ---- second differences of log-likelihoods written here


@pytest.mark.slow
def test_tied_covariances_by_differences():
    model, params, x = fitted("tied")
    lower = np.tril_indices(2)

    def log_likelihood(theta):
        (w,), means, entries = theta[:1], theta[1:5].reshape(2, 2), theta[5:]
        cov = np.zeros((2, 2))
        cov[lower] = entries
        cov = np.tril(cov) + np.tril(cov, -1).T
        each = [stats.multivariate_normal(m, cov).pdf(x) for m in means]
        return np.log(w * each[0] + (1 - w) * each[1]).sum()

    theta = np.r_[params.weights[:1], flat(params.components.means),
                  params.components.covariances[lower]]  # fmt: skip
    se = jaxem.standard_errors(model, params, x)
    ours = np.r_[se.weights[:1], flat(se.components.means), se.components.covariances[lower]]
    np.testing.assert_allclose(ours, by_differences(log_likelihood, theta), rtol=1e-4)


@pytest.mark.slow
def test_missing_cells_by_differences():
    """A row is seen through the cells that it has."""
    model, params, x = fitted("holes")
    lower = np.tril_indices(2)
    seen = [(~np.isnan(x) == [a, b]).all(1) for a, b in ((1, 1), (1, 0), (0, 1))]

    def log_density(mean, cov):
        out = stats.multivariate_normal(mean, cov).logpdf(np.nan_to_num(x))
        for column in range(2):
            alone = stats.norm(mean[column], np.sqrt(cov[column, column])).logpdf(x[:, column])
            out = np.where(seen[1 + column], alone, out)
        return out

    def log_likelihood(theta):
        each = []
        for mean, (a, b, c) in zip(theta[1:5].reshape(2, 2), theta[5:].reshape(2, 3), strict=True):
            each.append(log_density(mean, np.array([[a, b], [b, c]])))
        logs = np.log([theta[0], 1 - theta[0]])
        return np.logaddexp(logs[0] + each[0], logs[1] + each[1]).sum()

    def natural(tree):
        entries = np.asarray(tree.components.covariances)[:, *lower]
        return np.r_[tree.weights[:1], flat(tree.components.means), entries.ravel()]

    se = natural(jaxem.standard_errors(model, params, x))
    np.testing.assert_allclose(se, by_differences(log_likelihood, natural(params)), rtol=1e-4)


@pytest.mark.slow
def test_a_common_scale_by_differences():
    model, params, x = fitted("regression")

    def log_likelihood(theta):
        means = theta[1:5].reshape(2, 2) @ np.stack([np.ones(150), x[0][:, 0]])
        each = stats.norm(means, theta[5]).pdf(x[1])
        return np.log(theta[0] * each[0] + (1 - theta[0]) * each[1]).sum()

    def natural(tree):
        own = tree.components
        return np.r_[tree.weights[:1], flat(own.coefficients), own.scales[:1]]

    se = natural(jaxem.standard_errors(model, params, x))
    np.testing.assert_allclose(se, by_differences(log_likelihood, natural(params)), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "stationary"])
def test_chains_by_differences(name):
    """Second derivatives through the recursion, and through the law that the chain stays in."""
    model, params, x = fitted(name)

    def log_likelihood(theta):
        (a, b), rates = theta[:2], theta[2:]
        transition = np.array([[1 - a, a], [b, 1 - b]])
        law = np.asarray(params.initial) if name == "chain" else np.array([b, a]) / (a + b)
        densities = stats.poisson(rates).pmf(x[:, None])
        total, alpha = 0.0, law
        for density in densities:
            alpha = alpha * density
            total += np.log(alpha.sum())
            alpha = alpha / alpha.sum() @ transition
        return total

    def natural(tree):
        off = tree.transition[np.array([0, 1]), np.array([1, 0])]
        return np.r_[off, flat(tree.emissions)]

    se = jaxem.standard_errors(model, params, x)
    expected = by_differences(log_likelihood, natural(params))
    np.testing.assert_allclose(natural(se), expected, rtol=1e-4)
    assert np.isnan(se.initial).all() if name == "chain" else (se.initial > 0).all()
    np.testing.assert_allclose(jnp.diagonal(se.transition), expected[:2], rtol=1e-4)


# ---- the methods against each other


@pytest.mark.slow(but=("tied",))
@pytest.mark.parametrize("name", CASES)
def test_louis_is_the_observed_information(name):
    model, params, x = fitted(name)
    observed, louis = (
        flat(jaxem.standard_errors(model, params, x, method=method))
        for method in ("observed", "louis")
    )
    np.testing.assert_allclose(louis, observed, rtol=1e-6)
    assert (observed > 0).sum() >= 4


def test_outer_products_and_sandwich_are_those_of_the_scores():
    """The scores from first principles: s = sum_k r[k] d log(w[k] Poisson(x; rate[k]))."""
    model, params, x = fitted("poisson")
    (w, v), (a, b) = params.weights, params.components.rates[:, 0]
    joint = np.stack([w * stats.poisson(a).pmf(x[:, 0]), v * stats.poisson(b).pmf(x[:, 0])])
    r = joint / joint.sum(0)
    scores = np.stack([r[0] / w - r[1] / v, r[0] * (x[:, 0] / a - 1), r[1] * (x[:, 0] / b - 1)])
    outer = scores @ scores.T

    def log_likelihood(theta):
        p, rates = theta[0], theta[1:, None]
        each = stats.poisson(rates).pmf(x[:, 0][None])
        return np.log(p * each[0] + (1 - p) * each[1]).sum()

    bread = np.linalg.inv(-hessian(log_likelihood, np.array([w, a, b])))
    for method, matrix in (("outer", np.linalg.inv(outer)), ("sandwich", bread @ outer @ bread)):
        se = jaxem.standard_errors(model, params, x, method=method)
        ours = np.r_[se.weights[0], flat(se.components)]
        np.testing.assert_allclose(ours, np.sqrt(np.diag(matrix)), rtol=1e-4)


def sequences():
    """Nine, of different lengths, of a chain that changes sides every ten steps."""
    rng = np.random.default_rng(1)
    return [
        rng.poisson(np.where((np.arange(20 + i % 3) // 10 + i) % 2, 9.0, 2.0)).astype(float)
        for i in range(9)
    ]


@pytest.mark.slow
def test_scores_of_sequences_are_one_by_one():
    """A sequence packed into lanes end to end has the score of Fisher's identity, the expected
    complete one: sum_t P(z[t] = k | x) (x[t] / rate[k] - 1)."""
    x = sequences()
    start = CHAIN_START._replace(emissions=RATES)
    given = x + x[:3]
    params = jaxem.em(CHAIN, start, given, tol=1e-12, max_iter=5000).params

    fixed = HMMParams(params.initial, params.transition, None)
    rates = np.asarray(params.emissions.rates)[:, 0]
    shares = jaxem.smooth(CHAIN, params, given)
    pairs = zip(shares, given, strict=True)
    scores = np.stack(
        [np.sum(np.asarray(p) * (own[:, None] / rates - 1), axis=0) for p, own in pairs]
    )
    se = jaxem.standard_errors(CHAIN, params, given, method="outer", fixed=fixed)
    expected = np.sqrt(np.diag(np.linalg.inv(scores.T @ scores)))
    np.testing.assert_allclose(flat(se.emissions), expected, rtol=1e-6)
    assert not flat(se.transition).any()
    weight = np.r_[np.full(3, 2.0), np.ones(6)]
    short = jaxem.standard_errors(
        CHAIN, params, x, method="outer", fixed=fixed, sample_weight=weight
    )
    np.testing.assert_allclose(flat(short), flat(se), rtol=1e-9)


def test_one_sequence_has_no_outer_product():
    with pytest.raises(ValueError, match="one sequence"):
        jaxem.standard_errors(CHAIN, CHAIN_START, QUAKES, method="sandwich")


# ---- closed forms and invariances


def test_one_component_by_the_book():
    """se(m) = s / sqrt(n), se(s^2) = s^2 sqrt(2 / n); with the mean fixed as well."""
    x, model = NUMBERS, Mixture(Gaussian("full"), 1)
    params = jaxem.em(model, MixtureParams(np.ones(1), jax.tree.map(lambda a: a[:1], NORMAL)), x)
    se = jaxem.standard_errors(model, params.params, x)
    variance, n = x.var(), len(x)
    assert se.weights[0] == 0
    np.testing.assert_allclose(flat(se.components.means), np.sqrt(variance / n), rtol=1e-6)
    np.testing.assert_allclose(
        flat(se.components.covariances), variance * np.sqrt(2 / n), rtol=1e-6
    )
    fixed = MixtureParams(None, GaussianParams(np.array([[1.0]]), None))
    params = jaxem.em(model, params.params, x, fixed=fixed).params
    se = jaxem.standard_errors(model, params, x, fixed=fixed)
    variance = ((x - 1) ** 2).mean()
    assert se.components.means[0, 0] == 0
    np.testing.assert_allclose(
        flat(se.components.covariances), variance * np.sqrt(2 / n), rtol=1e-6
    )


@pytest.mark.slow
def test_a_prior_counts_as_rows():
    """Gamma(a, b) on a rate: the mode (sum x + a - 1) / (n + b), the information (n + b) / mode."""
    model, x = Mixture(Poisson(), 1), COUNTS
    prior = MixturePrior(components=PoissonPrior(shape=30.0, rate=20.0))
    mode = (x.sum() + 29) / (len(x) + 20)
    params = MixtureParams(np.ones(1), PoissonParams(np.array([[mode]])))
    for method in ("observed", "louis"):
        se = jaxem.standard_errors(model, params, x, method=method, prior=prior)
        np.testing.assert_allclose(flat(se.components), np.sqrt(mode / (len(x) + 20)), rtol=1e-8)


@pytest.mark.slow
def test_weights_are_repeated_rows_in_any_block_and_order():
    model, params, x = fitted("poisson")
    weight = np.tile([1.0, 2.0, 0.0], 50)
    repeated = np.repeat(x, weight.astype(int), axis=0)
    params = jaxem.em(model, params, repeated, tol=1e-12).params
    for method in ("observed", "sandwich"):
        expected = jaxem.standard_errors(model, params, repeated, method=method)
        holed = np.where(weight[:, None] > 0, x, np.nan)
        se = jaxem.standard_errors(model, params, holed, sample_weight=weight, method=method)
        np.testing.assert_allclose(flat(se), flat(expected), rtol=1e-7)
    turned = jax.tree.map(lambda leaf: leaf[::-1], params)
    se = jaxem.standard_errors(model, turned, repeated[::-1])
    expected = jaxem.standard_errors(model, params, repeated)
    np.testing.assert_allclose(flat(jax.tree.map(lambda a: a[::-1], se)), flat(expected), rtol=1e-7)


@pytest.mark.slow
def test_many_blocks_are_one():
    """More rows than a block has, the last of them overlapping."""
    model, params, _ = fitted("poisson")
    x = np.tile(COUNTS, (150, 1))[:20_011]
    params = jaxem.em(model, params, x, tol=1e-13).params
    values, counts = np.unique(x, return_counts=True)
    expected = jaxem.standard_errors(
        model, params, values[:, None], sample_weight=counts.astype(float), method="sandwich"
    )
    se = jaxem.standard_errors(model, params, x, method="sandwich")
    np.testing.assert_allclose(flat(se), flat(expected), rtol=1e-7)


@pytest.mark.slow
def test_labels_make_it_the_complete_information():
    """With all components seen, each has its own rows: no covariance between them is left."""
    labels = np.where(SIDE, 0, 1)
    params = jaxem.em(GAUSSIAN, CASES["full"][2], NUMBERS, labels=labels).params
    found = jaxem.parameter_covariance(GAUSSIAN, params, NUMBERS, labels=labels)
    matrix, n = np.asarray(found.matrix), len(labels)
    share, counts = SIDE.mean(), np.array([SIDE.sum(), (~SIDE).sum()])
    variances = np.asarray(params.components.covariances)[:, 0, 0]
    expected = np.r_[[share * (1 - share) / n] * 2, variances / counts, 2 * variances**2 / counts]
    np.testing.assert_allclose(np.diag(matrix), expected, rtol=1e-6)
    assert matrix[0, 1] == pytest.approx(-expected[0])
    np.testing.assert_allclose(matrix[2, 3:], 0, atol=1e-12)


def test_the_covariance_names_its_rows():
    model, params, x = fitted("tied")
    found = jaxem.parameter_covariance(model, params, x)
    se = flat(jaxem.standard_errors(model, params, x))
    np.testing.assert_allclose(np.sqrt(np.diag(found.matrix)), se, rtol=1e-12)
    assert found.names[:3] == ("weights[0]", "weights[1]", "components.means[0, 0]")
    assert found.names[-1] == "components.covariances[1, 1]" and not found.remarks
    rows = np.asarray(found.matrix)
    np.testing.assert_allclose(rows[0] + rows[1], 0, atol=1e-12)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    np.testing.assert_allclose(found.matrix[-3], found.matrix[-2], rtol=1e-9)


def test_a_fit_stopped_short_has_the_errors_of_the_maximum():
    """The default tol leaves 1e-6 a row; the errors are those where the likelihood is highest."""
    model, params, x = fitted("poisson")
    short = jaxem.em(model, CASES["poisson"][2], x, tol=1e-4).params
    assert np.abs(flat(short) - flat(params)).max() > 1e-4
    se, expected = (flat(jaxem.standard_errors(model, own, x)) for own in (short, params))
    np.testing.assert_allclose(se, expected, rtol=1e-5)


@pytest.mark.slow
def test_float32_stays_and_is_near():
    model, params, x = fitted("full")
    expected = flat(jaxem.standard_errors(model, params, x))
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    se = jaxem.standard_errors(model, single, x.astype(np.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(se)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(flat(se), expected, rtol=1e-3)


@pytest.mark.slow
def test_traced_calls_are_the_same_and_compile_once():
    model, params, x = fitted("poisson")
    expected = flat(jaxem.standard_errors(model, params, x))
    traces = []

    @jax.jit
    def both(x, params):
        traces.append(1)
        return jax.vmap(lambda own: jaxem.standard_errors(model, params, own))(x)

    se = both(jnp.stack([x, x]), params)
    np.testing.assert_allclose(flat(jax.tree.map(lambda a: a[1], se)), expected, rtol=1e-8)
    both(jnp.stack([x, x[::-1]]), params)
    assert len(traces) == 1
    with compilations() as names:
        jaxem.standard_errors(model, params, x[::-1], fixed=None)
    assert not names


# ---- what has no standard error


def test_identical_components_are_named():
    params = MixtureParams(SHARES, jax.tree.map(lambda a: np.stack([a, a]), GaussianParams(
        NUMBERS.mean(0), np.atleast_2d(NUMBERS.var()))))  # fmt: skip
    with pytest.warns(UserWarning, match="singular to float64: components 0 and 1 are identical"):
        se = jaxem.standard_errors(GAUSSIAN, params, NUMBERS)
    assert np.isnan(flat(se)).all()


@pytest.mark.slow
def test_a_component_too_many_is_named():
    x = RNG.poisson(4.0, 150)[:, None].astype(float)
    params = MixtureParams(np.full(3, 1 / 3), PoissonParams(np.full((3, 1), x.mean())))
    with pytest.warns(UserWarning, match="components 0 and 1 are identical"):
        se = jaxem.standard_errors(Mixture(Poisson(), 3), params, x)
    assert np.isnan(flat(se)).all()


@pytest.mark.slow
def test_what_rows_do_not_tell_is_named_and_the_rest_is_there():
    """Two columns that are the same, in one regression: their sum is known, they are not."""
    X = np.concatenate([SLOPES, SLOPES], axis=1)
    model = Mixture(LinearRegression(), 1)
    y = 1 + 2 * SLOPES[:, 0] + RNG.normal(0, 0.5, 150)
    one = np.linalg.lstsq(np.concatenate([np.ones((150, 1)), SLOPES], 1), y, rcond=None)[0]
    scale = np.sqrt(((y - one[0] - one[1] * SLOPES[:, 0]) ** 2).mean())
    own = LinearRegressionParams(np.array([[one[0], one[1] / 2, one[1] / 2]]), np.array([scale]))
    with pytest.warns(UserWarning, match=r"tell nothing of components.coefficients\[0, 1\], "):
        se = jaxem.standard_errors(model, MixtureParams(np.ones(1), own), (X, y))
    assert np.isnan(se.components.coefficients[0, 1:]).all()
    np.testing.assert_allclose(se.components.scales, scale / np.sqrt(300), rtol=1e-6)
    found = jaxem.parameter_covariance(model, MixtureParams(np.ones(1), own), (X, y))
    assert "tell nothing" in found.remarks[0] and np.isnan(found.matrix[2]).all()


@pytest.mark.slow
def test_absent_components_and_boundaries():
    """What is absent changes nothing; a rate of 0 has no error, and the others are given it."""
    model, params, x = fitted("poisson")
    expected = jaxem.standard_errors(model, params, x)
    more = MixtureParams(
        np.append(params.weights, 0.0),
        PoissonParams(np.concatenate([params.components.rates, [[5.0]]])),
    )
    se = jaxem.standard_errors(Mixture(Poisson(), 3), more, x)
    np.testing.assert_allclose(se.weights[:2], expected.weights, rtol=1e-8)
    np.testing.assert_allclose(se.components.rates[:2], expected.components.rates, rtol=1e-8)
    assert se.weights[2] == 0 and np.isnan(se.components.rates[2, 0])

    zeros = np.concatenate([np.zeros((60, 1)), 3 + RNG.poisson(9.0, (90, 1))]).astype(float)
    start = MixtureParams(SHARES, PoissonParams(np.array([[0.0], [9.0]])))
    result = jaxem.em(POISSON, start, zeros, tol=1e-12)
    found = jaxem.parameter_covariance(POISSON, result.params, zeros)
    assert np.isnan(found.matrix[2, 2]) and "components.rates[0, 0]" in found.remarks[0]
    se = jaxem.standard_errors(POISSON, result.params, zeros)
    assert np.isfinite(flat(se)[[0, 1, 3]]).all()


@pytest.mark.slow
def test_transitions_ruled_out_have_no_error():
    model = HMM(Poisson(), 3, transitions="cyclic", initial="fixed")
    start = HMMParams(
        np.array([1.0, 0, 0]),
        np.array([[0.9, 0.1, 0], [0, 0.9, 0.1], [0.1, 0, 0.9]]),
        PoissonParams(np.array([[13.0], [27.0], [20.0]])),
    )
    params = jaxem.em(model, start, QUAKES, tol=1e-12, max_iter=5000).params
    se = jaxem.standard_errors(model, params, QUAKES)
    assert not np.asarray(se.transition)[np.asarray(params.transition) == 0].any()
    assert not flat(se.initial).any()
    assert (np.asarray(se.transition)[np.asarray(params.transition) > 0] > 0).all()


@pytest.mark.slow
def test_fixed_numbers_have_no_error():
    prior = HMMPrior(fixed=HMMParams(None, np.array([[0.9, 0.1], [np.nan, np.nan]]), None))
    params = jaxem.em(CHAIN, CHAIN_START, QUAKES, prior=prior, tol=1e-12).params
    se = jaxem.standard_errors(CHAIN, params, QUAKES, prior=prior)
    assert not flat(se.transition[0]).any() and (se.transition[1] > 0).all()


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        (MixtureParams(SHARES, PoissonParams(np.array([[2.0], [6.0]]))), {}, "from the maximum"),
        (MixtureParams(SHARES, RATES), {"method": "hessian"}, "method is 'hessian'"),
        (MixtureParams(SHARES, RATES), {"sample_weight": np.ones(3)}, "sample_weight has shape"),
    ],
)
def test_bad_input_is_said(params, options, message):
    with pytest.raises(ValueError, match=message):
        jaxem.standard_errors(POISSON, params, COUNTS, **options)


@pytest.mark.slow
def test_a_saddle_is_no_maximum():
    """Between two maxima the gradient may be 0; curvature tells."""
    x = np.array([-3.0, -2.9, 3.0, 2.9, -3.1, 3.1])[:, None]
    params = MixtureParams(
        np.full(2, 0.5), GaussianParams(np.zeros((2, 1)), np.array([[[1.0]], [[1.0]]]) * x.var())
    )
    model = Mixture(Gaussian("tied"), 2)
    params = params._replace(components=GaussianParams(np.zeros((2, 1)), np.array([[x.var()]])))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        se = jaxem.standard_errors(model, params, x)
    assert "identical" in str(caught[0].message) and np.isnan(flat(se)).all()


def forward(rates, transition, initial, x):
    """The log-likelihood of a Poisson chain, by NumPy's forward recursion in logarithms."""
    with np.errstate(divide="ignore"):
        logs, first = np.log(transition), np.log(initial)
    emitted = stats.poisson.logpmf(x[:, None], rates)
    f = first + emitted[0]
    for row in emitted[1:]:
        f = logsumexp(f[:, None] + logs, axis=0) + row
    return logsumexp(f)


@pytest.mark.slow
def test_a_transition_on_its_way_to_0_is_at_0():
    """Against the numerical Hessian in log rates and log odds with that transition at 0."""
    rng, states = np.random.default_rng(0), [0]
    truth = np.array([[0.9, 0.1, 0], [0.05, 0.85, 0.1], [0, 0.15, 0.85]])
    for _ in range(299):
        states.append(rng.choice(3, p=truth[states[-1]]))
    x = rng.poisson(np.array([2.0, 8, 20])[states])
    model, allowed = HMM(Poisson(), 3), truth > 0
    start = HMMParams(np.array([1.0, 0, 0]), truth, PoissonParams(np.array([[2.0], [8], [20]])))
    params = jaxem.em(model, start, x, tol=1e-13, max_iter=5000).params
    transition, rates = np.array(params.transition), np.asarray(params.emissions.rates)[:, 0]

    def negative(v):
        odds = np.zeros((3, 3))
        odds[allowed] = np.exp(v[3:])
        return -forward(np.exp(v[:3]), odds / odds.sum(1, keepdims=True), np.array([1.0, 0, 0]), x)

    at, h = np.concatenate([np.log(rates), np.log(transition[allowed])]), 1e-3
    steps = h * np.eye(len(at))
    hessian = np.zeros((len(at), len(at)))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps[: i + 1]):
            rise = negative(at + a + b) - negative(at + a - b)
            fall = negative(at - a + b) - negative(at - a - b)
            hessian[i, j] = hessian[j, i] = rise - fall
    covariance = np.linalg.pinv(hessian / (4 * h**2), rcond=1e-6)
    expected = np.sqrt(np.diag(covariance))[:3] * rates
    for value in (0.0, 1e-100, 6e-22, 1e-9):
        near = transition.copy()
        near[0, 2] = near[2, 0] = value
        near /= near.sum(1, keepdims=True)
        se = jaxem.standard_errors(model, params._replace(transition=near), x)
        found = np.asarray(se.emissions.rates)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, err_msg=str(value))
