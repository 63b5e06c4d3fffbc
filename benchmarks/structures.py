"""The fourteen covariance structures: an iteration of each, and fits beside those of mclust."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data, judge, mclust
from benchmarks.bench import Bench
from benchmarks.data import Parameters
from benchmarks.findings import Figure, Findings, Row
from benchmarks.same_end import SameEnd
from benchmarks.timing import median_ratio, spread, timed
from jaxem.datasets import load_iris
from jaxem.families import Gaussian

NEAREST = {
    "EII": "spherical", "EEI": "diag", "VEI": "diag", "EVI": "diag",
    "EVE": "full", "VEE": "full", "VVE": "full", "EEV": "full", "VEV": "full", "EVV": "full",
}  # fmt: skip
TOLS = tuple(10.0**-power for power in range(4, 12, 2))


@dataclass(frozen=True)
class Structures:
    """How long is an iteration, over that of the nearest of the four structures of scikit-learn?"""

    n: int
    d: int
    k: int
    dtype: str = "float32"
    target: float | None = None
    structures: tuple[str, ...] = tuple(NEAREST)
    steps: tuple[int, int] = (1, 6)
    rounds: int = 5
    budget_s: float = 300.0
    name: str = "an iteration of each structure"

    def run(self, bench: Bench) -> Findings:
        x = jax.device_put(data.clusters(self.n, self.d, self.k, self.dtype))
        names = tuple(dict.fromkeys((*(NEAREST[s] for s in self.structures), *self.structures)))
        fits = {name: self._fit(x, name) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        few, more = self.steps
        for steps in self.steps:
            for fit in fits.values():
                fit(steps)
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for name, fit in fits.items():
                short, long = (timed(lambda: fit(steps))[0] for steps in self.steps)  # noqa: B023
                seconds[name].append((long - short) / (more - few))
        rows, figures = [], []
        for name in names:
            near = NEAREST.get(name, name)
            ratio = median_ratio(seconds[name], seconds[near])
            rows.append(Row(self.name, "jaxem", "s an iteration",
                            {"n": self.n, "d": self.d, "k": self.k}, name, self.dtype,
                            **spread(seconds[name]),
                            note="" if near == name or ratio is None else f"{ratio:.2f} of {near}",
                            ))  # fmt: skip
            if near != name:
                what = f"{name}, n={self.n:,} d={self.d} k={self.k}: an iteration over {near}'s"
                figures.append(Figure(what, "x", ratio, self.target, at_least=False))
        return Findings(rows, figures)

    def _fit(self, x: Any, structure: str) -> Callable[[int], Any]:
        model = jaxem.Mixture(Gaussian(structure), self.k)
        key = jax.random.key(0)
        start = jaxem.fit(model, x, key=key, n_init=1, init="k-means++", max_iter=0).params
        return lambda steps: jaxem.em(model, start, x, tol=0, max_iter=steps, acceleration=None)


@dataclass(frozen=True)
class AgainstMclust:
    """Fits from the same starts to the same log-likelihood, by jaxem and by mclust's `me`.

    Each is at the loosest of its own tolerances that ends there, in float64. mclust is given the
    responsibilities of the starts that jaxem finds in its time.
    """

    n: int  # 150 are those of iris
    k: int
    d: int = 4
    structures: tuple[str, ...] = ("VVV", "EEE", "VVI", "VII", "VEV", "EVE")
    starts: int = 20
    within: float = 1e-8
    target: float | None = None
    rounds: int = 3
    budget_s: float = 60.0  # of each structure
    name: str = "fits beside mclust"

    def run(self, bench: Bench) -> Findings:
        if not mclust.is_installed():
            return Findings([Row(self.name, "mclust", "", error="skipped: R or mclust is missing")])
        iris = self.n == len(load_iris().x)
        x = np.asarray(load_iris().x) if iris else data.clusters(self.n, self.d, self.k, "float64")
        found = Findings()
        with mclust.running(x) as theirs:
            for structure in self.structures:
                found += self._compare(bench, x, theirs, structure)
        return found

    def _compare(
        self, bench: Bench, x: np.ndarray, theirs: mclust.Mclust, structure: str
    ) -> Findings:
        model = jaxem.Mixture(Gaussian(structure), self.k)

        def fit(seed: int, tol: float, most: int) -> Any:
            return jaxem.fit(model, x, key=jax.random.key(seed), n_init=self.starts, tol=tol,
                             max_iter=most, init="k-means++")  # fmt: skip

        def shares(seed: int) -> list[np.ndarray]:
            begun = fit(seed, 0.0, 0).restarts.params
            each = (jax.tree.map(lambda leaf: leaf[i], begun) for i in range(self.starts))  # noqa: B023
            return [np.asarray(jaxem.predict_proba(model, params, x)) for params in each]

        theirs.starts([z for seed in range(self.rounds) for z in shares(seed)])

        def by_mclust(tol: float, seed: int) -> Parameters:
            return theirs.best(structure, tol, range(seed * self.starts, (seed + 1) * self.starts))

        def judged(found: Any) -> float:
            full = found if isinstance(found, Parameters) else as_full(model, found.params)
            return judge.log_likelihood(x, full, "full")

        sizes = {"n": self.n, "d": x.shape[1], "k": self.k, "starts": self.starts}
        what = f"{structure}, n={self.n:,} d={x.shape[1]} k={self.k}, {self.starts} starts"
        same = SameEnd(self.name, what, structure, sizes, TOLS, self.within, self.target,
                       self.rounds, self.budget_s)  # fmt: skip
        runs = {"jaxem": lambda tol, seed: fit(seed, tol, 100_000), "mclust": by_mclust}
        return same.findings(bench, runs, judged)


def as_full(model: jaxem.Mixture, params: Any) -> Parameters:
    """With a covariance matrix for each component, whatever the structure."""
    (k, d), structure = params.components.means.shape, model.family.covariance
    root = np.asarray(structure.cholesky(params.components.covariances, k, d))
    weights, means = np.asarray(params.weights), np.asarray(params.components.means)
    return Parameters(weights, means, root @ np.swapaxes(root, 1, 2))
