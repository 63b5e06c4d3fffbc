"""Weights that depend on covariates; laws are in tests/laws."""

import warnings

import jax
import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm

import jaxem
from jaxem import families
from jaxem.core import parameters

KEY = jax.random.key(0)
N, K = 240, 3
_RNG = np.random.default_rng(3)
Z = _RNG.normal(size=(N, 2))
TRUTH = np.array([[0.0, 0.0, 0.0], [0.5, 1.5, -1.0], [-0.5, -1.0, 1.0]])
LABELS = np.array([_RNG.choice(K, p=p) for p in softmax(np.c_[np.ones(N), Z] @ TRUTH.T, axis=1)])
X = np.array([0.0, 3.0, 7.0])[LABELS] + _RNG.normal(size=N)
MODEL = jaxem.Mixture(families.Gaussian("diag"), K, concomitants=2)


def log_weights(coefficients, z):
    return log_softmax(np.c_[np.ones(len(z)), z] @ np.asarray(coefficients).T, axis=1)


def regression(labels, z, precision=0.0):
    """Coefficients of the multinomial logit, by BFGS from 0 and Newton steps from there."""

    def objective(t):
        b = np.vstack([np.zeros(z.shape[1] + 1), t.reshape(K - 1, -1)])
        logs = log_weights(b, z)
        penalty = 0.5 * precision * (b[:, 1:] ** 2).sum()
        r = np.exp(logs) - np.eye(K)[labels]
        slope = r.T @ np.c_[np.ones(len(z)), z]
        slope[:, 1:] += precision * b[:, 1:]
        return penalty - logs[np.arange(len(z)), labels].sum(), slope[1:].ravel()

    start = np.zeros((K - 1) * (z.shape[1] + 1))
    found = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return np.vstack([np.zeros(z.shape[1] + 1), found.reshape(K - 1, -1)])


@pytest.fixture(scope="module")
def fitted():
    return jaxem.fit(MODEL, (X, Z), key=KEY, n_init=8, tol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "width"), [(0.0, 1.0), (2015.0, 5.0)])
