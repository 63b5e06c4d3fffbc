"""Starts of chains that see time, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core.dataset import as_dataset
from jaxem.families import Gaussian
from jaxem.inference import kmeans
from jaxem.models import through_time
from jaxem.models.seeding import Seeded

LENGTHS = (23, 7, 40)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(length, 2)) for length in LENGTHS]
    return as_dataset(jaxem.HMM(Gaussian("full"), 3), sequences).for_fit


def code(method):
    return jnp.asarray(method, jnp.int32)


def sequences_of(rows):
    """(t, lanes): which sequence each step is of, -1 where the weight is 0."""
    first, weight = np.asarray(rows.first), np.asarray(rows.weight)
    lane = np.arange(first.shape[1])[None] * 1000
    return np.where(weight > 0, np.cumsum(first, axis=0) + lane, -1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_windows_are_means_over_neighbours_of_the_same_sequence(rows, seed):
    t, lanes = rows.weight.shape
    points = np.random.default_rng(1).normal(size=(t * lanes, 2))
    given = kmeans.Scaled(jnp.asarray(points), jnp.asarray(points))
    found = through_time.smoothed(jax.random.key(seed), rows, given, code(kmeans.WINDOWS))
    smooth = np.asarray(found.standardised).reshape(t, lanes, 2)
    which, points = sequences_of(rows), points.reshape(t, lanes, 2)

    def by_loop(reach):
        out = np.full((t, lanes, 2), np.nan)
        for lane in range(lanes):
            for i in np.flatnonzero(which[:, lane] >= 0):
                near = range(max(0, i - reach), min(t, i + reach + 1))
                own = [j for j in near if which[j, lane] == which[i, lane]]
                out[i, lane] = points[own, lane].mean(axis=0)
        return out[which >= 0]

    misfits = [np.abs(by_loop(reach) - smooth[which >= 0]).max() for reach in range(1, 33)]
    assert min(misfits) < 1e-12
    np.testing.assert_array_equal(found.sphered, given.sphered)


def test_other_methods_see_the_points_as_they_are(rows):
    t, lanes = rows.weight.shape
    points = jnp.asarray(np.random.default_rng(1).normal(size=(t * lanes, 2)))
    for method in (kmeans.STANDARDISED, kmeans.ROWS, kmeans.SEGMENTS):
        given = kmeans.Scaled(points, points)
        found = through_time.smoothed(jax.random.key(0), rows, given, code(method))
        np.testing.assert_array_equal(found.standardised, points)


def segments(rows, seed, told=None, found=(True, True, True)):
    n = rows.weight.size
    weight = jnp.reshape(rows.weight, -1)
    labels = jnp.zeros(n, jnp.int32)
    own = jnp.where(labels[None] == jnp.arange(3, dtype=jnp.int32)[:, None], weight[None], 0)
    seeds = Seeded(labels, jnp.asarray(found), own)
    given = jax.random.key(seed), rows, seeds, told
    return through_time.in_segments(*given, code(kmeans.SEGMENTS))


def test_segments_stay_within_sequences_and_vary_in_length(rows):
    which, switches = sequences_of(rows), []
    for seed in range(40):
        labels = np.asarray(segments(rows, seed).labels).reshape(which.shape)
        assert set(np.unique(labels)) <= {0, 1, 2}
        same = (which[1:] == which[:-1]) & (which[1:] >= 0)
        switches.append(np.mean((labels[1:] != labels[:-1])[same]))
    assert min(switches) < 0.05 and max(switches) > 0.3


def test_each_row_has_its_weight_in_its_segment_alone(rows):
    found = segments(rows, 3)
    expected = np.where(
        np.asarray(found.labels)[None] == np.arange(3)[:, None], np.ravel(rows.weight)[None], 0
    )
    np.testing.assert_array_equal(found.responsibilities, expected)


def test_segments_keep_known_labels_and_use_the_states_that_have_none(rows):
    told = np.full(rows.weight.size, -1, np.int32)
    told[:10] = 1
    found = segments(rows, 5, jnp.asarray(told))
    labels = np.asarray(found.labels)
    np.testing.assert_array_equal(labels[:10], 1)
    assert set(np.unique(labels[10:])) <= {0, 2}
    absent = segments(rows, 5, found=(True, True, False))
    assert set(np.unique(absent.labels)) <= {0, 1}


def test_without_segments_nothing_is_changed(rows):
    n, weight = rows.weight.size, jnp.reshape(rows.weight, -1)
    labels = jnp.asarray(np.random.default_rng(0).integers(0, 3, n), jnp.int32)
    own = jnp.where(labels[None] == jnp.arange(3, dtype=jnp.int32)[:, None], weight[None], 0)
    seeds = Seeded(labels, jnp.ones(3, bool), own)
    given = jax.random.key(0), rows, seeds, None, code(kmeans.ROWS)
    found = through_time.in_segments(*given)
    jax.tree.map(np.testing.assert_array_equal, found, seeds)
