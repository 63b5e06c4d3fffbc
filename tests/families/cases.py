"""One case of each family that is no Gaussian: scipy's density and the estimate in plain NumPy."""

import jax.numpy as jnp
import numpy as np
from scipy import optimize, special, stats

from jaxem import families
from laws.family import FamilyCase

_RNG = np.random.default_rng(20)
_N = 48
_P = np.array([[0.2, 0.7], [0.5, 0.4], [0.75, 0.1]])
_RATES = np.array([[1.0, 5.0], [4.0, 2.5], [9.0, 0.7]])
_TABLES = (
    np.array([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4]]),
    np.array([[0.2, 0.3, 0.1, 0.4], [0.25, 0.25, 0.2, 0.3], [0.5, 0.2, 0.1, 0.2]]),
)
_SHARES = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]])
_COEFFICIENTS = np.array([[1.0, 2.0, -1.0], [-2.0, 0.5, 1.0], [0.3, -1.0, 0.2]])
_SCALES = np.array([0.7, 1.2, 2.0])


def _arrays(*arrays):
    return tuple(jnp.asarray(a) for a in arrays)


def _columns(log_density, x, *params):
    """Sums over the columns, for each component."""
    return np.array([log_density(np.asarray(x), *of).sum(1) for of in zip(*params, strict=True)])


def _means(r, x):
    return np.array([(own[:, None] * x).sum(0) / own.sum() for own in r])


def bernoulli():
    return FamilyCase(
        families.Bernoulli(),
        families.BernoulliParams(*_arrays(_P)),
        *_arrays((_RNG.random((_N, 2)) < 0.5).astype(float)),
        lambda params, x: _columns(stats.bernoulli.logpmf, x, np.asarray(params.probabilities)),
        lambda r, x: families.BernoulliParams(_means(r, np.asarray(x))),
        families.BernoulliPrior(2.0, 3.5),
        families.BernoulliParams(False),
    )


def categorical():
    levels = (2, 4)
    x = np.stack([_RNG.integers(0, c, _N) for c in levels], axis=1).astype(float)

    def log_prob(params, x):
        codes = np.asarray(x, int)
        return sum(np.log(np.asarray(p))[:, codes[:, j]] for j, p in enumerate(params[0]))

    def mle(r, x):
        tables = []
        for j, c in enumerate(levels):
            own = np.stack([r[:, np.asarray(x)[:, j] == level].sum(1) for level in range(c)], 1)
            tables.append(own / r.sum(1, keepdims=True))
        return families.CategoricalParams(tuple(tables))

    return FamilyCase(
        families.Categorical(levels),
        families.CategoricalParams(_arrays(*_TABLES)),
        jnp.asarray(x),
        log_prob,
        mle,
        families.CategoricalPrior(1.5),
        families.CategoricalParams((False, False)),
    )


def multinomial():
    x = _RNG.multinomial(9, [0.3, 0.3, 0.4], _N).astype(float)

    def log_prob(params, x):
        x = np.asarray(x)
        return np.array([stats.multinomial.logpmf(x, x.sum(1), p) for p in np.asarray(params[0])])

    def mle(r, x):
        total = np.array([(own[:, None] * np.asarray(x)).sum(0) for own in r])
        return families.MultinomialParams(total / total.sum(1, keepdims=True))

    return FamilyCase(
        families.Multinomial(9),
        families.MultinomialParams(*_arrays(_SHARES)),
        jnp.asarray(x),
        log_prob,
        mle,
        families.MultinomialPrior(2.0),
        families.MultinomialParams(False),
    )


def poisson():
    return FamilyCase(
        families.Poisson(),
        families.PoissonParams(*_arrays(_RATES)),
        jnp.asarray(_RNG.poisson(4, (_N, 2)).astype(float)),
        lambda params, x: _columns(stats.poisson.logpmf, x, np.asarray(params.rates)),
        lambda r, x: families.PoissonParams(_means(r, np.asarray(x))),
        families.PoissonPrior(2.0, 0.5),
        families.PoissonParams(False),
    )


def poisson_with_exposure():
    x = _arrays(_RNG.poisson(4, (_N, 2)).astype(float), _RNG.uniform(0.5, 3, _N))

    def log_prob(params, x):
        counts, exposure = map(np.asarray, x)
        rates = np.asarray(params.rates)
        return np.array([stats.poisson.logpmf(counts, exposure[:, None] * l).sum(1) for l in rates])  # noqa: E741

    def mle(r, x):
        counts, exposure = map(np.asarray, x)
        return families.PoissonParams(
            np.array([(own[:, None] * counts).sum(0) / (own * exposure).sum() for own in r])
        )

    return FamilyCase(
        families.Poisson(exposure=True),
        families.PoissonParams(*_arrays(_RATES)),
        x,
        log_prob,
        mle,
        families.PoissonPrior(2.0, 0.5),
        families.PoissonParams(False),
    )


