"""Components merged by entropy: against the definition, on groups that one normal does not fit."""

import itertools

import jax
import numpy as np
import pytest
from scipy.special import entr

import jaxem
from jaxem import families


def _params(means):
    k = len(means)
    covariances = np.tile(0.5 * np.eye(2), (k, 1, 1))
    return jaxem.MixtureParams(np.full(k, 1 / k), families.GaussianParams(means, covariances))


MEANS = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 1.5], [1.5, 0.0], [9.0, 1.0]])
MODEL, PARAMS = jaxem.Mixture(families.Gaussian("full"), 5), _params(MEANS)


@pytest.fixture(scope="module")
def x():
    return np.asarray(jaxem.sample(MODEL, PARAMS, jax.random.key(0), 300)[0])


def test_pairs_of_overlapping_components_are_merged_first(x):
    found = jaxem.merge_components(MODEL, PARAMS, x)
    np.testing.assert_array_equal(found.clusters(2), [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(found.clusters(5), np.arange(5))
    np.testing.assert_array_equal(found.clusters(1), np.zeros(5))
    assert found.entropy[-1] == pytest.approx(0, abs=1e-9)
    drops = -np.diff(found.entropy)
    assert np.all(drops[:3] > 5) and drops[3] < 1  # the last merge is of what is far apart


def test_each_merge_is_the_best_by_the_definition(x):
    """Every pair tried in every step, from the responsibilities anew."""
    found = jaxem.merge_components(MODEL, PARAMS, x)
    shares = np.asarray(jaxem.predict_proba(MODEL, PARAMS, x))
    for n in range(5, 1, -1):
        of = found.clusters(n)
        groups = np.stack([shares[:, of == g].sum(axis=1) for g in range(n)])
        assert entr(groups).sum() == pytest.approx(found.entropy[5 - n], rel=1e-9)
        best = min(
            entr(np.vstack([np.delete(groups, pair, axis=0), groups[list(pair)].sum(axis=0)])).sum()
            for pair in itertools.combinations(range(n), 2)
        )
        assert found.entropy[6 - n] == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_weights_are_frequencies(x):
    weight = np.arange(len(x)) % 3
    own = jaxem.merge_components(MODEL, PARAMS, x, sample_weight=weight)
    each = jaxem.merge_components(MODEL, PARAMS, np.repeat(x, weight, axis=0))
    np.testing.assert_array_equal(own.pairs, each.pairs)
    np.testing.assert_allclose(own.entropy, each.entropy, rtol=1e-9, atol=1e-9)


def test_bad_numbers_are_refused(x):
    found = jaxem.merge_components(MODEL, PARAMS, x)
    for n in (0, 6):
        with pytest.raises(ValueError, match="n "):
            found.clusters(n)
