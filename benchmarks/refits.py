"""The same fit many times: bootstrap refits, many data sets, and the likelihood-ratio test.

Programs run at the loosest tol of their own scale at which their fits end within 1e-6 relative of
where they end at the tightest, from the same starts; their log-likelihoods are summed over fits.
Ratios are medians over rounds of scikit-learn's time over jaxem's, without compilation.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data, machine
from benchmarks.bench import Bench
from benchmarks.data import Parameters
from benchmarks.findings import Figure, Findings, Row
from benchmarks.programs.jaxem_ import from_params
from benchmarks.timing import cores_used, median_ratio, spread, timed
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian

TWO = jaxem.Mixture(Gaussian("full"), 2)
MEANS = np.array([0.0, 4.0])
TOLS = tuple(10.0**-power for power in range(3, 9))
TIGHT = 1e-9
WITHIN = 1e-6  # relative
Program = Callable[[float, int], np.ndarray]  # of tol and of how many fits -> log-likelihoods


def mixed(n: int, seed: int) -> np.ndarray:
    """0.4 N(0, 1) + 0.6 N(4, 1), (n, 1)."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.4, rng.normal(0, 1, n), rng.normal(4, 1, n))[:, None]


@dataclass(frozen=True)
class Refits:
    """Bootstrap refits, one warm start each; scikit-learn's rows are drawn beforehand."""

    n: int = 1000
    n_boot: int = 1000
    tried: int = 50  # refits on which tol is chosen
    target: float | None = None
    rounds: int = 5
    budget_s: float = 180.0
    name: str = "bootstrap refits"

    def run(self, bench: Bench) -> Findings:
        x = mixed(self.n, 1)
        fit = jaxem.fit(TWO, x, key=jax.random.key(0), tol=1e-10)
        start, rng = from_params(fit.params), np.random.default_rng(2)
        sets = [x[rng.integers(0, self.n, self.n)] for _ in range(self.n_boot)]

        def ours(tol: float, count: int) -> np.ndarray:
            found = jaxem.bootstrap(
                TWO, fit.params, x, key=jax.random.key(1), n_boot=count, tol=tol
            )
            return found.log_likelihood

        def theirs(tol: float, count: int) -> np.ndarray:
            return np.array([scored(refitted(own, start, tol), own) for own in sets[:count]])

        what = f"{self.n_boot} bootstrap refits, n={self.n}"
        return race(self, bench, what, {"n": self.n, "d": 1, "k": 2, "fits": self.n_boot},
                    ours, theirs, self.n_boot)  # fmt: skip


@dataclass(frozen=True)
class ManySets:
    """Data sets of k normal clouds each, fitted one by one from several starts."""

    sets: int = 1000
    n: int = 500
    d: int = 3
    k: int = 3
    starts: int = 5
    tried: int = 10
    target: float | None = None
    rounds: int = 3
    budget_s: float = 300.0
    name: str = "many data sets"

    def run(self, bench: Bench) -> Findings:
        xs = np.stack(
            [data.clusters(self.n, self.d, self.k, "float64", seed=i) for i in range(self.sets)]
        )
        model = jaxem.Mixture(Gaussian("full"), self.k)

        def ours(tol: float, count: int) -> np.ndarray:
            found = jaxem.fit_many(
                model, xs[:count], key=jax.random.key(0), n_init=self.starts, tol=tol
            )
            return np.asarray(found.log_likelihood)

        def theirs(tol: float, count: int) -> np.ndarray:
            fits = (searched(x, self.k, self.starts, tol) for x in xs[:count])
            return np.array([scored(fit, x) for fit, x in zip(fits, xs[:count], strict=True)])

        what = f"{self.sets} data sets of n={self.n}, d={self.d}, k={self.k}, {self.starts} starts"
        sizes = {"n": self.n, "d": self.d, "k": self.k, "fits": self.sets}
        return race(self, bench, what, sizes, ours, theirs, self.sets)


def race(case: Any, bench: Bench, what: str, sizes: dict[str, int], ours: Program,
         theirs: Program, count: int) -> Findings:  # fmt: skip
    programs = {"jaxem": ours}
    if "scikit-learn" in bench.programs:
        programs["scikit-learn"] = theirs
    tols = {name: loosest(run, case.tried) for name, run in programs.items()}
    first = timed(lambda: ours(tols["jaxem"], count))[0]
    times: dict[str, list[float]] = {name: [] for name in programs}
    sums: dict[str, float] = {}
    for _ in bench.clock.rounds(case.rounds, case.budget_s):
        for name, run in programs.items():
            seconds, values = timed(lambda: run(tols[name], count))  # noqa: B023
            times[name].append(seconds)
            sums[name] = float(np.sum(values))
    rows = [Row(case.name, "jaxem", "s", sizes, dtype="float64", **spread([first]),
                note="first call, with compilation")]  # fmt: skip
    figures = []
    for name in programs:
        ratio = median_ratio(times[name], times["jaxem"])
        rows.append(Row(case.name, name, "s", sizes, dtype="float64", **spread(times[name]),
                        ratio=ratio, log_likelihood=sums[name],
                        note=f"tol {tols[name]:.0e}, log-likelihood summed over fits"))  # fmt: skip
        if name != "jaxem":
            figures.append(Figure(f"{what}: {name}'s time over jaxem's", "x", ratio, case.target))
    used = 100 * cores_used(lambda: ours(tols["jaxem"], count)) / machine.cores()
    figures.append(Figure(f"{what}: cores used, of {machine.cores()}", "%", used))
    return Findings(rows, figures)


