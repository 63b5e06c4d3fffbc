"""What is said of sequences: filtered states, what comes next, drawn paths, occupancy."""

import jax
import numpy as np
import pytest
from compilations import compilations
from scipy import stats

import jaxem
from jaxem import HMM, HMMParams, families
from jaxem.reference.hidden_markov import over_paths

MODEL = HMM(families.Poisson(), 2)
PARAMS = HMMParams(
    np.array([0.6, 0.4]),
    np.array([[0.8, 0.2], [0.3, 0.7]]),
    families.PoissonParams(np.array([[2.0], [6.0]])),
)
PARTS = [np.array([1.0, 7.0, 3.0, 2.0]), np.array([9.0]), np.array([0.0, np.nan, 5.0])]
BATCH = np.stack([np.pad(part, (0, 4 - len(part)), constant_values=3.0) for part in PARTS])
LENGTHS = [4, 1, 3]


def answer(part, upto=None):
    part = part[:upto]
    seen = stats.poisson(np.array([[2.0, 6.0]])).pmf(np.nan_to_num(part)[:, None])
    densities = np.where(np.isnan(part)[:, None], 1.0, seen)
    return over_paths(PARAMS.initial, PARAMS.transition, densities)


@pytest.mark.slow
def test_filtered_states_are_those_of_what_came_before():
    found = jaxem.filter_states(MODEL, PARAMS, PARTS)
    for own, part in zip(found, PARTS, strict=True):
        expected = [answer(part, t + 1).states[-1] for t in range(len(part))]
        np.testing.assert_allclose(own, expected, atol=1e-12)
    padded = jaxem.filter_states(MODEL, PARAMS, BATCH[..., None], LENGTHS)
    assert padded.shape == (3, 4, 2)
    np.testing.assert_allclose(padded[2, :3], found[2], atol=1e-12)
    np.testing.assert_array_equal(padded[2, 3], 0.0)


def test_a_forecast_goes_on_from_the_last_step():
    ahead = jaxem.forecast(MODEL, PARAMS, PARTS, 3)
    assert ahead.shape == (3, 3, 2)
    for own, part in zip(ahead, PARTS, strict=True):
        longer = np.concatenate([part, np.full(3, np.nan)])
        for h in range(3):
            last = answer(longer, len(part) + h + 1).states[-1]
            np.testing.assert_allclose(own[h], last, atol=1e-12)
    np.testing.assert_allclose(jaxem.forecast(MODEL, PARAMS, PARTS[0], 3), ahead[0], atol=1e-12)


def test_drawn_paths_follow_the_posterior():
    """Their shares of states are the smoothed ones, within five standard errors."""
    n = 2000
    drawn = jaxem.sample_paths(MODEL, PARAMS, PARTS, key=jax.random.key(0), n=n)
    for paths, part in zip(drawn, PARTS, strict=True):
        assert paths.shape == (n, len(part))
        p = answer(part).states[:, 1]
        assert np.all(np.abs(paths.mean(0) - p) <= 5 * np.sqrt(p * (1 - p) / n))
    one = jaxem.sample_paths(MODEL, PARAMS, PARTS[0], key=jax.random.key(0), n=3)
    assert one.shape == (3, 4)
    batch = jaxem.sample_paths(MODEL, PARAMS, BATCH[..., None], key=jax.random.key(0), n=3,
                               lengths=LENGTHS)  # fmt: skip
    assert batch.shape == (3, 3, 4)


@pytest.mark.slow
def test_occupancy_and_stays():
    found = jaxem.occupancy(MODEL, PARAMS, PARTS)
    steps = np.concatenate([answer(part).states for part in PARTS])
    np.testing.assert_allclose(found.shares, steps.mean(0))
    np.testing.assert_allclose(found.stationary, [0.6, 0.4])
    np.testing.assert_allclose(found.dwell_times, [5.0, 10 / 3])
    assert "0.6000" in str(found) and "3.333" in str(found)
    left_right = HMM(families.Poisson(), 2, transitions="left-right")
    params = PARAMS._replace(transition=np.array([[0.5, 0.5], [0.0, 1.0]]))
    np.testing.assert_array_equal(
        jaxem.occupancy(left_right, params, PARTS).dwell_times, [2.0, np.inf]
    )


@pytest.mark.slow
def test_an_impossible_step_is_named():
    params = PARAMS._replace(emissions=families.PoissonParams(np.array([[0.0], [0.0]])))
    parts = [np.zeros(4), np.array([0.0, 0.0, 3.0])]
    message = "step 2 of sequence 1 is impossible.* in every state;"
    for verb in (jaxem.viterbi, jaxem.smooth, jaxem.predict, jaxem.filter_states, jaxem.forecast,
                 jaxem.em):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            verb(MODEL, params, parts)
    assert jaxem.log_prob(MODEL, params, parts)[1] == -np.inf
    closed = HMM(families.Poisson(), 2, transitions="left-right")
    never_back = HMMParams(
        np.array([0.0, 1.0]),
        np.array([[0.5, 0.5], [0.0, 1.0]]),
        families.PoissonParams(np.array([[2.0], [0.0]])),
    )
    with pytest.raises(ValueError, match=r"step 1 of sequence 0.*can be in by then"):
        jaxem.smooth(closed, never_back, np.array([0.0, 3.0, 0.0, 1.0]))


def test_a_mixture_has_no_states_in_time():
    mixture = jaxem.Mixture(families.Poisson(), 1)
    with pytest.raises(ValueError, match="of an HMM"):
        jaxem.forecast(mixture, None, PARTS[0])
    with pytest.raises(ValueError, match="n_steps"):
        jaxem.forecast(MODEL, PARAMS, PARTS[0], 0)


def test_sequences_of_other_lengths_are_decoded_by_the_same_programs():
    rng = np.random.default_rng(0)

    def told(lengths):
        each = [rng.poisson(3.0, n).astype(float) for n in lengths]
        found = jaxem.viterbi(MODEL, PARAMS, each), jaxem.smooth(MODEL, PARAMS, each)
        return jax.block_until_ready(found)

    told([60, 41, 52, 33])
    with compilations() as compiled:
        (paths, log_p), shares = told([59, 43, 50, 31])
    assert not compiled
    assert [len(path) for path in paths] == [len(own) for own in shares] == [59, 43, 50, 31]
    assert log_p.shape == (4,)
