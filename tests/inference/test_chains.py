"""Recursions over hidden chains equal sums over all paths."""

from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.inference import forward_backward, logarithmic, paths, recursions
from jaxem.inference.chain import Chain
from jaxem.inference.forward_backward import Block
from jaxem.inference.recursions import RECURSIONS
from jaxem.reference.hidden_markov import over_paths

LANE = 9  # steps, of which those beyond a sequence are padding
SHAPES = [(1, 1), (4, 1), (1, 3), (2, 2), (7, 2), (7, 3)]


def by_logarithms(*given):
    return forward_backward._smooth_by(logarithmic, *given)[0]


SMOOTHERS = {
    "scaled": jax.jit(forward_backward.smooth),
    "logarithmic": jax.jit(by_logarithms),
    "associative": jax.jit(RECURSIONS["associative"].smooth),
}
FILTERS = {name: jax.jit(of.log_filter) for name, of in RECURSIONS.items()}
VITERBIS = {name: jax.jit(of.viterbi) for name, of in RECURSIONS.items()}


def problem(t, k, zeros, seed=0):
    rng = np.random.default_rng(seed)
    initial, transition = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    if zeros and k > 1:
        transition = np.triu(transition)
        transition /= transition.sum(1, keepdims=True)
        initial = np.eye(k)[0]
    densities = rng.gamma(1.0, size=(t, k))
    if t > 3:
        densities[2] = 1.0  # not observed
    return initial, transition, densities


def as_lanes(densities, lane=LANE):
    """One lane, with steps of padding at its end."""
    t, k = densities.shape
    logs = np.zeros((lane, k, 1))
    logs[:t, :, 0] = np.log(densities)
    first = np.ones((lane, 1), bool)
    first[1:t] = False
    weight = (np.arange(lane) < t).astype(float)[:, None]
    return jnp.asarray(logs), jnp.asarray(first), jnp.asarray(weight)


@pytest.mark.slow(but=("shape0-False",))
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_everything_equals_the_sum_over_paths(shape, zeros):
    t = shape[0]
    initial, transition, densities = problem(*shape, zeros)
    expected = over_paths(initial, transition, densities)
    chain = Chain(jnp.asarray(initial), jnp.asarray(transition))
    logs, first, weight = as_lanes(densities)
    for smooth in SMOOTHERS.values():
        found = smooth(chain, logs, first, weight)
        np.testing.assert_allclose(jnp.sum(found.log_likelihood[:t]), expected.log_likelihood)
        np.testing.assert_allclose(found.states[:t, :, 0], expected.states, atol=1e-12)
        np.testing.assert_allclose(found.pairs, expected.pairs, atol=1e-12)
        assert float(jnp.sum(jnp.abs(found.log_likelihood[t:]))) < 1e-12
    for decode in VITERBIS.values():
        path, terms = decode(chain, logs, first)
        np.testing.assert_array_equal(path[:t, 0], expected.path)
        np.testing.assert_allclose(jnp.sum(terms[:t]), expected.log_joint)
    for log_filter in FILTERS.values():
        steps, log_alphas = log_filter(chain, logs, first)
        alphas = jnp.exp(log_alphas)
        predicted = forward_backward.predicted(chain, first, alphas)
        for step in range(t):
            upto = over_paths(initial, transition, densities[: step + 1])
            unseen = np.concatenate([densities[:step], np.ones((1, shape[1]))])
            without = over_paths(initial, transition, unseen)
            np.testing.assert_allclose(alphas[step, :, 0], upto.states[-1], atol=1e-12)
            np.testing.assert_allclose(predicted[step, :, 0], without.states[-1], atol=1e-12)
            np.testing.assert_allclose(jnp.sum(steps[: step + 1]), upto.log_likelihood)


def test_paths_are_drawn_in_proportion_to_their_probability():
    """All 16 paths of four steps: a chi-square of 15 degrees of freedom."""
    initial, transition, densities = problem(4, 2, False)
    chain = Chain(jnp.asarray(initial), jnp.asarray(transition))
    logs, first, _ = as_lanes(densities)
    _, log_alphas = FILTERS["sequential"](chain, logs, first)
    keys = jax.random.split(jax.random.key(0), 8000)
    draw = jax.vmap(paths.sample_path, in_axes=(0, None, None, None))
    drawn = np.asarray(draw(keys, chain, first, log_alphas))[:, :4, 0]
    seen = np.bincount(drawn @ [8, 4, 2, 1], minlength=16)
    p = np.array([_joint(initial, transition, densities, z) for z in product(range(2), repeat=4)])
    expected = len(keys) * p / p.sum()
    assert np.sum((seen - expected) ** 2 / expected) < 37.7  # 0.999 of the law


