"""Coefficients that the rows of a regression do not determine, or let diverge. Host side.

Columns depend on each other where the correlations of those beside the intercept (or the cosines,
where there is none) have an eigenvalue of 0; its vector tells which
(Belsley, Kuh and Welsch 1980, section 3.2).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxem.core import checks, placement
from jaxem.core.numerics import einsum
from jaxem.inference.pivot import pivot_of

_ZERO = 128.0  # units of rounding, for each column
_PART = 0.03  # of the largest entry of a vector: a column that has part in it
_REMEDY = "leave columns out, or give the coefficients a prior precision"
_COARSE, _LOST = 1e-3, 0.05  # of a column's spread: what rounding of an intercept may be
_TOLD = 0.05, 2e-6  # rows, and a share of them: what a direction with a maximum tells more than


class Moments(NamedTuple):
    """Of regressors as they are measured; second: about 0."""

    n: int
    mean: np.ndarray
    covariance: np.ndarray
    second: np.ndarray


def remarks(x: Any, weight: Any, intercept: bool, called: str = "X") -> tuple[str, ...]:
    """A remark for each linear dependence, and for columns whose intercept has few digits.

    called: what the regressors are. ValueError where an intercept has no digits.
    """
    if not checks.is_concrete(x, weight):
        return ()
    moments, limits = _moments(x, weight), jnp.finfo(x[0].dtype)
    pivot = np.asarray(pivot_of(x), np.float64)
    coarse = _coarse(moments, pivot, limits, called) if intercept else []
    return (*coarse, *_dependences(moments, intercept, limits, called))


def _moments(x: Any, weight: Any) -> Moments:
    """Over the rows of positive weight whose response is there."""
    X, y, *_ = x
    origin = np.asarray(X[int((placement.in_place(weight) > 0).argmax())], np.float64)
    n, first, second = 0, np.zeros(len(origin)), np.zeros((len(origin),) * 2)
    for block, responses, own in placement.blocks((X, y, weight)):
        there = (own > 0) & ~placement.is_nan(responses)
        found = _sums(block, there, origin)
        n, first, second = n + int(there.sum()), first + found[0], second + found[1]
    first, second = first / max(n, 1), second / max(n, 1)
    mean, covariance = origin + first, second - np.outer(first, first)
    return Moments(n, mean, covariance, covariance + np.outer(mean, mean))


def _sums(x: Any, there: Any, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of u = x - origin over some rows, sum u and sum u u'; in float64 on the host."""
    if isinstance(x, np.ndarray):
        u = x[there] - origin
        return u.sum(0), u.T @ u
    u = jnp.where(there[:, None], x - jnp.asarray(origin, x.dtype)[None], 0)
    return np.asarray(u.sum(0), np.float64), np.asarray(einsum("ni,nj->ij", u, u), np.float64)


def _dependences(moments: Moments, intercept: bool, limits: Any, called: str) -> list[str]:
    own = moments.covariance if intercept else moments.second
    size = np.diagonal(own)
    if moments.n < len(own) + intercept:
        return [f"{moments.n} rows leave {len(own) + intercept} coefficients open; {_REMEDY}"]
    zero = _ZERO * len(own) * float(limits.eps)
    empty = size <= (zero**2 * np.diagonal(moments.second) if intercept else 0)
    found = []
    if empty.any():
        is_so = "constant, as the intercept is" if intercept else "0 throughout"
        found.append(f"the rows tell nothing of {_named(empty, False, called)}, {is_so}")
    unit = 1 / np.sqrt(np.where(empty, 1, size))
    values, vectors = np.linalg.eigh(np.where(
        empty[:, None] | empty, np.eye(len(own)), own * unit[:, None] * unit
    ))  # fmt: skip
    for vector in vectors.T[values <= zero]:
        some = _named(np.abs(vector) > _PART * np.abs(vector).max(), False, called)
        found.append(f"the rows do not tell {some} apart, which depend on each other")
    return [f"{text}; {_REMEDY}" for text in found]


def _named(part: np.ndarray, intercept: bool, called: str) -> str:
    columns = np.flatnonzero(part[intercept:])
    names = ["the intercept"] * bool(intercept and part[0])
    if len(columns):
        names.append(f"column{'s' * (len(columns) > 1)} {', '.join(map(str, columns))} of {called}")
    return " and ".join(names)


def _coarse(moments: Moments, pivot: np.ndarray, limits: Any, called: str) -> list[str]:
    offset, spread = pivot + moments.mean, np.sqrt(np.maximum(np.diagonal(moments.covariance), 0))
    coarse = float(limits.eps) * np.abs(offset)
    found = []
    for j in np.flatnonzero((spread > 0) & (coarse > _COARSE * spread)):
        text = (
            f"column {j} of {called} spreads over {spread[j]:.3g} at an offset of "
            f"{offset[j]:.8g}: {limits.dtype} tells the intercept, at 0, to no more than "
            f"{coarse[j] / spread[j]:.1g} of that; subtract the offset from the column, or, where "
            "x64 is off, call jax.config.update('jax_enable_x64', True) first"
        )
        if coarse[j] > _LOST * spread[j]:
            raise ValueError(text)
        found.append(text)
    return found


def separated(
    curvature: np.ndarray, count: np.ndarray, x: Any, weight: Any, intercept: bool
) -> tuple[str, ...]:
    """Components whose likelihood rises for ever along some direction of their coefficients."""
    return tuple(
        f"component {k} is separated: along {called} its rows are told without error, so "
        "that the likelihood rises for ever, and these coefficients have no meaning; give "
        "them a prior precision, such as families.RegressionPrior(precision=1.0)"
        for k, called in flat_along(curvature, count, x, weight, intercept).items()
    )


def flat_along(
    curvature: np.ndarray,
    count: np.ndarray,
    x: Any,
    weight: Any,
    intercept: bool,
    called: str = "X",
) -> dict[int, str]:
    """The columns along which the likelihood has no curvature, of each component where it is so.

    curvature: sum r A'' u u' of each, (k, p, p). Where rows are told without error all along a
    direction (Albert and Anderson 1984) it comes to 0, in units of sum u u' / n.
    """
    _, mean, _, own = _moments(x, weight)
    if intercept:
        own = np.block([[np.ones((1, 1)), mean[None]], [mean[:, None], own]])
    values, vectors = np.linalg.eigh(own)
    kept = values > _ZERO * len(own) * float(jnp.finfo(x[0].dtype).eps) * values[-1]
    white = vectors[:, kept] / np.sqrt(values[kept])
    found = {}
    for k, (of, rows) in enumerate(zip(curvature, count, strict=True)):
        told, along = np.linalg.eigh(white.T @ of @ white)
        if rows > 0 and told[0] < _TOLD[0] + _TOLD[1] * rows:
            vector = white @ along[:, 0] * np.sqrt(np.diagonal(own))
            found[k] = _named(np.abs(vector) > 0.1 * np.abs(vector).max(), intercept, called)
    return found
