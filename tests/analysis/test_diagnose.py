"""What diagnose says of parameters, against closed forms and the way EM takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import Mixture, MixtureParams, families
from jaxem.families import GaussianParams
from jaxem.fitting import fixed_point

MODEL = Mixture(families.Gaussian("full"), 2)
START = MixtureParams(
    jnp.array([0.4, 0.6]), GaussianParams(jnp.array([[0.0], [8.0]]), jnp.full((2, 1, 1), 6.0))
)


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return jnp.asarray(np.where(rng.random(60) < 0.4, rng.normal(1, 2, 60), rng.normal(9, 3, 60)))


@pytest.fixture(scope="module")
def best(x):
    return jaxem.em(MODEL, START, x, tol=1e-13, max_iter=5000).params


@pytest.mark.slow
def test_the_radius_is_the_rate_of_plain_em(x, best):
    found = jaxem.diagnose(MODEL, best, x)
    climb = jaxem.em_trace(MODEL, START, x, 120)
    steps = np.diff(np.asarray(climb.params.components.means[:, 1, 0]))
    np.testing.assert_allclose(found.spectral_radius, steps[-1] / steps[-2], rtol=1e-3)
    np.testing.assert_allclose(found.condition, 1 / (1 - found.spectral_radius))
    assert found.stationary and not found.singular and not found.at_boundary
    assert "none" in str(found)
    same = jnp.asarray(np.asarray(climb.params.components.means[-1] - best.components.means))
    ratio = found.direction.components.means
    assert np.sign(same[0, 0] / same[1, 0]) == np.sign(ratio[0, 0] / ratio[1, 0])


def test_the_remaining_gain_is_what_a_fit_gains(x, best):
    near = best._replace(components=best.components._replace(means=best.components.means + 0.02))
    found = jaxem.diagnose(MODEL, near, x)
    gain = jaxem.log_likelihood(MODEL, best, x) - jaxem.log_likelihood(MODEL, near, x)
    np.testing.assert_allclose(found.remaining_gain, gain / 60, rtol=0.05)
    far = near._replace(components=near.components._replace(means=near.components.means + 1.0))
    assert "not converged" in str(jaxem.diagnose(MODEL, far, x))


@pytest.mark.slow
def test_nothing_is_missing_of_one_component(x):
    one = Mixture(families.Gaussian("full"), 1)
    params = jaxem.fit(one, x, key=jax.random.key(0), n_init=1).params
    found = jaxem.diagnose(one, params, x)
    np.testing.assert_allclose(found.spectral_radius, 0, atol=1e-4)
    np.testing.assert_allclose(found.gradient_norm, 0, atol=1e-12)


def test_identical_components_are_a_saddle_point(x, best):
    same = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.5), best)
    moments = GaussianParams(
        jnp.full((2, 1), jnp.mean(x)), jnp.full((2, 1, 1), jnp.mean((x - jnp.mean(x)) ** 2))
    )
    found = jaxem.diagnose(MODEL, same._replace(components=moments), x)
    assert found.singular and found.stationary and found.condition == jnp.inf
    assert "saddle point" in str(found)


@pytest.mark.slow
def test_components_that_cannot_be_told_apart_are_singular():
    """A mixture of Bernoullis of one column is one Bernoulli: every split is as good."""
    x = np.repeat([[0.0], [1.0]], [12, 8], axis=0)
    model = Mixture(families.Bernoulli(), 2)
    params = MixtureParams(np.array([0.5, 0.5]), families.BernoulliParams(np.array([[0.2], [0.6]])))
    found = jaxem.diagnose(model, params, x)
    assert found.stationary and found.singular
    assert "do not determine" in str(found)
    assert np.all(np.isnan(jax.grad(
        lambda w: jaxem.em(model, params, x, w).params.weights[0]
    )(jnp.ones(20))))  # fmt: skip


def test_numbers_at_the_boundary_are_named():
    x = np.repeat([[1.0, 1], [1, 0], [0, 0]], [5, 4, 9], axis=0)
    model = Mixture(families.Bernoulli(), 1)
    params = MixtureParams(np.ones(1), families.BernoulliParams(np.array([[0.5, 5 / 18]])))
    assert not jaxem.diagnose(model, params, x).at_boundary
    ends = params._replace(components=families.BernoulliParams(np.array([[0.5, 0.0]])))
    found = jaxem.diagnose(model, ends, x * np.array([[1, 0]]))
    assert found.at_boundary
    assert "components.probabilities[0, 1]" in str(found)
    fixed = MixtureParams(None, families.BernoulliParams(np.array([[np.nan, 0.0]])))
    assert not jaxem.diagnose(model, ends, x * np.array([[1, 0]]), fixed=fixed).at_boundary


@pytest.mark.slow
def test_many_parameters_have_the_same_diagnosis(x, best, monkeypatch):
    expected = jaxem.diagnose(MODEL, best, x)
    monkeypatch.setattr(fixed_point, "DIRECT", 0)
    jax.clear_caches()
    found = jaxem.diagnose(MODEL, best, x)
    jax.clear_caches()
    for name in ("spectral_radius", "condition", "direction"):
        for a, b in zip(
            *(jax.tree.leaves(getattr(of, name)) for of in (found, expected)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-6)
