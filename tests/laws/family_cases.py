"""The table of families: scipy's density and the estimate in plain NumPy for each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, special, stats

from jaxem import families
from laws.column_cases import COLUMN_CASES
from laws.contaminated_cases import CONTAMINATED_CASES
from laws.factor_cases import FACTOR_CASES
from laws.family_case import FamilyCase, N, arrays, columns, means, without_row_5
from laws.gaussian_cases import GAUSSIAN_CASES
from laws.regression_cases import REGRESSION_CASES
from laws.student_t_cases import STUDENT_T_CASES

_P = np.array([[0.2, 0.7], [0.5, 0.4], [0.75, 0.1]])
_RATES = np.array([[1.0, 5.0], [4.0, 2.5], [9.0, 0.7]])
_TABLES = (
    np.array([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4]]),
    np.array([[0.2, 0.3, 0.1, 0.4], [0.25, 0.25, 0.2, 0.3], [0.5, 0.2, 0.1, 0.2]]),
)
_SHARES = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]])


def _rng():
    return np.random.default_rng(20)


def bernoulli():
    return FamilyCase(
        families.Bernoulli(),
        families.BernoulliParams(*arrays(_P)),
        *arrays((_rng().random((N, 2)) < 0.5).astype(float)),
        lambda params, x: columns(stats.bernoulli.logpmf, x, np.asarray(params.probabilities)),
        lambda r, x: families.BernoulliParams(means(r, np.asarray(x))),
        families.BernoulliPrior(2.0, 3.5),
        families.BernoulliParams(False),
        hole=without_row_5,
    )


def categorical():
    levels, rng = (2, 4), _rng()
    x = np.stack([rng.integers(0, c, N) for c in levels], axis=1).astype(float)

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
        families.CategoricalParams(arrays(*_TABLES)),
        jnp.asarray(x),
        log_prob,
        mle,
        families.CategoricalPrior(1.5),
        families.CategoricalParams((False, False)),
        hole=without_row_5,
    )


def multinomial():
    x = _rng().multinomial(9, [0.3, 0.3, 0.4], N).astype(float)

    def log_prob(params, x):
        x = np.asarray(x)
        return np.array([stats.multinomial.logpmf(x, x.sum(1), p) for p in np.asarray(params[0])])

    def mle(r, x):
        total = np.array([(own[:, None] * np.asarray(x)).sum(0) for own in r])
        return families.MultinomialParams(total / total.sum(1, keepdims=True))

    return FamilyCase(
        families.Multinomial(9),
        families.MultinomialParams(*arrays(_SHARES)),
        jnp.asarray(x),
        log_prob,
        mle,
        families.MultinomialPrior(2.0),
        families.MultinomialParams(False),
    )


def poisson():
    return FamilyCase(
        families.Poisson(),
        families.PoissonParams(*arrays(_RATES)),
        jnp.asarray(_rng().poisson(4, (N, 2)).astype(float)),
        lambda params, x: columns(stats.poisson.logpmf, x, np.asarray(params.rates)),
        lambda r, x: families.PoissonParams(means(r, np.asarray(x))),
        families.PoissonPrior(2.0, 0.5),
        families.PoissonParams(False),
        hole=without_row_5,
    )


def poisson_with_exposure():
    rng = _rng()
    x = arrays(rng.poisson(4, (N, 2)).astype(float), rng.uniform(0.5, 3, N))

    def log_prob(params, x):
        means = np.asarray(x[1])[:, None] * np.asarray(params.rates)[:, None]
        return np.array([stats.poisson.logpmf(np.asarray(x[0]), own).sum(1) for own in means])

    def mle(r, x):
        counts, exposure = map(np.asarray, x)
        return families.PoissonParams(
            np.array([(own[:, None] * counts).sum(0) / (own * exposure).sum() for own in r])
        )

    return poisson()._replace(
        family=families.Poisson(exposure=True), x=x, log_prob=log_prob, mle=mle,
        hole=lambda x: (without_row_5(x[0]), x[1]),
    )  # fmt: skip


def exponential():
    return FamilyCase(
        families.Exponential(),
        families.ExponentialParams(*arrays(_RATES)),
        jnp.asarray(_rng().exponential(0.5, (N, 2))),
        lambda params, x: columns(
            lambda x, rate: stats.expon.logpdf(x, scale=1 / rate), x, np.asarray(params.rates)
        ),
        lambda r, x: families.ExponentialParams(1 / means(r, np.asarray(x))),
        families.ExponentialPrior(2.0, 0.5),
        families.ExponentialParams(False),
        hole=without_row_5,
    )


def gamma():
    shapes = _RATES / 2

    def mle(r, x):
        x = np.asarray(x)
        mean = means(r, x)
        gap = np.log(mean) - means(r, np.log(x))
        solve = np.vectorize(
            lambda g: optimize.brentq(
                lambda a: np.log(a) - special.digamma(a) - g, 1e-6, 1e9, xtol=1e-14, rtol=1e-14
            )
        )
        return families.GammaParams(solve(gap), solve(gap) / mean)

    return FamilyCase(
        families.Gamma(),
        families.GammaParams(*arrays(shapes, _RATES)),
        jnp.asarray(_rng().gamma(2.0, 0.7, (N, 2))),
        lambda params, x: columns(
            lambda x, a, b: stats.gamma.logpdf(x, a, scale=1 / b), x, *map(np.asarray, params)
        ),
        mle,
        families.GammaPrior(3.0, 2.0, 0.4),
        families.GammaParams(False, False),
        hole=without_row_5,
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
        families.VonMisesParams(*arrays(directions, concentrations)),
        jnp.asarray(_rng().vonmises([0.5, -2.0], [1.5, 0.6], (N, 2))),
        lambda params, x: columns(
            lambda x, m, c: stats.vonmises.logpdf(x, c, loc=m), x, *map(np.asarray, params)
        ),
        mle,
        families.VonMisesPrior(3.0, 0.5, 0.4),
        families.VonMisesParams(False, False),
        hole=without_row_5,
    )


class LogNormal(NamedTuple):
    mean: jax.Array  # of the logarithm
    scale: jax.Array


def log_normal(p, x):
    logs = jnp.log(x[:, 0])
    return jax.scipy.stats.norm.logpdf(logs, p.mean, p.scale) - logs


def log_normal_start(x, weight):
    return LogNormal(jnp.zeros(()), jnp.ones(()))


def log_normal_coordinates(p):
    return LogNormal(p.mean, jnp.log(p.scale))


def log_normal_from(t):
    return LogNormal(t.mean, jnp.exp(jnp.clip(t.scale, -30, 30)))


def log_normal_draw(key, p):
    return jnp.exp(p.mean + p.scale * jax.random.normal(key, (1,), p.mean.dtype))


def density():
    """A density of one's own, by Newton steps."""

    def log_prob(params, x):
        pairs = zip(*map(np.asarray, params), strict=True)
        return np.array(
            [stats.lognorm.logpdf(np.asarray(x)[:, 0], s, scale=np.exp(m)) for m, s in pairs]
        )

    def mle(r, x):
        logs = np.log(np.asarray(x))
        mean = means(r, logs)
        squares = [w @ (logs - own) ** 2 / w.sum() for w, own in zip(r, mean, strict=True)]
        return LogNormal(mean[:, 0], np.sqrt(squares)[:, 0])

    return FamilyCase(
        families.Density(
            log_normal, log_normal_start, log_normal_coordinates, log_normal_from, log_normal_draw
        ),
        LogNormal(*arrays([0.3, 1.0, -0.5], [0.8, 0.5, 1.2])),
        jnp.asarray(_rng().lognormal(0.3, 0.7, (N, 1))),
        log_prob,
        mle,
        None,
        LogNormal(False, False),
        n_steps=30,
        digits=1e-7,
    )


