"""How much work is it to find the best optimum? In E-steps over all rows, up to where it is found.

Beside a search: independent starts of the same code, and scikit-learn's. The best is that of all
runs here; a run that never comes to it counts with all of its work. The default call is judged by
how often it ends there.
"""

import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from benchmarks import optima
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.timing import timed
from jaxem.families import Gaussian


@dataclass(frozen=True)
class Run:
    """values: of the starts in their order, -inf where they are not regular. work: E-steps of
    each."""

    values: np.ndarray
    work: np.ndarray
    seconds: float

    def until(self, best: float) -> int:
        """E-steps up to the first start that comes to the best, or all."""
        reached = np.flatnonzero(optima.finds(self.values, best))
        last = reached[0] + 1 if len(reached) else len(self.work)
        return int(np.sum(self.work[:last]))

    def finds(self, best: float) -> bool:
        return bool(np.any(optima.finds(self.values, best)))


@dataclass(frozen=True)
class Searching:
    """data: of `optima`. n_init: starts of a search; scikit-learn makes a fifth of them."""

    data: str
    least: float | None = None  # times less work than of independent starts
    n_init: int = 300
    keys: int = 12
    name: str = "search"

    def run(self, bench: Bench) -> Findings:
        model, x = optima.problem(self.data)
        data = jaxem.read(model, x)
        programs: dict[str, Callable[[int], Run]] = {
            "jaxem, race": lambda key: _ours(model, data, key, n_init=self.n_init, search="race"),
            "jaxem, independent": lambda key: _ours(model, data, key, n_init=self.n_init),
            "jaxem, default": lambda key: _ours(model, data, key),
        }
        if "scikit-learn" in bench.programs and _is_theirs(model.family):
            programs["scikit-learn"] = lambda key: _theirs(model, x, key, self.n_init // 5)
        runs = {name: [one(key) for key in range(self.keys)] for name, one in programs.items()}
        best = max(float(np.max(run.values)) for own in runs.values() for run in own)
        sizes = {"n": data.n_rows, "k": model.n_components, "starts": self.n_init}
        rows = [self._row(name, own, best, sizes) for name, own in runs.items()]
        race, plain = (
            statistics.median(run.until(best) for run in runs[f"jaxem, {what}"])
            for what in ("race", "independent")
        )
        found = statistics.mean(run.finds(best) for run in runs["jaxem, default"])
        about = f"{self.data}: log-likelihood {best:.4f}"
        return Findings(rows, [
            Figure(f"{about}, work of independent starts over a race's", "times", plain / race,
                   self.least),
            Figure(f"{about}, found by the default call", "% of keys", 100 * found, 98),
        ])  # fmt: skip

    def _row(self, name: str, runs: list[Run], best: float, sizes: dict[str, int]) -> Row:
        work = [run.until(best) for run in runs]
        seconds = statistics.median(run.seconds for run in runs)
        made = statistics.median(len(run.work) for run in runs)
        found = sum(run.finds(best) for run in runs)
        return Row(
            f"{self.name}, {self.data}", name, "E-steps", sizes, dtype="float64",
            median=statistics.median(work), least=min(work), most=max(work), rounds=len(runs),
            note=f"{found} of {len(runs)} keys found it; {made:.0f} starts, {seconds:.2f} s",
        )  # fmt: skip


def _ours(model: Any, data: Any, key: int, **options: Any) -> Run:
    def fit() -> Any:
        return jaxem.fit(model, data, key=jax.random.key(key), **options)

    seconds, result = timed(fit)
    starts = result.restarts
    return Run(optima.regular(starts), np.asarray(starts.n_iter) + 1, seconds)


def _is_theirs(family: Any) -> bool:
    """Whether scikit-learn has that structure of covariances."""
    names = "full", "tied", "diag", "spherical"
    return isinstance(family, Gaussian) and family.covariance.name in names


def _theirs(model: Any, x: np.ndarray, key: int, n_init: int) -> Run:
    from sklearn.mixture import GaussianMixture

    values, work = [], []

    def starts() -> None:
        for start in range(n_init):
            made = GaussianMixture(model.n_components, covariance_type=model.family.covariance.name,
                                   tol=1e-8, max_iter=5000, reg_covar=0,
                                   random_state=1000 * key + start)  # fmt: skip
            try:
                fitted = made.fit(x)
            except ValueError:  # a component collapsed
                continue
            values.append(_regular(fitted, x))
            work.append(fitted.n_iter_)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds, _ = timed(starts)
    return Run(np.array(values or [-np.inf]), np.array(work or [0]), seconds)


def _regular(fitted: Any, x: np.ndarray) -> float:
    """The log-likelihood; -inf where a component is narrower than ours may be."""
    covariances = fitted.covariances_
    least = np.min(np.linalg.eigvalsh(covariances))
    pooled = np.min(np.linalg.eigvalsh(np.atleast_2d(np.cov(x.T))))
    return float(fitted.score(x) * len(x)) if least > 1e-3 * pooled else -np.inf
