"""Families of positive numbers, shares, counts and directions: scipy's densities and estimates."""

import jax.numpy as jnp
import numpy as np
from scipy import optimize, special, stats

from jaxem import families
from laws.family_case import FamilyCase, N, arrays, columns, means, without_row_5

_POSITIVE = np.array([[1.0, 5.0], [4.0, 2.5], [9.0, 0.7]])
_SHAPES = np.array([[1.3, 0.8], [2.0, 1.0], [0.7, 1.6]])


def _rng():
    return np.random.default_rng(21)


def _each(solve, r, x):
    """solve(weights, column) -> numbers, for each component and column -> arrays (k, d)."""
    found = [[solve(own / own.sum(), column) for column in np.asarray(x).T] for own in r]
    return np.moveaxis(np.array(found), -1, 0)


def log_normal():
    def mle(r, x):
        logs = np.log(np.asarray(x))
        middle = means(r, logs)
        squares = [means(r[[i]], (logs - own) ** 2)[0] for i, own in enumerate(middle)]
        return families.LogNormalParams(np.exp(middle), np.sqrt(squares))

    return FamilyCase(
        families.LogNormal(),
        families.LogNormalParams(*arrays(_POSITIVE, _SHAPES)),
        jnp.asarray(_rng().lognormal(0.3, 0.7, (N, 2))),
        lambda params, x: columns(
            lambda x, m, s: stats.lognorm.logpdf(x, s, scale=m), x, *map(np.asarray, params)
        ),
        mle,
        families.LogNormalPrior(3.0, 2.0, 0.4),
        families.LogNormalParams(False, False),
        hole=without_row_5,
    )


def weibull():
    def solve(share, x):
        def slope(a):
            power = share * x**a
            return 1 / a + share @ np.log(x) - power @ np.log(x) / power.sum()

        a = optimize.brentq(slope, 0.1, 20, xtol=1e-14, rtol=1e-14)
        return a, (share @ x**a) ** (1 / a)

    return FamilyCase(
        families.Weibull(),
        families.WeibullParams(*arrays(_SHAPES, _POSITIVE)),
        jnp.asarray(2 * _rng().weibull(1.5, (N, 2))),
        lambda params, x: columns(
            lambda x, a, b: stats.weibull_min.logpdf(x, a, scale=b), x, *map(np.asarray, params)
        ),
        lambda r, x: families.WeibullParams(*_each(solve, r, x)),
        None,
        families.WeibullParams(False, False),
        n_steps=6,
        hole=without_row_5,
    )


def negative_binomial():
    def solve(share, x):
        m = share @ x

        def slope(s):
            terms = special.digamma(s + x) - special.digamma(s) + np.log(s / (s + m))
            return share @ terms

        return m, optimize.brentq(slope, 1e-2, 1e4, xtol=1e-14, rtol=1e-14)

    return FamilyCase(
        families.NegativeBinomial(),
        families.NegativeBinomialParams(*arrays(_POSITIVE, _SHAPES)),
        jnp.asarray(_rng().negative_binomial(1.5, 0.3, (N, 2)).astype(float)),
        lambda params, x: columns(
            lambda x, m, s: stats.nbinom.logpmf(x, s, s / (s + m)), x, *map(np.asarray, params)
        ),
        lambda r, x: families.NegativeBinomialParams(*_each(solve, r, x)),
        None,
        families.NegativeBinomialParams(False, False),
        n_steps=15,
        digits=1e-7,
        hole=without_row_5,
    )


def zero_inflated_poisson():
    inflations = np.array([[0.3, 0.6], [0.1, 0.45], [0.5, 0.2]])
    rng = _rng()
    x = rng.poisson([3.0, 1.2], (N, 2)) * (rng.random((N, 2)) < 0.7)

    def log_prob(x, w, m):
        return np.log(w * (x == 0) + (1 - w) * stats.poisson.pmf(x, m))

    def solve(share, x):
        p = share @ (x > 0)
        a = share @ x / p

        m = optimize.brentq(lambda m: m / -np.expm1(-m) - a, 1e-9, a, xtol=1e-14, rtol=1e-14)
        return 1 - p / -np.expm1(-m), m

    return FamilyCase(
        families.ZeroInflatedPoisson(),
        families.ZeroInflatedPoissonParams(*arrays(inflations, _POSITIVE)),
        jnp.asarray(x.astype(float)),
        lambda params, x: columns(log_prob, x, *map(np.asarray, params)),
        lambda r, x: families.ZeroInflatedPoissonParams(*_each(solve, r, x)),
        families.ZeroInflatedPoissonPrior(2.0, 1.5, 6.0),
        families.ZeroInflatedPoissonParams(False, False),
        hole=without_row_5,
    )


