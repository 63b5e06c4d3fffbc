"""Incremental EM: the free energy never falls, and it ends where EM does, in fewer passes."""

import jax
import numpy as np
import pytest
from scipy.special import logsumexp, xlogy
from scipy.stats import multivariate_normal

import jaxem
from jaxem import families, sources
from jaxem.core import source
from jaxem.core.status import Status
from jaxem.fitting import incremental, stream
from laws.compare import close

KEY = jax.random.key(7)
RNG = np.random.default_rng(1)
N = 4003
GROUP = RNG.integers(0, 3, N)
X = RNG.normal(size=(N, 2)) + 2.5 * np.array([[0, 0], [1, 0], [0, 1]])[GROUP]
COUNTS = RNG.poisson(np.array([1.0, 6.0, 15.0])[GROUP])[:, None].astype(float)
FULL = jaxem.Mixture(families.Gaussian("full"), 3)
START = jaxem.MixtureParams(
    np.full(3, 1 / 3), families.GaussianParams(X[:3], np.tile(np.cov(X.T), (3, 1, 1)))
)


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setattr(source, "WHOLE", 1)
    monkeypatch.setattr(stream, "_PART", 1 << 13)


def rows(x, size=1000):
    return sources.batches(lambda: (x[at : at + size] for at in range(0, N, size)))


@pytest.fixture
def every_state(monkeypatch):
    found, states = [], incremental.states

    def kept(*given):
        for state in states(*given):
            found.append(state)
            yield state

    monkeypatch.setattr(incremental, "states", kept)
    return found


def log_joint(params, x):
    """log w[k] p_k(x[n]), (n, k)."""
    weights, (means, covariances) = jax.tree.map(np.asarray, params)
    each = zip(weights, means, covariances, strict=True)
    return np.stack([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in each], axis=1)


def free_energy(state, blocks):
    total = 0.0
    for b, own in enumerate(blocks):
        if len(own):
            at = log_joint(jax.tree.map(lambda leaf: leaf[b], state.at), own)  # noqa: B023
            q = np.exp(at - logsumexp(at, axis=1, keepdims=True))
            total += np.sum(q * log_joint(state.params, own)) - np.sum(xlogy(q, q))
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_the_free_energy_never_falls(weighted, every_state):
    n_blocks, n_passes = 5, 4
    weight = np.ones(N)
    if weighted:
        weight[800:1700] = 0  # a whole block among them
    own = sources.batches(lambda: [(X, weight, None)])
    result = jaxem.fit_incremental(
        FULL, own, key=KEY, init=START, n_blocks=n_blocks, n_passes=n_passes
    )
    size = 801  # of a block: two of its halves, rounded up
    blocks = [X[at : at + size][weight[at : at + size] > 0] for at in range(0, N, size)]
    energies = [free_energy(state, blocks) for state in every_state]
    n_moves = (n_passes - 1) * sum(len(own) > 0 for own in blocks)
    assert len(energies) == 1 + n_moves
    gains = np.diff(energies)
    assert np.all(gains > -1e-9 * abs(energies[-1])) and np.all(gains[:n_moves] > 0)
    assert energies[-1] <= result.log_likelihood  # by which it is bounded
    close(result.log_likelihood, logsumexp(log_joint(result.params, X[weight > 0]), axis=1).sum(),
          rtol=1e-12)  # fmt: skip
    assert result.status == Status.MAX_ITER and not result.converged
    close(result.params, every_state[-1].params, rtol=1e-12)


def test_one_pass_is_an_iteration_of_em():
    given = {"max_iter": 1, "tol": 0.0, "acceleration": None}
    found = jaxem.fit_incremental(FULL, rows(X), key=KEY, init=START, n_passes=1)
    close(found.params, jaxem.em(FULL, START, X, **given).params, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [None, "reg_covar"])
def test_it_goes_where_em_does_in_fewer_passes(prior):
    given = {} if prior is None else {"reg_covar": 0.05}
    best = jaxem.em(FULL, START, X, tol=1e-12, max_iter=5000, **given)
    n_passes = 30
    plain = jaxem.em(FULL, START, X, tol=0.0, max_iter=n_passes, acceleration=None, **given)
    found = jaxem.fit_incremental(
        FULL, rows(X), key=KEY, init=START, n_blocks=16, n_passes=n_passes, **given
    )
    assert plain.log_posterior < found.log_posterior <= best.log_posterior + 1e-6
    stays = jaxem.fit_incremental(FULL, rows(X), key=KEY, init=best.params, n_passes=4, **given)
    close(stays.params, best.params, rtol=1e-4)
    close(stays.log_posterior, best.log_posterior, rtol=1e-11)
    on = jaxem.em(FULL, found.params, rows(X), tol=1e-10, **given)
    close(on.log_posterior, best.log_posterior, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "x"),
    [(families.Poisson(), COUNTS), (families.Gaussian("tied"), X)],
    ids=["poisson", "tied"],
)
def test_families_rise(family, x):
    """From the start of ten iterations on some rows, as `fit` does."""
    model = jaxem.Mixture(family, 3)
    ends = [
        jaxem.fit_incremental(model, rows(x), key=KEY, n_init=2, n_passes=n).log_likelihood
        for n in (1, 6)
    ]
    assert ends[0] < ends[1] <= jaxem.fit(model, x, key=KEY, n_init=8).log_likelihood + 1e-5 * N


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="source is a ndarray; give a source"):
        jaxem.fit_incremental(FULL, X, key=KEY)
    for name in ("n_blocks", "n_passes"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            jaxem.fit_incremental(FULL, rows(X), key=KEY, **{name: 0})
    for family in (
        families.LogisticRegression(), families.StudentT("full", 3), families.FactorAnalyzer(1),
        families.Product({"a": families.Poisson(), "b": families.StudentT()}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="the maximum of sums of several E-steps"):
            jaxem.fit_incremental(jaxem.Mixture(family, 2), rows(X), key=KEY)
