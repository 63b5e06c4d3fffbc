"""Programs from many starts each, to the same log-likelihood.

"The same" is within `within` relative of the highest that any finds: each program runs at the
loosest tol of its own scale at which it ends there. Ratios are medians over rounds, with
compilation (all of jax's caches dropped) and without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.timing import median_ratio, spread, timed

Run = Callable[[float, int], Any]  # of tol and seed


@dataclass(frozen=True)
class SameEnd:
    case: str
    what: str  # is fitted, in the figures
    structure: str
    sizes: dict[str, int]
    tols: tuple[float, ...]  # from the loosest on
    within: float
    target: float | None  # of the second call
    rounds: int
    budget_s: float

    def findings(
        self, bench: Bench, runs: dict[str, Run], judge: Callable[[Any], float]
    ) -> Findings:
        """runs: "jaxem" first. judge: the log-likelihood of what a run returns."""
        last = self.tols[-1]
        highest = max(judge(run(last, 0)) for run in runs.values())
        end = highest - self.within * abs(highest)
        tols = {
            name: next((tol for tol in self.tols if judge(run(tol, 0)) >= end), last)
            for name, run in runs.items()
        }
        times: dict[str, list[float]] = {name: [] for name in ("first", *runs)}
        reached: dict[str, float] = {}
        for seed in bench.clock.rounds(self.rounds, self.budget_s):
            jax.clear_caches()
            first = timed(lambda: runs["jaxem"](tols["jaxem"], seed))[0]  # noqa: B023
            times["first"].append(first)
            for name, run in runs.items():
                seconds, found = timed(lambda: run(tols[name], seed))  # noqa: B023
                times[name].append(seconds)
                reached[name] = judge(found)
        rows = [self._row("jaxem", times["first"], note="first call, with compilation")]
        figures = []
        for name in runs:
            agrees = reached[name] >= end
            equal = agrees and reached["jaxem"] >= end
            ratio = median_ratio(times[name], times["jaxem"]) if equal else None
            rows.append(self._row(name, times[name], ratio=ratio, log_likelihood=reached[name],
                                  agrees=agrees, note=f"tol {tols[name]:.0e}"))  # fmt: skip
            if name != "jaxem":
                compiled = median_ratio(times[name], times["first"]) if equal else None
                over = f"{self.what}: {name}'s time over jaxem's"
                figures.append(Figure(f"{over}, second call", "x", ratio, self.target))
                figures.append(Figure(f"{over}, with compilation", "x", compiled))
        return Findings(rows, figures)

    def _row(self, program: str, seconds: list[float], **more: Any) -> Row:
        return Row(self.case, program, "s", self.sizes, self.structure, "float64",
                   **spread(seconds), **more)  # fmt: skip
