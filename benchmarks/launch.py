"""How much do many starts in one launch cost over one start? Whole fits of the two normals."""

import statistics
from dataclasses import dataclass

import jax

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.many_starts import MODEL
from benchmarks.timing import spread, timed


@dataclass(frozen=True)
class Launch:
    n: int = 5000
    counts: tuple[int, ...] = (1, 10, 100, 1000)
    target: float | None = None  # time of the most starts over that of one
    rounds: int = 5
    budget_s: float = 60.0
    name: str = "time against starts"

    def run(self, bench: Bench) -> Findings:
        x = jax.device_put(data.two_normals(self.n).astype("float32"))

        def seconds(starts: int, seed: int) -> float:
            key = jax.random.key(seed)
            return timed(lambda: jaxem.fit(MODEL, x, key=key, n_init=starts))[0]

        times: dict[int, list[float]] = {count: [] for count in self.counts}
        for count in self.counts:
            seconds(count, 0)
        for seed in bench.clock.rounds(self.rounds, self.budget_s):
            for count in self.counts:
                times[count].append(seconds(count, seed))
        rows = [
            Row(self.name, "jaxem", "s", {"n": self.n, "d": 1, "k": 2, "starts": count},
                **spread(times[count]))
            for count in self.counts
        ]  # fmt: skip
        fewest, most = min(self.counts), max(self.counts)
        ratios = [b / a for a, b in zip(times[fewest], times[most], strict=True)]
        what = f"n={self.n}, float32: time of {most} starts in one launch over that of {fewest}"
        figure = Figure(what, "x", statistics.median(ratios), self.target, at_least=False)
        return Findings(rows, [figure])
