"""How precisely parameters are known: the inverse of the information, brought back to them.

    cov(theta) = J inv(I) J',   J = d theta / du                              (delta method)

with inv(I) of `maximum`. Weights add up to 1 and matrices are symmetric in theta(u), so that their
covariances are singular as they must be.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from jaxem.analysis.coordinates import Coordinates, without_error
from jaxem.analysis.information import Inverse
from jaxem.analysis.maximum import FAR, Fitted, eps, fitted, identical
from jaxem.core import checks
from jaxem.core import remarks as told
from jaxem.core.contracts import Model, Params, Prior
from jaxem.core.inputs import waits
from jaxem.core.names import names
from jaxem.core.numerics import einsum
from jaxem.fitting import streamed_sums
from jaxem.fitting.effort import program


class ParameterCovariance(NamedTuple):
    """names (p,) of all numbers of the parameters, in the order of their tree; matrix (p, p).

    NaN for numbers that are not known, see `remarks`; 0 for those that cannot move.
    """

    names: tuple[str, ...]
    matrix: Float[Array, "p p"]
    remarks: tuple[str, ...]


@waits
def standard_errors(
    model: Model,
    params: Params,
    x: Any,
    *,
    method: str = "observed",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
    mesh: Any = None,
) -> Params:
    """The standard errors of fitted parameters, as a tree like theirs.

    se = sqrt(diag(J inv(I) J')),   I = - d^2 log p(x; theta(u)) / du^2 at the maximum

    method: "observed", the information of the rows by automatic differentiation; "louis", that of
        the complete data less what is missing (Louis 1982; in the form of Oakes 1999), which is
        the same number by another way; "outer", the sum of outer products of the rows' scores;
        "sandwich", which holds where the model is not the true one (White 1982).
    sample_weight, prior, fixed, labels, lengths, reg_covar: those of the fit. Weights are
        frequencies. With a prior, of the posterior's mode.
    x may be a source, whose rows bring their weights and labels: the information is summed block by
        block, in two or three readings and one more for each step to the maximum. mesh: as `fit`
        takes it: of several processes each reads its share.

    They are taken at the maximum next to `params`, just short of which a fit stops.
    0 for numbers that cannot move: fixed ones, and transitions that are ruled out. NaN where there
    is no standard error: a number at the end of its range (its neighbours' are those given it), of
    a component that is absent, or of which the rows tell nothing; the last with a UserWarning.
    Errors: ValueError for bad input, and for parameters that are no maximum.
    """
    data = streamed_sums.opened(model, x, sample_weight, labels, lengths, mesh)
    found = fitted(data, params, method, prior, fixed, reg_covar)
    warn(found)
    return errors(found)


@waits
def parameter_covariance(
    model: Model,
    params: Params,
    x: Any,
    *,
    method: str = "observed",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
    mesh: Any = None,
) -> ParameterCovariance:
    """The covariance matrix of all parameters, with the names of its rows.

    Arguments and errors are those of `standard_errors`, whose squares are on the diagonal.
    """
    data = streamed_sums.opened(model, x, sample_weight, labels, lengths, mesh)
    found = fitted(data, params, method, prior, fixed, reg_covar)
    own = found.local.params
    matrix = _matrix(model, own, found.coordinates, found.inverse, found.spread)
    return ParameterCovariance(names(own), matrix, remarks(found))


def errors(found: Fitted) -> Params:
    """The standard errors as a tree."""
    own = found.local.params
    return _errors(found.model, own, found.coordinates, found.inverse, found.spread)


@program("model")
def _errors(
    model: Model, params: Params, found: Coordinates, inverse: Inverse, spread: Array
) -> Params:
    _, unravel = ravel_pytree(params)
    jacobian = found.jacobian
    variance = jnp.sum(einsum("pi,ij->pj", jacobian, spread) * jacobian, axis=1)
    unknown = _unknown(model, params, found, inverse)
    return unravel(jnp.where(unknown, jnp.nan, jnp.sqrt(jnp.maximum(variance, 0))))


@program("model")
def _matrix(
    model: Model, params: Params, found: Coordinates, inverse: Inverse, spread: Array
) -> Float[Array, "p p"]:
    matrix = einsum("pi,ij,qj->pq", found.jacobian, spread, found.jacobian)
    unknown = _unknown(model, params, found, inverse)
    return jnp.where(unknown[:, None] | unknown[None], jnp.nan, (matrix + matrix.T) / 2)


def _unknown(
    model: Model, params: Params, found: Coordinates, inverse: Inverse
) -> Bool[Array, " p"]:
    """Numbers without standard error; all of them where the point is no maximum."""
    edge, moved = ravel_pytree(without_error(model, params))[0], _moved(found, inverse)
    nothing = ~(inverse.distance <= FAR) | (inverse.least < -(eps(inverse) ** 0.5))
    unknown = edge | moved | nothing
    if model.family is None:
        return unknown
    # What has a share that is not known is not known either.
    shares = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)
    own = jax.tree.map(jnp.zeros_like, model.of_family(shares))
    shares = ravel_pytree(model.with_family(shares, own))[0]
    return unknown | jnp.any(moved & shares)


def _moved(found: Coordinates, inverse: Inverse) -> Bool[Array, " p"]:
    """Numbers that change along directions of which nothing is known."""
    along = einsum("pr,rm->pm", found.jacobian, inverse.null)
    largest = jnp.sqrt(jnp.sum(found.jacobian**2, axis=1, keepdims=True))
    return jnp.any(jnp.abs(along) > eps(inverse) ** 0.25 * largest, axis=1)


def warn(found: Fitted) -> None:
    """A UserWarning that names what the rows tell nothing of."""
    if checks.is_concrete(found.inverse, found.local):
        for remark in _singular(found):
            told.warn(remark)


def remarks(found: Fitted) -> tuple[str, ...]:
    """Why numbers have no standard error; nothing where values are traced."""
    if not checks.is_concrete(found.inverse, found.local):
        return ()
    params = found.local.params
    marks = np.asarray(ravel_pytree(without_error(found.model, params))[0])
    edge = [name for name, mark in zip(names(params), marks, strict=True) if mark]
    said = f"no standard error at the end of a range, or of what is absent: {_some(edge)}"
    return (*([said] if edge else []), *_singular(found))


def _singular(found: Fitted) -> list[str]:
    inverse = found.inverse
    if not np.asarray(inverse.null).any():
        return []
    moved = np.asarray(_moved(found.coordinates, inverse))
    own = [name for name, mark in zip(names(found.local.params), moved, strict=True) if mark]
    twins = identical(found)
    why = "; ".join(twins) if twins else f"the rows tell nothing of {_some(own)}"
    dtype = inverse.least.dtype
    remedy = "take fewer components, hold parameters, or give a prior"
    more = " or use float64" if dtype == jnp.float32 else ""
    return [f"the information is singular to {dtype}: {why}; {remedy}{more}"]


def _some(found: list[str]) -> str:
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
