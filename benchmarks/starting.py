"""How much work is it to find where a start begins? In iterations of EM on the same data.

Three starts of the portfolio without a step, less one evaluation of given parameters and two
further ones, over three: what is left is the starting work of one.
"""

import statistics
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
class Starting:
    n: int
    d: int
    k: int
    target: float | None = None  # iterations
    steps: int = 10
    rounds: int = 5
    budget_s: float = 60.0
    name: str = "starting work"

    def run(self, bench: Bench) -> Findings:
        problem = data.problem(self.n, self.d, self.k, "full", "float32")
        x = jax.device_put(problem.x)
        model, params = jaxem.Mixture(Gaussian("full"), self.k), as_params(problem.start)

        def em(steps: int) -> float:
            return timed(lambda: jaxem.em(model, params, x, tol=0, max_iter=steps,
                                          acceleration=None))[0]  # fmt: skip

        def starts() -> float:
            key = jax.random.key(0)
            return timed(lambda: jaxem.fit(model, x, key=key, n_init=3, tol=0, max_iter=0,
                                           acceleration=None))[0]  # fmt: skip

        em(0)
        starts()
        seconds, iterations = [], []  # of a start
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            once = em(0)
            iteration = (em(self.steps) - once) / self.steps
            seconds.append((starts() - once - 2 * iteration) / 3)
            iterations.append(seconds[-1] / max(iteration, 1e-9))
        row = Row(self.name, "jaxem", "s a start", problem.sizes, **spread(seconds),
                  note=f"{statistics.median(iterations):.2f} iterations")  # fmt: skip
        what = f"full, n={self.n:,} d={self.d} k={self.k}, float32: starting work of one start"
        figure = Figure(what, "iterations", statistics.median(iterations), self.target,
                        at_least=False)  # fmt: skip
        return Findings([row], [figure])
