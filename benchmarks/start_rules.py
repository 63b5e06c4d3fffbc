"""Which rule of starts finds the best optimum, and after how much work?

Starts by each rule alone, to their end, on the same data. The best is that of all of them. A rule
is worth a share of the portfolio where others rarely come to the best, or after more E-steps.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import optima
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from jaxem.core.dataset import as_dataset
from jaxem.fitting import driver, starts
from jaxem.fitting.options import Options
from jaxem.fitting.plan import prepare
from jaxem.inference import kmeans

RULES = {
    kmeans.STANDARDISED: "k-means++",
    kmeans.PROJECTED: "k-means++ in a random projection",
    kmeans.WEIGHTED: "k-means++ of rows weighted at random",
    kmeans.NEAREST: "the nearest seed of k-means++",
    kmeans.ROWS: "random rows",
    kmeans.WINDOWS: "k-means++ of averages over windows",
    kmeans.SEGMENTS: "segments of random lengths",
}


@dataclass(frozen=True)
class StartRules:
    """data: of `optima`. n_init: starts by each rule."""

    data: str
    n_init: int = 100
    name: str = "rules of starts"

    def run(self, bench: Bench) -> Findings:
        model, x = optima.problem(self.data)
        in_time = isinstance(model, jaxem.HMM)
        cycle = starts.methods("portfolio", 60, in_time)
        made = {code: self._made(model, x, code) for code in sorted(set(cycle.tolist()))}
        best = max(float(np.max(optima.regular(own))) for own in made.values())
        sizes = {"n": len(x), "k": model.n_components, "starts": self.n_init}
        rows, hits, steps = [], [], []
        for code, own in made.items():
            hit = optima.finds(optima.regular(own), best)
            work = np.asarray(own.n_iter) + 1
            hits.append(np.mean(hit))
            steps.append(np.mean(work))
            rows.append(Row(
                f"{self.name}, {self.data}", RULES[code], "E-steps a start", sizes,
                dtype="float64", median=float(np.mean(work)), least=float(np.min(work)),
                most=float(np.max(work)), rounds=self.n_init,
                note=f"{np.sum(hit)} of {self.n_init} at the best; {len(own.optima)} optima",
            ))  # fmt: skip
        share = float(np.mean(hits))
        about = f"{self.data}: log-likelihood {best:.4f}"
        return Findings(rows, [
            Figure(f"{about}, starts of the portfolio that find it", "%", 100 * share),
            Figure(f"{about}, E-steps of the portfolio until one does", "E-steps",
                   float(np.mean(steps)) / share),
        ])  # fmt: skip

    def _made(self, model: Any, x: np.ndarray, code: int) -> Any:
        begin = starts.begin("portfolio", jax.random.key(0), self.n_init, None)
        job = prepare(as_dataset(model, x), Options(), begin)
        job = job._replace(methods=np.full_like(job.methods, code))
        return driver.uncut(job).restarts
