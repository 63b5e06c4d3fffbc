"""Counts and mixed columns at a million rows: the time of an iteration, and how it grows with n."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxem
from benchmarks import data
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.iteration import worst_growth
from benchmarks.missing import with_holes
from benchmarks.timing import spread, timed
from jaxem import families
from jaxem.core.contracts import Family, Model


class Kind(NamedTuple):
    """A kind of table: its family, and rows of it, in float32."""

    family: Family
    rows: Callable[[int], Any]
    model: Callable[[Family, int], Model] = jaxem.Mixture


def counts(n: int) -> np.ndarray:
    """(n, 4), of two kinds of visitor."""
    rng = np.random.default_rng(0)
    few = rng.random(n) < 0.4
    return rng.poisson(np.where(few, 2, 9)[:, None], (n, 4)).astype(np.float32)


def series(n: int) -> np.ndarray:
    """One sequence of counts, (n, 1), that stays busy or quiet for a while."""
    rng = np.random.default_rng(0)
    busy = np.cumsum(rng.random(n) < 0.05) % 2
    return rng.poisson(np.where(busy, 9, 2)[:, None]).astype(np.float32)


def table(n: int) -> dict[str, np.ndarray]:
    """Sizes, categories, yes or no, and counts."""
    rng = np.random.default_rng(1)
    few = (rng.random(n) < 0.4)[:, None]
    columns = {
        "size": rng.standard_normal((n, 3)) + 3 * few,
        "colour": rng.integers(0, 3, (n, 2)) + 2 * (rng.random((n, 2)) < 0.8 * few),
        "member": rng.random((n, 2)) < np.where(few, 0.2, 0.7),
        "visits": rng.poisson(np.where(few, 2, 9), (n, 4)),
    }
    return {name: column.astype(np.float32) for name, column in columns.items()}


def holed(n: int) -> np.ndarray:
    """(n, 20), of five clusters; a tenth of the cells gone, in 50 patterns."""
    return with_holes(data.clusters(n, 20, 5, "float32"), 0.1, 50)


KINDS = {
    "missing cells": Kind(families.Gaussian("full", missing=True), holed),
    "counts": Kind(families.Poisson(), counts),
    "mixed columns": Kind(
        families.Product(
            {
                "size": families.Gaussian("full"),
                "colour": families.Categorical(5),
                "member": families.Bernoulli(),
                "visits": families.Poisson(),
            }
        ),
        table,
    ),
    "one sequence": Kind(families.Poisson(), series, jaxem.HMM),
}


@dataclass(frozen=True)
class Columns:
    kind: str
    sizes: tuple[int, ...] = (100_000, 1_000_000)
    k: int = 4
    linear_within: float | None = None  # target: per cent
    steps: tuple[int, int] = (1, 11)
    rounds: int = 5
    budget_s: float = 60.0

    @property
    def name(self) -> str:
        return self.kind

    def run(self, bench: Bench) -> Findings:
        rows = [self._row(bench, n) for n in self.sizes]
        times = [row.median or 0.0 for row in rows]
        grown = worst_growth(list(self.sizes), times) if min(times) > 0 else None
        what = (
            f"{self.kind}, k={self.k}, float32: growth of the time per row from "
            f"n={min(self.sizes):,} to {max(self.sizes):,}"
        )
        return Findings(rows, [Figure(what, "%", grown, self.linear_within, at_least=False)])

    def _row(self, bench: Bench, n: int) -> Row:
        kind, (few, more) = KINDS[self.kind], self.steps
        model, x = kind.model(kind.family, self.k), jax.device_put(kind.rows(n))
        start = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=0).params

        def em(steps: int) -> float:
            return timed(lambda: jaxem.em(model, start, x, tol=0, max_iter=steps,
                                          acceleration=None))[0]  # fmt: skip

        em(few)
        seconds = [
            (em(more) - em(few)) / (more - few)
            for _ in bench.clock.rounds(self.rounds, self.budget_s / len(self.sizes))
        ]
        d = sum(leaf.shape[1] for leaf in jax.tree.leaves(x))
        return Row(self.name, "jaxem", "s an iteration", {"n": n, "d": d, "k": self.k}, "-",
                   **spread(seconds))  # fmt: skip
