"""What rows leave open of a regression's coefficients, and where they run away. Host side only.

Columns of the design u = (1, x - c) are dependent where the correlation-like matrix

    D^-1/2 (sum u u') D^-1/2,   D = diag(sum u^2)

has an eigenvalue of 0; its vector tells which (Belsley, Kuh and Welsch 1980, section 3.2).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxem.core import checks
from jaxem.inference.pivot import pivot_of

_ZERO = 128.0  # units of rounding, for each column
_PART = 0.03  # of the largest entry of a vector: a column that has part in it
_REMEDY = "leave columns out, or give the coefficients a prior precision"
_COARSE, _LOST = 1e-3, 0.05  # of a column's spread: what rounding of an intercept may be


def remarks(x: Any, weight: Any, intercept: bool) -> tuple[str, ...]:
    """One for each dependence, and for columns whose intercept has few digits.

    ValueError where it has none.
    """
    if not checks.is_concrete(x, weight):
        return ()
    second, n = _second(x, weight)
    dependent = _dependences(second, n, intercept, jnp.finfo(x[0].dtype))
    return (*_coarse(second, n, np.asarray(pivot_of(x), np.float64), x[0].dtype), *dependent)


def _second(x: Any, weight: Any) -> tuple[np.ndarray, int]:
    """-> (sum of u u' over rows of positive weight whose response is there, how many they are)."""
    X, y, *_ = x
    d, n, start = X.shape[1], 0, 0
    second = np.zeros((d + 1, d + 1))
    there = np.asarray(weight) > 0
    for block, responses in zip(checks.blocks(X), checks.blocks(y), strict=True):
        kept = there[start : start + len(block)] & ~np.isnan(responses)
        u = np.concatenate([np.ones((kept.sum(), 1)), block[kept]], axis=1)
        second, n, start = second + u.T @ u, n + len(u), start + len(block)
    return second, n


def _dependences(second: np.ndarray, n: int, intercept: bool, limits: Any) -> list[str]:
    own = second if intercept else second[1:, 1:]
    if n < len(own):
        return [f"{n} rows leave {len(own)} coefficients open; {_REMEDY}"]
    empty = np.diagonal(own) == 0
    unit = 1 / np.sqrt(np.where(empty, 1, np.diagonal(own)))
    values, vectors = np.linalg.eigh(own * unit[:, None] * unit + np.diag(empty * 1.0))
    found = []
    if empty.any():
        is_so = "constant, as the intercept is" if intercept else "0 throughout"
        found.append(f"the rows tell nothing of {_called(empty, intercept)}, {is_so}")
    for vector in vectors.T[values <= _ZERO * len(own) * float(limits.eps)]:
        called = _called(np.abs(vector) > _PART * np.abs(vector).max(), intercept)
        found.append(f"the rows do not tell {called} apart, which depend on each other")
    return [f"{text}; {_REMEDY}" for text in found]


def _called(part: np.ndarray, intercept: bool) -> str:
    columns = np.flatnonzero(part[intercept:])
    called = ["the intercept"] * bool(intercept and part[0])
    if len(columns):
        called.append(f"column{'s' * (len(columns) > 1)} {', '.join(map(str, columns))} of X")
    return " and ".join(called)


def _coarse(second: np.ndarray, n: int, pivot: np.ndarray, dtype: Any) -> list[str]:
    mean = second[0, 1:] / max(n, 1)
    spread = np.sqrt(np.maximum(np.diagonal(second)[1:] / max(n, 1) - mean**2, 0))
    coarse = float(jnp.finfo(dtype).eps) * np.abs(pivot + mean)
    found = []
    for j in np.flatnonzero((spread > 0) & (coarse > _COARSE * spread)):
        text = (
            f"column {j} of X spreads over {spread[j]:.3g} at an offset of "
            f"{pivot[j] + mean[j]:.8g}: {dtype} tells the intercept, at 0, to no more than "
            f"{coarse[j] / spread[j]:.1g} of that; subtract the offset from the column, or, where "
            "x64 is off, call jax.config.update('jax_enable_x64', True) first"
        )
        if coarse[j] > _LOST * spread[j]:
            raise ValueError(text)
        found.append(text)
    return found


_TOLD = 0.05, 2e-6  # rows, and a share of them: what a direction with a maximum tells more than


def separated(
    curvature: np.ndarray, count: np.ndarray, x: Any, weight: Any, intercept: bool
) -> tuple[str, ...]:
    """Components whose likelihood rises for ever along some direction of their coefficients.

    curvature: sum r A'' u u' of each, (k, p, p). Where rows are told without error all along a
    direction (Albert and Anderson 1984) it comes to 0, in units of sum u u' / n.
    """
    second, n = _second(x, weight)
    own = (second if intercept else second[1:, 1:]) / max(n, 1)
    values, vectors = np.linalg.eigh(own)
    kept = values > _ZERO * len(own) * float(jnp.finfo(x[0].dtype).eps) * values[-1]
    white = vectors[:, kept] / np.sqrt(values[kept])
    found = []
    for k, (of, rows) in enumerate(zip(curvature, count, strict=True)):
        told, along = np.linalg.eigh(white.T @ of @ white)
        if rows > 0 and told[0] < _TOLD[0] + _TOLD[1] * rows:
            vector = white @ along[:, 0] * np.sqrt(np.diagonal(own))
            called = _called(np.abs(vector) > 0.1 * np.abs(vector).max(), intercept)
            found.append(
                f"component {k} is separated: along {called} its rows are told without error, so "
                "that the likelihood rises for ever, and these coefficients have no meaning; give "
                "them a prior precision, such as families.RegressionPrior(precision=1.0)"
            )
    return tuple(found)