def binomial():
    p, rng = np.array([[0.2, 0.7], [0.5, 0.4], [0.75, 0.1]]), _rng()
    trials = rng.integers(1, 12, N)
    x = arrays(rng.binomial(trials[:, None], [0.3, 0.6]).astype(float), trials.astype(float))

    def log_prob(params, x):
        successes, trials = np.asarray(x[0]), np.asarray(x[1])[:, None]
        return columns(
            lambda x, p: stats.binom.logpmf(x, trials, p), successes, np.asarray(params[0])
        )

    def mle(r, x):
        successes, trials = map(np.asarray, x)
        share = [(own[:, None] * successes).sum(0) / (own @ trials) for own in r]
        return families.BinomialParams(np.array(share))

    return FamilyCase(
        families.Binomial(),
        families.BinomialParams(*arrays(p)),
        x,
        log_prob,
        mle,
        families.BinomialPrior(2.0, 3.5),
        families.BinomialParams(False),
        hole=lambda x: (without_row_5(x[0]), x[1]),
    )


def beta():
    def solve(share, x):
        logs = share @ np.log(x), share @ np.log1p(-x)

        def slopes(t):
            a, b = np.exp(t)
            gap = special.digamma(a + b)
            return logs[0] + gap - special.digamma(a), logs[1] + gap - special.digamma(b)

        a, b = np.exp(optimize.root(slopes, np.zeros(2), tol=1e-14).x)
        return a / (a + b), a + b

    return FamilyCase(
        families.Beta(),
        families.BetaParams(*arrays(_SHAPES / 3, _POSITIVE + 1)),
        jnp.asarray(_rng().beta(1.5, 2.5, (N, 2))),
        lambda params, x: columns(
            lambda x, m, n: stats.beta.logpdf(x, m * n, (1 - m) * n), x, *map(np.asarray, params)
        ),
        lambda r, x: families.BetaParams(*_each(solve, r, x)),
        families.BetaPrior(3.0, 0.7, 2.8),
        families.BetaParams(False, False),
        hole=without_row_5,
    )


def inverse_gaussian():
    def solve(share, x):
        m = share @ x
        return m, 1 / (share @ (1 / x) - 1 / m)

    return FamilyCase(
        families.InverseGaussian(),
        families.InverseGaussianParams(*arrays(_POSITIVE, _SHAPES)),
        jnp.asarray(_rng().wald(2.0, 3.0, (N, 2))),
        lambda params, x: columns(
            lambda x, m, s: stats.invgauss.logpdf(x, m / s, scale=s), x, *map(np.asarray, params)
        ),
        lambda r, x: families.InverseGaussianParams(*_each(solve, r, x)),
        families.InverseGaussianPrior(3.0, 2.0, 0.4),
        families.InverseGaussianParams(False, False),
        hole=without_row_5,
    )


def von_mises_fisher():
    """Rows of three numbers, on the sphere."""
    directions = np.array([[0.6, 0.0, 0.8], [-0.36, 0.8, 0.48], [0.0, -0.8, 0.6]])

    def log_prob(params, x):
        pairs = zip(*map(np.asarray, params), strict=True)
        return np.array([stats.vonmises_fisher.logpdf(np.asarray(x), m, c) for m, c in pairs])

    def mle(r, x):
        ends = means(r, np.asarray(x))
        lengths = np.linalg.norm(ends, axis=1)
        found = [
            optimize.brentq(
                lambda c, r=r: special.ive(1.5, c) / special.ive(0.5, c) - r, 1e-9, 1e5, xtol=1e-13
            )
            for r in lengths
        ]
        return families.VonMisesFisherParams(ends / lengths[:, None], np.array(found))

    x = _rng().normal([0.7, 0.0, 0.4], 1.0, (N, 3))
    return FamilyCase(
        families.VonMisesFisher(),
        families.VonMisesFisherParams(*arrays(directions, [1.5, 4.0, 0.7])),
        jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True)),
        log_prob,
        mle,
        families.VonMisesFisherPrior(3.0, [0.6, 0.8, 0.0], 0.4),
        families.VonMisesFisherParams(False, False),
    )


