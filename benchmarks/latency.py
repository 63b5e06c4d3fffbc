"""How long until the first answer? Processor time of fresh processes: calls, and whole commands.

    python -m benchmarks.latency TASK

prints one line of JSON for each step of a task: its name, its seconds of processor time and on the
wall, and how many programs were compiled. What comes before the first step, the imports of JAX,
NumPy and SciPy, is not counted; that of the library itself is, in the first step, from bytecode as
an installation has it.
"""

import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import mclust
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.timing import spread

ROOT = Path(__file__).parent.parent
GRID = {
    "n_components": range(1, 7),
    "covariance_type": ["full", "tied", "diag", "spherical"],
}
MODULES = {"scikit-learn": "sklearn", "hmmlearn": "hmmlearn"}
Step = tuple[str, Callable[[], Any]]


# ---- in the fresh process


def _read(name: str) -> np.ndarray:
    """Without the library, whose import is a part of the first step."""
    table = np.genfromtxt(ROOT / "jaxem" / "datasets" / f"{name}.csv", delimiter=",", skip_header=1)
    return table[:, ~np.isnan(table).any(axis=0)]


def _clouds() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 3)) + 4.0 * (np.arange(400) % 3)[:, None]


def _fit() -> Iterator[Step]:
    import jax

    x = _read("iris")[:, :4]

    def fit(rows: np.ndarray = x, k: int = 3, starts: int = 100, **options: Any) -> Any:
        import jaxem

        model = jaxem.Mixture(jaxem.families.Gaussian("full"), k)
        return jaxem.fit(model, rows, key=jax.random.key(0), n_init=starts, **options)

    yield "first fit", fit
    yield "second fit", fit
    yield "another n", lambda: fit(x[:147])
    yield "another k", lambda: fit(k=4)
    yield "another n_init", lambda: fit(starts=60)
    yield "other weights", lambda: fit(sample_weight=1.0 + np.arange(150) % 2)
    yield "another tol", lambda: fit(tol=1e-7)


def _hmm() -> Iterator[Step]:
    import jax

    counts = _read("earthquakes")[:, -1]

    def fit() -> Any:
        import jaxem

        model = jaxem.HMM(jaxem.families.Poisson(), 3)
        return jaxem.fit(model, counts, key=jax.random.key(0), n_init=100)

    yield "first fit", fit
    yield "second fit", fit


def _said(name: str, k: int, say: Callable[[Any, Any, np.ndarray], Any]) -> Iterator[Step]:
    import jax

    import jaxem

    x = _read(name)[:, : 4 if name == "iris" else 2]
    model = jaxem.Mixture(jaxem.families.Gaussian("full"), k)
    params = jaxem.fit(model, x, key=jax.random.key(0), tol=1e-10).params
    yield "first call", lambda: say(model, params, x)
    yield "second call", lambda: say(model, params, x)


def _errors(name: str, k: int) -> Iterator[Step]:
    import jaxem

    yield from _said(name, k, lambda *fitted: jaxem.standard_errors(*fitted))


def _refits() -> Iterator[Step]:
    import jax

    import jaxem

    def say(model: Any, params: Any, x: np.ndarray) -> Any:
        return jaxem.bootstrap(model, params, x, key=jax.random.key(1), n_boot=1000)

    yield from _said("faithful", 2, say)


def _table() -> Iterator[Step]:
    import jax

    x = _read("iris")[:, :4]

    def table() -> Any:
        import jaxem

        return jaxem.select(x=x, family="gaussian", covariance="all", n_components=range(1, 10),
                            n_init=20, key=jax.random.key(0))  # fmt: skip

    yield "first table", table
    yield "second table", table


def _mclust_table() -> Iterator[Step]:
    code = "invisible(mclust::mclustBIC(iris[, 1:4]))"
    yield "first table", lambda: subprocess.run(["Rscript", "-e", code], check=True).returncode


def _sklearn() -> Iterator[Step]:
    from sklearn.mixture import GaussianMixture

    x = _read("iris")[:, :4]

    def fit() -> Any:
        return GaussianMixture(3, n_init=100, random_state=0, max_iter=1000).fit(x)

    yield "first fit", fit
    yield "second fit", fit


def _hmmlearn() -> Iterator[Step]:
    from hmmlearn.hmm import PoissonHMM

    counts = _read("earthquakes")[:, -1:].astype(int)

    def fit() -> Any:
        return [PoissonHMM(3, random_state=seed, n_iter=1000).fit(counts) for seed in range(100)]

    yield "first fit", fit
    yield "second fit", fit


def _grid(module: str) -> Iterator[Step]:
    from importlib import import_module

    from sklearn.model_selection import GridSearchCV

    x = _clouds()

    def search() -> Any:
        estimator = import_module(module).GaussianMixture(random_state=0)
        return GridSearchCV(estimator, GRID, cv=5).fit(x)

    yield "first search", search


TASKS: dict[str, Callable[[], Iterator[Step]]] = {
    "fit": _fit,
    "scikit-learn fit": _sklearn,
    "hmm": _hmm,
    "hmmlearn hmm": _hmmlearn,
    "errors faithful": lambda: _errors("faithful", 2),
    "errors iris": lambda: _errors("iris", 3),
    "bootstrap": _refits,
    "table": _table,
    "mclust table": _mclust_table,
    "grid": lambda: _grid("jaxem.sklearn"),
    "scikit-learn grid": lambda: _grid("sklearn.mixture"),
}


