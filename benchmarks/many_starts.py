"""Many starts of 0.3 N(1, 2^2) + 0.7 N(9, 3^2), against scikit-learn's n_init, to the same end.

"The same log-likelihood" is within 1e-6, and within 1e-8, relative of the highest that any program
finds: each runs at the loosest tol of its own scale at which it ends there. Ratios are medians over
rounds of scikit-learn's time over jaxem's, with compilation (all caches dropped) and without. At
the looser end, time is also taken against the number of starts.
"""

import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data, judge, machine
from benchmarks.bench import Bench
from benchmarks.data import Parameters
from benchmarks.findings import Figure, Findings, Row
from benchmarks.programs.jaxem_ import from_params
from benchmarks.timing import cores_used, median_ratio, spread, timed
from jaxem.families import Gaussian

MODEL = jaxem.Mixture(Gaussian("full"), 2)
TOLS = tuple(10.0**-power for power in range(4, 11))
TIGHT = 1e-11
INITS = ("kmeans", "random_from_data")
Program = Callable[[float, int, int], Parameters]  # of tol, number of starts, seed


@dataclass(frozen=True)
class ManyStarts:
    n: int = 5000
    starts: int = 100
    withins: tuple[float, ...] = (1e-6, 1e-8)
    counts: tuple[int, ...] = (1, 10, 100, 1000)
    target_first: float | None = None
    target_second: float | None = None
    target_cores: float | None = None  # per cent
    rounds: int = 3
    budget_s: float = 120.0  # for each of withins
    name: str = "many starts"

    def run(self, bench: Bench) -> Findings:
        x = data.two_normals(self.n)
        programs: dict[str, Program] = {"jaxem": lambda *args: ours(x, *args)}
        if "scikit-learn" in bench.programs:
            for init in INITS:
                programs[f"scikit-learn, {init}"] = lambda *args, init=init: theirs(x, init, *args)
        ends = [judge_of(x, run(TIGHT, self.starts, 0)) for run in programs.values()]
        found = Findings()
        for within in self.withins:
            target = max(ends) - within * abs(max(ends))
            tols = {name: self._loosest(x, run, target) for name, run in programs.items()}
            found += self._compare(bench, x, programs, tols, within, target)
            if within == self.withins[0]:
                found += Findings([], [self._cores(bench, programs["jaxem"], tols["jaxem"])])
                found += Findings(self._against_starts(bench, programs, tols), [])
        return found

    def _loosest(self, x: np.ndarray, run: Program, target: float) -> float:
        return next(t for t in (*TOLS, TIGHT) if judge_of(x, run(t, self.starts, 0)) >= target)

    def _compare(
        self,
        bench: Bench,
        x: np.ndarray,
        programs: dict[str, Program],
        tols: dict[str, float],
        within: float,
        target: float,
    ) -> Findings:
        first: list[float] = []
        times: dict[str, list[float]] = {name: [] for name in programs}
        last: dict[str, Parameters] = {}
        for seed in bench.clock.rounds(self.rounds, self.budget_s):
            jax.clear_caches()
            first.append(timed(lambda: programs["jaxem"](tols["jaxem"], self.starts, seed))[0])  # noqa: B023
            for name, run in programs.items():
                seconds, last[name] = timed(lambda: run(tols[name], self.starts, seed))  # noqa: B023
                times[name].append(seconds)
        reached = {name: judge_of(x, parameters) for name, parameters in last.items()}
        rows, figures = [], []
        for name in programs:
            agrees = reached[name] >= target
            equal = agrees and reached["jaxem"] >= target
            note = f"tol {tols[name]:.0e}, within {within:g}"
            again = median_ratio(times[name], times["jaxem"]) if equal else None
            rows.append(Row(self.name, name, "s", self._sizes(self.starts), dtype="float64",
                            **spread(times[name]), ratio=again, log_likelihood=reached[name],
                            agrees=agrees, note=note))  # fmt: skip
            if name != "jaxem":
                compiled = median_ratio(times[name], first) if equal else None
                what = f"{self.starts} starts within {within:g}: {name}'s time over jaxem's"
                figures += [
                    Figure(f"{what}, with compilation", "x", compiled, self.target_first),
                    Figure(f"{what}, second call", "x", again, self.target_second),
                ]
        note = f"first call, with compilation, within {within:g}"
        compiling = Row(self.name, "jaxem", "s", self._sizes(self.starts), dtype="float64",
                        **spread(first), note=note)  # fmt: skip
        return Findings([compiling, *rows], figures)

    def _cores(self, bench: Bench, run: Program, tol: float) -> Figure:
        run(tol, self.starts, 0)
        rounds = bench.clock.rounds(5, self.budget_s)
        used = [cores_used(lambda: run(tol, self.starts, 0)) for _ in rounds]
        part = 100 * statistics.median(used) / machine.cores()
        what = f"{self.starts} starts: cores used, of {machine.cores()}"
        return Figure(what, "%", part, self.target_cores)

    def _against_starts(
        self, bench: Bench, programs: dict[str, Program], tols: dict[str, float]
    ) -> list[Row]:
        rows = []
        for name, run in programs.items():
            most = self.counts if name == "jaxem" else [c for c in self.counts if c <= self.starts]
            for count in most:
                run(tols[name], count, 0)
                rounds = bench.clock.rounds(self.rounds, self.budget_s / 10)
                seconds = [timed(lambda: run(tols[name], count, 0))[0] for _ in rounds]  # noqa: B023
                rows.append(Row("time against starts", name, "s", self._sizes(count),
                                dtype="float64", **spread(seconds)))  # fmt: skip
        return rows

    def _sizes(self, starts: int) -> dict[str, int]:
        return {"n": self.n, "d": 1, "k": 2, "starts": starts}


def ours(x: np.ndarray, tol: float, starts: int, seed: int) -> Parameters:
    result = jaxem.fit(MODEL, x, key=jax.random.key(seed), n_init=starts, tol=tol)
    return from_params(result.params)


def theirs(x: np.ndarray, init: str, tol: float, starts: int, seed: int) -> Parameters:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture: Any = GaussianMixture(2, n_init=starts, tol=tol, reg_covar=0, max_iter=2000,
                                   init_params=init, random_state=seed)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(x)
    return Parameters(mixture.weights_, mixture.means_, mixture.covariances_)


def judge_of(x: np.ndarray, parameters: Parameters) -> float:
    return judge.log_likelihood(x, parameters, "full")