def censored_normal():
    """Numbers between two limits of detection."""
    m, s = np.array([[0.5, -1.0], [1.5, 0.3], [-0.7, 2.0]]), _SHAPES
    number = _rng().normal(0.4, 1.5, (N, 2))
    side = 1.0 * (number > 1.5) - (number < -1.0)

    def log_prob(params, x):
        number, side = map(np.asarray, x)

        def each(_, m, s):
            z = (number - m) / s
            beyond = np.where(side > 0, stats.norm.logsf(z), stats.norm.logcdf(z))
            return np.where(side == 0, stats.norm.logpdf(number, m, s), beyond)

        return columns(each, number, *map(np.asarray, params))

    def solve(share, x, side):
        def slopes(t):
            z = (x - t[0]) / np.exp(t[1])
            u = side * z
            hazard = stats.norm.pdf(u) / stats.norm.sf(u)
            mean = np.where(side == 0, z, side * hazard)
            return share @ mean, share @ np.where(side == 0, z**2 - 1, u * hazard)

        found = optimize.root(slopes, np.array([0.4, 0.3]), tol=1e-14).x
        return found[0], np.exp(found[1])

    def mle(r, x):
        pairs = list(zip(*(np.asarray(of).T for of in x), strict=True))
        found = [[solve(own / own.sum(), *pair) for pair in pairs] for own in r]
        return families.CensoredNormalParams(*np.moveaxis(np.array(found), -1, 0))

    return FamilyCase(
        families.CensoredNormal(),
        families.CensoredNormalParams(*arrays(m, s)),
        arrays(np.clip(number, -1.0, 1.5), side),
        log_prob,
        mle,
        None,
        families.CensoredNormalParams(False, False),
        n_steps=60,
        digits=1e-8,
        hole=lambda x: (without_row_5(x[0]), x[1]),
    )


def censored_exponential():
    rng = _rng()
    number, limit = rng.exponential(0.5, (N, 2)), rng.exponential(0.8, (N, 2))
    side = (number > limit).astype(float)

    def log_prob(params, x):
        number, side = map(np.asarray, x)

        def each(_, rate):
            ended, went_on = stats.expon.logpdf, stats.expon.logsf
            return np.where(side == 0, *(of(number, scale=1 / rate) for of in (ended, went_on)))

        return columns(each, number, np.asarray(params.rates))

    def mle(r, x):
        number, side = map(np.asarray, x)
        rates = [own @ (side == 0) / (own @ number) for own in r]
        return families.ExponentialParams(np.array(rates))

    return FamilyCase(
        families.CensoredExponential(),
        families.ExponentialParams(*arrays(_POSITIVE)),
        arrays(np.minimum(number, limit), side),
        log_prob,
        mle,
        families.ExponentialPrior(2.0, 0.5),
        families.ExponentialParams(False),
        hole=lambda x: (without_row_5(x[0]), x[1]),
    )


def truncated_normal():
    """The estimate is where the moments between the limits are those of the rows."""
    m, s = (
        np.array([[0.5, -0.4], [1.5, 0.3], [0.0, 1.2]]),
        np.array([[1.3, 0.8], [1.0, 1.1], [0.7, 1.6]]),
    )
    low, high = -1.0, 2.5

    def log_prob(x, m, s):
        return stats.truncnorm.logpdf(x, (low - m) / s, (high - m) / s, m, s)

    def solve(share, x):
        own = share @ x, share @ x**2

        def short(t):
            m, s = t[0], np.exp(t[1])
            of = stats.truncnorm((low - m) / s, (high - m) / s, m, s)
            return of.mean() - own[0], of.var() + of.mean() ** 2 - own[1]

        found = optimize.root(short, np.array([0.5, 0.0]), tol=1e-13).x
        return found[0], np.exp(found[1])

    u = _rng().random((N, 2))
    x = stats.truncnorm.ppf(u, (low - 0.4) / 0.9, (high - 0.4) / 0.9, 0.4, 0.9)
    return FamilyCase(
        families.TruncatedNormal(low, high),
        families.TruncatedNormalParams(*arrays(m, s)),
        jnp.asarray(x),
        lambda params, x: columns(log_prob, x, *map(np.asarray, params)),
        lambda r, x: families.TruncatedNormalParams(*_each(solve, r, x)),
        None,
        families.TruncatedNormalParams(False, False),
        n_steps=40,
        digits=1e-8,
        hole=without_row_5,
    )