def _joint(initial, transition, densities, path):
    moves = np.prod([transition[i, j] for i, j in pairwise(path)])
    return initial[path[0]] * moves * np.prod([f[z] for f, z in zip(densities, path, strict=True)])


def by_blocks(chain, logs, first, weight, length):
    """-> (pairs, weighted sums of the states, the weighted log-likelihood)."""

    def block(index):
        steps = (logs, first, weight)
        own = (jax.lax.dynamic_slice_in_dim(of, index * length, length) for of in steps)
        return Block(*own, index)

    def collect(block, found):
        own = jnp.where(block.weight > 0, block.weight * found.log_likelihood, 0)
        return found.pairs, jnp.sum(block.weight[:, None] * found.states, 0), jnp.sum(own)

    return forward_backward.accumulate(chain, len(logs) // length, block, collect)


@pytest.mark.parametrize("far", [0.0, -800.0])
def test_blocks_of_time_are_the_whole(far):
    """Sequences that begin within blocks and go over their ends; also where the scaled are lost."""
    rng = np.random.default_rng(4)
    logs = rng.normal(size=(12, 2, 3))
    logs[3:6, 1] += far
    logs[6:8, 0] += 2 * far
    first = np.zeros((12, 3), bool)
    first[0], first[5, 1], first[8:, 2] = True, True, True
    weight = np.ones((12, 3)) * [1.0, 2.0, 0.5]
    weight[8:, 2] = 0
    logs[8:, :, 2] = 0
    chain = Chain(jnp.asarray([0.3, 0.7]), jnp.asarray([[0.9, 0.1], [0.2, 0.8]]))
    whole = SMOOTHERS["logarithmic"](chain, *map(jnp.asarray, (logs, first, weight)))

    given = map(jnp.asarray, (logs, first, weight))
    pairs, states, total = jax.jit(lambda: by_blocks(chain, *given, 4))()
    np.testing.assert_allclose(pairs, whole.pairs, atol=1e-12)
    np.testing.assert_allclose(states, jnp.sum(weight[:, None] * whole.states, 0), atol=1e-12)
    np.testing.assert_allclose(total, jnp.sum(weight * whole.log_likelihood))


def test_sequences_after_each_other_are_those_apart():
    initial, transition, a = problem(6, 3, False)
    b = problem(3, 3, False, seed=1)[2]
    chain = Chain(jnp.asarray(initial), jnp.asarray(transition))
    logs = jnp.log(jnp.asarray(np.concatenate([a, b])))[:, :, None]
    first = jnp.zeros((9, 1), bool).at[jnp.array([0, 6]), 0].set(True)
    weight = jnp.concatenate([jnp.full(6, 2.0), jnp.full(3, 0.5)])[:, None]
    one, two = over_paths(initial, transition, a), over_paths(initial, transition, b)
    for smooth in SMOOTHERS.values():
        found = smooth(chain, logs, first, weight)
        each = np.concatenate([one.states, two.states])
        np.testing.assert_allclose(found.states[:, :, 0], each)
        np.testing.assert_allclose(found.pairs, 2.0 * one.pairs + 0.5 * two.pairs)
    for decode in VITERBIS.values():
        path, _ = decode(chain, logs, first)
        np.testing.assert_array_equal(path[:, 0], np.concatenate([one.path, two.path]))


@pytest.mark.parametrize("recursion", list(RECURSIONS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_lost_in_underflow(dtype, recursion):
    """A state that only the last step reveals, after others that all but rule it out."""
    far = -800.0 if dtype == np.float64 else -90.0
    logs = jnp.asarray([[0.0, far], [0.0, far], [-jnp.inf, 0.0]], dtype)[:, :, None]
    chain = Chain(jnp.asarray([0.5, 0.5], dtype), jnp.eye(2, dtype=dtype))
    first = jnp.asarray([[True], [False], [False]])
    found = jax.jit(RECURSIONS[recursion].smooth)(chain, logs, first, jnp.ones((3, 1), dtype))
    np.testing.assert_allclose(jnp.sum(found.log_likelihood), np.log(0.5) + 2 * far, rtol=1e-6)
    np.testing.assert_allclose(found.states[:, 1, 0], 1.0)
    assert found.states.dtype == dtype


LEFT_OVER = 200  # steps that make a state count that was all but ruled out before


def test_which_way_through_time_is_taken(monkeypatch):
    """k, steps, lanes: scans of an accelerator where they are less work, and fit into memory."""
    shapes = {(5, 1000, 100): True, (2, 10**6, 1): True, (40, 1000, 100): False,
              (5, 1000, 10**5): False, (5, 10**7, 1): False}  # fmt: skip
    assert not any(recursions.by_scans("auto", *shape) for shape in shapes)
    monkeypatch.setattr(recursions, "on_accelerator", lambda: True)
    assert {shape: recursions.by_scans("auto", *shape) for shape in shapes} == shapes
    for shape, scans in shapes.items():
        found = recursions.of("auto", *shape)
        assert found.smooth is RECURSIONS["associative" if scans else "sequential"].smooth
        assert found.viterbi is RECURSIONS["sequential"].viterbi
        assert recursions.of("associative", *shape) is RECURSIONS["associative"]
        numbers = shape[2] * recursions.numbers_per_lane("auto", *shape, each=8)
        assert not scans or numbers < 1 << 28


@pytest.mark.slow(but=("sequential",))
@pytest.mark.parametrize("recursion", list(RECURSIONS))
def test_a_state_is_not_lost_over_many_steps(recursion):
    """No step is unlikely, but there is no way back: two chains side by side, and the other one."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(2, 1, 150), rng.normal(-2, 1, LEFT_OVER)])
    logs = -0.5 * (x[:, None] - np.array([-2.0, 2.0])) ** 2
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.eye(2))
    first = jnp.zeros((len(x), 1), bool).at[0].set(True)
    expected = np.logaddexp.reduce(np.log(0.5) + logs.sum(0))
    given = jnp.asarray(logs)[:, :, None], first
    found = jax.jit(RECURSIONS[recursion].smooth)(chain, *given, jnp.ones(first.shape))
    np.testing.assert_allclose(jnp.sum(found.log_likelihood), expected, rtol=1e-12)
    np.testing.assert_allclose(found.states[:, 0, 0], 1.0)
    in_blocks = jax.jit(lambda: by_blocks(chain, *given, jnp.ones(first.shape), 50))()
    np.testing.assert_allclose(in_blocks[2], expected, rtol=1e-12)
    np.testing.assert_allclose(in_blocks[1][0, 0], len(x))
    steps, log_alphas = jax.jit(RECURSIONS[recursion].log_filter)(chain, *given)
    np.testing.assert_allclose(jnp.sum(steps), expected, rtol=1e-12)
    after = np.log(0.5) + np.cumsum(logs, 0)
    after = after - np.logaddexp.reduce(after, 1)[:, None]
    np.testing.assert_allclose(log_alphas[:, :, 0], after, atol=1e-8)


@pytest.mark.slow
def test_gradients_where_the_scaled_are_lost():
    """Fisher's identity: the gradient in the log-likelihoods is the posterior."""
    logs = jnp.asarray([[0.0, -900.0], [0.0, -900.0], [-2000.0, 0.0]])[:, :, None]
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.asarray([[0.9, 0.1], [0.0, 1.0]]))
    first, weight = jnp.asarray([[True], [False], [False]]), jnp.ones((3, 1))

    def total(logs, transition):
        moved = chain._replace(transition=transition)
        return jnp.sum(forward_backward.smooth(moved, logs, first, weight).log_likelihood)

    found = forward_backward.smooth(chain, logs, first, weight)
    in_logs, in_transition = jax.grad(total, (0, 1))(logs, chain.transition)
    np.testing.assert_allclose(in_logs, found.states, atol=1e-12)
    np.testing.assert_allclose(in_transition * chain.transition, found.pairs, atol=1e-12)


def test_what_is_impossible_stays_with_its_sequence():
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.asarray([[0.5, 0.5], [0.3, 0.7]]))
    logs = jnp.zeros((6, 2, 1)).at[2].set(-jnp.inf)
    first = jnp.zeros((6, 1), bool).at[jnp.array([0, 2, 4]), 0].set(True)
    weight = jnp.ones((6, 1)).at[2:4].set(0.0)
    for smooth in SMOOTHERS.values():
        found = smooth(chain, logs, first, weight)
        finite = np.isfinite(found.log_likelihood[:, 0])
        assert finite[[0, 1, 4, 5]].all() and not finite[2]
        np.testing.assert_allclose(jnp.sum(found.states, axis=1)[jnp.array([0, 1, 4, 5])], 1.0)
        assert np.all(np.isfinite(found.pairs))


def test_what_is_impossible_has_no_likelihood():
    logs = jnp.asarray([[0.0, 0.0], [-jnp.inf, -jnp.inf]])[:, :, None]
    chain = Chain(jnp.asarray([0.5, 0.5]), jnp.full((2, 2), 0.5))
    first = jnp.asarray([[True], [False]])
    found = forward_backward.smooth(chain, logs, first, jnp.ones((2, 1)))
    assert float(jnp.sum(found.log_likelihood)) == -np.inf


def test_padding_reaches_no_gradient():
    initial, transition, densities = problem(4, 2, False)
    logs, first, weight = as_lanes(densities, 7)

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