def loosest(run: Program, count: int) -> float:
    """The loosest tol at which the fits together end within WITHIN of the tightest."""
    best = np.sum(run(TIGHT, count))
    for tol in TOLS:
        if np.sum(run(tol, count)) >= best - WITHIN * abs(best):
            return tol
    return TIGHT


def refitted(x: np.ndarray, start: Parameters, tol: float) -> Any:
    """scikit-learn from given parameters."""
    return quietly(
        x, n_components=len(start.weights), tol=tol, weights_init=start.weights,
        means_init=start.means, precisions_init=np.linalg.inv(start.covariances),
        init_params="random_from_data",
    )  # fmt: skip


def searched(x: np.ndarray, k: int, starts: int, tol: float) -> Any:
    """scikit-learn from its own starts, by k-means."""
    return quietly(x, n_components=k, tol=tol, n_init=starts, random_state=0)


def quietly(x: np.ndarray, **options: Any) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(reg_covar=0, max_iter=2000, **options).fit(x)


def scored(fit: Any, x: np.ndarray) -> float:
    """The log-likelihood by the bound that scikit-learn keeps, which is one step old: no time."""
    return float(fit.lower_bound_) * len(x)


@dataclass(frozen=True)
class BootstrapCoverage:
    """How often percentile intervals hold the true means."""

    sets: int = 200
    n: int = 500
    n_boot: int = 200
    level: float = 0.95
    least: float | None = None  # per cent
    most: float | None = None
    name: str = "coverage of the bootstrap"

    def run(self, bench: Bench) -> Findings:
        seconds, held = timed(lambda: np.stack([self._held(i) for i in range(self.sets)]))
        row = Row(self.name, "jaxem", "s", {"n": self.n, "d": 1, "k": 2}, dtype="float64",
                  **spread([seconds]),
                  note=f"{self.sets} fits with {self.n_boot} refits each")  # fmt: skip
        error = 100 * math.sqrt(self.level * (1 - self.level) / self.sets)
        figures = []
        for mean, share in zip(MEANS, 100 * held.mean(axis=0), strict=True):
            what = (
                f"{100 * self.level:g} % percentile intervals, {self.n_boot} refits, {self.sets} "
                f"sets of n={self.n}: share that holds the mean {mean:g}"
            )
            figures += [
                Figure(what, "%", share, self.least, note=f"standard error {error:.1f} %"),
                Figure(f"{what}, at most", "%", share, self.most, at_least=False),
            ]
        return Findings([row], figures)

    def _held(self, seed: int) -> np.ndarray:
        x = mixed(self.n, 1000 + seed)
        key_fit, key_boot = jax.random.split(jax.random.key(seed))
        params = jaxem.fit(TWO, x, key=key_fit, n_init=5).params
        order = np.argsort(params.components.means[:, 0])
        found = jaxem.bootstrap(TWO, params, x, key=key_boot, n_boot=self.n_boot)
        lower, upper = (of.components.means[order, 0] for of in found.intervals(self.level))
        return (lower <= MEANS) & (upper >= MEANS)


@dataclass(frozen=True)
class Tests:
    """The bootstrap likelihood-ratio tests of 1, 2, ... components, one after another."""

    most: int = 4
    n_boot: int = 199
    starts: int = 5  # of each refit, beside the warm one
    target: float | None = None  # seconds
    name: str = "likelihood-ratio tests"

    def run(self, bench: Bench) -> Findings:
        x = load_faithful().x
        models = [jaxem.Mixture(Gaussian("full"), k) for k in range(1, self.most + 2)]

        def tests() -> list[jaxem.LRTest]:
            return list(jaxem.lr_tests(models, x, key=jax.random.key(0), n_boot=self.n_boot,
                                       n_init_boot=self.starts))  # fmt: skip

        jax.clear_caches()
        first, found = timed(tests)
        again = timed(tests)[0]
        sizes = {"n": len(x), "d": x.shape[1], "k": self.most, "fits": self.n_boot}
        values = ", ".join(f"{test.p_value:.3f}" for test in found)
        rows = [
            Row(self.name, "jaxem", "s", sizes, dtype="float64", **spread([seconds]), note=note)
            for seconds, note in (
                (first, f"compiling included; p-values {values}"), (again, "second call"))
        ]  # fmt: skip
        what = (
            f"Old Faithful, tests of k = 1 to {self.most} against k + 1, {self.n_boot} replicates "
            f"of {self.starts + 1} starts, {machine.cores()} cores, compiling included"
        )
        return Findings(rows, [Figure(what, "s", first, self.target, at_least=False)])
