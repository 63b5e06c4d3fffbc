"""How long does compiling take? The first call of `em` less the second, all caches dropped."""

from dataclasses import dataclass

import jax

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.programs.jaxem_ import as_params
from benchmarks.timing import spread, timed
from jaxem.families import Gaussian


@dataclass(frozen=True)
class Compilation:
    n: int
    d: int
    k: int
    structure: str = "full"
    dtype: str = "float32"
    rounds: int = 3
    budget_s: float = 60.0
    name: str = "compilation"

    def run(self, bench: Bench) -> Findings:
        problem = data.problem(self.n, self.d, self.k, self.structure, self.dtype)
        x, params = jax.device_put(problem.x), as_params(problem.start)
        model = jaxem.Mixture(Gaussian(self.structure), self.k)

        def call() -> float:
            return timed(lambda: jaxem.em(model, params, x, tol=0, max_iter=1,
                                          acceleration=None))[0]  # fmt: skip

        seconds = []
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            jax.clear_caches()
            seconds.append(call() - call())
        row = Row(self.name, "jaxem", "s", problem.sizes, self.structure, self.dtype,
                  **spread(seconds))  # fmt: skip
        what = f"{self.structure}, n={self.n:,} d={self.d} k={self.k}, {self.dtype}: compiling em"
        return Findings([row], [Figure(what, "s", row.median)])