def main(task: str) -> None:
    import jax
    import scipy.linalg  # noqa: F401  # as every program here does

    jax.config.update("jax_enable_x64", True)
    compiled: list[str] = []

    def heard(event: str, _: float, **about: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(about.get("fun_name", "?"))

    jax.monitoring.register_event_duration_secs_listener(heard)
    for name, step in TASKS[task]():
        compiled.clear()
        cpu, wall = _processor_time(), time.perf_counter()
        result = step()
        leaves = [leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)]
        jax.block_until_ready(leaves)
        took = {"cpu": _processor_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps({"step": name, **took, "compiled": len(compiled)}), flush=True)


def _processor_time() -> float:
    """Seconds of this process, and of those that it ran."""
    return sum(os.times()[:4])


# ---- cases


@dataclass(frozen=True)
class Latency:
    """One task in fresh processes, of jaxem and of a peer in turn."""

    task: str
    peer: str = ""
    target: float | None = None  # processor seconds of the first step
    target_again: float | None = None  # of the second
    of_peer: bool = False  # the target is the peer's own time
    rounds: int = 3
    budget_s: float = 300.0

    @property
    def name(self) -> str:
        return f"latency: {self.task}"

    def run(self, bench: Bench) -> Findings:
        programs = {"jaxem": self.task}
        if self.peer and _is_installed(self.peer):
            programs[self.peer] = f"{self.peer} {self.task}"
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            for program, task in programs.items():
                for step in _steps(task):
                    found.setdefault((program, step["step"]), []).append(step)
        rows = [_row(self.name, *key, steps) for key, steps in found.items()]
        first = {program: rows[i] for i, (program, _) in reversed(list(enumerate(found)))}
        target, at = self.target, first["jaxem"].note.split(":")[0]
        if self.of_peer and self.peer in first:
            target = first[self.peer].median
        figures = [Figure(f"{self.task}: {at}, processor time", "s", first["jaxem"].median, target,
                          at_least=False)]  # fmt: skip
        if self.target_again is not None:
            again = next(row for row in rows[1:] if row.program == "jaxem")
            what = f"{self.task}: {again.note.split(':')[0]}, processor time"
            figures.append(Figure(what, "s", again.median, self.target_again, at_least=False))
        others = [
            key for key in found if key[0] == "jaxem" and key[1].startswith(("another", "oth"))
        ]
        if others:
            most = max(step["compiled"] for key in others for step in found[key])
            what = f"{self.task}: programs compiled by {', '.join(name for _, name in others)}"
            figures.append(Figure(what, "programs", most, 0, at_least=False))
        return Findings(rows, figures)


@dataclass(frozen=True)
class Command:
    """A command of the command line, with an empty folder of kept programs and then again."""

    arguments: tuple[str, ...]
    target: float | None = None  # processor seconds, the first time
    target_again: float | None = None
    rounds: int = 3
    budget_s: float = 300.0

    @property
    def name(self) -> str:
        return f"latency: jaxem {' '.join(self.arguments)}"

    def run(self, bench: Bench) -> Findings:
        seconds: dict[str, list[float]] = {"the first time": [], "again": []}
        for _ in bench.clock.rounds(self.rounds, self.budget_s):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copy(ROOT / "jaxem" / "datasets" / "iris.csv", Path(folder) / "flowers.csv")
                for own in seconds.values():
                    own.append(_command(self.arguments, Path(folder)))
        rows = [
            Row(self.name, "jaxem", "s", structure="-", dtype="float64", note=what, **spread(own))
            for what, own in seconds.items()
        ]
        targets = self.target, self.target_again
        figures = [
            Figure(f"jaxem {' '.join(self.arguments)}: {what}, processor time", "s",
                   statistics.median(own), target, at_least=False)
            for (what, own), target in zip(seconds.items(), targets, strict=True)
        ]  # fmt: skip
        return Findings(rows, figures)


@cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Where the modules lie compiled, as `pip` does when it installs them."""
    folder = tempfile.TemporaryDirectory()
    command = [sys.executable, "-m", "compileall", "-q", str(ROOT / "jaxem")]
    subprocess.run(command, env=os.environ | {"PYTHONPYCACHEPREFIX": folder.name}, check=True)
    return folder


def _env() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPYCACHEPREFIX": _bytecode().name, "PYTHONPATH": str(ROOT)}


def _is_installed(peer: str) -> bool:
    if peer == "mclust":
        return mclust.is_installed()
    return importlib.util.find_spec(MODULES[peer]) is not None


def _steps(task: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.latency", task]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=_env())
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def _command(arguments: tuple[str, ...], folder: Path) -> float:
    """Processor seconds of the whole process."""
    env = _env() | {"XDG_CACHE_HOME": str(folder / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "jaxem.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.strip()[-300:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime


def _row(case: str, program: str, step: str, steps: list[dict[str, Any]]) -> Row:
    wall = statistics.median(own["wall"] for own in steps)
    compiled = f", {steps[0]['compiled']} programs compiled" if program == "jaxem" else ""
    return Row(
        case, program, "s", structure="-", dtype="float64",
        note=f"{step}: {wall:.2f} s on the wall{compiled}",
        **spread([own["cpu"] for own in steps]),
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
