"""Parameters that are known stay, and the others are the best that there are beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import expit, logsumexp

import jaxem
from jaxem import MixtureParams, MixturePrior, families
from jaxem.families import BernoulliParams, Gaussian, GaussianParams

NAN = np.nan
TWO = jaxem.Mixture(Gaussian("full"), 2)
BACKGROUND = MixtureParams(None, GaussianParams([[0.0], [NAN]], [[[25.0]], [[NAN]]]))


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(4)
    return np.concatenate([rng.normal(0, 5, 150), rng.normal(3, 0.8, 60)])[:, None]


def best(negative, starts):
    """The least value that scipy finds, and where."""
    found = [optimize.minimize(negative, start, method="BFGS") for start in starts]
    return min(found, key=lambda result: result.fun)


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_a_known_background(x, acceleration):
    def negative(t):
        share = expit(t[0])
        joint = [
            np.log1p(-share) + stats.norm(0, 5).logpdf(x[:, 0]),
            np.log(share) + stats.norm(t[1], np.exp(t[2])).logpdf(x[:, 0]),
        ]
        return -logsumexp(joint, axis=0).sum()

    expected = best(negative, [(-1.0, 2.0, 0.0), (0.0, -3.0, 1.0)])
    result = jaxem.fit(
        TWO, x, key=jax.random.key(0), n_init=10, fixed=BACKGROUND, acceleration=acceleration,
        tol=1e-10,
    )  # fmt: skip
    assert result.converged
    means, covariances = result.params.components
    assert float(means[0, 0]) == 0.0 and float(covariances[0, 0, 0]) == 25.0
    np.testing.assert_allclose(result.log_likelihood, -expected.fun, rtol=1e-8)
    np.testing.assert_allclose(means[1, 0], expected.x[1], atol=1e-3)
    assert int(result.n_free_parameters) == 3
    assert int(jaxem.n_free_parameters(TWO, result.params, fixed=BACKGROUND)) == 3
    bic = jaxem.bic(TWO, result.params, x, fixed=BACKGROUND)
    np.testing.assert_allclose(bic, result.bic, rtol=1e-12)


def test_known_error_rates():
    """A test of known sensitivity beside two unknown ones: a latent class model by scipy."""
    rng = np.random.default_rng(1)
    ill = rng.random(400) < 0.3
    rates = np.array([[0.1, 0.05, 0.2], [0.9, 0.7, 0.8]])
    x = (rng.random((400, 3)) < rates[ill.astype(int)]).astype(float)
    fixed = MixtureParams(None, BernoulliParams([[0.1, NAN, NAN], [0.9, NAN, NAN]]))

    def negative(t):
        p = np.array([[0.1, *expit(t[:2])], [0.9, *expit(t[2:4])]])
        logs = x @ np.log(p).T + (1 - x) @ np.log1p(-p).T
        weights = np.log([1 - expit(t[4]), expit(t[4])])
        return -logsumexp(logs + weights, axis=1).sum()

    expected = best(negative, [(-2.0, -2.0, 1.0, 1.0, -1.0), (1.0, 0.0, -1.0, 0.0, 0.0)])
    model = jaxem.Mixture(families.Bernoulli(), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=10, fixed=fixed, tol=1e-10)
    np.testing.assert_allclose(result.log_likelihood, -expected.fun, rtol=1e-8)
    np.testing.assert_array_equal(result.params.components.probabilities[:, 0], [0.1, 0.9])
    assert int(result.n_free_parameters) == 5


@pytest.mark.slow
def test_known_weights_leave_the_rest(x):
    model = jaxem.Mixture(Gaussian("full"), 3)
    fixed = MixtureParams([NAN, 0.25, NAN], None)
    result = jaxem.fit(model, x, key=jax.random.key(1), n_init=4, fixed=fixed)
    assert float(result.params.weights[1]) == 0.25
    np.testing.assert_allclose(jnp.sum(result.params.weights), 1.0, rtol=1e-12)
    assert int(result.n_free_parameters) == 7
    all_known = MixtureParams([0.5, 0.25, 0.25], None)
    assert int(jaxem.n_free_parameters(model, result.params, fixed=all_known)) == 6


@pytest.mark.parametrize("max_iter", [0, 1, 2, 3, 4])
def test_no_iterate_has_other_numbers(x, max_iter):
    """Neither a start that disagrees, nor what the acceleration proposes."""
    start = MixtureParams([0.6, 0.4], GaussianParams([[1.0], [6.0]], [[[9.0]], [[4.0]]]))
    fixed = BACKGROUND._replace(weights=[0.7, NAN])
    params = jaxem.em(TWO, start, x, fixed=fixed, max_iter=max_iter).params
    assert float(params.components.means[0, 0]) == 0.0
    assert float(params.components.covariances[0, 0, 0]) == 25.0
    assert float(params.weights[0]) == 0.7


def test_the_objective_never_falls(x):
    """Nor is a step anything but the best of those with the known numbers."""
    prior = MixturePrior(fixed=BACKGROUND)
    params = MixtureParams([0.5, 0.5], GaussianParams([[0.0], [6.0]], [[[25.0]], [[4.0]]]))
    before = -np.inf
    for _ in range(20):
        statistics, log_likelihood = jaxem.e_step(TWO, params, x)
        assert float(log_likelihood) >= before - 1e-9
        before = float(log_likelihood)
        params = jaxem.m_step(TWO, params, statistics, prior)
    assert float(params.components.means[0, 0]) == 0.0


def test_a_known_component_cannot_collapse(x):
    """Few rows and a narrow spread are what is known of it."""
    rows = np.concatenate([x, [[40.0]]])
    fixed = MixtureParams(None, GaussianParams([[40.0], [NAN]], [[[1e-4]], [[NAN]]]))
    start = MixtureParams([0.1, 0.9], GaussianParams([[40.0], [1.0]], [[[1e-4]], [[9.0]]]))
    assert not jaxem.em(TWO, start, rows).converged
    assert jaxem.em(TWO, start, rows, fixed=fixed).converged


@pytest.mark.slow
@pytest.mark.parametrize(
    "family, y_of",
    [
        (families.LinearRegression(), lambda rng, eta: eta + rng.normal(size=eta.shape)),
        (families.PoissonRegression(), lambda rng, eta: rng.poisson(np.exp(eta)).astype(float)),
        (
            families.LogisticRegression(),
            lambda rng, eta: (rng.random(eta.shape) < expit(eta)) * 1.0,
        ),
    ],
    ids=lambda of: type(of).__name__,
)
def test_a_known_coefficient_is_an_offset(family, y_of):
    """One component of a response with the slope known: scipy's maximum over the others."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 2))
    y = y_of(rng, 0.3 + X @ [0.5, -0.4])

    def negative(t):
        eta = t[0] + X @ [0.2, t[1]]
        if isinstance(family, families.LinearRegression):
            return -stats.norm(eta, np.exp(t[2])).logpdf(y).sum()
        if isinstance(family, families.PoissonRegression):
            return -stats.poisson(np.exp(eta)).logpmf(y).sum()
        return -stats.bernoulli(expit(eta)).logpmf(y).sum()

    n = 3 if isinstance(family, families.LinearRegression) else 2
    expected = best(negative, [np.zeros(n)])
    model = jaxem.Mixture(family, 1)
    start = jaxem.fit(model, (X, y), key=jax.random.key(0), n_init=1, max_iter=0).params
    free = jax.tree.map(lambda leaf: np.full(leaf.shape, NAN), start.components)
    fixed = MixtureParams(None, free._replace(coefficients=np.array([[NAN, 0.2, NAN]])))
    result = jaxem.em(model, start, (X, y), fixed=fixed, tol=1e-10)
    assert result.converged and int(result.n_free_parameters) == n
    np.testing.assert_allclose(result.log_likelihood, -expected.fun, rtol=1e-9)
    np.testing.assert_allclose(result.params.components.coefficients[0, 1], 0.2)


