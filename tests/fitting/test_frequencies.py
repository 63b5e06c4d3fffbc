"""Weights that are shares of a whole are recognised, and told with what to do."""

import warnings

import jax
import numpy as np
import pytest

import jaxem
from jaxem.core import remarks
from jaxem.families import Gaussian, Poisson
from jaxem.fitting.result import Result
from jaxem.sklearn import GaussianMixture

KEY = jax.random.key(0)
_DRAWN = np.random.default_rng(0).normal(np.r_[np.zeros(300), np.full(600, 6.0)], 1.0)
COUNTS, _EDGES = np.histogram(_DRAWN, 30)
MIDDLE = (_EDGES[1:] + _EDGES[:-1]) / 2
SHARES, DENSITY = COUNTS / 900, np.histogram(_DRAWN, 30, density=True)[0]
MODEL = jaxem.Mixture(Gaussian(), 2)
SAYS = r"sample_weight adds up to {}.*frequencies.*multiply them by the number of observations"


@pytest.mark.slow
@pytest.mark.parametrize("weight", [SHARES, DENSITY])
def test_a_fit_to_shares_tells_their_sum_and_the_remedy(weight):
    says = SAYS.format(f"{weight.sum():.6g}, over")
    with pytest.warns(UserWarning, match=says) as caught:
        result = jaxem.fit(MODEL, MIDDLE, key=KEY, n_init=2, sample_weight=weight)
    assert caught[0].filename == __file__  # the line that called
    assert result.converged  # the maximiser does not depend on the unit of the weights
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mended = weight * 900 / weight.sum()
        result = jaxem.fit(MODEL, MIDDLE, key=KEY, n_init=2, sample_weight=mended)
    assert result.converged
    expected = jaxem.fit(MODEL, MIDDLE, key=KEY, n_init=2, sample_weight=COUNTS).log_likelihood
    np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-9)


@pytest.mark.slow
def test_a_collapse_of_shares_tells_them_too():
    """A narrow group counts as a spike where its weights say that it has a third of a row."""
    drawn = np.random.default_rng(0).normal(np.r_[np.zeros(300), np.full(600, 6.0)], 1.0)
    counts, edges = np.histogram(np.r_[0.1 * drawn[:300], drawn[300:]], 200)
    x, weight = (edges[1:] + edges[:-1]) / 2, counts / 900
    with pytest.warns(UserWarning, match="frequencies"):
        result = jaxem.fit(MODEL, x, key=KEY, n_init=2, sample_weight=weight)
    assert "add up to 1, over" in result.explanation()


@pytest.mark.slow
def test_so_do_the_other_verbs():
    options = dict(key=KEY, n_init=1, max_iter=2, sample_weight=SHARES)
    start = jaxem.fit(MODEL, MIDDLE, **{**options, "sample_weight": COUNTS}).params
    many = np.stack([MIDDLE, MIDDLE])
    for verb in (
        lambda: jaxem.em(MODEL, start, MIDDLE, SHARES, max_iter=1),
        lambda: jaxem.select([MODEL], MIDDLE, **options),
        lambda: jaxem.bootstrap(
            MODEL, start, MIDDLE, key=KEY, n_boot=1, max_iter=1, sample_weight=SHARES
        ),
        lambda: jaxem.fit_many(
            MODEL, many, **{**options, "sample_weight": np.stack([COUNTS, SHARES])}
        ),
        lambda: GaussianMixture(2, max_iter=0).fit(MIDDLE[:, None], sample_weight=SHARES),
        lambda: jaxem.fit(jaxem.Mixture(Poisson(), 2), np.arange(30), **options),
    ):
        with pytest.warns(UserWarning, match=SAYS.format("1, over")):
            verb()


@pytest.mark.slow
def test_of_sequences_it_is_their_number_that_counts():
    x = _DRAWN[:200].reshape(5, 40, 1)
    options = dict(key=KEY, n_init=1, max_iter=1)
    with pytest.warns(UserWarning, match=SAYS.format("1, over 5 sequences")):
        jaxem.fit(jaxem.HMM(Gaussian(), 1), x, sample_weight=np.full(5, 0.2), **options)
    jaxem.fit(jaxem.HMM(Gaussian(), 1), x, sample_weight=np.full(5, 1.0), **options)


def test_few_rows_and_absent_ones_are_no_shares():
    few, one = np.arange(4.0), jaxem.Mixture(Gaussian(), 1)
    for weight in (np.ones(4), [1.0, 1, 0, 0], np.full(4, 0.9)):
        jaxem.fit(one, few, key=KEY, n_init=1, max_iter=1, sample_weight=weight)
    result: Result = jaxem.fit(
        MODEL, [0.0, 0, 0, 1, 1], key=KEY, n_init=1, sample_weight=np.ones(5)
    )
    assert "weights" not in result.explanation()


def test_warnings_are_of_the_line_that_called():
    with pytest.warns(UserWarning, match="so") as caught:
        remarks.warn("so")
    assert caught[0].filename == __file__
