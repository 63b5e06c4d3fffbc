"""Tables with holes: what an iteration costs, and how near filled cells come to what was there.

An iteration is judged against one on the same table without holes, from the same parameters. Cells
are held out at random, and filled by the mixture that BIC chooses, of one to three components with
full or tied covariances, under a weak prior: it knows the number of columns, and nothing else.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.timing import median_ratio, spread, timed
from jaxem.core import emissions
from jaxem.families import Gaussian, GaussianPrior

_PRIOR_ROWS = 5.0


@dataclass(frozen=True)
class Iteration:
    """patterns: how many; None: every row's holes are drawn by themselves."""

    n: int
    d: int
    k: int
    patterns: int | None
    target: float | None = None
    missing: float = 0.1
    structure: str = "full"
    steps: tuple[int, int] = (1, 11)
    rounds: int = 7
    budget_s: float = 60.0
    name: str = "iteration with holes"

    def run(self, bench: Bench) -> Findings:
        whole = data.clusters(self.n, self.d, self.k, "float64")
        model = jaxem.Mixture(Gaussian(self.structure), self.k)
        start = jaxem.fit(model, whole[:5000], key=jax.random.key(0), n_init=1, max_iter=3).params
        cases = {
            "without holes": (model, whole),
            "with holes": (
                emissions.with_holes(model),
                with_holes(whole, self.missing, self.patterns),
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        few, more = self.steps

        def steps(name: str, n: int) -> Any:
            model, x = cases[name]
            return jaxem.em(model, start, x, tol=0, max_iter=n, acceleration=None)

        steps("without holes", few), steps("with holes", few)
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for name in cases:
                seconds = [timed(lambda n=n: steps(name, n))[0] for n in (few, more)]  # noqa: B023
                times[name].append((seconds[1] - seconds[0]) / (more - few))
        sizes = {"n": self.n, "d": self.d, "k": self.k}
        rows = [
            Row(self.name, "jaxem", "s an iteration", sizes, self.structure, "float64",
                **spread(times[name]), ratio=median_ratio(times[name], times["without holes"]),
                note=f"{name}: {self._what()}")
            for name in cases
        ]  # fmt: skip
        what = (
            f"{self.structure}, n={self.n:,} d={self.d} k={self.k}, {self.missing:.0%} missing, "
            f"{self._what()}: an iteration over one without holes"
        )
        figure = Figure(what, "x", rows[1].ratio, self.target, at_least=False)
        return Findings(rows, [figure])

    def _what(self) -> str:
        return "all rows drawn" if self.patterns is None else f"{self.patterns} patterns"


def with_holes(x: np.ndarray, share: float, patterns: int | None, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if patterns is None:
        gone = rng.random(x.shape) < share
    else:
        gone = (rng.random((patterns, x.shape[1])) < share)[rng.integers(0, patterns, len(x))]
    return np.where(gone, np.nan, x)


@dataclass(frozen=True)
class HeldOut:
    """Root mean square error on cells that were held out, in standard deviations of columns."""

    table: str  # of scikit-learn's
    shares: tuple[float, ...] = (0.2, 0.35, 0.5)
    target: float | None = None
    repetitions: int = 20
    most: int = 3  # components
    name: str = "held-out cells"

    def run(self, bench: Bench) -> Findings:
        whole = _standardised(self.table)
        rows, figures = [], []
        for share in self.shares:
            errors: dict[str, list[float]] = {name: [] for name in FILLERS}
            for seed in range(self.repetitions):
                x = with_holes(whole, share, None, seed)
                lost = np.isnan(x)
                for name, fill in FILLERS.items():
                    away = (fill(x, seed, self.most) - whole)[lost]
                    errors[name].append(float(np.sqrt(np.mean(away**2))))
            best = min(np.mean(errors[name]) for name in FILLERS if name != "jaxem")
            sizes = {"n": len(whole), "d": whole.shape[1]}
            rows += [
                Row(self.name, name, "sd", sizes, self.table, "float64", median=float(np.mean(own)),
                    least=min(own), most=max(own), rounds=self.repetitions,
                    ratio=float(np.mean(own) / np.mean(errors["jaxem"])),
                    note=f"{share:.0%} missing; the mean stands for the median")
                for name, own in errors.items()
            ]  # fmt: skip
            figures.append(
                Figure(f"{self.table}, {share:.0%} missing: mean error over the better of "
                       "IterativeImputer's and KNNImputer's", "x",
                       float(np.mean(errors["jaxem"]) / best), self.target, at_least=False)
            )  # fmt: skip
        return Findings(rows, figures)


def _ours(x: np.ndarray, seed: int, most: int) -> np.ndarray:
    d = x.shape[1]
    prior = GaussianPrior(
        degrees_of_freedom=d + _PRIOR_ROWS, scale=_PRIOR_ROWS * np.diag(np.nanvar(x, axis=0))
    )
    models = [
        jaxem.Mixture(Gaussian(structure, missing=True), k)
        for structure in ("full", "tied")
        for k in range(1, most + 1)
    ]
    chosen = jaxem.select(models, x, key=jax.random.key(seed), n_init=3, tol=1e-4,
                          prior=jaxem.MixturePrior(components=prior))  # fmt: skip
    return np.asarray(jaxem.impute(chosen.model, chosen.best.params, x))


def _iterative(x: np.ndarray, seed: int, most: int) -> np.ndarray:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that ten rounds were too few
        return IterativeImputer(random_state=seed).fit_transform(x)


def _nearest(x: np.ndarray, seed: int, most: int) -> np.ndarray:
    from sklearn.impute import KNNImputer

    return KNNImputer().fit_transform(x)


FILLERS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "jaxem": _ours,
    "IterativeImputer": _iterative,
    "KNNImputer": _nearest,
}


def _standardised(table: str) -> np.ndarray:
    from sklearn import datasets

    x = getattr(datasets, f"load_{table}")().data
    return (x - x.mean(0)) / x.std(0)
