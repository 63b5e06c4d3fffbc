"""Chains handed back and forth: what hmmlearn says of sequences is what jaxem says of them."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from hmmlearn import hmm, vhmm
from sklearn.exceptions import NotFittedError

import jaxem
from jaxem import HMM, HMMParams, families
from jaxem.hmmlearn import from_hmmlearn, to_hmmlearn
from laws.compare import close

# hmmlearn's own: NumPy 2.5 wants a reshape.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")

LENGTHS = [31, 1, 22, 9]
ENDS = np.cumsum(LENGTHS)
INITIAL = np.array([0.5, 0.3, 0.2])
TRANSITION = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.25, 0.15, 0.6]])
RNG = np.random.default_rng(0)
STATES = RNG.integers(0, 3, 12).repeat(6)[: ENDS[-1]]
MEANS = np.array([[0.0, 1.0], [3.0, -1.0], [-2.0, 4.0]])
ROOTS = 0.3 * RNG.normal(size=(3, 2, 2)) + np.eye(2)
FULL = ROOTS @ ROOTS.transpose(0, 2, 1)
COVARIANCES = {
    "full": FULL,
    "tied": FULL[0],
    "diag": np.array([[1.0, 2.0], [0.5, 0.7], [1.5, 0.9]]),
    "spherical": np.array([1.0, 0.5, 2.0]),
}
RATES = np.array([[1.0, 4.0], [6.0, 0.5], [3.0, 9.0]])
SHARES = np.array([[0.7, 0.2, 0.1, 0.0], [0.1, 0.1, 0.3, 0.5], [0.25, 0.25, 0.25, 0.25]])

NUMBERS = MEANS[STATES] + RNG.normal(size=(ENDS[-1], 2))
COUNTS = RNG.poisson(RATES[STATES])
DRAWS = np.stack([RNG.multinomial(7, SHARES[z]) for z in STATES])
SYMBOLS = np.array([RNG.choice(4, p=SHARES[z]) for z in STATES])[:, None]


def chain(emissions, initial=INITIAL, transition=TRANSITION):
    return HMMParams(initial, transition, emissions)


# name: (model, parameters, rows end to end, hmmlearn's estimator as a person makes it)
CASES = {
    name: (
        HMM(families.Gaussian(name), 3),
        chain(families.GaussianParams(MEANS, covariances)),
        NUMBERS,
        hmm.GaussianHMM(3, covariance_type=name, n_iter=3, random_state=0),
    )
    for name, covariances in COVARIANCES.items()
}
CASES["poisson"] = (
    HMM(families.Poisson(), 3),
    chain(families.PoissonParams(RATES)),
    COUNTS,
    hmm.PoissonHMM(3, n_iter=3, random_state=0),
)
CASES["categorical"] = (
    HMM(families.Categorical(4), 3),
    chain(families.CategoricalParams((SHARES,))),
    SYMBOLS,
    hmm.CategoricalHMM(3, n_iter=3, random_state=0),
)
CASES["multinomial"] = (
    HMM(families.Multinomial(7), 3),
    chain(families.MultinomialParams(SHARES)),
    DRAWS,
    hmm.MultinomialHMM(3, n_iter=3, random_state=0),
)


def parts(x):
    return np.split(x, ENDS[:-1])


def after(model, params, x, steps):
    """So many plain steps from there."""
    return jaxem.em(model, params, parts(x), max_iter=steps, acceleration=None)


def agree(model, params, x, estimator):
    """Log-likelihoods, posteriors and paths of several sequences."""
    here = after(model, params, x, 0).log_likelihood
    np.testing.assert_allclose(here, estimator.score(x, LENGTHS), rtol=1e-8)
    states = np.concatenate(jaxem.smooth(model, params, parts(x)))
    np.testing.assert_allclose(states, estimator.predict_proba(x, LENGTHS), atol=1e-8)
    paths, log_joint = jaxem.viterbi(model, params, parts(x))
    theirs, path = estimator.decode(x, LENGTHS)
    np.testing.assert_array_equal(np.concatenate(paths), path)
    np.testing.assert_array_equal(path, estimator.predict(x, LENGTHS))
    np.testing.assert_allclose(np.sum(log_joint), theirs, rtol=1e-8)


@pytest.mark.slow(but=("categorical",))
@pytest.mark.parametrize("name", CASES)
def test_ours_goes_over_and_goes_on(name):
    model, params, x, _ = CASES[name]
    estimator = to_hmmlearn(model, params)
    agree(model, params, x, estimator)
    rows, states = estimator.sample(20, random_state=1)
    assert rows.shape == (20, x.shape[1]) and states.shape == (20,)

    again, same = from_hmmlearn(estimator)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, same, params)

    step = after(model, params, x, 1)
    estimator.n_iter = estimator.monitor_.n_iter = 1
    close(from_hmmlearn(estimator.fit(x, LENGTHS))[1], step.params, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(estimator.score(x, LENGTHS), step.log_likelihood, rtol=1e-8)
    np.testing.assert_allclose(estimator.bic(x, LENGTHS), step.bic, rtol=1e-8)


@pytest.mark.slow(but=("poisson", "full", "categorical"))
@pytest.mark.parametrize("name", CASES)
def test_theirs_comes_over(name):
    model, _, x, estimator = CASES[name]
    estimator.fit(x, LENGTHS)
    found, params = from_hmmlearn(estimator)
    assert found == model
    agree(found, params, x, estimator)
    covariances = getattr(params.emissions, "covariances", None)
    assert covariances is None or covariances.shape == COVARIANCES[name].shape


def test_sequences_one_by_one():
    model, params, x, _ = CASES["poisson"]
    estimator = to_hmmlearn(model, params)
    theirs = [estimator.score(part) for part in parts(x)]
    np.testing.assert_allclose(jaxem.log_prob(model, params, parts(x)), theirs, rtol=1e-8)


def test_as_set_by_hand():
    """Lists and whole numbers, one variance a state; nothing was fitted or scored."""
    estimator = hmm.GaussianHMM(2, covariance_type="spherical")
    estimator.startprob_, estimator.transmat_ = [1, 0], [[1, 0], [0.5, 0.5]]
    estimator.means_, estimator.covars_ = [[0], [3]], [1, 2]
    _, params = from_hmmlearn(estimator)
    assert params.emissions.covariances.tolist() == [1.0, 2.0]
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(params))
    estimator.covars_ = np.array([[1.0], [2.0]])
    assert from_hmmlearn(estimator)[1].emissions.covariances.tolist() == [1.0, 2.0]


def test_what_is_impossible_stays_so():
    model, params, x, _ = CASES["poisson"]
    upper = np.array([[0.8, 0.1, 0.1], [0, 0.7, 0.3], [0, 0, 1]])
    model = HMM(model.family, 3, transitions="left-right")
    params = chain(params.emissions, np.array([1.0, 0.0, 0.0]), upper)
    estimator = to_hmmlearn(model, params)
    estimator.n_iter = estimator.monitor_.n_iter = 5
    theirs = from_hmmlearn(estimator.fit(x, LENGTHS))[1]
    again, same = from_hmmlearn(to_hmmlearn(model, params))
    assert again.transitions == "full"
    jax.tree.map(np.testing.assert_array_equal, same, params)
    ours = after(again, same, x, 5).params
    close(ours, theirs, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(np.asarray(ours.transition) == 0, upper == 0)
    np.testing.assert_array_equal(ours.initial, params.initial)


def test_initial_laws():
    """A fixed one is left alone on both sides; a stationary one goes over as its numbers."""
    _, params, x, _ = CASES["poisson"]
    fixed = HMM(families.Poisson(), 3, initial="fixed")
    estimator = to_hmmlearn(fixed, params)
    assert estimator.params == "tl" and from_hmmlearn(estimator)[0] == fixed
    np.testing.assert_array_equal(estimator.fit(x, LENGTHS).startprob_, INITIAL)
    estimator = to_hmmlearn(HMM(families.Poisson(), 3, initial="stationary"), params)
    np.testing.assert_allclose(estimator.startprob_ @ TRANSITION, estimator.startprob_)
    np.testing.assert_allclose(
        estimator.startprob_, estimator.get_stationary_distribution(), rtol=1e-12
    )
    assert estimator.params == "stl" and from_hmmlearn(estimator)[0].initial == "free"


def test_lower_precision_adds_up_there():
    """0.7 and 0.3 of float32 are more than 1 together, which leaves less than 0 for the third."""
    single = jax.tree.map(np.float32, CASES["multinomial"][1])
    shares = np.array([[0.3, 0.7, 0.0, 0.0]] * 3, np.float32)
    single = single._replace(emissions=families.MultinomialParams(shares))
    estimator = to_hmmlearn(CASES["multinomial"][0], single)
    assert estimator.emissionprob_.dtype == estimator.transmat_.dtype == np.float64
    np.testing.assert_allclose(estimator.emissionprob_.sum(1), 1.0, rtol=1e-15)
    assert np.isfinite(estimator.score(np.array([[3, 4, 0, 0]])))
    with jax.enable_x64(False):
        np.testing.assert_array_equal(to_hmmlearn(*CASES["full"][:2])._covars_, COVARIANCES["full"])


def test_draws_of_a_row():
    estimator = to_hmmlearn(*CASES["multinomial"][:2])
    for trials, expected in ((None, 1), (np.full(5, 3), 3), (np.array([2, 3]), 1)):
        estimator.n_trials = trials
        assert from_hmmlearn(estimator)[0].family.n_trials == expected


def test_estimators_that_cannot_be_converted():
    with pytest.raises(NotFittedError, match="GaussianHMM has no startprob_, transmat_, means_, c"):
        from_hmmlearn(hmm.GaussianHMM(3))
    for other in (hmm.GMMHMM(), vhmm.VariationalGaussianHMM(), HMM(families.Poisson(), 2)):
        with pytest.raises(ValueError, match=f"is a {type(other).__name__}; give a fitted one of"):
            from_hmmlearn(other)
    estimator = to_hmmlearn(*CASES["diag"][:2])
    estimator.transmat_ = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"transmat_\[2\] is all 0: .* such as 1 / 3"):
        from_hmmlearn(estimator)
    estimator.transmat_ = np.eye(2)
    with pytest.raises(ValueError, match=r"transition has shape \(2, 2\)"):
        from_hmmlearn(estimator)
    estimator = to_hmmlearn(*CASES["spherical"][:2])
    estimator.covars_ = COVARIANCES["diag"]
    with pytest.raises(ValueError, match="columns that differ; take 'diag'"):
        from_hmmlearn(estimator)
    estimator = to_hmmlearn(*CASES["poisson"][:2])
    estimator.lambdas_ = np.full((3, 2), np.nan)
    with pytest.raises(ValueError, match="rates holds NaN"):
        from_hmmlearn(estimator)


def test_models_that_cannot_be_converted():
    model, params, *_ = CASES["full"]
    with pytest.raises(ValueError, match="hidden Markov models alone"):
        to_hmmlearn(jaxem.Mixture(families.Poisson(), 2), None)
    with pytest.raises(ValueError, match=r"Bernoulli\(\); hmmlearn has those of Gaussian, Poisson"):
        to_hmmlearn(HMM(families.Bernoulli(), 3), params)
    with pytest.raises(ValueError, match="hmmlearn has no exposures"):
        to_hmmlearn(HMM(families.Poisson(exposure=True), 3), CASES["poisson"][1])
    two = chain(families.CategoricalParams((SHARES, SHARES)))
    with pytest.raises(ValueError, match="of 2 columns; a CategoricalHMM has one"):
        to_hmmlearn(HMM(families.Categorical(4), 3), two)
    with pytest.raises(ValueError, match="for 2 states"):
        to_hmmlearn(model.with_n_components(2), params)
    with pytest.raises(ValueError, match=r"transition adds up to .*; scale it to 1"):
        to_hmmlearn(model, params._replace(transition=TRANSITION * 1.0001))
    absent = params._replace(transition=TRANSITION * [[1], [1], [0]])
    with pytest.raises(ValueError, match="row 2 of transition"):
        to_hmmlearn(model, absent)
    singular = families.GaussianParams(MEANS, np.ones((3, 2, 2)))
    with pytest.raises(ValueError, match="no inverse"):
        to_hmmlearn(model, params._replace(emissions=singular))


@pytest.mark.slow
def test_without_hmmlearn_it_says_what_to_install():
    code = "import sys; sys.modules['hmmlearn'] = None; import jaxem.hmmlearn"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs hmmlearn; pip install 'jaxem[hmmlearn]'" in out.stderr
