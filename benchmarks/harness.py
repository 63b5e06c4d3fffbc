"""What every benchmark shares: timing, memory, the machine, and what makes a row valid.

Compile and run time are kept apart, results are waited for, memory is the peak above a warm
baseline. A row is valid only if its log-likelihood is that of the NumPy reference at the
parameters it ended with.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil

from jaxem.reference import gaussian_mixture as reference

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass
class Row:
    """One program on one case; seconds, MB, natural logs."""

    question: str
    program: str
    dtype: str
    sizes: dict[str, int]
    first_call_s: float | None  # with compilation; None where nothing is compiled
    run_s: float  # median of the calls after it
    run_min_s: float
    run_max_s: float
    iterations: int
    log_likelihood: float
    peak_mb: float
    valid: bool
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


def environment() -> dict[str, Any]:
    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    return {
        "date": datetime.date.today().isoformat(),
        "commit": git("rev-parse", "--short", "HEAD") + ("+" if git("status", "-s") else ""),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy", "scikit-learn")},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """-> (seconds until the result is there, the result)."""
    begin = time.perf_counter()
    result = function()
    jax.block_until_ready([leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)])
    return time.perf_counter() - begin, result


def peak_memory_mb(function: Callable[[], Any]) -> float:
    """Peak resident memory of a call above what was resident before it; call it warm."""
    process, peak, done = psutil.Process(), 0, threading.Event()
    baseline = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        timed(function)
    finally:
        done.set()
        thread.join()
    return max(0.0, (peak - baseline) / 1e6)


def spread(seconds: list[float]) -> dict[str, float]:
    return {
        "run_s": statistics.median(seconds),
        "run_min_s": min(seconds),
        "run_max_s": max(seconds),
    }


def agrees(
    log_likelihood: float, x: Any, weights: Any, means: Any, covariances: Any, rtol: float
) -> bool:
    """Whether a log-likelihood is the reference's at the same parameters (k full matrices)."""
    theta = reference.Mixture(*(np.asarray(a, np.float64) for a in (weights, means, covariances)))
    _, expected = reference.e_step(np.asarray(x, np.float64), theta)
    return bool(abs(log_likelihood - expected) <= rtol * abs(expected))


def save(name: str, rows: list[Row], summary: dict[str, Any]) -> Path:
    """Write rows, summary and machine to benchmarks/results/NAME.json."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    content = {
        "environment": environment(),
        "summary": summary,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def show(rows: list[Row], summary: dict[str, Any]) -> None:
    for row in rows:
        first = "      -" if row.first_call_s is None else f"{row.first_call_s:7.3f}"
        print(
            f"{row.program:32s} {row.dtype} first {first} s   then {row.run_s:7.3f} s "
            f"[{row.run_min_s:.3f}, {row.run_max_s:.3f}]   ll {row.log_likelihood:.4f}   "
            f"{row.peak_mb:6.1f} MB   {'valid' if row.valid else 'NOT VALID'}"
        )
    for key, value in summary.items():
        print(f"{key}: {value}")
