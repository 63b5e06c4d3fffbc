"""Sequences with holes as they come: one, a batch, or a list, against a forward recursion."""

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import jaxem
from jaxem.families import Categorical, CategoricalParams, Gaussian, GaussianParams, Product

NAN = np.nan
INITIAL, TRANSITION = np.array([0.5, 0.5]), np.array([[0.8, 0.2], [0.3, 0.7]])
MEANS = np.array([[0.0, 0.0], [1.0, 1.0]])
COVARIANCES = np.array([[[1.0, 0.3], [0.3, 1.0]], [[2.0, -0.5], [-0.5, 1.0]]])
LEVELS = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
LISTED = [
    np.array([[0.1, 0.2], [NAN, 0.5], [1.0, NAN], [NAN, NAN]]),
    np.array([[0.3, 1.0], [0.2, 0.9]]),  # nothing is missing
    np.array([[NAN, NAN], [NAN, NAN], [NAN, NAN]]),  # nothing is there
]
COLOURS = [
    np.array([[0.0], [-1], [2], [1]]),
    np.array([[-1.0], [-1]]),
    np.array([[2.0], [2], [-1]]),
]


def gaussian():
    family = Gaussian("full", missing=True)
    params = jaxem.HMMParams(INITIAL, TRANSITION, GaussianParams(MEANS, COVARIANCES))
    return jaxem.HMM(family, 2), params, LISTED


def mixed():
    family = Product({"size": Gaussian("full", missing=True), "colour": Categorical(3)})
    emissions = {
        "size": GaussianParams(MEANS, COVARIANCES),
        "colour": CategoricalParams((LEVELS,)),
    }
    pairs = zip(LISTED, COLOURS, strict=True)
    listed = [{"size": size, "colour": colour} for size, colour in pairs]
    return jaxem.HMM(family, 2), jaxem.HMMParams(INITIAL, TRANSITION, emissions), listed


def log_density(step):
    """Of what a step has, in both states."""
    size = step["size"] if isinstance(step, dict) else step
    colour = int(step["colour"][0]) if isinstance(step, dict) else -1
    there = ~np.isnan(size)
    logs = np.zeros(2) if colour < 0 else np.log(LEVELS[:, colour])
    for j in range(2) if there.any() else ():
        own = COVARIANCES[j][np.ix_(there, there)]
        logs[j] += stats.multivariate_normal.logpdf(size[there], MEANS[j][there], own)
    return logs


def log_likelihood(steps):
    alpha = np.log(INITIAL)
    for t, step in enumerate(steps):
        alpha = logsumexp(alpha[:, None] + np.log(TRANSITION), axis=0) if t else alpha
        alpha = alpha + log_density(step)
    return logsumexp(alpha)


def steps_of(sequence):
    if not isinstance(sequence, dict):
        return list(sequence)
    pairs = zip(sequence["size"], sequence["colour"], strict=True)
    return [{"size": size, "colour": colour} for size, colour in pairs]


def padded(listed):
    def one(*leaves):
        batch = np.full((len(leaves), 4, leaves[0].shape[1]), NAN)
        for own, leaf in zip(batch, leaves, strict=True):
            own[: len(leaf)] = leaf
        return batch

    return jax.tree.map(one, *listed)


@pytest.mark.slow(but=("mixed",))
@pytest.mark.parametrize("make", [gaussian, mixed])
def test_a_list_of_sequences_with_holes_has_the_likelihood_of_the_recursion(make):
    model, params, listed = make()
    expected = [log_likelihood(steps_of(own)) for own in listed]
    np.testing.assert_allclose(jaxem.log_prob(model, params, listed), expected, rtol=1e-12)
    batch = {"x": padded(listed), "lengths": [4, 2, 3]}
    np.testing.assert_allclose(jaxem.log_prob(model, params, **batch), expected, rtol=1e-12)
    one = jaxem.log_prob(model, params, listed[0])
    np.testing.assert_allclose(one, expected[0], rtol=1e-12)


@pytest.mark.parametrize("verb", ["smooth", "viterbi", "filter_states", "predict", "impute"])
def test_verbs_say_of_a_list_what_they_say_of_a_batch(verb):
    model, params, listed = mixed()
    found = getattr(jaxem, verb)(model, params, listed)
    batch = getattr(jaxem, verb)(model, params, padded(listed), lengths=[4, 2, 3])
    found, batch = (found[0], batch[0]) if verb == "viterbi" else (found, batch)
    for i, (own, n) in enumerate(zip(found, (4, 2, 3), strict=True)):
        for leaf, other in zip(jax.tree.leaves(own), jax.tree.leaves(batch), strict=True):
            np.testing.assert_allclose(leaf, other[i, :n], rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_holes_of_a_list_are_drawn_each_in_its_sequence():
    """A step without anything is drawn from the means of its state: of either, but no third."""
    model, params, listed = gaussian()
    params = params._replace(emissions=GaussianParams(100 * MEANS, 1e-6 * COVARIANCES))
    listed = [np.where(np.isnan(own), NAN, 100 * np.round(own)) for own in listed]
    drawn = jaxem.impute(model, params, listed, key=jax.random.key(0), n_draws=3)
    assert [own.shape for own in drawn] == [(3, 4, 2), (3, 2, 2), (3, 3, 2)]
    for own, given in zip(drawn, listed, strict=True):
        there = ~np.isnan(given)
        np.testing.assert_array_equal(np.asarray(own)[:, there], np.tile(given[there], (3, 1)))
        assert np.all((np.abs(own) < 1) | (np.abs(own - 100) < 1))


@pytest.mark.slow
def test_a_list_is_fitted_as_its_batch():
    model, params, listed = gaussian()
    rng = np.random.default_rng(0)
    many = [own + rng.normal(size=own.shape) for own in listed * 6]
    found = jaxem.em(model, params, many, max_iter=5)
    lengths = np.tile([4, 2, 3], 6)
    batch = jaxem.em(model, params, padded(many), lengths=lengths, max_iter=5)
    np.testing.assert_allclose(found.log_likelihood, batch.log_likelihood, rtol=1e-12)
    assert float(found.total_weight) == np.sum(~np.isnan(np.concatenate(many)).all(axis=1))


def test_sequences_of_other_columns_are_named():
    model, params, listed = gaussian()
    with pytest.raises(ValueError, match="sequence 1 has 1 columns, sequence 0 has 2"):
        jaxem.log_prob(model, params, [listed[0], listed[0][:, :1]])
    with pytest.raises(ValueError, match="sequence 1: x holds text"):
        jaxem.log_prob(model, params, [listed[0], np.array([["a", "b"]])])
