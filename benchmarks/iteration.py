"""How long is an iteration? Every program takes the same steps from the same start.

A round times each program at few and at more steps, in turn; the difference over the further steps
is the time of one, free of what is done once. Ratios are taken within a round, and only between
programs whose parameters the judge finds to be equally likely after the same steps.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import ceilings, data, judge
from benchmarks.bench import Bench, failure
from benchmarks.data import Parameters, Problem
from benchmarks.findings import Figure, Findings, Row
from benchmarks.programs import Fit, Program
from benchmarks.timing import median_ratio, spread

_LEAST_S = 0.1  # that a program is timed for, a turn


@dataclass(frozen=True)
class Iteration:
    n: int
    d: int
    k: int
    structure: str = "full"
    dtype: str = "float32"
    targets: Mapping[str, float] = field(default_factory=dict)  # peer -> how many times slower
    peers: tuple[str, ...] = ()  # compared, but not judged
    share: float | None = None  # target: per cent of the floor that the ceilings give
    steps: tuple[int, int] = (1, 6)
    rounds: int = 5
    budget_s: float = 120.0
    name: str = "an iteration"

    def run(self, bench: Bench) -> Findings:
        problem = data.problem(self.n, self.d, self.k, self.structure, self.dtype)
        names = ("jaxem", *self.targets, *(p for p in self.peers if p not in self.targets))
        present = [bench.programs[name] for name in names if name in bench.programs]
        racers = [Racer(self, problem, p) for p in present if not p.refuses(problem)]
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for racer in racers:
                racer.turn()
        ours = racers[0]
        if ours.error:
            raise ours.error
        rows = [self._row(racer, ours, bench, problem) for racer in racers]
        return Findings(rows, self._figures(rows))

    def _row(self, racer: "Racer", ours: "Racer", bench: Bench, problem: Problem) -> Row:
        if racer.error:
            failed = failure(self, racer.error, racer.program.name)
            return replace(failed, sizes=problem.sizes, structure=self.structure, dtype=self.dtype)
        times = spread(racer.seconds)
        agrees = judge.agree(racer.likelihood, ours.likelihood, judge.TOLERANCE[self.dtype])
        timed = times["median"] > 0
        floor = ceilings.floor(bench.ceilings, self.structure, self.dtype, problem.sizes)
        work = ceilings.flops(self.structure, self.n, self.d, self.k)
        judged = len(judge.judged_rows(problem.x, self.k, self.structure))
        return Row(
            case=self.name,
            program=racer.program.name,
            unit="s an iteration",
            sizes=problem.sizes,
            structure=self.structure,
            dtype=self.dtype,
            **times,
            ratio=median_ratio(racer.seconds, ours.seconds) if agrees else None,
            log_likelihood=racer.likelihood,
            agrees=agrees,
            rate=work / times["median"] if timed else None,
            share=floor / times["median"] if timed else None,
            note=f"after {self.steps[1]} steps, judged on {judged} rows"
            + ("" if agrees else "; does not agree"),
        )

    def _figures(self, rows: list[Row]) -> list[Figure]:
        found = {row.program: row for row in rows}
        shape = f"{self.structure}, n={self.n:,} d={self.d} k={self.k}, {self.dtype}"
        figures = []
        for peer, target in self.targets.items():
            ratio, note = _judgement(found.get(peer))
            what = f"{shape}: {peer}'s time over jaxem's"
            figures.append(Figure(what, "x", ratio, target, note=note))
        if self.share is not None:
            part = found["jaxem"].share
            percent = None if part is None else 100 * part
            what = f"{shape}: part of the floor that the ceilings give"
            figures.append(Figure(what, "%", percent, self.share))
        return figures


def _judgement(row: Row | None) -> tuple[float | None, str]:
    """-> (the ratio, why there is none)."""
    if row is None:
        return None, "not compared"
    if row.ratio is not None:
        return row.ratio, ""
    if row.error:
        return None, row.error
    return None, "too short to be timed" if row.agrees else "does not agree"


class Racer:
    """One program on one problem, out of the race after its first error."""

    def __init__(self, case: Iteration, problem: Problem, program: Program) -> None:
        self.program = program
        self.seconds: list[float] = []
        self.likelihood = float("nan")
        self.error: Exception | None = None
        self._case, self._problem = case, problem
        self._fit: Fit | None = None
        self._repeats = 1

    def turn(self) -> None:
        if self.error is not None:
            return
        try:
            fit = self._fit or self._warm()
            few, more = self._case.steps
            short, long = (self._seconds(fit, steps) for steps in (few, more))
            self.seconds.append((long - short) / (more - few))
        except Exception as error:  # whatever a program may raise: the others go on
            self.error = error

    def _warm(self) -> Fit:
        """Compiles, and has the result judged."""
        self._fit = fit = self.program.fitter(self._problem)
        few, more = self._case.steps
        fit(few)
        found: Parameters = fit(more)
        self._repeats = max(1, min(20, int(_LEAST_S / _timed(fit, more))))
        self.likelihood = judge.log_likelihood(self._problem.x, found, self._problem.structure)
        return fit

    def _seconds(self, fit: Fit, steps: int) -> float:
        """Short fits are repeated, and the least time is taken."""
        return min(_timed(fit, steps) for _ in range(self._repeats))


def _timed(fit: Fit, steps: int) -> float:
    begin = time.perf_counter()
    fit(steps)  # NumPy arrays come back: it is done
    return time.perf_counter() - begin


def worst_growth(sizes: list[int], seconds: list[float]) -> float:
    """By how many per cent the time per row grows, at worst, from a size to a larger one."""
    each: list[Any] = [s / n for n, s in sorted(zip(sizes, seconds, strict=True))]
    pairs = [b / a - 1 for i, a in enumerate(each) for b in each[i + 1 :]]
    return 100 * max(pairs)
