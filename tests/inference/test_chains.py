"""Recursions over hidden chains equal sums over all paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.inference import forward_backward, viterbi
from jaxem.inference.forward_backward import Chain
from jaxem.reference.hidden_markov import over_paths

SHAPES = [(1, 1), (1, 3), (2, 2), (6, 2), (5, 3)]


def problem(t, k, zeros, seed=0):
    rng = np.random.default_rng(seed)
    initial, transition = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    if zeros and k > 1:
        transition = np.triu(transition)
        transition /= transition.sum(1, keepdims=True)
        initial = np.eye(k)[0]
    return initial, transition, rng.gamma(1.0, size=(t, k))


def as_lanes(densities, extra=2):
    """One lane, with steps of padding at its end."""
    t, k = densities.shape
    with np.errstate(divide="ignore"):
        logs = np.concatenate([np.log(densities), np.zeros((extra, k))])[:, :, None]
    first = np.ones((t + extra, 1), bool)
    first[1:t] = False
    weight = np.concatenate([np.ones(t), np.zeros(extra)])[:, None]
    return jnp.asarray(logs), jnp.asarray(first), jnp.asarray(weight)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_everything_equals_the_sum_over_paths(shape, zeros):
    t = shape[0]
    initial, transition, densities = problem(*shape, zeros)
    if t > 3:
        densities[2] = 1.0  # not observed
    expected = over_paths(initial, transition, densities)
    chain = Chain(jnp.asarray(initial), jnp.asarray(transition))
    logs, first, weight = as_lanes(densities)
    for found in (
        forward_backward.smooth(chain, logs, first, weight),
        forward_backward._smooth_logs(chain, logs, first, jnp.where(first, 0, weight)),
    ):
        np.testing.assert_allclose(jnp.sum(found.log_likelihood[:t]), expected.log_likelihood)
        np.testing.assert_allclose(found.states[:t, :, 0], expected.states, atol=1e-12)
        np.testing.assert_allclose(found.pairs, expected.pairs, atol=1e-12)
        assert float(jnp.sum(jnp.abs(found.log_likelihood[t:]))) < 1e-12
    path, terms = viterbi.viterbi(chain, logs, first)
    np.testing.assert_array_equal(path[:t, 0], expected.path)
    np.testing.assert_allclose(jnp.sum(terms[:t]), expected.log_joint)
    filtered = forward_backward.filter_states(chain, logs, first)
    np.testing.assert_allclose(filtered.states[t - 1, :, 0], expected.states[-1], atol=1e-12)


def test_sequences_after_each_other_are_those_apart():
    initial, transition, a = problem(5, 3, False)
    b = problem(3, 3, False, seed=1)[2]
    chain = Chain(jnp.asarray(initial), jnp.asarray(transition))
    logs = jnp.log(jnp.asarray(np.concatenate([a, b])))[:, :, None]
    first = jnp.zeros((8, 1), bool).at[jnp.array([0, 5]), 0].set(True)
    weight = jnp.concatenate([jnp.full(5, 2.0), jnp.full(3, 0.5)])[:, None]
    found = forward_backward.smooth(chain, logs, first, weight)
    one, two = over_paths(initial, transition, a), over_paths(initial, transition, b)
    np.testing.assert_allclose(found.states[:, :, 0], np.concatenate([one.states, two.states]))
    np.testing.assert_allclose(found.pairs, 2.0 * one.pairs + 0.5 * two.pairs)
    path, _ = viterbi.viterbi(chain, logs, first)
    np.testing.assert_array_equal(path[:, 0], np.concatenate([one.path, two.path]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_lost_in_underflow(dtype):
    """A state that only the last step reveals, after others that all but rule it out."""
    far = -800.0 if dtype == np.float64 else -90.0
    logs = jnp.asarray([[0.0, far], [0.0, far], [-jnp.inf, 0.0]], dtype)[:, :, None]
    chain = Chain(jnp.asarray([0.5, 0.5], dtype), jnp.eye(2, dtype=dtype))
    first = jnp.asarray([[True], [False], [False]])
    found = forward_backward.smooth(chain, logs, first, jnp.ones((3, 1), dtype))
    np.testing.assert_allclose(jnp.sum(found.log_likelihood), np.log(0.5) + 2 * far, rtol=1e-6)
    np.testing.assert_allclose(found.states[:, 1, 0], 1.0)
    assert found.states.dtype == dtype


def test_what_is_impossible_has_no_likelihood():
    logs = jnp.asarray([[0.0, 0.0], [-jnp.inf, -jnp.inf]])[:, :, None]
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.full((2, 2), 0.5))
    first = jnp.asarray([[True], [False]])
    found = forward_backward.smooth(chain, logs, first, jnp.ones((2, 1)))
    assert float(jnp.sum(found.log_likelihood)) == -np.inf


def test_padding_reaches_no_gradient():
    initial, transition, densities = problem(4, 2, False)
    logs, first, weight = as_lanes(densities, extra=3)

    def log_likelihood(logs, transition):
        chain = Chain(jnp.asarray(initial), transition)
        found = forward_backward.smooth(chain, logs, first, weight)
        return jnp.sum(jnp.where(weight > 0, found.log_likelihood, 0))

    in_logs, in_transition = jax.grad(log_likelihood, (0, 1))(logs, jnp.asarray(transition))
    np.testing.assert_array_equal(in_logs[4:], np.zeros((3, 2, 1)))
    expected = over_paths(initial, transition, densities)
    np.testing.assert_allclose(in_logs[:4, :, 0], expected.states, atol=1e-12)  # Fisher's identity
    np.testing.assert_allclose(in_transition * transition, expected.pairs, atol=1e-12)


def test_long_sequences_neither_underflow_nor_drift():
    rng = np.random.default_rng(0)
    logs = jnp.asarray(rng.normal(size=(20_000, 2, 50)) * 30)
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.asarray([[0.9, 0.1], [0.2, 0.8]]))
    first = jnp.zeros((20_000, 50), bool).at[0].set(True)
    found = jax.jit(forward_backward.smooth)(chain, logs, first, jnp.ones(first.shape))
    assert bool(jnp.all(jnp.isfinite(found.log_likelihood)))
    np.testing.assert_allclose(jnp.sum(found.states, axis=1), 1.0, rtol=1e-9)