def _log_normal(params, x):
    return jnp.sum(jax.scipy.stats.norm.logpdf(x, params["mean"], params["scale"]), axis=1)


@pytest.mark.slow
def test_a_density_of_ones_own_keeps_what_is_known(x):
    """The same mixture as a Gaussian with its variances known."""
    family = families.Density(
        _log_normal,
        start=lambda x, weight: {"mean": jnp.mean(x), "scale": jnp.std(x)},
        to_unconstrained=lambda params: {**params, "scale": jnp.log(params["scale"])},
        from_unconstrained=lambda free: {**free, "scale": jnp.exp(free["scale"])},
    )
    model = jaxem.Mixture(family, 2)
    start = MixtureParams([0.5, 0.5], {"mean": [0.0, 4.0], "scale": [5.0, 1.0]})
    start = jax.tree.map(np.asarray, start, is_leaf=lambda leaf: isinstance(leaf, list))
    fixed = MixtureParams(None, {"mean": None, "scale": [5.0, 1.0]})
    found = jaxem.em(model, start, x, fixed=fixed, tol=1e-9)
    same = MixtureParams([0.5, 0.5], GaussianParams([[0.0], [4.0]], [[[25.0]], [[1.0]]]))
    known = MixtureParams(None, GaussianParams(None, [[[25.0]], [[1.0]]]))
    expected = jaxem.em(TWO, same, x, fixed=known, tol=1e-9)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-8)
    assert int(found.n_free_parameters) == int(expected.n_free_parameters) == 3


