"""What do derivatives of a fit cost? Time over that of the fit, and memory against iterations.

    python -m benchmarks.gradients N ITERATIONS

The time is that of a second call, of the fit of the two normals and of its gradient with respect to
all rows, both compiled. The peak is that of a gradient over N rows in a fresh process, compilation
included, after so many plain EM steps. Linux alone: it is read from /proc.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.many_starts import MODEL
from benchmarks.memory import ROOT, STATUS, peak_mb
from benchmarks.timing import spread, timed

ITERATIONS = (50, 1000)


@dataclass(frozen=True)
class Gradients:
    n: int = 5000
    starts: tuple[int, ...] = (1, 20)
    rows: int = 1_000_000  # where memory is measured; 0: it is not
    target_time: float | None = None
    target_memory: float | None = None
    rounds: int = 15
    budget_s: float = 120.0
    name: str = "gradient of a fit"

    def run(self, bench: Bench) -> Findings:
        times = [self._times(bench, starts) for starts in self.starts]
        timed_alone = Findings([row for own, _ in times for row in own], [of for _, of in times])
        return timed_alone + self._memory() if self.rows else timed_alone

    def _memory(self) -> Findings:
        if not STATUS.exists():
            raise OSError("peak memory is read from /proc, which is not there")
        peaks = {most: self._peak(most) for most in ITERATIONS}
        rows = [
            Row(self.name, "jaxem", "MB", {"n": self.rows, "d": 1, "k": 2},
                dtype="float64", median=peak,
                least=peak, most=peak, rounds=1, note=f"gradient after {most} iterations")
            for most, peak in peaks.items()
        ]  # fmt: skip
        ratio = peaks[ITERATIONS[1]] / peaks[ITERATIONS[0]]
        what = f"n={self.rows:,}: peak of a gradient after 1000 iterations over that after 50"
        return Findings(rows, [Figure(what, "x", ratio, self.target_memory, at_least=False)])

    def _times(self, bench: Bench, starts: int) -> tuple[list[Row], Figure]:
        x = jax.device_put(data.two_normals(self.n))

        def mean(x: Any, key: Any) -> Any:
            result = jaxem.fit(MODEL, x, key=key, n_init=starts)
            return result.params.components.means[0, 0]

        calls = {"fit": jax.jit(mean), "gradient": jax.jit(jax.grad(mean))}
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            timed(lambda call=call: call(x, jax.random.key(0)))
        for seed in bench.clock.rounds(self.rounds, self.budget_s):
            for name, call in calls.items():
                key = jax.random.key(seed)
                seconds[name].append(timed(lambda call=call, key=key: call(x, key))[0])
        sizes = {"n": self.n, "d": 1, "k": 2, "starts": starts}
        rows = [
            Row(self.name, "jaxem", "s", sizes, dtype="float64", note=name, **spread(own))
            for name, own in seconds.items()
        ]
        ratio = statistics.median(
            b / a for a, b in zip(seconds["fit"], seconds["gradient"], strict=True)
        )
        many = "1 start" if starts == 1 else f"{starts} starts"
        what = (
            f"n={self.n}, {many}, float64: time of the gradient, fit included, over that of the fit"
        )
        return rows, Figure(what, "x", ratio, self.target_time, at_least=False)

    def _peak(self, iterations: int) -> float:
        command = [sys.executable, "-m", "benchmarks.gradients", str(self.rows), str(iterations)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                              timeout=self.budget_s)  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        return json.loads(done.stdout.splitlines()[-1])


def measure(n: int, iterations: int) -> float:
    jax.config.update("jax_enable_x64", True)
    x = jax.device_put(data.two_normals(n))
    jax.block_until_ready(jnp.sum(x))
    start = jaxem.fit(MODEL, x[:1000], key=jax.random.key(0), n_init=1).params

    def mean(x: Any) -> Any:
        result = jaxem.em(MODEL, start, x, tol=0, max_iter=iterations, acceleration=None)
        return result.params.components.means[0, 0]

    gradient = jax.jit(jax.grad(mean))
    return peak_mb(lambda: jax.block_until_ready(gradient(x)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradients", description=__doc__)
    for name in ("n", "iterations"):
        parser.add_argument(name, type=int)
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
