"""Latent class analysis from many starts, against stepmix, to the same log-likelihood."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

import jaxem
from benchmarks.bench import Bench
from benchmarks.findings import Findings
from benchmarks.same_end import SameEnd
from jaxem.families import Categorical

TOLS = tuple(10.0**-power for power in range(4, 12))


class Classes(NamedTuple):
    weights: np.ndarray  # (k,)
    probabilities: np.ndarray  # (k, items, levels)


Program = Callable[[np.ndarray, int, int, float, int, int], Classes]


@dataclass(frozen=True)
class LatentClasses:
    n: int = 1785
    items: int = 12
    levels: int = 4
    k: int = 3
    starts: int = 100
    within: float = 1e-6
    target: float | None = None  # of the second call
    rounds: int = 3
    budget_s: float = 90.0
    name: str = "latent classes"

    def run(self, bench: Bench) -> Findings:
        x = answers(self.n, self.items, self.levels, self.k)
        programs: dict[str, Program] = {"jaxem": ours}
        if importlib.util.find_spec("stepmix"):
            programs["stepmix"] = theirs

        def fit(name: str, tol: float, seed: int) -> Classes:
            return programs[name](x, self.levels, self.k, tol, self.starts, seed)

        race = SameEnd(
            self.name,
            f"latent classes, n={self.n} of {self.items} items, {self.starts} starts",
            f"{self.levels} levels",
            {"n": self.n, "d": self.items, "k": self.k, "starts": self.starts},
            TOLS, self.within, self.target, self.rounds, self.budget_s,
        )  # fmt: skip
        runs = {name: partial(fit, name) for name in programs}
        return race.findings(bench, runs, partial(log_likelihood, x))


def answers(n: int, items: int, levels: int, k: int) -> np.ndarray:
    """Whole numbers from 0, (n, items), of k classes whose answers differ moderately."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(levels, 1.5), (k, items))
    labels = rng.integers(0, k, n)
    below = np.cumsum(probabilities[labels], axis=-1)
    drawn = rng.random((n, items, 1))
    return np.minimum((drawn > below).sum(-1), levels - 1)


def ours(x: np.ndarray, levels: int, k: int, tol: float, starts: int, seed: int) -> Classes:
    model = jaxem.Mixture(Categorical(levels), k)
    result = jaxem.fit(model, x, key=jax.random.key(seed), n_init=starts, tol=tol)
    each = [np.asarray(of) for of in result.params.components.probabilities]
    return Classes(np.asarray(result.params.weights), np.stack(each, axis=1))


def theirs(x: np.ndarray, levels: int, k: int, tol: float, starts: int, seed: int) -> Classes:
    from stepmix.stepmix import StepMix

    model = StepMix(n_components=k, measurement="categorical", n_init=starts, random_state=seed,
                    abs_tol=tol, rel_tol=0, max_iter=5000, verbose=0, progress_bar=0)  # fmt: skip
    found = model.fit(x).get_parameters()
    probabilities = np.asarray(found["measurement"]["pis"]).reshape(k, x.shape[1], levels)
    return Classes(np.asarray(found["weights"]), probabilities)


def log_likelihood(x: np.ndarray, classes: Classes) -> float:
    """By NumPy, whoever fitted."""
    with np.errstate(divide="ignore"):
        log_p = np.log(classes.probabilities)[:, np.arange(x.shape[1]), x]  # (k, n, items)
        joint = np.log(classes.weights)[:, None] + log_p.sum(-1)
    return float(np.logaddexp.reduce(joint, axis=0).sum())