def product():
    """A dict, of which one block is a tuple."""
    regression = REGRESSION_CASES["linear_regression"]()
    parts = {"visits": poisson(), "colour": categorical(), "line": regression}
    return FamilyCase(
        families.Product({name: case.family for name, case in parts.items()}),
        {name: case.params for name, case in parts.items()},
        {name: case.x for name, case in parts.items()},
        lambda params, x: sum(c.log_prob(params[name], x[name]) for name, c in parts.items()),
        lambda r, x: {name: c.mle(r, x[name]) for name, c in parts.items()},
        {name: case.prior for name, case in parts.items()},
        {name: case.shared for name, case in parts.items()},
        hole=lambda x: {name: case.hole(x[name]) for name, case in parts.items()},
    )


FAMILY_CASES = {
    "bernoulli": bernoulli,
    "categorical": categorical,
    "multinomial": multinomial,
    "poisson": poisson,
    "poisson_with_exposure": poisson_with_exposure,
    "exponential": exponential,
    "gamma": gamma,
    "von_mises": von_mises,
    "density": density,
    "product": product,
    **COLUMN_CASES,
    **REGRESSION_CASES,
    **GAUSSIAN_CASES,
    **STUDENT_T_CASES,
    **CONTAMINATED_CASES,
    **FACTOR_CASES,
}
