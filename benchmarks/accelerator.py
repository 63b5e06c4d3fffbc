"""On an accelerator: is a step right in float32, and what do fits of every kind cost there?

Right: a step of EM in float32 on the device against the same one in float64 on the CPU, which the
tests hold to the NumPy reference; the error is |out - expected| / |expected|, of the parameters
that the step ends at or of the log-likelihood before it, whichever is further off.

Time: whole fits of few and of more iterations from the same key, in turn; the difference over the
further iterations is the time of one, of all starts. Memory is the most that the device has held
since the process began.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.hidden_markov import sequences
from benchmarks.missing import with_holes
from benchmarks.timing import spread, timed
from jaxem import families
from jaxem.core.contracts import Model
from jaxem.families.gaussian import fused

# ---- right


def _clouds(n: int, d: int = 12) -> np.ndarray:
    return data.clusters(n, d, 3, "float64")


def _gaussian(structure: str, d: int = 12) -> Callable[[int], tuple[Model, Any]]:
    return lambda n: (jaxem.Mixture(families.Gaussian(structure), 3), _clouds(n, d))


def _holes(patterns: int | None) -> Callable[[int], tuple[Model, Any]]:
    model = jaxem.Mixture(families.Gaussian("full", missing=True), 3)
    return lambda n: (model, with_holes(_clouds(n), 0.1, patterns))


def _chain(recursion: str) -> Callable[[int], tuple[Model, Any]]:
    def made(n: int) -> tuple[Model, Any]:
        x = np.stack(sequences(np.full(20, n // 20), 3, 4))
        return jaxem.HMM(families.Gaussian("full"), 3, recursion=recursion), x

    return made


def _counts(n: int) -> tuple[Model, Any]:
    rates = np.array([[2.0, 9.0], [12.0, 3.0]])[np.arange(n) % 2]
    return jaxem.Mixture(families.Poisson(), 2), np.random.default_rng(0).poisson(rates)


def _lines(n: int) -> tuple[Model, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    slopes = np.array([[1.0, -1.0, 0.0], [-2.0, 0.5, 3.0]])[np.arange(n) % 2]
    y = (slopes * X).sum(1) + rng.normal(size=n)
    return jaxem.Mixture(families.LinearRegression(), 2), (X, y)


EXAMPLES: dict[str, Callable[[int], tuple[Model, Any]]] = {
    "full": _gaussian("full"),
    "tied": _gaussian("tied"),
    "diag": _gaussian("diag"),
    "full, fused": _gaussian("full", 32),
    "spherical": _gaussian("spherical"),
    "holes by tiles": _holes(10),
    "holes by rows": _holes(None),
    "chain, sequential": _chain("sequential"),
    "chain, associative": _chain("associative"),
    "counts": _counts,
    "regression": _lines,
}


@dataclass(frozen=True)
class Right:
    target: float  # of the largest error
    n: int = 20_000
    models: tuple[str, ...] = tuple(EXAMPLES)
    name: str = "a step in float32"

    def run(self, bench: Bench) -> Findings:
        errors = {what: step_error(*EXAMPLES[what](self.n)) for what in self.models}
        rows = [
            Row(self.name, "jaxem", "relative error", {"n": self.n}, what, median=error,
                least=error, most=error, rounds=1)
            for what, error in errors.items()
        ]  # fmt: skip
        worst = max(errors, key=lambda what: math.inf if math.isnan(errors[what]) else errors[what])
        what = f"a step in float32 against float64: largest relative error, of {len(errors)} models"
        figure = Figure(what, "", errors[worst], self.target, at_least=False, note=worst)
        return Findings(rows, [figure])


def step_error(model: Model, x: Any) -> float:
    host = jax.devices("cpu")[0]
    double = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), x), host)
    single = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), x))
    start = jaxem.fit(model, single, key=jax.random.key(0), n_init=1, max_iter=5).params
    start = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), start)
    with jax.default_device(host):
        expected = one_step(model, jax.device_put(start, host), double)
    found = one_step(model, start, single)
    return max(distance(*pair) for pair in zip(found, expected, strict=True))


def one_step(model: Model, start: Any, x: Any) -> tuple[Any, Any]:
    statistics, log_likelihood = jaxem.e_step(model, start, x)
    return log_likelihood, jaxem.m_step(model, start, statistics)


def distance(found: Any, expected: Any) -> float:
    a, b = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (found, expected)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# ---- what a fit costs


@dataclass(frozen=True)
class Fits:
    """Fits of `what`: see KINDS."""

    what: str
    n: int
    d: int
    k: int
    starts: int = 1
    sets: int = 1
    target: float | None = None  # seconds an iteration
    steps: tuple[int, int] = (1, 11)
    rounds: int = 5
    budget_s: float = 10.0
    name: str = "fits"

    def run(self, bench: Bench) -> Findings:
        model, x = KINDS[self.what](self)
        on_device = jax.device_put(x)
        verb: Any = jaxem.fit_many if self.what == "many sets" else jaxem.fit

        def seconds(steps: int) -> float:
            options: Any = {"tol": 0, "max_iter": steps, "acceleration": None}
            key = jax.random.key(0)
            return timed(lambda: verb(model, on_device, key=key, n_init=self.starts, **options))[0]

        few, more = self.steps
        first = seconds(few)
        times = []
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            short, long = seconds(few), seconds(more)
            times.append((long - short) / (more - few))
        sizes = {"n": self.n, "d": self.d, "k": self.k, "starts": self.starts}
        if self.sets > 1:
            sizes["fits"] = self.sets
        found = spread(times)
        note = f"{self.what}; first call {first:.2f} s{memory_note()}"
        row = Row(self.name, "jaxem", "s an iteration", sizes, self.what, **found, note=note)
        if self.target is None:
            return Findings([row])
        what = f"{self.what}, n={self.n:,} d={self.d} k={self.k}: an iteration"
        return Findings([row], [Figure(what, "s", found["median"], self.target, at_least=False)])


@dataclass(frozen=True)
class Fused:
    """An iteration whose products of columns stay in registers, against one that writes them."""

    n: int
    d: int
    k: int
    budget_s: float = 10.0
    name: str = "products in registers"

    def run(self, bench: Bench) -> Findings:
        written, own = (self._row(bench, switch) for switch in ("0", "1"))
        ratio = (written.median or math.nan) / (own.median or math.nan)
        what = f"full, n={self.n:,} d={self.d} k={self.k}: products written, over fused"
        return Findings([written, own], [Figure(what, "x", ratio, 1.0)])

    def _row(self, bench: Bench, switch: str) -> Row:
        with mock.patch.dict(os.environ, {fused.SWITCH: switch}):
            jax.clear_caches()  # the switch is read where programs are traced
            case = Fits("full", self.n, self.d, self.k, budget_s=self.budget_s / 2)
            row = case.run(bench).rows[0]
        form = "written" if switch == "0" else "fused"
        return replace(row, case=self.name, note=f"{form}: {row.note}")


def memory_note() -> str:
    held = jax.local_devices()[0].memory_stats() or {}
    peak = held.get("peak_bytes_in_use")
    return "" if peak is None else f"; at most {peak / 1e6:,.0f} MB on the device so far"


def _tables(structure: str) -> Callable[[Fits], tuple[Model, Any]]:
    model = families.Gaussian(structure)
    return lambda case: (
        jaxem.Mixture(model, case.k),
        data.clusters(case.n, case.d, case.k, "float32"),
    )


def _holed(case: Fits) -> tuple[Model, Any]:
    x = with_holes(data.clusters(case.n, case.d, case.k, "float32"), 0.1, None)
    return jaxem.Mixture(families.Gaussian("full", missing=True), case.k), x


def _chains(recursion: str) -> Callable[[Fits], tuple[Model, Any]]:
    """n steps in sequences of 1000."""

    def made(case: Fits) -> tuple[Model, Any]:
        x = sequences(np.full(case.n // 1000, 1000), case.k, case.d)
        model = jaxem.HMM(families.Gaussian("diag"), case.k, recursion=recursion)
        return model, np.stack(x).astype(np.float32)

    return made


def _sets(case: Fits) -> tuple[Model, Any]:
    x = data.clusters(case.sets * case.n, case.d, case.k, "float32")
    return jaxem.Mixture(families.Gaussian("full"), case.k), x.reshape(case.sets, case.n, case.d)


KINDS: dict[str, Callable[[Fits], tuple[Model, Any]]] = {
    "full": _tables("full"),
    "tied": _tables("tied"),
    "diag": _tables("diag"),
    "holes by rows": _holed,
    "chains, sequential": _chains("sequential"),
    "chains, associative": _chains("associative"),
    "many sets": _sets,
}
