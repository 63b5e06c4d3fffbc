"""A source against the same table in memory: the time of an iteration, and the peak of memory.

    python -m benchmarks.streams N D K [PATH]

Time: EM from the same parameters, or from several starts, few and more steps in turn, over rows in
memory, over a Parquet file of 8 row groups and over an .npy file; all end at the same bits, or the
case fails. Peak: of two iterations from two starts over rows that are made as they are read, or
that lie in the Parquet file PATH, in a fresh process, over what it holds after a small fit;
compilation is in it. Linux alone: it is read from /proc.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.memory import ROOT, STATUS, peak_mb
from benchmarks.programs.jaxem_ import as_params
from benchmarks.timing import median_ratio, spread, timed
from jaxem import sources
from jaxem.core.source import Source
from jaxem.families import Gaussian

_ROWS = 1 << 17  # a batch that is made
_GROUP = 1 << 20  # a row group


@dataclass(frozen=True)
class Rate:
    n: int
    d: int
    k: int
    starts: int = 1
    target: float | None = None  # per cent of the rate in memory
    steps: tuple[int, int] = (1, 3)
    rounds: int = 3
    budget_s: float = 300.0
    name: str = "a source against memory"

    def run(self, bench: Bench) -> Findings:
        x = data.clusters(self.n, self.d, self.k, "float32")
        model = jaxem.Mixture(Gaussian("full"), self.k)
        start = as_params(data.start(x, self.k, "full"))
        init: Any = start if self.starts == 1 else "random_from_data"
        with tempfile.TemporaryDirectory() as folder:
            where = {
                "memory": jax.device_put(x),
                "Parquet": parquet(x, Path(folder)),
                ".npy": npy(x, Path(folder)),
            }
            ends: dict[str, Any] = {}
            times: dict[str, list[float]] = {name: [] for name in where}

            def seconds(name: str, steps: int) -> float:
                given: Any = {"tol": 0, "max_iter": steps, "acceleration": None, "init": init}
                key = jax.random.key(0)
                spent, ends[name] = timed(
                    lambda: jaxem.fit(model, where[name], key=key, n_init=self.starts, **given)
                )
                return spent

            few, more = self.steps
            for name in where:
                seconds(name, few)
            for _ in bench.clock.rounds(self.rounds, self.budget_s):
                for name in where:
                    short, long = seconds(name, few), seconds(name, more)
                    times[name].append((long - short) / (more - few))
        first = ends.pop("memory").params
        for name, end in ends.items():
            if not all(jax.tree.leaves(jax.tree.map(np.array_equal, first, end.params))):
                raise ArithmeticError(f"{name} ended at other parameters than memory")
        sizes = {"n": self.n, "d": self.d, "k": self.k, "starts": self.starts}
        rows = [
            Row(self.name, "jaxem", "s an iteration", sizes, **spread(own), note=name)
            for name, own in times.items()
        ]
        figures = []
        for name, target in (("Parquet", self.target), (".npy", None)):
            ratio = median_ratio(times["memory"], times[name])
            what = (
                f"full, n={self.n:,} d={self.d} k={self.k}, float32, starts: {self.starts}: {name},"
                " of the rate in memory"
            )
            figures.append(Figure(what, "%", None if ratio is None else 100 * ratio, target))
        return Findings(rows, figures)


def parquet(x: np.ndarray, folder: Path) -> Source:
    import pyarrow.parquet as pq

    pq.write_table(table(x), folder / "x.parquet", row_group_size=-(-len(x) // 8))
    return sources.parquet(folder / "x.parquet")


def npy(x: np.ndarray, folder: Path) -> Source:
    np.save(folder / "x.npy", x)
    return sources.npy(folder / "x.npy")


@dataclass(frozen=True)
class Sums:
    """A float32 E-step over a block of rows that comes again and again, against float64."""

    n: int
    d: int
    k: int
    target: float | None = None  # relative to the largest number of each array of sums
    name: str = "sums over a source"

    def run(self, bench: Bench) -> Findings:
        block = data.clusters(_ROWS, self.d, self.k, "float32")
        model, times = jaxem.Mixture(Gaussian("full"), self.k), -(-self.n // _ROWS)
        start = jax.tree.map(np.float32, as_params(data.start(block, self.k, "full")))
        source = sources.batches(lambda: itertools.repeat(block, times))
        spent, sums = timed(lambda: jaxem.e_step(model, start, source))
        exact = jaxem.e_step(model, jax.tree.map(np.float64, start), block.astype(np.float64))
        off = max(
            float(np.max(np.abs(np.float64(a) - times * b)) / np.max(np.abs(times * b)))
            for a, b in zip(*map(jax.tree.leaves, (sums, exact)), strict=True)
        )
        n = times * _ROWS
        sizes = {"n": n, "d": self.d, "k": self.k}
        row = Row(self.name, "jaxem", "s", sizes, median=spent, least=spent, most=spent, rounds=1,
                  note="an E-step, and a look")  # fmt: skip
        what = f"full, n={n:,} d={self.d} k={self.k}: float32 sums, from those of float64"
        return Findings([row], [Figure(what, "", off, self.target, at_least=False)])


@dataclass(frozen=True)
class Online:
    """One pass of online EM against EM to its end, from the same parameters."""

    n: int
    d: int
    k: int
    target: float | None = None  # nats a row, at most
    name: str = "online EM"

    def run(self, bench: Bench) -> Findings:
        x = data.clusters(self.n, self.d, self.k, "float32")
        model = jaxem.Mixture(Gaussian("full"), self.k)
        start = as_params(data.start(x, self.k, "full"))
        source = sources.batches(lambda: [x])
        key, few = jax.random.key(0), sources.batches(lambda: [x[:4096]])
        jaxem.fit_online(model, few, key=key, init=start)  # compiles what does not depend on n
        seconds, ends = {}, {}
        seconds["EM"], ends["EM"] = timed(lambda: jaxem.em(model, start, x))
        seconds["online"], ends["online"] = timed(
            lambda: jaxem.fit_online(model, source, key=key, init=start)
        )
        best, found = (float(end.log_likelihood) / self.n for end in (ends["EM"], ends["online"]))
        sizes = {"n": self.n, "d": self.d, "k": self.k}
        notes = {"EM": f"{int(ends['EM'].n_iter)} iterations", "online": "one pass, and two looks"}
        rows = [
            Row(self.name, "jaxem", "s", sizes, median=own, least=own, most=own, rounds=1,
                note=f"{name}: {notes[name]}")
            for name, own in seconds.items()
        ]  # fmt: skip
        what = f"full, n={self.n:,} d={self.d} k={self.k}, float32: EM's log-likelihood a row, less"
        figure = Figure(f"{what} that of one pass of online EM", "nats", best - found, self.target,
                        at_least=False)  # fmt: skip
        return Findings(rows, [figure])


@dataclass(frozen=True)
class FewPasses:
    """How short of the optimum EM is after a few passes: plain, incremental and accelerated."""

    n: int
    d: int
    k: int
    apart: float  # standard deviations, of centres from 0
    passes: int = 10
    name: str = "a few passes"

    def run(self, bench: Bench) -> Findings:
        x = data.clusters(self.n, self.d, self.k, "float64", self.apart)
        model = jaxem.Mixture(Gaussian("full"), self.k)
        key, source = jax.random.key(0), sources.batches(lambda: [x])
        begin = jaxem.fit(model, x[:500], key=key, n_init=1, max_iter=3).params
        optimum = jaxem.em(model, begin, x, tol=1e-12, max_iter=20_000)

        def em(acceleration: str | None) -> Any:
            return jaxem.em(model, begin, x, tol=0, max_iter=self.passes, acceleration=acceleration)

        ends = {
            "plain EM": em(None),
            "incremental EM": jaxem.fit_incremental(
                model, source, key=key, init=begin, n_passes=self.passes
            ),
            "accelerated EM": em("squarem"),
        }
        sizes = {"n": self.n, "d": self.d, "k": self.k}
        short = {
            name: float(optimum.log_likelihood - end.log_likelihood) / self.n
            for name, end in ends.items()
        }
        return Findings([
            Row(f"{self.name}, centres {self.apart} apart", "jaxem", "nats a row", sizes,
                dtype="float64", median=own, least=own, most=own, rounds=1,
                note=f"{name}: short of the optimum after {self.passes} passes")
            for name, own in short.items()
        ])  # fmt: skip


@dataclass(frozen=True)
class Peak:
    """From the smallest table to the largest."""

    ns: tuple[int, ...]
    d: int
    k: int
    target: float | None = None  # of the largest over the smallest
    kept: bool = False  # in a Parquet file
    budget_s: float = 900.0
    name: str = "peak memory of a source"

    def run(self, bench: Bench) -> Findings:
        if not STATUS.exists():
            raise OSError("peak memory is read from /proc, which is not there")
        peaks = {n: self._peak(n) for n in self.ns}
        source = "Parquet" if self.kept else "made as it is read"
        rows = [
            Row(self.name, "jaxem", "MB", {"n": n, "d": self.d, "k": self.k}, median=peak,
                least=peak, most=peak, rounds=1, note=source)
            for n, peak in peaks.items()
        ]  # fmt: skip
        least, most = min(self.ns), max(self.ns)
        what = f"full, d={self.d} k={self.k}, float32: peak memory at n={most:,} over n={least:,}"
        ratio = peaks[most] / peaks[least]
        figure = Figure(f"{what}: {source}", "x", ratio, self.target, at_least=False)
        return Findings(rows, [figure])

    def _peak(self, n: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.parquet"
            if self.kept:
                written(path, n, self.d, self.k)
            command = [sys.executable, "-m", "benchmarks.streams", *map(str, (n, self.d, self.k))]
            command += [str(path)] * self.kept
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                  timeout=self.budget_s)  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        return json.loads(done.stdout.splitlines()[-1])


def written(path: Path, n: int, d: int, k: int) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, table(np.empty((0, d), np.float32)).schema) as file:
        for block in made(n, d, k, _GROUP):
            file.write_table(table(block))


def table(x: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.table({f"c{j}": x[:, j] for j in range(x.shape[1])})


def made(n: int, d: int, k: int, rows: int = _ROWS) -> Iterator[np.ndarray]:
    block = data.clusters(rows, d, k, "float32")
    for first in range(0, n, rows):
        yield block[: n - first] + np.float32(first / n)


def measure(n: int, d: int, k: int, path: Path | None) -> float:
    model = jaxem.Mixture(Gaussian("full"), k)

    def fit(x: Any) -> None:
        result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2, max_iter=2)
        jax.block_until_ready(result.log_likelihood)

    fit(data.clusters(100 * k, d, k, "float32"))
    source = sources.batches(lambda: made(n, d, k)) if path is None else sources.parquet(path)
    return peak_mb(lambda: fit(source))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    for name in ("n", "d", "k"):
        parser.add_argument(name, type=int)
    parser.add_argument("path", type=Path, nargs="?")
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
