"""The table of models: every kind of chain, and data of every form, drawn from known parameters.

The references are the sums over all assignments, of the densities and estimates in the table of
families: they share no line with the package.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from scipy.special import log_softmax, logsumexp

import jaxem
from jaxem import HMM, HMMParams, Mixture, MixtureParams, families
from jaxem.core.contracts import Model
from jaxem.reference.hidden_markov import over_paths
from laws.family_cases import FAMILY_CASES, LogNormal
from scripts import example_linkage as linkage

N_ROWS, N_SEQUENCES, N_STEPS = 400, 100, 4


class Expected(NamedTuple):
    """What a reference says of an E-step: counts holds total, by part and, of a chain, others."""

    counts: tuple
    log_likelihood: float


class ModelCase(NamedTuple):
    model: Model
    params: Any  # of which x is drawn: EM takes some steps from there to its optimum
    draw: Callable[[Any], Any]  # key -> x; always of the same shapes
    e_step: Callable[[Any, Any], Expected]  # params, x
    m_step: Callable[[Any, Any], Any]  # params, x -> those of the next iteration; None: a search
    lengths: Any = None

    @property
    def of_data(self) -> dict[str, Any]:
        return {} if self.lengths is None else {"lengths": self.lengths}


def rows_of(x):
    """Of all sequences one after another, where there are several."""
    return jax.tree.map(lambda *parts: np.concatenate(parts), *x) if isinstance(x, list) else x


# ---- mixtures


def mixture(name: str, components: Any) -> ModelCase:
    of = FAMILY_CASES[name]()
    model = Mixture(of.family, 2)
    params = MixtureParams(np.array([0.35, 0.65]), components)

    def joint(params, x):
        return of.log_prob(params.components, x) + np.log(np.asarray(params.weights))[:, None]

    def e_step(params, x):
        logs = joint(params, x)
        total = logsumexp(logs, axis=0)
        return Expected((logs.shape[1], np.exp(logs - total).sum(1)), total.sum())

    def m_step(params, x):
        r = np.exp(joint(params, x) - logsumexp(joint(params, x), axis=0))
        return MixtureParams(r.mean(1), of.mle(r, x))

    def draw(key):
        return jaxem.sample(model, params, key, N_ROWS)[0]

    exact = of.n_steps == 1
    return ModelCase(model, params, draw, e_step, m_step if exact else lambda *_: None)


def holes() -> ModelCase:
    """Of the third of the rows that have some; a row of nothing says nothing."""
    case = mixture("full_with_holes", _COLUMNS)
    hidden = np.random.default_rng(1).random((N_ROWS, 2)) < np.array([0.2, 0.15])

    def draw(key):
        return np.where(hidden, np.nan, jaxem.sample(case.model, case.params, key, N_ROWS)[0])

    def e_step(params, x):
        found = case.e_step(params, case.model.family.read(x))
        told = ~np.isnan(x).all(axis=1)
        return found._replace(counts=(told.sum(), found.counts[1]))

    return case._replace(draw=draw, e_step=e_step)


def noise() -> ModelCase:
    """A tenth of the rows are spread over a box."""
    case = mixture("full", _COLUMNS)
    model = Mixture(case.model.family, 2, noise=True)
    box = jaxem.Noise(np.array(0.1), np.array([-10.0, -8.0]), np.array([12.0, 9.0]))
    of = FAMILY_CASES["full"]()

    def shares(params, x):
        share, low, high = params.noise
        logs = of.log_prob(params.components, x) + np.log(np.asarray(params.weights))[:, None]
        beside = np.full((1, len(x)), np.log(share) - np.log(high - low).sum())
        logs = np.concatenate([logs + np.log1p(-share), beside])
        return np.exp(logs - logsumexp(logs, axis=0)), logsumexp(logs, axis=0).sum()

    def e_step(params, x):
        r, total = shares(params, x)
        return Expected((len(x), r[:2].sum(1)), total)

    def m_step(params, x):
        r = shares(params, x)[0]
        known = params.noise._replace(share=r[2].mean())
        weights = r[:2].sum(1) / r[:2].sum()
        return jaxem.NoisyMixtureParams(weights, of.mle(r[:2], x), known)

    def draw(key):
        return jaxem.sample(model, params, key, N_ROWS)[0]

    params = jaxem.NoisyMixtureParams(*case.params, box)
    return ModelCase(model, params, draw, e_step, m_step)


def concomitants() -> ModelCase:
    """Data (x, Z): the second component is the likelier the larger the first covariate is."""
    of = FAMILY_CASES["full"]()
    model = Mixture(of.family, 2, concomitants=2)
    coefficients = np.array([[0.0, 0.0, 0.0], [0.4, 1.5, -0.5]])
    params = jaxem.ConcomitantMixtureParams(np.array([0.45, 0.55]), _COLUMNS, coefficients)

    def joint(params, data):
        x, z = map(np.asarray, data)
        eta = np.asarray(params.coefficients) @ np.c_[np.ones(len(z)), z].T
        return of.log_prob(params.components, x) + log_softmax(eta, axis=0)

    def e_step(params, data):
        logs = joint(params, data)
        total = logsumexp(logs, axis=0)
        return Expected((logs.shape[1], np.exp(logs - total).sum(1)), total.sum())

    def draw(key):
        return jaxem.sample(model, params, key, N_ROWS)[0]

    return ModelCase(model, params, draw, e_step, lambda *_: None)


def concomitants_and_noise() -> ModelCase:
    """Noise is the likelier the smaller the covariate is."""
    of = FAMILY_CASES["full"]()
    model = Mixture(of.family, 2, noise=True, concomitants=1)
    coefficients = np.array([[0.0, 0.0], [0.4, 1.5], [-1.5, -1.0]])
    box = jaxem.Noise(np.array(0.15), np.array([-10.0, -8.0]), np.array([12.0, 9.0]))
    weights = np.array([0.45, 0.55])
    params = jaxem.NoisyConcomitantMixtureParams(weights, _COLUMNS, coefficients, box)

    def joint(params, data):
        x, z = map(np.asarray, data)
        eta = np.asarray(params.coefficients) @ np.c_[np.ones(len(z)), z].T
        _, low, high = params.noise
        beside = np.full((1, len(x)), -np.log(high - low).sum())
        each = np.concatenate([of.log_prob(params.components, x), beside])
        return each + log_softmax(eta, axis=0)

    def e_step(params, data):
        logs = joint(params, data)
        total = logsumexp(logs, axis=0)
        return Expected((logs.shape[1], np.exp(logs - total).sum(1)[:2]), total.sum())

    def draw(key):
        return jaxem.sample(model, params, key, N_ROWS)[0]

    return ModelCase(model, params, draw, e_step, lambda *_: None)


# ---- chains


_MOVES = ((0.8, 0.2), (0.3, 0.7))  # whose stationary law is the initial one


def chain(name: str, emissions: Any, form: str, moves: Any = _MOVES, **spec: Any) -> ModelCase:
    of = FAMILY_CASES[name]()
    model = HMM(of.family, 2, **spec)
    params = HMMParams(np.array([0.6, 0.4]), np.array(moves), emissions)
    whole = np.full(N_SEQUENCES, N_STEPS)
    lengths = whole if form == "batch" else 1 + np.arange(N_SEQUENCES) % N_STEPS

    def draw(key):
        drawn = [
            jax.device_get(jaxem.sample(model, params, own, N_STEPS)[0])
            for own in jax.random.split(key, N_SEQUENCES)
        ]
        if form == "list":
            return [
                jax.tree.map(lambda leaf, n=n: leaf[:n], one)
                for one, n in zip(drawn, lengths, strict=True)
            ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)

    def sequences(x):
        if form == "list":
            return x
        return [
            jax.tree.map(lambda leaf, i=i, n=n: np.asarray(leaf)[i, :n], x)
            for i, n in enumerate(lengths)
        ]

    def paths(params, x):
        logs = of.log_prob(params.emissions, rows_of(sequences(x)))
        each = np.split(np.exp(logs.T), np.cumsum(lengths)[:-1])
        return [over_paths(params.initial, params.transition, own) for own in each]

    def sums(params, x):
        answers = paths(params, x)
        states = np.concatenate([answer.states for answer in answers])
        begins = sum(answer.states[0] for answer in answers)
        return answers, states, begins, sum(answer.pairs for answer in answers)

    def e_step(params, x):
        answers, states, begins, pairs = sums(params, x)
        total = sum(answer.log_likelihood for answer in answers)
        return Expected((len(states), states.sum(0), begins, pairs), total)

    def m_step(params, x):
        _, states, begins, pairs = sums(params, x)
        if model.initial == "fixed":
            begins = params.initial
        return HMMParams(
            begins / np.sum(begins),
            pairs / pairs.sum(1, keepdims=True),
            of.mle(states.T, rows_of(sequences(x))),
        )

    exact = model.initial != "stationary"
    case = ModelCase(model, params, draw, e_step, m_step if exact else lambda *_: None)
    return case._replace(lengths=lengths if form == "lengths" else None)


# ---- a model of one's own


def own() -> ModelCase:
    """Genetic linkage, in scripts/example_linkage.py."""

    def p(theta):
        return np.array([2 + theta, 1 - theta, 1 - theta, theta]) / 4

    def draw(key):
        seed = int(jax.random.bits(key))
        return np.random.default_rng(seed).multinomial(np.arange(20, 60), p(0.3)).astype(float)

    def sums(params, x):
        theta = float(params.theta)
        return (x[:, 0] * theta / (2 + theta) + x[:, 3]).sum(), x[:, 1:3].sum()

    def e_step(params, x):
        logs = scipy.stats.multinomial.logpmf(x, x.sum(1), p(float(params.theta)))
        return Expected((x.sum(), np.array([float(len(x))]), *sums(params, x)), logs.sum())

    def m_step(params, x):
        linked, unlinked = sums(params, x)
        return linkage.Theta(linked / (linked + unlinked))

    return ModelCase(linkage.MODEL, linkage.Theta(np.float64(0.3)), draw, e_step, m_step)


# ---- the table

_COLUMNS = families.GaussianParams(
    np.array([[0.0, 0.0], [4.0, 2.0]]),
    np.array([[[1.0, 0.3], [0.3, 1.0]], [[2.0, -0.5], [-0.5, 1.0]]]),
)
_DIAGONAL = families.GaussianParams(_COLUMNS.means, np.array([[1.0, 0.5], [0.7, 2.0]]))
_COUNTS = families.PoissonParams(np.array([[1.0, 5.0], [6.0, 2.0]]))
_LINES = families.LinearRegressionParams(
    np.array([[1.0, 2.0, -1.0], [-2.0, 0.5, 1.0]]), np.array([0.7, 1.2])
)
_MIXED = {
    "visits": _COUNTS,
    "colour": families.CategoricalParams(
        (np.array([[0.2, 0.8], [0.7, 0.3]]), np.array([[0.2, 0.3, 0.1, 0.4], [0.4, 0.1, 0.3, 0.2]]))
    ),
    "line": _LINES,
}
_RATES = families.PoissonRegressionParams(np.array([[0.3, 0.8, -0.5], [2.5, 0.2, 0.3]]))

MODEL_CASES: dict[str, Callable[[], ModelCase]] = {
    "mixture_of_gaussians": partial(mixture, "full", _COLUMNS),
    "mixture_with_holes": holes,
    "mixture_with_noise": noise,
    "mixture_with_concomitants": concomitants,
    "mixture_with_concomitants_and_noise": concomitants_and_noise,
    "mixture_of_a_dict": partial(mixture, "product", _MIXED),
    "mixture_of_searches": partial(mixture, "poisson_regression", _RATES),
    "mixture_of_densities": partial(
        mixture, "density", LogNormal(np.array([0.0, 2.0]), np.array([0.5, 0.4]))
    ),
    "chain": partial(chain, "poisson", _COUNTS, "batch"),
    "stationary_chain_of_a_list": partial(chain, "diag", _DIAGONAL, "list", initial="stationary"),
    "left_right_chain_with_lengths": partial(
        chain, "poisson", _COUNTS, "lengths", ((0.7, 0.3), (0.0, 1.0)), initial="fixed",
        transitions="left-right",
    ),
    "associative_chain_of_a_dict": partial(
        chain, "product", _MIXED, "batch", recursion="associative"
    ),
    "chain_of_tuples": partial(chain, "linear_regression", _LINES, "list"),
    "own": own,
}  # fmt: skip
