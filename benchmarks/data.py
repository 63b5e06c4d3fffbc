"""The data that programs are compared on, and where they all start."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_BLOCK = 1 << 18  # rows made together: nothing but the data itself grows with n


class Parameters(NamedTuple):
    """NumPy arrays, covariances in their structure's own shape (that of scikit-learn)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Problem:
    x: np.ndarray
    structure: str
    start: Parameters

    @property
    def sizes(self) -> dict[str, int]:
        n, d = self.x.shape
        return {"n": n, "d": d, "k": len(self.start.weights)}


def problem(n: int, d: int, k: int, structure: str, dtype: str) -> Problem:
    x = clusters(n, d, k, dtype)
    return Problem(x, structure, start(x, k, structure))


def clusters(n: int, d: int, k: int, dtype: str, apart: float = 3.0, seed: int = 0) -> np.ndarray:
    """k normal clouds of unequal widths, their centres about `apart` standard deviations from 0."""
    rng = np.random.default_rng(seed)
    centres = (apart / np.sqrt(d) * rng.standard_normal((k, d))).astype(dtype)
    widths = rng.uniform(0.5, 1.5, (k, d)).astype(dtype)
    x = np.empty((n, d), dtype)
    for first in range(0, n, _BLOCK):
        rows = x[first : first + _BLOCK]
        labels = rng.integers(0, k, len(rows))
        rng.standard_normal(rows.shape, dtype, out=rows)
        rows *= widths[labels]
        rows += centres[labels]
    return x


def two_normals(n: int) -> np.ndarray:
    """0.3 N(1, 2^2) + 0.7 N(9, 3^2), (n, 1)."""
    rng = np.random.default_rng(5000)
    first = rng.random(n) < 0.3
    return np.where(first, rng.normal(1, 2, n), rng.normal(9, 3, n))[:, None]


def start(x: np.ndarray, k: int, structure: str, seed: int = 1) -> Parameters:
    """Equal weights, means of ten rows each, and the covariance of all rows for every component.

    In many columns a single row is far from all others: a component that began at one would starve.
    """
    rng = np.random.default_rng(seed)
    sample = np.asarray(x[rng.integers(0, len(x), 10_000)], np.float64)
    means = np.asarray(x[rng.integers(0, len(x), (k, 10))], np.float64).mean(1)
    covariance = np.atleast_2d(np.cov(sample, rowvar=False))
    shaped = {
        "full": lambda: np.tile(covariance, (k, 1, 1)),
        "tied": lambda: covariance,
        "diag": lambda: np.tile(np.diag(covariance), (k, 1)),
        "spherical": lambda: np.full(k, np.diag(covariance).mean()),
    }
    return Parameters(np.full(k, 1 / k), means, shaped[structure]())