@pytest.mark.slow
def test_known_numbers_may_be_traced(x):
    start = MixtureParams([0.5, 0.5], GaussianParams([[0.0], [4.0]], [[[25.0]], [[1.0]]]))

    def log_likelihood(variance):
        covariances = jnp.array([[[NAN]], [[NAN]]]).at[0, 0, 0].set(variance)
        fixed = MixtureParams(None, GaussianParams(None, covariances))
        return jaxem.em(TWO, start, x, fixed=fixed, max_iter=50).log_likelihood

    together = jax.vmap(log_likelihood)(jnp.array([16.0, 25.0]))
    np.testing.assert_allclose(together[1], jax.jit(log_likelihood)(25.0), rtol=1e-9)
    assert float(together[0]) != float(together[1])


FULL2 = np.array([[[1.0, NAN], [NAN, 1.0]], [[NAN, NAN], [NAN, NAN]]])
WRONG = {
    "True and False": (TWO, MixtureParams([True, False], None)),
    "a tree like the parameters": (TWO, MixtureParams(None, (None, None, None))),
    "give MixtureParams": (TWO, (None, None)),
    "has shape": (TWO, MixtureParams([0.5], None)),
    "are from 0 and add up to 1": (TWO, MixtureParams([0.7, 0.7], None)),
    "not above 0": (TWO, MixtureParams(None, GaussianParams(None, [[[-1.0]], [[NAN]]]))),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_known(x, message):
    model, fixed = WRONG[message]
    with pytest.raises(ValueError, match=message):
        jaxem.fit(model, x, key=jax.random.key(0), fixed=fixed)


def test_parts_of_a_matrix_have_no_closed_form(x):
    two_columns = np.concatenate([x, np.flip(x)], axis=1)
    fixed = MixtureParams(None, GaussianParams(None, FULL2))
    with pytest.raises(ValueError, match="as a whole or not at all"):
        jaxem.fit(TWO, two_columns, key=jax.random.key(0), fixed=fixed)


def test_probabilities_that_are_known_must_be_some():
    model = jaxem.Mixture(families.Categorical(3), 1)
    fixed = MixtureParams(None, families.CategoricalParams(([[0.8, 0.8, NAN]],)))
    with pytest.raises(ValueError, match="add up to 1"):
        jaxem.fit(model, np.arange(9) % 3, key=jax.random.key(0), n_init=1, fixed=fixed)