def test_known_components_are_a_multinomial_regression(offset, width):
    """Also where the covariates are years, which lie far from 0."""
    result = jaxem.fit(MODEL, (X, offset + width * Z), key=KEY, n_init=1, labels=LABELS, tol=1e-13)
    expected = regression(LABELS, Z)
    slopes = expected[:, 1:] / width
    found = np.asarray(result.params.coefficients)
    np.testing.assert_allclose(found[:, 1:], slopes, rtol=1e-6, atol=1e-7)
    at_offset = found[:, 0] + offset * found[:, 1:].sum(axis=1)
    np.testing.assert_allclose(at_offset, expected[:, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(result.params.weights, np.bincount(LABELS) / N, rtol=1e-9)


def marginal(t):
    """Minus the log-likelihood of all parameters as one vector."""
    b = np.vstack([np.zeros(3), t[:6].reshape(2, 3)])
    logs = log_weights(b, Z) + norm.logpdf(X[:, None], t[6:9], np.exp(t[9:]))
    return -logsumexp(logs, axis=1).sum()


def vector(params):
    scales = np.sqrt(np.ravel(params.components.covariances))
    means = np.ravel(params.components.means)
    return np.concatenate([np.ravel(params.coefficients[1:]), means, np.log(scales)])


@pytest.mark.slow
def test_the_fit_is_where_a_search_of_the_likelihood_ends(fitted):
    here = vector(fitted.params)
    np.testing.assert_allclose(float(fitted.log_likelihood), -marginal(here), rtol=1e-12)
    away = here + 0.1 * _RNG.normal(size=here.size)
    found = optimize.minimize(marginal, away, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(fitted.log_likelihood, -found.fun, rtol=1e-9)
    np.testing.assert_allclose(here, found.x, atol=2e-5)
    assert fitted.n_free_parameters == here.size


def test_weights_are_the_means_of_those_of_the_rows(fitted):
    own = jaxem.concomitant_weights(MODEL, fitted.params, Z)
    np.testing.assert_allclose(own, np.exp(log_weights(fitted.params.coefficients, Z)), rtol=1e-12)
    np.testing.assert_allclose(fitted.params.weights, own.mean(axis=0), atol=1e-5)
    density = np.exp(norm.logpdf(X[:, None], *_moments(fitted.params)))
    joint = np.asarray(own) * density
    found = jaxem.predict_proba(MODEL, fitted.params, (X, Z))
    np.testing.assert_allclose(found, joint / joint.sum(1, keepdims=True), rtol=1e-9, atol=1e-14)


def _moments(params):
    return np.ravel(params.components.means), np.sqrt(np.ravel(params.components.covariances))


@pytest.mark.slow
def test_standard_errors_are_of_the_curvature(fitted):
    """By differences of the log-likelihood; the first component and the weights have none."""
    here, step = vector(fitted.params), 1e-3
    unit = step * np.eye(here.size)
    curvature = np.array([
        [marginal(here + a + b) - marginal(here + a - b) - marginal(here - a + b)
         + marginal(here - a - b) for b in unit] for a in unit
    ]) / (4 * step**2)  # fmt: skip
    expected = np.sqrt(np.diagonal(np.linalg.inv(curvature)))[:6].reshape(2, 3)
    found = jaxem.standard_errors(MODEL, fitted.params, (X, Z))
    np.testing.assert_allclose(found.coefficients[1:], expected, rtol=1e-3)
    assert np.all(found.coefficients[0] == 0) and np.all(np.isnan(found.weights))


@pytest.mark.slow
def test_slopes_of_0_are_a_plain_mixture():
    zero = np.where(np.arange(3) == 0, np.nan, np.zeros((K, 3)))
    fixed = jaxem.ConcomitantMixtureParams(None, None, zero)
    plain = jaxem.Mixture(families.Gaussian("diag"), K)
    options = {"key": KEY, "n_init": 8, "tol": 1e-12}
    held, free = jaxem.fit(MODEL, (X, Z), fixed=fixed, **options), jaxem.fit(plain, X, **options)
    np.testing.assert_allclose(held.log_likelihood, free.log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(held.params.weights, free.params.weights, atol=1e-4)
    assert held.n_free_parameters == free.n_free_parameters


def test_fixed_intercepts_of_far_covariates_are_kept():
    """Lines through a known point at 0, far from the rows: one slope each, by a search."""
    years = 2015 + 5 * Z[:, :1]
    model = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=1)
    fixed = jaxem.ConcomitantMixtureParams(
        None, None, np.array([[np.nan, np.nan], [-600.0, np.nan]])
    )
    two = np.minimum(LABELS, 1)
    start = jaxem.ConcomitantMixtureParams(
        np.array([0.5, 0.5]),
        families.GaussianParams(np.array([[0.0], [4.0]]), np.ones((2, 1))),
        np.array([[0.0, 0.0], [-600.0, 0.297]]),
    )
    result = jaxem.em(model, start, (X, years), labels=two, fixed=fixed, tol=1e-13)

    def loss(slope):
        eta = -600 + slope * years[:, 0]
        return np.logaddexp(0, eta).sum() - eta[two == 1].sum()

    best = optimize.minimize_scalar(loss, bracket=(0.29, 0.3), options={"xtol": 1e-12}).x
    assert result.params.coefficients[1, 0] == -600
    np.testing.assert_allclose(result.params.coefficients[1, 1], best, rtol=1e-7)


@pytest.mark.slow
def test_separated_components_are_told_of_and_a_precision_mends_them():
    split = (Z[:, 0] > 0).astype(int) + (Z[:, 0] > 1)
    result = jaxem.fit(MODEL, (X, Z), key=KEY, n_init=1, labels=split, min_count=0)
    assert any("is separated: column 0 of Z" in of for of in result.provenance.remarks)
    prior = jaxem.MixturePrior(precision=0.7)
    held = jaxem.fit(MODEL, (X, Z), key=KEY, n_init=1, labels=split, prior=prior, tol=1e-13)
    expected = regression(split, Z, 0.7)
    np.testing.assert_allclose(held.params.coefficients, expected, rtol=1e-5, atol=1e-6)
    penalty = 0.35 * (expected[:, 1:] ** 2).sum()
    np.testing.assert_allclose(held.log_posterior, held.log_likelihood - penalty, rtol=1e-9)
    assert not held.provenance.remarks


def test_a_dependent_column_is_told_of():
    model = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=2)
    with pytest.warns(UserWarning, match="columns 0, 1 of Z apart"):
        jaxem.fit(model, (X, np.c_[Z[:, 0], 2 * Z[:, 0]]), key=KEY, n_init=1, max_iter=3)


def test_drawn_rows_have_their_weights(fitted):
    (x, z), labels = jaxem.sample(MODEL, fitted.params, KEY, 4000)
    own = np.exp(log_weights(fitted.params.coefficients, z))
    chosen = np.eye(K)[np.asarray(labels)]
    error = np.sqrt((own * (1 - own)).sum(axis=0))
    assert x.shape == (4000, 1) and np.all(np.abs((chosen - own).sum(axis=0)) < 4 * error)
    assert np.all(np.abs(((chosen - own) * z[:, :1]).sum(axis=0)) < 5 * error)


def test_model_files_hold_coefficients(fitted, tmp_path):
    jaxem.save(tmp_path / "model.safetensors", MODEL, fitted.params)
    model, params = jaxem.load(tmp_path / "model.safetensors")
    assert model == MODEL
    jax.tree.map(np.testing.assert_array_equal, params, fitted.params)


@pytest.mark.slow
def test_selection_finds_the_number_of_components():
    models = [jaxem.Mixture(families.Gaussian("diag"), k, concomitants=2) for k in (2, 3)]
    found = jaxem.select(models, (X, Z), key=KEY, n_init=8)
    assert found.best.provenance.model == MODEL


def test_holes_are_filled_by_what_covariates_tell(fitted):
    """E[x | z] = sum_k w[k](z) m[k] in a row without x."""
    x = X[:, None].copy()
    x[:3] = np.nan
    holed = jaxem.Mixture(families.Gaussian("diag", missing=True), K, concomitants=2)
    filled = jaxem.impute(holed, fitted.params, (x, Z))
    expected = np.exp(log_weights(fitted.params.coefficients, Z[:3])) @ _moments(fitted.params)[0]
    np.testing.assert_allclose(filled[:3, 0], expected, rtol=1e-9)
    np.testing.assert_array_equal(filled[3:, 0], X[3:])


SPOILT = np.where(_RNG.random(N) < 0.1 + 0.3 * (Z[:, 0] > 0.5), _RNG.uniform(-20, 30, N), X)
NOISY = jaxem.Mixture(families.Gaussian("diag"), K, noise=True, concomitants=2)


def noisy_marginal(t):
    """The same of a mixture with noise over the box of the rows, one more class of the logit."""
    logs = log_weights(np.vstack([np.zeros(3), t[:9].reshape(3, 3)]), Z)
    logs[:, :3] += norm.logpdf(SPOILT[:, None], t[9:12], np.exp(t[12:]))
    logs[:, 3] -= np.log(np.ptp(SPOILT))
    return -logsumexp(logs, axis=1).sum()


@pytest.fixture(scope="module")
def noisy():
    return jaxem.fit(NOISY, (SPOILT, Z), key=KEY, n_init=8, tol=1e-11)


def test_noise_is_one_more_class_of_the_logit(noisy):
    """A search of the likelihood from nearby ends at the fit; shares are means over the rows."""
    here, params = vector(noisy.params), noisy.params
    assert params.coefficients.shape == (4, 3) and here.size == noisy.n_free_parameters == 15
    np.testing.assert_allclose(float(noisy.log_likelihood), -noisy_marginal(here), rtol=1e-12)
    away = here + 0.05 * _RNG.normal(size=here.size)
    found = optimize.minimize(noisy_marginal, away, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(noisy.log_likelihood, -found.fun, rtol=1e-9)
    own = np.asarray(jaxem.concomitant_weights(NOISY, params, Z))
    np.testing.assert_allclose(own, np.exp(log_weights(params.coefficients, Z)), rtol=1e-12)
    mean = own.mean(axis=0)
    np.testing.assert_allclose(params.noise.share, mean[3], atol=1e-5)
    np.testing.assert_allclose(params.weights, mean[:3] / mean[:3].sum(), atol=1e-5)
    shares = np.asarray(jaxem.predict_proba(NOISY, params, (SPOILT, Z)))
    density = norm.pdf(SPOILT[:, None], *_moments(params))
    joint = own * np.c_[density, np.full(N, 1 / np.ptp(SPOILT))]
    np.testing.assert_allclose(shares, joint / joint.sum(1, keepdims=True), rtol=1e-8, atol=1e-13)


@pytest.mark.slow
def test_standard_errors_of_the_log_odds_of_noise(noisy):
    """Of the curvature, by differences; the box reaches below 0."""
    here, step = vector(noisy.params), 1e-3
    unit = step * np.eye(here.size)
    curvature = np.array([
        [noisy_marginal(here + a + b) - noisy_marginal(here + a - b) - noisy_marginal(here - a + b)
         + noisy_marginal(here - a - b) for b in unit] for a in unit
    ]) / (4 * step**2)  # fmt: skip
    expected = np.sqrt(np.diagonal(np.linalg.inv(curvature)))[:9].reshape(3, 3)
    found = jaxem.standard_errors(NOISY, noisy.params, (SPOILT, Z))
    np.testing.assert_allclose(found.coefficients[1:], expected, rtol=1e-3)
    assert np.isnan(found.noise.share) and np.all(np.isnan(found.noise.low))


@pytest.mark.slow
def test_noisy_slopes_of_0_are_a_plain_noisy_mixture():
    zero = np.where(np.arange(3) == 0, np.nan, np.zeros((K + 1, 3)))
    fixed = jaxem.NoisyConcomitantMixtureParams(None, None, zero, None)
    plain = jaxem.Mixture(families.Gaussian("diag"), K, noise=True)
    options = {"key": KEY, "n_init": 8, "tol": 1e-12}
    held = jaxem.fit(NOISY, (SPOILT, Z), fixed=fixed, **options)
    free = jaxem.fit(plain, SPOILT, **options)
    np.testing.assert_allclose(held.log_likelihood, free.log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(held.params.noise.share, free.params.noise.share, atol=1e-4)
    assert held.n_free_parameters == free.n_free_parameters


@pytest.mark.slow
def test_components_of_a_noisy_fit_in_another_order(noisy, tmp_path):
    """Log odds are against the first, whichever it is; the noise stays last; files hold it all."""
    turned = parameters.take(NOISY.constraints, jax.device_get(noisy.params), np.array([2, 0, 1]))
    found = jaxem.log_prob(NOISY, turned, (SPOILT, Z))
    expected = jaxem.log_prob(NOISY, noisy.params, (SPOILT, Z))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    jaxem.save(tmp_path / "model.safetensors", NOISY, turned)
    model, params = jaxem.load(tmp_path / "model.safetensors")
    assert model == NOISY
    jax.tree.map(np.testing.assert_array_equal, params, turned)


@pytest.mark.slow
def test_drawn_noise_has_its_weights(noisy):
    (x, z), labels = jaxem.sample(NOISY, noisy.params, KEY, 4000)
    own = np.exp(log_weights(noisy.params.coefficients, z))
    error = np.sqrt((own * (1 - own)).sum(axis=0))
    chosen = np.eye(K + 1)[np.asarray(labels)]
    assert np.all(np.abs((chosen - own).sum(axis=0)) < 4 * error)
    beside = np.asarray(x)[np.asarray(labels) == K]
    assert np.min(beside) < -10 and np.max(beside) > 20


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (X, "give the tuple"),
        ((X, Z[:, :1]), "expected"),
        ((X, np.where(np.arange(N) == 4, np.nan, Z.T).T), "NaN"),
    ],
)
def test_other_data_are_refused(data, told):
    with pytest.raises(ValueError, match=told):
        jaxem.fit(MODEL, data, key=KEY, n_init=1)


def test_what_has_no_meaning_is_refused(fitted):
    with pytest.raises(ValueError, match="follows from the coefficients"):
        noisy = jaxem.Mixture(families.Gaussian("diag"), 2, noise=True, concomitants=2)
        known = jaxem.NoisyConcomitantMixtureParams(None, None, None, jaxem.Noise(0.1, None, None))
        jaxem.fit(noisy, (X, Z), key=KEY, n_init=1, fixed=known)
    with pytest.raises(ValueError, match="depend on covariates give precision"):
        prior = jaxem.MixturePrior(weights=2.0)
        jaxem.fit(MODEL, (X, Z), key=KEY, n_init=1, prior=prior)
    with pytest.raises(ValueError, match="there are none"):
        plain = jaxem.Mixture(families.Gaussian("diag"), 2)
        jaxem.fit(plain, X, key=KEY, n_init=1, prior=jaxem.MixturePrior(precision=1.0))
    with pytest.raises(ValueError, match="fix those"):
        fixed = jaxem.ConcomitantMixtureParams(np.array([0.2, np.nan, np.nan]), None, None)
        jaxem.fit(MODEL, (X, Z), key=KEY, n_init=1, fixed=fixed)
    with pytest.raises(ValueError, match="they are 0"):
        moved = fitted.params._replace(coefficients=fitted.params.coefficients + 1)
        jaxem.predict(MODEL, moved, (X, Z))
    with pytest.raises(ValueError, match="without noise"):
        jaxem.moments(MODEL, fitted.params)


def test_absent_first_component_leaves_the_others_their_weights():
    """Coefficients count against it all the same; one direction of them has no meaning."""
    params = jaxem.ConcomitantMixtureParams(
        np.array([0.0, 0.4, 0.6]),
        families.GaussianParams(np.array([[9.0], [0.0], [4.0]]), np.ones((3, 1))),
        TRUTH,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = jaxem.em(MODEL, params, (X, Z), tol=1e-10)
    two = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=2)
    start = jaxem.ConcomitantMixtureParams(
        params.weights[1:], jax.tree.map(lambda leaf: leaf[1:], params.components),
        np.vstack([np.zeros(3), TRUTH[2] - TRUTH[1]]),
    )  # fmt: skip
    expected = jaxem.em(two, start, (X, Z), tol=1e-10)
    np.testing.assert_allclose(result.log_likelihood, expected.log_likelihood, rtol=1e-8)
    assert result.n_free_parameters == expected.n_free_parameters