def exponential():
    return FamilyCase(
        families.Exponential(),
        families.ExponentialParams(*_arrays(_RATES)),
        jnp.asarray(_RNG.exponential(0.5, (_N, 2))),
        lambda params, x: _columns(
            lambda x, rate: stats.expon.logpdf(x, scale=1 / rate), x, np.asarray(params.rates)
        ),
        lambda r, x: families.ExponentialParams(1 / _means(r, np.asarray(x))),
        families.ExponentialPrior(2.0, 0.5),
        families.ExponentialParams(False),
    )


def gamma():
    shapes = _RATES / 2

    def mle(r, x):
        x = np.asarray(x)
        mean = _means(r, x)
        gap = np.log(mean) - _means(r, np.log(x))
        solve = np.vectorize(
            lambda g: optimize.brentq(
                lambda a: np.log(a) - special.digamma(a) - g, 1e-6, 1e9, xtol=1e-14, rtol=1e-14
            )
        )
        return families.GammaParams(solve(gap), solve(gap) / mean)

    return FamilyCase(
        families.Gamma(),
        families.GammaParams(*_arrays(shapes, _RATES)),
        jnp.asarray(_RNG.gamma(2.0, 0.7, (_N, 2))),
        lambda params, x: _columns(
            lambda x, a, b: stats.gamma.logpdf(x, a, scale=1 / b), x, *map(np.asarray, params)
        ),
        mle,
        families.GammaPrior(3.0, 2.0, 0.4),
        families.GammaParams(False, False),
    )


def von_mises():
    directions, concentrations = np.array([[0.3, -1.0], [1.2, -2.5], [0.0, -2.0]]), _RATES / 2

    def mle(r, x):
        ends = np.array(
            [(own[:, None] * np.exp(1j * np.asarray(x))).sum(0) / own.sum() for own in r]
        )
        solve = np.vectorize(
            lambda length: optimize.brentq(
                lambda c: special.i1e(c) / special.i0e(c) - length, 1e-9, 1e5, xtol=1e-13
            )
        )
        return families.VonMisesParams(np.angle(ends), solve(np.abs(ends)))

    return FamilyCase(
        families.VonMises(),
        families.VonMisesParams(*_arrays(directions, concentrations)),
        jnp.asarray(_RNG.vonmises([0.5, -2.0], [1.5, 0.6], (_N, 2))),
        lambda params, x: _columns(
            lambda x, m, c: stats.vonmises.logpdf(x, c, loc=m), x, *map(np.asarray, params)
        ),
        mle,
        families.VonMisesPrior(3.0, 0.5, 0.4),
        families.VonMisesParams(False, False),
    )


def _regression_case(family, scales, shared):
    X = _RNG.normal(size=(_N, 2)) + 3.0
    y = X @ np.array([1.0, -0.5]) + _RNG.normal(size=_N)

    def log_prob(params, x):
        X, y = map(np.asarray, x)
        u = np.c_[np.ones(len(y)), X]
        pairs = zip(*map(np.asarray, params), strict=True)
        return np.array([stats.norm.logpdf(y, u @ b, s) for b, s in pairs])

    def mle(r, x):
        X, y = map(np.asarray, x)
        u = np.c_[np.ones(len(y)), X]
        b = [np.linalg.lstsq(np.sqrt(w)[:, None] * u, np.sqrt(w) * y, rcond=None)[0] for w in r]
        squares = np.array([w @ (y - u @ own) ** 2 for w, own in zip(r, b, strict=True)])
        variance = squares.sum() / r.sum() if family.common_scale else squares / r.sum(1)
        return families.LinearRegressionParams(np.array(b), np.sqrt(variance * np.ones(3)))

    return FamilyCase(
        family,
        families.LinearRegressionParams(*_arrays(_COEFFICIENTS, scales)),
        _arrays(X, y),
        log_prob,
        mle,
        families.LinearRegressionPrior(0.5, 2.0, 3.0, 0.7),
        families.LinearRegressionParams(False, shared),
    )


def linear_regression():
    return _regression_case(families.LinearRegression(), _SCALES, False)


def product():
    parts = {"visits": poisson(), "colour": categorical(), "weight": gamma()}
    return FamilyCase(
        families.Product({name: case.family for name, case in parts.items()}),
        {name: case.params for name, case in parts.items()},
        {name: case.x for name, case in parts.items()},
        lambda params, x: sum(c.log_prob(params[name], x[name]) for name, c in parts.items()),
        lambda r, x: {name: c.mle(r, x[name]) for name, c in parts.items()},
        {name: case.prior for name, case in parts.items()},
        {name: case.shared for name, case in parts.items()},
    )


CASES = [
    bernoulli, categorical, multinomial, poisson, poisson_with_exposure, exponential, gamma,
    linear_regression, product, von_mises,
]  # fmt: skip
