"""A density of one's own: Newton steps that stay where the formula has digits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import betaln, gammaln, log_ndtr
from scipy import optimize, stats
from scipy.special import logsumexp

import jaxem
from jaxem import families


def logs(tree):
    return jax.tree.map(jnp.log, tree)


def exponentials(tree):
    return jax.tree.map(jnp.exp, tree)


# ---- counts of successes in given numbers of trials, as every textbook writes them


class BetaBinomial(NamedTuple):
    a: jax.Array
    b: jax.Array


def beta_binomial(p, x):
    s, n = x[:, 0], x[:, 1]
    ways = gammaln(n + 1) - gammaln(s + 1) - gammaln(n - s + 1)
    return ways + betaln(s + p.a, n - s + p.b) - betaln(p.a, p.b)


TRIALS = families.Density(
    beta_binomial, lambda x, w: BetaBinomial(jnp.ones(()), jnp.ones(())), logs, exponentials
)


def _trials(rng, probability, n=240):
    m = rng.integers(5, 40, n)
    return np.stack([rng.binomial(m, probability), m], axis=1).astype(float)


def _best(negative, start):
    options = dict(maxiter=20000, maxfev=20000, fatol=1e-11, xatol=1e-9, adaptive=True)
    return optimize.minimize(negative, start, method="Nelder-Mead", options=options)


@pytest.mark.slow
def test_parameters_that_run_off_do_not_win():
    """Nor any start: none is above scipy's maximum, and most are at it."""
    rng = np.random.default_rng(2)
    p = np.where(rng.random(240) < 0.5, rng.beta(2, 18, 240), rng.beta(30, 10, 240))
    x = _trials(rng, p)

    def negative(t):
        share, (a, b) = 1 / (1 + np.exp(-t[0])), np.exp(t[1:].reshape(2, 2))
        parts = [stats.betabinom.logpmf(x[:, 0], x[:, 1], c, d) for c, d in zip(a, b, strict=True)]
        return -logsumexp(np.array(parts) + np.log([[share], [1 - share]]), axis=0).sum()

    expected = -_best(negative, [0, 0.7, 3.4, 2.9, 2.3]).fun
    result = jaxem.fit(jaxem.Mixture(TRIALS, 2), x, key=jax.random.key(0), n_init=8)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, expected, atol=2e-3)
    assert np.all(np.asarray(result.restarts.log_likelihood) < expected + 1e-3)
    assert result.restarts.n_best >= 6


@pytest.mark.slow
def test_the_limit_of_a_density_is_found_and_left_alone():
    """Without overdispersion a and b have no maximum: what is found is the binomial's."""
    x = _trials(np.random.default_rng(3), np.full(240, 0.3))
    x[:, 0] = np.round(0.3 * x[:, 1])  # less scattered than any
    p = x[:, 0].sum() / x[:, 1].sum()
    supremum = stats.binom.logpmf(x[:, 0], x[:, 1], p).sum()
    result = jaxem.fit(jaxem.Mixture(TRIALS, 1), x, key=jax.random.key(0), n_init=2, tol=1e-9)
    assert result.converged
    assert supremum - 1e-3 < float(result.log_likelihood) < supremum + 1e-5
    a, b = (float(leaf[0]) for leaf in result.params.components)
    np.testing.assert_allclose(a / (a + b), p, rtol=1e-4)
    assert 1e4 < a < 1e9


@pytest.mark.slow
def test_digits_that_are_lost_are_told():
    """The rounding of log densities grows with the parameters as that of their terms does."""
    x = jnp.asarray(_trials(np.random.default_rng(4), 0.4))

    @jax.jit
    def told(a):
        params = BetaBinomial(a[None], 1.5 * a[None])
        _, cache = TRIALS.evaluate(params, x)
        return TRIALS.rounding(TRIALS.statistics(params, x, cache, jnp.ones((1, len(x)))))

    rounding = [float(told(jnp.asarray(a))) for a in (1.1, 1e6, 1e10, 1e14)]
    assert rounding[0] < 1e-11
    for a, lost in zip((1e6, 1e10, 1e14), rounding[1:], strict=True):
        digits = np.spacing(a * np.log(a))  # of a term, in each row or in all of them alike
        assert 1e-2 * digits < lost < 1e3 * len(x) * digits


# ---- normal distributions cut off at 0 and 10


class Truncated(NamedTuple):
    mean: jax.Array
    scale: jax.Array


def truncated(p, x):
    low, high = -p.mean / p.scale, (10 - p.mean) / p.scale
    below = log_ndtr(high) + jnp.log1p(-jnp.exp(log_ndtr(low) - log_ndtr(high)))
    above = log_ndtr(-low) + jnp.log1p(-jnp.exp(log_ndtr(-high) - log_ndtr(-low)))
    mass = jnp.where(low > 0, above, below)
    return jax.scipy.stats.norm.logpdf(x[:, 0], p.mean, p.scale) - mass


def _to_unconstrained(p):
    return Truncated(p.mean, jnp.log(p.scale))


def _from_unconstrained(t):
    return Truncated(t.mean, jnp.exp(t.scale))


def _ends(n=400):
    """U-shaped: one normal distribution on it has no maximum."""
    rng = np.random.default_rng(2)
    first = rng.random(n) < 0.4
    near = stats.truncnorm(-1, 9, 1, 1).rvs(n, random_state=1)
    far = stats.truncnorm(-4, 1, 8, 2).rvs(n, random_state=2)
    return np.where(first, near, far)


@pytest.mark.slow
@pytest.mark.parametrize("heeds_weights", [False, True])
def test_starts_are_the_persons_own(heeds_weights):
    def start(x, weight):
        w = weight if heeds_weights else jnp.ones_like(weight)
        mean = jnp.sum(w * x[:, 0]) / jnp.sum(w)
        return Truncated(mean, 0.1 + jnp.sqrt(jnp.sum(w * (x[:, 0] - mean) ** 2) / jnp.sum(w)))

    x = _ends()

    def negative(t):
        share, means, scales = 1 / (1 + np.exp(-t[0])), t[1:3], np.exp(t[3:])
        parts = [
            stats.truncnorm.logpdf(x, -m / s, (10 - m) / s, m, s)
            for m, s in zip(means, scales, strict=True)
        ]
        return -logsumexp(np.array(parts) + np.log([[share], [1 - share]]), axis=0).sum()

    expected = -_best(negative, [0, 1, 8, 0, 0.7]).fun
    model = jaxem.Mixture(
        families.Density(truncated, start, _to_unconstrained, _from_unconstrained), 2
    )
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=8, tol=1e-8)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-8)
    assert all(jaxem.Status(int(s)).converged for s in result.restarts.status)
    assert result.restarts.n_best >= 6


@pytest.mark.slow
def test_newton_keeps_what_it_cannot_better():
    """Where steps only lead to no number, the fit of one component is the person's start."""

    def log_prob(p, x):
        inside = jnp.abs(p - 3.0) < 1e-3
        return jnp.where(inside, -((x[:, 0] - p) ** 2), jnp.nan)

    family = families.Density(log_prob, lambda x, w: jnp.asarray(3.0, x.dtype))
    x = jnp.linspace(10.0, 20.0, 30)[:, None]
    np.testing.assert_array_equal(family.fit_one_component(x, jnp.ones(30), 2), [3.0, 3.0])
