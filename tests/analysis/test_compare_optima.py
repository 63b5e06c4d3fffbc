"""Optima beside each other: the best against itself, permuted parts, and rows counted by hand."""

import itertools

import jax
import numpy as np
import pytest

import jaxem
from jaxem.datasets import load_earthquakes, load_galaxies
from jaxem.families import Gaussian, Poisson

MODEL = jaxem.Mixture(Gaussian("full"), 4)


@pytest.fixture(scope="module")
def x():
    return load_galaxies().x


@pytest.fixture(scope="module")
def result(x):
    return jaxem.fit(MODEL, x, key=jax.random.key(0), n_init=100)


def test_rows_that_are_of_the_same_part_are_counted_in_the_best_order(x, result):
    found = jaxem.compare_optima(result, x)
    optima = result.restarts.optima
    np.testing.assert_array_equal(found.log_likelihood, optima.log_likelihood[:10])
    np.testing.assert_array_equal(found.count, optima.count[:10])
    np.testing.assert_allclose(found.difference, found.log_likelihood - result.log_likelihood)
    assert len(found.count) > 2 and found.same_part[0] == 1
    best = np.asarray(jaxem.predict(MODEL, result.params, x))
    for i in range(1, len(found.count)):
        params = jax.tree.map(lambda leaf: leaf[i], found.params)  # noqa: B023
        np.testing.assert_allclose(
            jaxem.log_prob(MODEL, params, x).sum(), found.log_likelihood[i], rtol=1e-9
        )
        own = np.asarray(jaxem.predict(MODEL, params, x))
        orders = [np.mean(np.array(p)[own] == best) for p in itertools.permutations(range(4))]
        np.testing.assert_allclose(found.same_part[i], max(orders))
        np.testing.assert_allclose(np.mean(own == best), max(orders))  # aligned already
    np.testing.assert_array_equal(found.params.weights[0], result.params.weights)


def test_weights_count_as_rows(x, result):
    weight = np.where(x[:, 0] > np.median(x), 3.0, 0.0)
    weighted = jaxem.compare_optima(result, x, weight, most=3)
    repeated = jaxem.compare_optima(result, np.repeat(x, weight.astype(int), axis=0), most=3)
    np.testing.assert_allclose(weighted.same_part, repeated.same_part)
    assert len(weighted.count) == 3


def test_rows_of_noise_are_alike_where_both_say_so():
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(80, 2)) + at for at in (0, 5)]
    x = np.concatenate([*groups, rng.uniform(-20, 25, (60, 2))])
    model = jaxem.Mixture(Gaussian("full"), 3, noise=True)
    found = jaxem.compare_optima(jaxem.fit(model, x, key=jax.random.key(0), n_init=30), x)
    labels = [
        np.asarray(jaxem.predict(model, jax.tree.map(lambda leaf: leaf[i], found.params), x))  # noqa: B023
        for i in range(len(found.count))
    ]
    assert len(labels) > 2 and np.mean(labels[0] == 3) > 0.2  # 3 is noise
    np.testing.assert_allclose(found.same_part, [np.mean(own == labels[0]) for own in labels])


@pytest.mark.slow
def test_states_that_the_chain_tells_apart_stay_in_their_order():
    steps = np.repeat([0.0, 4, 1, 6], 15)[:, None]
    x = steps + np.random.default_rng(2).normal(size=(60, 1))
    model = jaxem.HMM(Gaussian("diag"), 4, transitions="left-right")
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=20)
    found = jaxem.compare_optima(result, x)
    assert len(found.count) > 1
    for i, start in enumerate(found.start):
        own = jax.tree.map(lambda leaf: leaf[start], result.restarts.params)  # noqa: B023
        jax.tree.map(
            np.testing.assert_array_equal,
            own,
            jax.tree.map(lambda leaf: leaf[i], found.params),  # noqa: B023
        )


def test_it_prints_as_a_table(x, result):
    lines = str(jaxem.compare_optima(result, x, most=2)).splitlines()
    assert len(lines) == 3 and "rows alike" in lines[0]
    assert lines[1].split()[-2:] == ["100.0", "%"] and f"{result.log_likelihood:.4f}" in lines[1]


@pytest.mark.slow
def test_of_a_chain_states_and_their_transitions_are_in_one_order():
    counts = load_earthquakes().x[:, 1:].astype(int)
    model = jaxem.HMM(Poisson(), 4)
    result = jaxem.fit(model, counts, key=jax.random.key(0), n_init=14)
    found = jaxem.compare_optima(result, counts)
    assert len(found.count) > 1
    for i, value in enumerate(found.log_likelihood):
        params = jax.tree.map(lambda leaf: leaf[i], found.params)  # noqa: B023
        np.testing.assert_allclose(jaxem.log_prob(model, params, counts), value, rtol=1e-9)


def test_what_cannot_be_compared_is_said(x, result):
    with pytest.raises(ValueError, match="most"):
        jaxem.compare_optima(result, x, most=0)
    points = np.repeat(np.arange(4.0), 5)[:, None]  # each component is one of them
    collapsed = jaxem.fit(MODEL, points, key=jax.random.key(0), n_init=3)
    name = jaxem.Status(int(collapsed.status)).name
    with pytest.raises(ValueError, match=f"no start of this fit is regular, .* status is {name}"):
        jaxem.compare_optima(collapsed, points)
