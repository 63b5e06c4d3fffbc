"""How much memory does a whole fit take beyond the data? In a fresh process of its own.

    python -m benchmarks.memory N D K [KIND]

The baseline is what the process holds with the data on the device and a small fit of the same model
behind it. The peak is that of the first fit, compilation included, and then that of a second one.
Linux alone: it is read from /proc.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Memory:
    n: int
    d: int
    k: int
    kind: str = "full"  # covariances, or a kind of table: d is then its own
    target: float | None = None  # MB
    budget_s: float = 600.0
    name: str = "peak memory"

    def run(self, bench: Bench) -> Findings:
        if not STATUS.exists():
            raise OSError("peak memory is read from /proc, which is not there")
        sizes = {"n": self.n, "d": self.d, "k": self.k, "starts": 2}
        command = [sys.executable, "-m", "benchmarks.memory", *map(str, (self.n, self.d, self.k)),
                   self.kind]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                              timeout=self.budget_s)  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        peaks = json.loads(done.stdout.splitlines()[-1])
        rows = [
            Row(self.name, "jaxem", "MB", sizes, self.kind, median=peak, least=peak, most=peak,
                rounds=1, note=call)
            for call, peak in peaks.items()
        ]  # fmt: skip
        what = (
            f"{self.kind}, n={self.n:,} d={self.d} k={self.k}, float32: peak memory beyond the data"
        )
        note = "whole first fit with 2 starts and compilation, over a warm baseline"
        return Findings(
            rows, [Figure(what, "MB", peaks["first fit"], self.target, at_least=False, note=note)]
        )


def measure(n: int, d: int, k: int, kind: str) -> dict[str, float]:
    import jaxem
    from benchmarks.columns import KINDS, Kind
    from jaxem.families import Gaussian

    gaussian = Kind(Gaussian("full"), lambda n: data.clusters(n, d, k, "float32"))
    of = KINDS.get(kind, gaussian)
    model = of.model(of.family, k)
    x, small = jax.device_put(of.rows(n)), jax.device_put(of.rows(100 * k))

    def fit(x: Any) -> None:
        result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2, max_iter=3)
        jax.block_until_ready(result.log_likelihood)

    fit(small)
    return {call: peak_mb(lambda: fit(x)) for call in ("first fit", "second fit")}


def peak_mb(function) -> float:
    CLEAR.write_text("5")  # the peak starts again from what is held now
    before = _status_kb("VmRSS")
    function()
    return (_status_kb("VmHWM") - before) * 1024 / 1e6


def _status_kb(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    for name in ("n", "d", "k"):
        parser.add_argument(name, type=int)
    parser.add_argument("kind", nargs="?", default="full")
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
