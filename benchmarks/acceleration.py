"""What does acceleration gain? Time to the same log-likelihood with and without, from one start.

Both first run to their ends. The lower of the two, less 1e-8 relative, is where both must get: the
fewest steps that do are found by bisection, and those steps are timed in turn, with no stopping
rule. A row is one data set; components overlap, or there are too many of them.
"""

import statistics
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.programs.jaxem_ import as_params
from benchmarks.timing import median_ratio, spread, timed
from jaxem.families import Gaussian

WITHIN = 1e-8  # relative
METHODS = {"jaxem, plain": None, "jaxem, squarem": "squarem"}


@dataclass(frozen=True)
class Slow:
    """k_true components whose centres are about `apart` from 0, fitted by k."""

    label: str
    d: int
    k_true: int
    k: int
    apart: float


SLOW = (
    Slow("1-D, overlapping", 1, 2, 2, 1.0),
    Slow("1-D, three overlapping", 1, 3, 3, 1.5),
    Slow("2-D, overlapping", 2, 3, 3, 1.5),
    Slow("2-D, k too large", 2, 3, 6, 3.0),
    Slow("d=10, overlapping", 10, 4, 4, 1.5),
)


@dataclass(frozen=True)
class Acceleration:
    n: int = 50_000
    sets: tuple[Slow, ...] = SLOW
    most: int = 1500  # steps
    tol: float = 1e-9
    target_median: float | None = None
    target_least: float | None = None
    rounds: int = 3
    budget_s: float = 30.0  # of timing, for each set
    name: str = "acceleration"

    def run(self, bench: Bench) -> Findings:
        rows, ratios, lower = [], [], 0
        for slow in self.sets:
            plain, fast, is_lower = self._one(bench, slow)
            rows += [plain, fast]
            lower += is_lower
            if plain.ratio is not None:
                ratios.append(plain.ratio)
        median, least = (statistics.median(ratios), min(ratios)) if ratios else (None, None)
        what = f"squarem, {len(self.sets)} slow data sets, n={self.n:,}"
        figures = [
            Figure(f"{what}: plain time over accelerated, median", "x", median, self.target_median),
            Figure(f"{what}: the same, least", "x", least, self.target_least),
            Figure(f"{what}: lower optima than plain", "", lower, 0, at_least=False),
        ]
        return Findings(rows, figures)

    def _one(self, bench: Bench, slow: Slow) -> tuple[Row, Row, bool]:
        host = data.clusters(self.n, slow.d, slow.k_true, "float64", slow.apart)
        x, params = jax.device_put(host), as_params(data.start(host, slow.k, "full"))
        runs = {name: Run(slow, params, x, method) for name, method in METHODS.items()}
        ends = {name: run(self.most, self.tol) for name, run in runs.items()}
        plain_end, fast_end = (float(end.log_likelihood) for end in ends.values())
        goal = min(plain_end, fast_end)
        goal -= WITHIN * abs(goal)
        steps = {name: fewest(run, int(ends[name].n_iter), goal) for name, run in runs.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for name, run in runs.items():
                seconds[name].append(timed(lambda: run(steps[name], 0.0))[0])  # noqa: B023
        plain, fast = seconds.values()
        ratio = median_ratio(plain, fast)
        sizes = {"n": self.n, "d": slow.d, "k": slow.k}
        rows = [
            Row(self.name, name, "s", sizes, dtype="float64", **spread(seconds[name]),
                ratio=ratio if seconds[name] is plain else None, agrees=True,
                log_likelihood=float(ends[name].log_likelihood),
                note=f"{slow.label}; {steps[name]} steps to {goal:.4f}")
            for name in runs
        ]  # fmt: skip
        return rows[0], rows[1], fast_end < plain_end - WITHIN * abs(plain_end)


class Run:
    """One method on one data set."""

    def __init__(self, slow: Slow, params: Any, x: jax.Array, method: str | None) -> None:
        self._model = jaxem.Mixture(Gaussian("full"), slow.k)
        self._params, self._x, self._method = params, x, method

    def __call__(self, steps: int, tol: float) -> Any:
        return jaxem.em(self._model, self._params, self._x, tol=tol, max_iter=steps,
                        acceleration=self._method)  # fmt: skip


def fewest(run: Run, enough: int, goal: float) -> int:
    """The fewest steps after which the log-likelihood, which never falls, is at the goal."""
    too_few = -1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if np.asarray(run(middle, 0.0).log_likelihood) >= goal:
            enough = middle
        else:
            too_few = middle
    return enough
