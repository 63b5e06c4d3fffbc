"""Several processes on one core each against one process on one core: weak scaling.

    python -m benchmarks.processes PORT PROCESSES INDEX N D K

Each process has N rows of the table, and all make EM's steps together; the time of an iteration is
that of the slowest, from few and more steps in turn. As many processes that know nothing of each
other tell what the cores lose by sharing a machine. Linux alone: cores are chosen by affinity.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.memory import ROOT
from benchmarks.programs.jaxem_ import as_params
from benchmarks.timing import median_ratio, spread, timed
from jaxem.families import Gaussian

_FEW, _MORE = 1, 9
_HOW = {"alone": "one", "apart": "all, each by itself", "together": "all, with one result"}
_WITHIN = 3  # measurements a process


@dataclass(frozen=True)
class WeakScaling:
    n: int  # rows a process
    d: int
    k: int
    processes: int = 2
    target: float | None = None  # per cent
    rounds: int = 3
    budget_s: float = 300.0
    name: str = "several processes"

    def run(self, bench: Bench) -> Findings:
        if not hasattr(os, "sched_setaffinity"):
            raise OSError("a process cannot be bound to a core here")
        times: dict[str, list[float]] = {"alone": [], "apart": [], "together": []}
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for how, own in times.items():
                own.append(self._seconds(how))
        sizes = {"n": self.n, "d": self.d, "k": self.k}
        rows = [
            Row(self.name, "jaxem", "s an iteration", sizes, **spread(own),
                note=f"processes of one core and n rows each: {_HOW[how]}")
            for how, own in times.items()
        ]  # fmt: skip
        what = (
            f"full, n={self.n:,} a process, d={self.d} k={self.k}, float32: {self.processes} "
            "processes of one core each, rate of each over that of "
        )
        figures = [
            Figure(what + against, "%", None if ratio is None else 100 * ratio, target)
            for against, ratio, target in (
                ("one alone", median_ratio(times["alone"], times["together"]), self.target),
                ("as many apart", median_ratio(times["apart"], times["together"]), None),
            )
        ]
        return Findings(rows, figures)

    def _seconds(self, how: str) -> float:
        n_running = 1 if how == "alone" else self.processes
        processes = self.processes if how == "together" else 1
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def command(index: int) -> list[str]:
            given = map(str, (port, processes, index, self.n, self.d, self.k))
            return [sys.executable, "-m", "benchmarks.processes", *given]

        pipes: Any = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE,
                      "stderr": subprocess.PIPE}  # fmt: skip
        running = [subprocess.Popen(command(index), **pipes) for index in range(n_running)]
        ends = [process.communicate(timeout=self.budget_s) for process in running]
        for process, (_, told) in zip(running, ends, strict=True):
            if process.returncode:
                raise RuntimeError(told.strip()[-300:])
        return max(json.loads(said.splitlines()[-1]) for said, _ in ends)


def measure(port: int, processes: int, index: int, n: int, d: int, k: int) -> float:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[index % len(cores)]})
    mesh = None
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, index)
        mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    x = data.clusters(n * processes, d, k, "float32")
    model = jaxem.Mixture(Gaussian("full"), k)
    start, rows = as_params(data.start(x, k, "full")), jaxem.read(model, x, mesh=mesh)

    def seconds(steps: int) -> float:
        given: Any = {"tol": 0, "max_iter": steps, "acceleration": None}
        return timed(lambda: jaxem.em(model, start, rows, **given))[0]

    seconds(_FEW)
    found = [(seconds(_MORE) - seconds(_FEW)) / (_MORE - _FEW) for _ in range(_WITHIN)]
    if processes > 1:
        jax.distributed.shutdown()
    return float(np.median(found))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    for name in ("port", "processes", "index", "n", "d", "k"):
        parser.add_argument(name, type=int)
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
