"""Do intervals hold the truth as often as they say? Many data sets of one mixture, one launch.

Each set is n rows of 0.4 N(0, 1) + 0.6 N(4, 1), fitted from the truth, so that components keep
their numbers. What is judged is the share of sets whose interval holds the true mean. A share of
`sets` sets has a standard error of its own, sqrt(p (1 - p) / sets): one of 500 is 1 %.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.timing import timed
from jaxem.families import Gaussian, GaussianParams

MODEL = jaxem.Mixture(Gaussian("full"), 2)
WEIGHTS, MEANS = np.array([0.4, 0.6]), np.array([0.0, 4.0])


class Found(NamedTuple):
    """For each set the ends of the intervals of the means, and the status of the fit."""

    lower: Any  # (sets, 2)
    upper: Any
    status: Any


@dataclass(frozen=True)
class Coverage:
    sets: int = 500
    n: int = 500
    level: float = 0.95
    methods: tuple[str, ...] = ("observed", "sandwich")
    judged: str = "observed"
    least: float | None = None  # in per cent
    most: float | None = None
    name: str = "coverage"

    def run(self, bench: Bench) -> Findings:
        with jax.enable_x64(True):
            x = samples(self.sets, self.n)
            found = [self._method(method, x) for method in self.methods]
        return sum(found, Findings())

    def _method(self, method: str, x: np.ndarray) -> Findings:
        seconds, of = timed(lambda: intervals(x, method, self.level))
        lower, upper = np.asarray(of.lower), np.asarray(of.upper)
        held = (lower <= MEANS) & (upper >= MEANS)
        shares = 100 * held.mean(axis=0)
        without = int(np.isnan(lower).any(axis=1).sum())
        error = 100 * math.sqrt(self.level * (1 - self.level) / self.sets)
        row = Row(
            self.name, f"jaxem, {method}", "s", {"n": self.n, "d": 1, "k": 2}, dtype="float64",
            median=seconds, least=seconds, most=seconds, rounds=1, agrees=without == 0,
            note=f"{self.sets} fits and their intervals, compiling included; "
            f"{without} without an interval",
        )  # fmt: skip
        what = f"{100 * self.level:g} % intervals, {method}, {self.sets} sets of n={self.n}"
        judged = method == self.judged
        note = f"standard error {error:.1f} %"
        figures = []
        for mean, share in zip(MEANS, shares, strict=True):
            of_mean = f"{what}: share that holds the mean {mean:g}"
            least, most = (self.least, self.most) if judged else (None, None)
            figures.append(Figure(of_mean, "%", float(share), least, note=note))
            if most is not None:
                figures.append(Figure(f"{of_mean}, at most", "%", float(share), most, False))
        return Findings([row], figures)


def samples(sets: int, n: int) -> np.ndarray:
    """(sets, n) rows."""
    rng = np.random.default_rng(0)
    labels = rng.random((sets, n)) >= WEIGHTS[0]
    return MEANS[labels.astype(int)] + rng.standard_normal((sets, n))


@partial(jax.jit, static_argnames=("method",))
def intervals(x: Any, method: str, level: float) -> Found:
    """All fits and their intervals in one launch, one set after another."""
    weights, means = jnp.asarray(WEIGHTS), jnp.asarray(MEANS)[:, None]
    truth = jaxem.MixtureParams(weights, GaussianParams(means, jnp.ones((2, 1, 1))))

    def one(x: Any) -> Found:
        result = jaxem.em(MODEL, truth, x, tol=1e-12)
        lower, upper = jaxem.confidence_intervals(MODEL, result.params, x, level, errors=method)
        return Found(lower.components.means[:, 0], upper.components.means[:, 0], result.status)

    return jax.lax.map(one, jnp.asarray(x))
