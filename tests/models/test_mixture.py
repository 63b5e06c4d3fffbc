import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import Status
from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.reference import gaussian_mixture as reference
from laws.compare import close
from laws.gaussian_cases import STRUCTURES, dense

THREE = jaxem.Mixture(Gaussian("full"), 3)


def two_groups(n=60, d=2, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return x + 2.5 * (np.arange(n) % 3 == 0)[:, None] + 5.0


def start_of(covariance, d, x):
    """Three components near the data, for any structure."""
    spread = {"full": np.eye(d)[None] * np.array([1.0, 2.0, 3.0])[:, None, None],
              "tied": 2 * np.eye(d), "diag": np.ones((3, d)) + np.arange(3)[:, None],
              "spherical": np.array([1.0, 2.0, 3.0])}[covariance]  # fmt: skip
    components = GaussianParams(jnp.asarray(x[:3]), jnp.asarray(spread))
    return jaxem.MixtureParams(jnp.array([0.2, 0.3, 0.5]), components)


def as_reference(covariance, params):
    return reference.Mixture(
        np.asarray(params.weights),
        np.asarray(params.components.means),
        dense(covariance, params.components),
    )


def from_reference(covariance, theta):
    c = theta.covariances
    stored = {"full": c, "tied": c[0], "diag": np.diagonal(c, axis1=1, axis2=2),
              "spherical": c[:, 0, 0]}[covariance]  # fmt: skip
    return jaxem.MixtureParams(theta.weights, GaussianParams(theta.means, stored))


PRIOR = GaussianPrior(
    mean=np.array([5.0, 6.0]), mean_precision=0.3, degrees_of_freedom=6.0, scale=1.5
)


@pytest.mark.slow(but=("full-False-float32",))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_a_whole_run_equals_the_reference(covariance, with_prior, dtype):
    """12 iterations with frequencies, some labels, and priors with reg_covar: 1e-9 in float64."""
    x = two_groups()
    weight = (np.arange(len(x)) % 4).astype(float)
    labels = np.where(np.arange(len(x)) % 7 == 3, np.arange(len(x)) % 3, -1)
    prior, oracle_prior = None, None
    if with_prior:
        prior = jaxem.MixturePrior(np.array([2.0, 1.5, 3.0]), PRIOR._replace(reg_covar=0.05))
        # spherical has one variance: its scale is the trace of the oracle's matrix
        scale = 1.5 * np.eye(2) / (2 if covariance == "spherical" else 1)
        oracle_prior = reference.Prior(np.array([2.0, 1.5, 3.0]), PRIOR.mean, 0.3, 6.0, scale, 0.05)
    params = start_of(covariance, 2, x)
    model = jaxem.Mixture(Gaussian(covariance), 3)
    result = jaxem.em(
        model, params, x.astype(dtype), weight, prior, tol=0.0, max_iter=12, labels=labels,
        acceleration=None,
    )  # fmt: skip
    theta, objectives = reference.em(
        x, as_reference(covariance, params), covariance, 12, weight, labels, oracle_prior
    )
    rtol = 1e-9 if dtype == np.float64 else 2e-4
    assert result.dtype == dtype and result.n_iter == 12
    close(result.params, from_reference(covariance, theta), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(result.log_posterior, objectives[-1], rtol=rtol)
    _, log_likelihood = reference.e_step(x, theta, weight, labels)
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=rtol)
    assert np.all(np.diff(objectives) > 0)


@pytest.mark.slow
def test_weights_are_frequencies():
    """Weight 3 means three equal rows; BIC counts their sum."""
    x = two_groups()
    times = np.arange(len(x)) % 4
    params = start_of("full", 2, x)
    weighted = jaxem.em(THREE, params, x, times, max_iter=30)
    repeated = jaxem.em(THREE, params, np.repeat(x, times, axis=0), max_iter=30)
    close(weighted.params, repeated.params, rtol=1e-9)
    np.testing.assert_allclose(weighted.bic, repeated.bic, rtol=1e-12)
    assert float(weighted.total_weight) == times.sum()


@pytest.mark.slow
def test_all_labels_known_is_discriminant_analysis():
    """Closed form: class shares, class means, class covariances; each start gives it."""
    x = two_groups()
    labels = (np.arange(len(x)) % 3 == 0).astype(int)
    model = jaxem.Mixture(Gaussian("full"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=3, labels=labels)
    for j in range(2):
        own = x[labels == j]
        np.testing.assert_allclose(result.params.weights[j], len(own) / len(x))
        np.testing.assert_allclose(result.params.components.means[j], own.mean(0))
        np.testing.assert_allclose(
            result.params.components.covariances[j], np.cov(own.T, bias=True), rtol=1e-10
        )
    assert result.converged and result.restarts.n_best == 3
    one_step = jaxem.em(model, result.params, x, labels=labels, max_iter=1)
    close(one_step.params, result.params)


@pytest.mark.slow
def test_some_labels_known_name_the_components():
    """Six labelled rows of 200 decide which component is which, in every start."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    x = rng.normal(size=(200, 2)) + 8.0 * truth[:, None]
    labels = np.full(200, -1)
    labels[[0, 1, 2]], labels[[100, 101, 102]] = 1, 0
    model = jaxem.Mixture(Gaussian("full"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(1), n_init=9, labels=labels)
    means = np.asarray(result.restarts.params.components.means)
    np.testing.assert_allclose(means[:, 1], np.broadcast_to(x[:100].mean(0), (9, 2)), atol=0.1)
    np.testing.assert_array_equal(jaxem.predict(model, result.params, x), 1 - truth)


@pytest.mark.slow
def test_an_absent_component_stays_absent():
    """Zero weight: parameters kept, not counted as free, nothing NaN, the rest as without it."""
    x = two_groups()
    two = jaxem.Mixture(Gaussian("full"), 2)
    params = start_of("full", 2, x)._replace(weights=jnp.array([0.4, 0.6, 0.0]))
    fewer = jaxem.MixtureParams(
        params.weights[:2], jax.tree.map(lambda leaf: leaf[:2], params.components)
    )
    prior = jaxem.MixturePrior(3.0, PRIOR)
    for p in (None, prior):
        result = jaxem.em(THREE, params, x, prior=p)
        expected = jaxem.em(two, fewer, x, prior=p)
        assert result.params.weights[2] == 0
        close(
            jax.tree.map(lambda leaf: leaf[2], result.params.components),
            jax.tree.map(lambda leaf: leaf[2], params.components), rtol=1e-12, atol=0,
        )  # fmt: skip
        close(jax.tree.map(lambda leaf: leaf[:2], result.params), expected.params)
        assert result.n_free_parameters == expected.n_free_parameters == 11
        assert result.status == expected.status
        close(result.log_posterior, expected.log_posterior)


@pytest.mark.parametrize("variance", [1e-2, 1e-4, 1e-8])
def test_soft_assignment_becomes_hard_as_the_variance_vanishes(variance):
    """Responsibilities become k-means' labels, and one EM step becomes one Lloyd step."""
    x = two_groups()
    centres = np.array([[4.0, 4.0], [7.0, 8.0], [5.0, 5.5]])
    distance = ((x[:, None] - centres) ** 2).sum(-1)
    labels = distance.argmin(1)
    margin = np.sort(distance, 1)[:, 1] - np.sort(distance, 1)[:, 0]
    assert margin.min() > 1e-3 and np.bincount(labels, minlength=3).min() > 0
    lloyd = np.stack([x[labels == j].mean(0) for j in range(3)])

    model = jaxem.Mixture(Gaussian("spherical"), 3)
    components = GaussianParams(jnp.asarray(centres), jnp.full(3, variance))
    params = jaxem.MixtureParams(jnp.full(3, 1 / 3), components)
    softness = np.exp(-margin.min() / (2 * variance))  # bound on what the others get
    r = np.asarray(jaxem.predict_proba(model, params, x))
    np.testing.assert_allclose(r, np.eye(3)[labels], atol=2 * softness)
    new = jaxem.em(model, params, x, max_iter=1).params
    np.testing.assert_allclose(new.components.means, lloyd, atol=10 * len(x) * softness)


def test_reg_covar_is_exact_ascent():
    """The objective with the reg_covar term never falls, and the M-step adds it to the diagonal."""
    x = two_groups()
    params = start_of("full", 2, x)
    objectives = [
        float(jaxem.em(THREE, params, x, max_iter=i, reg_covar=0.3).log_posterior)
        for i in range(12)
    ]
    assert np.all(np.diff(objectives) > 0)
    prior = jaxem.MixturePrior(components=GaussianPrior(reg_covar=0.3))
    statistics, _ = jaxem.e_step(THREE, params, x, prior=prior)
    with_reg = jaxem.m_step(THREE, params, statistics, prior)
    without = jaxem.m_step(THREE, params, statistics)
    added = with_reg.components.covariances - without.components.covariances
    np.testing.assert_allclose(added, np.stack([0.3 * np.eye(2)] * 3), atol=1e-12)


@pytest.mark.slow
def test_a_proper_prior_on_the_covariances_is_exempt_from_the_rule_of_few_rows():
    x = np.concatenate([two_groups(), [[40.0, -40.0]]])
    model = jaxem.Mixture(Gaussian("full"), 2)
    prior = jaxem.MixturePrior(components=PRIOR._replace(mean=None, mean_precision=0.0))
    labels = np.full(61, 0)
    labels[60] = 1
    fit = dict(key=jax.random.key(0), n_init=2, labels=labels)
    assert jaxem.fit(model, x, **fit).status == Status.DEGENERATE
    result = jaxem.fit(model, x, prior=prior, **fit)
    assert result.converged and result.health.count[1] == 1


@pytest.mark.slow(but=("diag",))
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_a_component_without_rows_goes_where_the_prior_says(covariance):
    """Its responsibilities underflow, its Dirichlet weight does not: the posterior still counts."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    model = jaxem.Mixture(Gaussian(covariance), 2)
    one = start_of(covariance, 2, x).components.covariances
    one = one if covariance == "tied" else one[:2]
    means = jnp.array([[0.0, 0.0], [2000.0, 0.0]])
    params = jaxem.MixtureParams(jnp.array([0.5, 0.5]), GaussianParams(means, one))
    prior = jaxem.MixturePrior(3.0, PRIOR)
    new = jaxem.em(model, params, x, prior=prior, max_iter=1).params
    np.testing.assert_allclose(new.components.means[1], PRIOR.mean, rtol=1e-12)
    result = jaxem.em(model, params, x, prior=prior)
    assert result.converged
    scale = 1.5 * np.eye(2) / (2 if covariance == "spherical" else 1)
    oracle_prior = reference.Prior(np.full(2, 3.0), PRIOR.mean, 0.3, 6.0, scale)
    _, objectives = reference.em(
        x, as_reference(covariance, params), covariance, int(result.n_iter), prior=oracle_prior
    )
    np.testing.assert_allclose(result.log_posterior, objectives[-1], rtol=1e-9)


def test_spec_is_checked_and_hashes_by_value():
    assert jaxem.Mixture(Gaussian("full"), 3) == jaxem.Mixture(Gaussian("full"), np.int64(3))
    assert hash(jaxem.Mixture(Gaussian("full"), 3.0)) == hash(jaxem.Mixture(Gaussian("full"), 3))
    for k in (0, -1, 2.5, "3", None):
        with pytest.raises(ValueError, match="n_components"):
            jaxem.Mixture(Gaussian("full"), k)
