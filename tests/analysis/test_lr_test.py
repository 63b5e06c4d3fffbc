"""The bootstrap likelihood-ratio test: its parts by hand, and published statistics."""

import jax
import numpy as np
import pytest
from scipy import stats

import jaxem
from jaxem import HMM, Mixture, Status
from jaxem.analysis import resampling
from jaxem.core.dataset import as_dataset
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian, Poisson
from jaxem.fitting import padded_components

KEY = jax.random.key(0)
ONE = Mixture(Gaussian("full"), 1)
OPTIONS = {"n_boot": 19, "n_init": 3, "n_init_boot": 2}


def expected_statistic():
    """One component by scipy; two as R's mclust and scikit-learn find it."""
    x = load_faithful().x
    one = stats.multivariate_normal(x.mean(axis=0), np.cov(x.T, bias=True)).logpdf(x).sum()
    return 2 * (-1130.26396 - one)


@pytest.fixture(scope="module")
def found():
    return jaxem.lr_test(ONE, load_faithful().x, key=KEY, **OPTIONS)


@pytest.mark.slow
def test_old_faithful_has_more_than_one_kind_of_eruption(found):
    assert found.statistic == pytest.approx(expected_statistic(), abs=2e-3)
    assert found.p_value == 1 / 20 and found.n_failed == 0 and found.trusted
    assert found.replicates.shape == (19,) and 0 < np.median(found.replicates) < 40
    assert found.null.params.weights.shape == (1,)
    assert found.alternative.params.components.means.shape == (2, 2)
    text = str(found)
    for word in ("1 against 2", "319.06", "p-value         0.05, from 19", "95 % below"):
        assert word in text, text


def test_a_replicate_is_the_ratio_of_two_fits_of_simulated_rows(found):
    x = load_faithful().x
    key_test = jax.random.split(KEY, (2, 2))[1, 1]
    key_data = jax.random.split(key_test, 3)[0]
    keys = jax.random.split(key_data, 19)
    rows = as_dataset(ONE, x).rows
    params = padded_components.padded(Mixture(Gaussian("full"), 2), found.null)
    drawn = resampling.simulated(Mixture(Gaussian("full"), 2), params, rows, keys[4:5]).x[0]
    null = jaxem.fit(ONE, drawn, key=KEY, n_init=1).log_likelihood
    other = jaxem.fit(Mixture(Gaussian("full"), 2), drawn, key=KEY, n_init=30)
    best = 2 * float(other.log_likelihood - null)
    assert found.replicates[4] <= best + 1e-3
    assert found.replicates[4] > 0.3 * best  # three starts find a fair part of what thirty do


def test_rows_of_one_component_call_for_no_second():
    x = np.random.default_rng(3).normal(size=(272, 2))
    test = jaxem.lr_test(ONE, x, key=KEY, **OPTIONS)
    assert test.p_value > 0.1 and test.trusted


def test_the_p_value_counts_those_at_least_as_large(found):
    made = found._replace(statistic=5.0, replicates=np.array([5.0, 4, 6, np.nan, 1]))
    assert made.p_value == (1 + 2) / (1 + 4) and made.n_failed == 1
    assert "from 4 simulated data sets; 1 more had no regular fit" in str(made)
    bad = found.alternative._replace(status=jax.numpy.int32(Status.MAX_ITER))
    doubtful = found._replace(alternative=bad)
    assert not doubtful.trusted and "not to be trusted" in str(doubtful)


def test_several_tests_share_their_fits():
    x = load_faithful().x
    models = [Mixture(Gaussian("full"), k) for k in (1, 2)]
    tests = jaxem.lr_tests(models, x, key=KEY, **OPTIONS)
    first = next(tests)
    assert first.statistic == pytest.approx(expected_statistic(), abs=2e-3)
    with pytest.raises(StopIteration):
        next(tests)


@pytest.mark.slow
def test_chains_and_weights():
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random(150) < 0.1) % 2
    counts = rng.poisson(np.where(states, 9, 2)).astype(float)
    test = jaxem.lr_test(HMM(Poisson(), 1), counts, key=KEY, n_boot=5, n_init=2, n_init_boot=1)
    assert test.p_value == 1 / 6 and test.statistic > 50
    x = np.array([0.0, 1, 2, 8, 9, 10, 11])[:, None]
    weight = np.array([3.0, 5, 3, 2, 5, 5, 2])
    options = {"n_boot": 3, "n_init": 2, "n_init_boot": 0}
    by_weight = jaxem.lr_test(Mixture(Poisson(), 1), x, key=KEY, sample_weight=weight, **options)
    repeated = jaxem.lr_test(
        Mixture(Poisson(), 1), np.repeat(x, weight.astype(int), axis=0), key=KEY, **options
    )
    assert by_weight.statistic == pytest.approx(repeated.statistic, rel=1e-5)
    np.testing.assert_allclose(by_weight.replicates, repeated.replicates, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_boot": 0}, "n_boot is 0"),
        ({"alternative": ONE}, "give one with more parts"),
        ({"n_init": 0}, "n_init is 0"),
        ({"key": None}, "key is None"),
    ],
)
def test_bad_input_is_told_before_anything_is_fitted(options, words):
    with pytest.raises(ValueError, match=words):
        jaxem.lr_test(ONE, np.ones((9, 2)), **{"key": KEY, **options})
