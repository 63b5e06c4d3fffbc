"""Blocks of rows: their sums lose nothing, and their size follows a rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxem
from jaxem.core.dataset import as_dataset
from jaxem.core.numerics import two_sum
from jaxem.families import Gaussian
from jaxem.fitting import sizes
from jaxem.fitting.blocks import accumulate


def test_a_million_sums_add_up_as_one():
    """float32 0.1 a million times: 1 % is lost one by one, nothing with the errors kept."""

    @jax.jit
    def total(x):
        def add(_, state):
            return two_sum(*state, x)

        return jnp.add(*lax.fori_loop(0, 1_000_000, add, (x * 0, x * 0)))

    tenth = jnp.float32(0.1)
    naive = jax.jit(lambda x: lax.fori_loop(0, 1_000_000, lambda _, s: s + x, x * 0))(tenth)
    exact = 1e6 * float(tenth)
    assert abs(float(naive) - exact) > 1e-3 * exact
    assert abs(float(total(tenth)) - exact) <= 1e-7 * exact


@pytest.mark.slow
def test_many_small_blocks_of_float32_are_as_good_as_one_in_float64():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 2)) + 3
    model = jaxem.Mixture(Gaussian("full"), 2)
    params = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=3).params
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)

    def sums(dtype, block_size):
        own = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        rows = as_dataset(model, x.astype(np.float32).astype(dtype)).rows
        step = jax.jit(lambda p, r: accumulate(model, model.prepare(p, None), r, block_size))
        return step(own, rows)

    statistics, log_likelihood = sums(np.float32, 3)
    expected, expected_log_likelihood = sums(np.float64, 40_000)
    np.testing.assert_allclose(log_likelihood, expected_log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(statistics.counts, expected.counts, rtol=1e-6)
    second, exact = statistics.components.second, expected.components.second
    np.testing.assert_allclose(second, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize(("d", "k"), [(1, 2), (2, 10), (30, 30), (64, 64), (200, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_rule_of_the_block_size(d, k, dtype):
    model = jaxem.Mixture(Gaussian("full"), k)
    rows = as_dataset(model, np.zeros((300, d), dtype) + np.arange(d)).rows
    size = sizes.block_size(model, rows)
    bytes_per_row = np.dtype(dtype).itemsize * sizes.numbers_per_unit(model, rows)
    assert size == 256 or size * bytes_per_row <= 6 << 20
    assert size == 256 or size * k * np.dtype(dtype).itemsize <= 1 << 20
    assert size >= 256