def binned_normal():
    """Bins of which the last is open."""
    m, s = (
        np.array([[0.5, -0.4], [1.5, 0.3], [0.0, 1.2]]),
        np.array([[1.3, 0.8], [1.0, 1.1], [0.7, 1.6]]),
    )
    edges = np.array([-2.0, -0.5, 0.2, 0.8, 1.7, np.inf])

    def log_prob(x, m, s):
        p = np.diff(stats.norm.cdf(edges[:, None], m, s), axis=0)
        rows = np.take_along_axis(p, x.astype(int), 0)
        return np.log(rows / stats.norm.sf(edges[0], m, s))

    def solve(share, x):
        def terms(a, b):
            """Of the derivatives of log P by m and by log s."""
            p = [stats.norm.pdf(of) for of in (a, b)]
            ends = [np.where(np.isinf(of), 0, of) for of in (a, b)]
            mass = np.where(
                a > 0,
                stats.norm.sf(a) - stats.norm.sf(b),
                np.diff(stats.norm.cdf([a, b]), axis=0)[0],
            )
            return np.array([p[0] - p[1], ends[0] * p[0] - ends[1] * p[1]]) / mass

        def slopes(t):
            b = (edges - t[0]) / np.exp(t[1])
            j = x.astype(int)
            return terms(b[j], b[j + 1]) @ share - terms(b[:1], b[-1:])[:, 0]

        found = optimize.root(slopes, np.array([0.4, 0.0]), tol=1e-13).x
        return found[0], np.exp(found[1])

    number = stats.truncnorm.ppf(_rng().random((N, 2)), -2.4, np.inf, 0.4, 1.0)
    return FamilyCase(
        families.BinnedNormal(edges),
        families.BinnedNormalParams(*arrays(m, s)),
        jnp.asarray(np.digitize(number, edges) - 1.0),
        lambda params, x: columns(log_prob, x, *map(np.asarray, params)),
        lambda r, x: families.BinnedNormalParams(*_each(solve, r, x)),
        None,
        families.BinnedNormalParams(False, False),
        n_steps=250,
        digits=1e-8,
        hole=without_row_5,
    )


def truncated_exponential():
    """One rate is below 0; the estimate is where the mean is that of the rows."""
    rates, (low, high) = np.array([[1.0, 0.4], [-0.8, 2.5], [0.2, -1.7]]), (1.0, 3.5)

    def log_prob(x, rate):
        t = rate * (high - low)
        return np.log(rate / -np.expm1(-t)) - rate * (x - low)

    def solve(share, x):
        def short(rate):
            return 1 / rate - (high - low) / np.expm1(rate * (high - low)) - share @ (x - low)

        return (optimize.brentq(short, 1e-7, 30, xtol=1e-14),)

    x = low + stats.truncexpon.rvs(2.5, size=(N, 2), random_state=_rng())
    return FamilyCase(
        families.TruncatedExponential(low, high),
        families.TruncatedExponentialParams(*arrays(rates)),
        jnp.asarray(x),
        lambda params, x: columns(log_prob, x, np.asarray(params.rates)),
        lambda r, x: families.TruncatedExponentialParams(*_each(solve, r, x)),
        families.TruncatedExponentialPrior(3.0, 2.0),
        families.TruncatedExponentialParams(False),
        hole=without_row_5,
    )


COLUMN_CASES = {
    "log_normal": log_normal,
    "weibull": weibull,
    "negative_binomial": negative_binomial,
    "zero_inflated_poisson": zero_inflated_poisson,
    "binomial": binomial,
    "beta": beta,
    "inverse_gaussian": inverse_gaussian,
    "von_mises_fisher": von_mises_fisher,
    "censored_normal": censored_normal,
    "censored_exponential": censored_exponential,
    "truncated_normal": truncated_normal,
    "binned_normal": binned_normal,
    "truncated_exponential": truncated_exponential,
}
