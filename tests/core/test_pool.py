"""Rows drawn by a hash of their places: alike however the table is cut."""

import jax
import numpy as np
import pytest

from jaxem.core import pool

N = 3000
WEIGHT = np.random.default_rng(0).integers(0, 4, N).astype(float)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(pool, "POOL", 400)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_the_pool_does_not_depend_on_blocks(weight, monkeypatch):
    expected = pool.drawn(N, weight, 5)
    monkeypatch.setattr(pool, "_BLOCK", 77)
    found = pool.drawn(N, weight, 5)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert len(expected[0]) == 400 and np.all(np.diff(expected[0]) > 0)


def test_rows_of_weight_0_are_never_drawn_and_few_rows_all():
    weight = np.where(np.arange(N) % 10 == 3, 2.0, 0.0)
    places, own = pool.drawn(N, weight, 1)
    np.testing.assert_array_equal(places, np.arange(3, N, 10))
    np.testing.assert_array_equal(own, 2.0)


def test_pools_stand_for_the_weights_of_the_table():
    """The estimate of a weighted mean by rows under what they stand for is unbiased."""
    x = np.linspace(0, 1, N) ** 3
    heavy = np.where(np.arange(N) == N - 1, 500.0, WEIGHT)  # one that every pool should have
    expected = np.average(x, weights=heavy)
    found = []
    for seed in range(300):
        places, own = pool.drawn(N, heavy, seed)
        found.append(np.average(x[places], weights=own))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error < 0.01


def test_every_row_is_drawn_as_often():
    counts = sum(np.bincount(pool.drawn(N, None, seed)[0], minlength=N) for seed in range(200))
    share = 400 / N
    spread = np.sqrt(200 * share * (1 - share))
    assert np.abs(counts - 200 * share).max() < 5 * spread
    assert abs(np.std(counts) / spread - 1) < 0.1


def test_keys_give_seeds():
    seeds = {pool.seed_of(jax.random.key(i)) for i in range(20)}
    assert len(seeds) == 20 and all(0 <= seed < 1 << 64 for seed in seeds)
