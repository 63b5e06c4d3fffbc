"""Fits inside larger programs: a layer of a network, a prior that is tuned, rows that matter."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxem
from jaxem import HMM, Mixture, MixtureParams, MixturePrior, families
from jaxem.families import GaussianParams, GaussianPrior
from laws.compare import close

ONE_D = Mixture(families.Gaussian("full"), 2)
START = MixtureParams(
    jnp.array([0.5, 0.5]), GaussianParams(jnp.array([[-1.0], [1.0]]), jnp.full((2, 1, 1), 0.5))
)


def rings(n, rng):
    """Two rings around each other, which no two normals in the plane tell apart."""
    outer = rng.random(n) < 0.5
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(outer, 2.0, 0.7) + 0.15 * rng.normal(size=n)
    return jnp.asarray(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)), outer


def test_a_mixture_layer_behind_a_network_is_trained_end_to_end():
    """A few labels teach the network to make a feature in which a mixture of two normals, fitted to
    all rows, tells the rings apart."""
    x, outer = rings(120, np.random.default_rng(0))
    network = eqx.nn.MLP(2, 1, 8, 1, jnp.tanh, key=jax.random.key(3))
    taught = slice(0, 40)

    def features(network):
        raw = jax.vmap(network)(x)
        return (raw - jnp.mean(raw)) / jnp.std(raw)

    def responsibilities(network):
        feature = features(network)
        fitted = jaxem.em(ONE_D, START, feature, reg_covar=0.05)
        return jaxem.predict_proba(ONE_D, fitted.params, feature)[:, 1]

    @eqx.filter_jit
    def step(network, rate):
        def loss(network):
            p = jnp.clip(responsibilities(network)[taught], 1e-3, 1 - 1e-3)
            return -jnp.mean(jnp.where(outer[taught], jnp.log(p), jnp.log(1 - p)))

        value, gradient = eqx.filter_value_and_grad(loss)(network)
        return eqx.apply_updates(network, jax.tree.map(lambda g: -rate * g, gradient)), value

    losses = []
    for _ in range(60):
        network, value = step(network, 0.3)
        losses.append(float(value))
    right = np.mean((responsibilities(network) > 0.5) == outer)
    assert np.all(np.isfinite(losses)) and losses[-1] < 0.5 * losses[0]
    assert right > 0.9


@pytest.mark.slow
def test_weights_may_be_the_output_of_a_network():
    x, _ = rings(60, np.random.default_rng(1))
    network = eqx.nn.MLP(2, "scalar", 4, 1, jnp.tanh, jax.nn.softplus, key=jax.random.key(0))

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def mean(network):
        weight = jax.vmap(network)(x)
        return jaxem.em(ONE_D, START, x[:, 0], weight, tol=1e-13).params.components.means[1, 0]

    _, gradient = mean(network)
    flat, unravel = ravel_pytree(eqx.filter(network, eqx.is_array))
    slope = ravel_pytree(eqx.filter(gradient, eqx.is_array))[0]
    to, step = jnp.cos(jnp.arange(flat.size, dtype=flat.dtype)), 1e-4

    def at(e):
        moved = eqx.combine(unravel(flat + e * to), eqx.filter(network, eqx.is_array, inverse=True))
        return mean(moved)[0]

    np.testing.assert_allclose(slope @ to, (at(step) - at(-step)) / (2 * step), rtol=1e-6)


@pytest.mark.slow
def test_the_strength_of_a_prior_is_tuned_by_gradient():
    """Held-out log-likelihood rises along its gradient to a stationary strength."""
    rng = np.random.default_rng(2)
    centre = np.array([[0.0, 0], [2.5, 1]])
    train, test = (centre[rng.integers(0, 2, n)] + rng.normal(size=(n, 2)) for n in (24, 200))
    model = Mixture(families.Gaussian("full"), 2)
    start = MixtureParams(np.full(2, 0.5), GaussianParams(centre, np.stack([np.eye(2)] * 2)))

    @jax.jit
    @jax.value_and_grad
    def held_out(log_rows):
        rows = jnp.exp(log_rows)
        prior = MixturePrior(
            components=GaussianPrior(degrees_of_freedom=rows, scale=0.4 * rows * jnp.eye(2))
        )
        params = jaxem.em(model, start, train, prior=prior).params
        return jnp.mean(jaxem.log_prob(model, params, test))

    at, values = jnp.asarray(0.0), []
    for _ in range(60):
        value, slope = held_out(at)
        values.append(float(value))
        at = at + 15.0 * slope
    assert values[-1] > values[0] + 0.02
    assert abs(held_out(at)[1]) < 1e-3
    grid = [float(held_out(at + shift)[0]) for shift in (-1.0, 1.0)]
    assert values[-1] > max(grid)


@pytest.mark.slow
def test_the_influence_of_each_row_is_that_of_leaving_it_out():
    """To first order in its weight: refits without a row agree in order, and to second order."""
    rng = np.random.default_rng(4)
    x = jnp.asarray(np.where(rng.random(60) < 0.4, rng.normal(-1, 1, 60), rng.normal(3, 1, 60)))

    def params(weight):
        found = jaxem.em(ONE_D, START, x, weight, tol=1e-12, max_iter=5000).params
        return ravel_pytree(found)[0]

    whole = jnp.ones(60)
    influence = jax.jit(jax.jacobian(params))(whole)  # (6, 60)
    refits = jax.jit(jax.vmap(lambda i: params(whole.at[i].set(0.0))))(jnp.arange(60))
    left_out = (params(whole)[None] - refits).T
    for first, exact in zip(np.asarray(influence), np.asarray(left_out), strict=True):
        assert np.corrcoef(first, exact)[0, 1] > 0.98
        np.testing.assert_allclose(first, exact, atol=0.25 * np.abs(exact).max())
    halves = jax.jit(jax.vmap(lambda i: params(whole.at[i].add(-0.01))))(jnp.arange(60))
    np.testing.assert_allclose(
        influence, (params(whole)[None] - halves).T / 0.01, rtol=0.02, atol=2e-4
    )


@pytest.mark.slow
def test_the_gradient_of_what_a_decoder_says_of_a_fit():
    """Through an HMM that is fitted, and smoothed."""
    rng = np.random.default_rng(6)
    z = np.repeat([0, 1, 0, 1], 15)
    x = jnp.asarray(rng.normal(3.0 * z))
    model = HMM(families.Gaussian("diag"), 2)
    start = jaxem.fit(model, x, key=jax.random.key(0), n_init=4).params

    def doubt(x):
        params = jaxem.em(model, start, x, tol=1e-13, max_iter=5000).params
        return jnp.sum(jaxem.smooth(model, params, x)[:, 0] ** 2)

    slope, to, step = jax.jit(jax.grad(doubt))(x), jnp.asarray(rng.normal(size=60)), 1e-4
    differences = (doubt(x + step * to) - doubt(x - step * to)) / (2 * step)
    np.testing.assert_allclose(slope @ to, differences, rtol=1e-5)


@pytest.mark.slow
def test_what_is_known_inside_a_jit_gives_the_same_as_outside():
    """All values are closed over: nothing is traced but the program around them."""
    x = np.asarray(rings(60, np.random.default_rng(1))[0])
    model = Mixture(families.Gaussian("diag"), 2)
    params = jaxem.fit(model, x, key=jax.random.key(0), tol=1e-12).params
    calls = {
        "one start": lambda: jaxem.fit(model, x, key=jax.random.key(0), n_init=1).log_likelihood,
        "starts": lambda: jaxem.fit(model, x, key=jax.random.key(0), n_init=5).log_likelihood,
        "given": lambda: jaxem.em(model, params, x).log_likelihood,
        "rows": lambda: jaxem.predict_proba(model, params, x),
        "errors": lambda: jaxem.standard_errors(model, params, x),
    }
    for call in calls.values():
        close(jax.jit(call)(), call(), rtol=1e-6)
