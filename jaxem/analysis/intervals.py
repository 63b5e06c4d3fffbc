"""Confidence intervals of parameters, by their standard errors or by the likelihood's profile.

    Wald:     theta +- z se,                             z the (1 + level) / 2 quantile of N(0, 1)
              nu exp(+- z se / nu)                       of degrees of freedom, whose log is normal
    profile:  all v with 2 (l_max - max { l : theta_j = v }) <= z^2            (Wilks 1938)

An end of a profile interval is where l falls no more than that and theta_j is at its extreme: with
a multiplier m,

    l'(u) + m s theta_j'(u) = 0,   l(u) = l_max - z^2 / 2,   s = +-1

solved by Newton steps from the Wald interval, through smaller z where that is too far (Venzon and
Moolgavkar 1988).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxem.analysis import information, standard_errors
from jaxem.analysis.coordinates import params_dtype
from jaxem.analysis.maximum import Fitted, fitted
from jaxem.core import checks, remarks
from jaxem.core.contracts import Model, Params, Prior
from jaxem.core.inputs import waits
from jaxem.core.names import name
from jaxem.fitting import streamed_sums
from jaxem.fitting.streamed_sums import StreamedRows

METHODS = ("wald", "profile")
WITHIN = 'take method="profile", whose ends lie within'
_SHARES = ("weights", "initial", "transition", "probabilities")  # from 0 to 1
_POSITIVE = ("rates", "shapes", "scales", "concentrations")
_BY_LOG = ("degrees_of_freedom",)
_SHOWN = 6  # numbers
_STAGES = (1, 4, 16)  # in how many parts the way to an end is cut, one after the other
_STEPS = 20  # of Newton's method, for each part


class ConfidenceIntervals(NamedTuple):
    """Trees like the parameters: NaN where there is no end, the number itself where it is known."""

    lower: Params
    upper: Params


@waits
def confidence_intervals(
    model: Model,
    params: Params,
    x: Any,
    level: Any = 0.95,
    method: str = "wald",
    *,
    errors: str = "observed",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
    mesh: Any = None,
) -> ConfidenceIntervals:
    """Intervals that hold each true parameter with probability `level`, one by one, in many rows.

    method: "wald", theta +- z se, symmetric, and blind to where a parameter's range ends: a
        UserWarning names what leaves it. Degrees of freedom, whose likelihood is far from
        symmetric, have those of their logarithm;
        "profile", all values v for which 2 (l_max - max { l : theta_j = v }) is at most z^2:
        within the range, and the same in every parametrisation. NaN for an end that is not found,
        as where the likelihood does not fall so far before the range ends.
    errors: for "wald" the method of `standard_errors`, whose other arguments, NaN and errors these
        are too. Numbers that cannot move have themselves as both ends.
    x may be a source, for "wald", and mesh is as `fit` takes it.
    Errors: ValueError for bad input, and for a profile of traced values or of a large source.
    Source: Wilks (1938); Venzon and Moolgavkar (1988), Appl. Statist. 37, 87-94.
    """
    checks.one_of(method, METHODS, "method")
    if method == "profile" and errors != "observed":
        raise ValueError(f"errors is {errors!r}, but a profile needs none; leave it out")
    if checks.is_concrete(level):
        checks.numbers(level, "level")
        if np.ndim(level) != 0 or not 0 < float(level) < 1:
            raise ValueError(f"level is {level!r}; give a number between 0 and 1, such as 0.95")
    data = streamed_sums.opened(model, x, sample_weight, labels, lengths, mesh)
    if method == "profile" and isinstance(data, StreamedRows):
        raise ValueError(
            "a profile goes through the rows many times for each parameter, which takes too long "
            'for a source of many rows; take method="wald", or give rows in memory'
        )
    found = fitted(data, params, errors, prior, fixed, reg_covar)
    own = found.local.params
    standard_errors.warn(found)
    se = standard_errors.errors(found)
    dtype = params_dtype(own)
    z = jax.scipy.special.ndtri((1 + checks.cast(level, dtype)) / 2)
    if method == "wald":
        ends = ConfidenceIntervals(_wald(own, se, -z), _wald(own, se, z))
        if checks.is_concrete(ends):
            _warn_outside(ends)
        return ends
    if not checks.is_concrete(found.local, found.inverse, z):
        raise ValueError('a profile is not for traced values; take method="wald" under jit')
    return _profiles(found, ravel_pytree(se)[0], float(z))


def _wald(params: Params, se: Params, z: Any) -> Params:
    """The end of each interval that is z standard errors away."""

    def end(path: Any, value: Any, error: Any) -> Any:
        if _field(path) in _BY_LOG:
            return value * jnp.exp(z * error / value)
        return value + z * error

    return jax.tree.map_with_path(end, params, se)


def _field(path: Any) -> str:
    """What the number at a path is called in its parameters."""
    return [key.name for key in path if isinstance(key, jax.tree_util.GetAttrKey)][-1]


def _warn_outside(ends: ConfidenceIntervals) -> None:
    """A UserWarning that names the numbers whose intervals leave their range."""
    outside = []
    pairs = zip(jax.tree.leaves_with_path(ends.lower), jax.tree.leaves(ends.upper), strict=True)
    for (path, lower), upper in pairs:
        field = _field(path)
        low, high = np.asarray(lower), np.asarray(upper)
        wrong = (field in _POSITIVE) & (low < 0)
        if field in _SHARES:
            wrong = (low < 0) | (high > 1)
        elif field == "covariances":  # the variances in them
            matrix = low.ndim > 1 and np.array_equal(low, np.swapaxes(low, -1, -2), equal_nan=True)
            wrong = (low < 0) & (np.eye(low.shape[-1], dtype=bool) if matrix else True)
        outside += [name(path, at) for at in np.argwhere(wrong)]
    if outside:
        more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
        remarks.warn(
            f"Wald intervals leave the range of {', '.join(outside[:_SHOWN])}{more}; {WITHIN}"
        )


def _profiles(found: Fitted, se: Any, z: float) -> ConfidenceIntervals:
    flat, unravel = ravel_pytree(found.local.params)
    estimates, se = np.asarray(flat), np.asarray(se)
    jacobian = np.asarray(found.coordinates.jacobian)
    ends = np.stack([estimates, estimates]).astype(estimates.dtype)
    ends[:, np.isnan(se)] = np.nan
    seen: dict[bytes, int] = {}
    for j in np.flatnonzero(se > 0):
        twin = seen.setdefault(jacobian[j].tobytes() + estimates[j].tobytes(), int(j))
        if twin != j:  # the other triangle of a matrix
            ends[:, j] = ends[:, twin]
            continue
        for row, side in enumerate((-1.0, 1.0)):
            ends[row, j] = _end(found, int(j), side, z)
    lower, upper = (unravel(checks.cast(row, flat.dtype)) for row in ends)
    return ConfidenceIntervals(lower, upper)


def _end(found: Fitted, index: int, side: float, z: float) -> float:
    """One end of the interval of one number; NaN where no way leads to it."""
    for n in _STAGES:
        state, value = _begin(found, index, side, z / n), np.nan
        for stage in range(1, n + 1):
            state, value = _solve(found, index, side, z * stage / n, state)
            if np.isnan(value):
                break
            u, multiplier = state
            further = (stage + 1) / stage  # along the way that it came
            state = u * further, multiplier * further
        if not np.isnan(value):
            return value
    return np.nan


State = tuple[np.ndarray, float]  # u and the multiplier


def _begin(found: Fitted, index: int, side: float, z: float) -> State:
    """The end of the Wald interval, and the multiplier there: z / se."""
    slope = np.asarray(found.coordinates.jacobian)[index]
    spread = np.asarray(found.spread)
    se = float(np.sqrt(slope @ spread @ slope))
    return side * z / se * (spread @ slope), z / se


def _solve(found: Fitted, index: int, side: float, z: float, state: State) -> tuple[State, float]:
    """-> (the state where l is z^2 / 2 below its maximum, the number there)."""
    u, multiplier = state
    spread = np.asarray(found.spread, np.float64)
    eps = float(np.finfo(np.asarray(found.spread).dtype).eps)
    start = _number(found, index, np.zeros_like(u))[0]
    highest = _likelihood(found, np.zeros_like(u))[0]
    close = max(1e-8, 1e3 * eps * max(abs(highest), 1.0))
    for _ in range(_STEPS):
        value, gradient, curvature = _likelihood(found, u)
        number, slope, bend = _number(found, index, u)
        rest = gradient + multiplier * side * slope
        short = value - (highest - z**2 / 2)
        if not np.isfinite(rest).all() or not np.isfinite(short):
            break
        if rest @ spread @ rest < close and abs(short) < close:
            right = multiplier > 0 and side * (number - start) > 0
            return (u, multiplier), float(number) if right else np.nan
        matrix = np.block(
            [
                [-curvature + multiplier * side * bend, side * slope[:, None]],
                [gradient[None], np.zeros((1, 1))],
            ]
        )
        try:
            step = np.linalg.solve(matrix, -np.append(rest, short))
        except np.linalg.LinAlgError:
            break
        length = np.sqrt(step[:-1] @ np.linalg.pinv(spread) @ step[:-1])
        step = step * min(1.0, max(z, 0.1) / max(float(length), 1e-300))
        u, multiplier = u + step[:-1], multiplier + float(step[-1])
    return (u, multiplier), np.nan


def _likelihood(found: Fitted, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    at = jnp.asarray(u, found.local.basis.dtype)
    value, *rest = information.observed(found.model, found.local, at, found.plan)
    gradient, curvature = (np.asarray(leaf, np.float64) for leaf in rest)
    return float(value), gradient, curvature


def _number(found: Fitted, index: int, u: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    at = jnp.asarray(u, found.local.basis.dtype)
    value, *rest = information.number(found.model, found.local, at, np.int32(index))
    slope, bend = (np.asarray(leaf, np.float64) for leaf in rest)
    return float(value), slope, bend
