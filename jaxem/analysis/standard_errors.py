"""How precisely parameters are known: the inverse of the information, brought back to them.

    cov(theta) = J inv(I) J',   J = d theta / du                              (delta method)

with I one of the informations of `information`, or the sandwich inv(I) O inv(I), which holds where
the model is not the true one (Huber 1967, White 1982). Weights add up to 1 and matrices are
symmetric in theta(u), so that their covariances are singular as they must be.
"""

import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from jaxem.analysis import information
from jaxem.analysis.information import Coordinates, Inverse, Local, Way
from jaxem.core import checks
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.names import names
from jaxem.core.numerics import einsum
from jaxem.fitting.blocks import default_block_size

METHODS = ("observed", "louis", "outer", "sandwich")
_FAR = 0.5  # standard errors that parameters may be from the maximum, where theirs are taken
_NEAR = 3e-5  # to which Newton steps bring them, where the dtype can tell
_STEPS = 4


class ParameterCovariance(NamedTuple):
    """names (p,) of all numbers of the parameters, in the order of their tree; matrix (p, p).

    NaN for numbers that are not known, see `remarks`; 0 for those that cannot move.
    """

    names: tuple[str, ...]
    matrix: Float[Array, "p p"]
    remarks: tuple[str, ...]


class Fitted(NamedTuple):
    """A model at its maximum, with what is known around it."""

    model: Model
    local: Local
    coordinates: Coordinates
    inverse: Inverse
    spread: Float[Array, "r r"]  # covariance of the coordinates
    way: Way
    complete: Float[Array, "r r"]


def standard_errors(
    model: Model,
    params: Params,
    x: Any,
    *,
    method: str = "observed",
    sample_weight: Any = None,
    prior: Prior | None = None,
    held: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
) -> Params:
    """The standard errors of fitted parameters, as a tree like theirs.

    se = sqrt(diag(J inv(I) J')),   I = - d^2 log p(x; theta(u)) / du^2 at the maximum

    method: "observed", the information of the rows by automatic differentiation; "louis", that of
        the complete data less what is missing (Louis 1982; in the form of Oakes 1999), which is
        the same number by another way; "outer", the sum of outer products of the rows' scores;
        "sandwich", which holds where the model is not the true one (White 1982).
    sample_weight, prior, held, labels, lengths, reg_covar: those of the fit. Weights are
        frequencies. With a prior, of the posterior's mode.

    They are taken at the maximum next to `params`, just short of which a fit stops.
    0 for numbers that cannot move: held ones, and transitions that are ruled out. NaN where there
    is no standard error: a number at the end of its range (its neighbours' are those given it), of
    a component that is absent, or of which the rows tell nothing; the last with a UserWarning.
    Errors: ValueError for bad input, and for parameters that are no maximum.
    """
    found = fitted(model, params, x, method, sample_weight, prior, held, labels, lengths, reg_covar)
    warn(found)
    return errors(found)


def parameter_covariance(
    model: Model,
    params: Params,
    x: Any,
    *,
    method: str = "observed",
    sample_weight: Any = None,
    prior: Prior | None = None,
    held: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
) -> ParameterCovariance:
    """The covariance matrix of all parameters, with the names of its rows.

    Arguments and errors are those of `standard_errors`, whose squares are on the diagonal.
    """
    found = fitted(model, params, x, method, sample_weight, prior, held, labels, lengths, reg_covar)
    own = found.local.params
    matrix = _matrix(model, own, found.coordinates, found.inverse, found.spread)
    return ParameterCovariance(names(own), matrix, remarks(found))


def fitted(
    model: Model,
    params: Params,
    x: Any,
    method: str,
    sample_weight: Any,
    prior: Prior | None,
    held: Any,
    labels: Any,
    lengths: Any,
    reg_covar: Any,
) -> Fitted:
    """Everything checked, and the inverse of the information that is asked for."""
    if not isinstance(method, str) or method not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise ValueError(f"method is {method!r}; it must be one of {known}")
    rows = model.rows(x, sample_weight, labels, lengths)
    prior = model.as_prior(prior, reg_covar, rows.x, held)
    params = model.hold(information.settled(model, model.as_params(params, rows)), prior)
    if method in ("outer", "sandwich"):
        _check_sequences(model, rows)
    found = _at(model, params, prior, rows, method)
    if not checks.is_concrete(found.inverse, found.local):
        return found
    for _ in range(_STEPS):
        _check_maximum(found)
        if float(found.inverse.distance) <= max(_NEAR, 10 * float(_eps(found.inverse)) ** 0.5):
            return found
        found = _next(found, method)
    _check_maximum(found)
    return found


def _at(model: Model, params: Params, prior: Prior | None, rows: Rows, method: str) -> Fitted:
    directions = _thin(information.coordinates(model, params, prior))
    local = Local(params, prior, directions.basis, rows)
    way = information.way(model, local, default_block_size(model, rows))
    complete = information.complete(model, local, way)
    inverse, spread = _inverse(model, local, way, method, complete)
    return Fitted(model, local, directions, inverse, spread, way, complete)


def _next(found: Fitted, method: str) -> Fitted:
    """A Newton step to the maximum, just short of which a fit stops.

    The complete information only measures the other: that of before is good enough.
    """
    model, local, _, inverse, _, way, complete = found
    local = local._replace(params=_newton(model, local, inverse))
    jacobian = information.jacobian(model, local.params, local.prior, local.basis)
    if method == "louis":
        complete = information.complete(model, local, way)
    inverse, spread = _inverse(model, local, way, method, complete)
    directions = Coordinates(local.basis, jacobian)
    return Fitted(model, local, directions, inverse, spread, way, complete)


@partial(jax.jit, static_argnames=("model",))
def _newton(model: Model, local: Local, inverse: Inverse) -> Params:
    return information.point(model, local.params, local.prior, local.basis, inverse.step)


def errors(found: Fitted) -> Params:
    """The standard errors as a tree."""
    own = found.local.params
    return _errors(found.model, own, found.coordinates, found.inverse, found.spread)


def _thin(found: Coordinates) -> Coordinates:
    """Without the columns of zeros, where there are numbers to tell."""
    if not checks.is_concrete(found):
        return found
    there = np.asarray(found.basis).any(axis=0)
    return Coordinates(*(leaf[:, there] for leaf in found))


def _inverse(
    model: Model, local: Local, way: Way, method: str, complete: Float[Array, "r r"]
) -> tuple[Inverse, Float[Array, "r r"]]:
    """-> (the inverse, the covariance of the coordinates)."""
    zero = jnp.zeros(local.basis.shape[1], local.basis.dtype)
    if method == "outer":
        gradient, matrix = information.outer(model, local, way)
    elif method == "louis":
        gradient = information.gradient(model, local, zero, way)
        matrix = complete - information.missing(model, local, way)
    else:
        _, gradient, matrix = information.observed(model, local, zero, way)
    inverse = information.invert(matrix, complete, gradient, local.basis)
    if method != "sandwich":
        return inverse, _spread(inverse.root, None)
    return inverse, _spread(inverse.root, information.outer(model, local, way)[1])


@jax.jit
def _spread(root: Float[Array, "r m"], scores: Float[Array, "r r"] | None) -> Float[Array, "r r"]:
    inverse = einsum("im,jm->ij", root, root)
    if scores is None:
        return inverse
    return einsum("ij,jk,kl->il", inverse, scores, inverse)


@partial(jax.jit, static_argnames=("model",))
def _errors(
    model: Model, params: Params, found: Coordinates, inverse: Inverse, spread: Array
) -> Params:
    _, unravel = ravel_pytree(params)
    jacobian = found.jacobian
    variance = jnp.sum(einsum("pi,ij->pj", jacobian, spread) * jacobian, axis=1)
    unknown = _unknown(model, params, found, inverse)
    return unravel(jnp.where(unknown, jnp.nan, jnp.sqrt(jnp.maximum(variance, 0))))


@partial(jax.jit, static_argnames=("model",))
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
    edge, moved = ravel_pytree(model.without_error(params))[0], _moved(found, inverse)
    nothing = ~(inverse.distance <= _FAR) | (inverse.least < -(_eps(inverse) ** 0.5))
    # The family's parameters come last. What has a share that is not known is not known either.
    n_shares = sum(leaf.size for leaf in jax.tree.leaves(tuple(params)[:-1]))
    return edge | moved | nothing | jnp.any(moved[:n_shares])


def _moved(found: Coordinates, inverse: Inverse) -> Bool[Array, " p"]:
    """Numbers that change along directions of which nothing is known."""
    along = einsum("pr,rm->pm", found.jacobian, inverse.null)
    largest = jnp.sqrt(jnp.sum(found.jacobian**2, axis=1, keepdims=True))
    return jnp.any(jnp.abs(along) > _eps(inverse) ** 0.25 * largest, axis=1)


def _eps(inverse: Inverse) -> Any:
    return jnp.finfo(inverse.least.dtype).eps


# ---- what is said of a point that is no regular maximum


def _check_sequences(model: Model, rows: Rows) -> None:
    begins = model.begins(rows)
    if begins is None or not checks.is_concrete(begins, rows.weight):
        return
    weight = np.moveaxis(np.asarray(rows.weight), 0, -1)
    n = int(np.sum(np.asarray(begins) & (weight > 0)))
    if n == 1:
        raise ValueError(
            "one sequence has one score, and no outer product of scores tells of it; take method="
            '"observed" or "louis", or give several sequences'
        )


def _check_maximum(found: Fitted) -> None:
    """ValueError where standard errors mean nothing, since the likelihood still rises."""
    inverse = found.inverse
    if not np.isfinite(float(inverse.distance)):
        raise ValueError(
            "the log-likelihood has no finite second derivatives at these parameters: look for "
            "variances near 0 and rows that are impossible"
        )
    if float(inverse.least) < -float(_eps(inverse) ** 0.5) and not _identical(found):
        raise ValueError(
            "the parameters are no maximum of the likelihood: it curves upward in some direction "
            "(a saddle point); fit from other starts"
        )
    if float(inverse.distance) > _FAR:
        raise ValueError(
            f"the parameters are {float(inverse.distance):.2g} standard errors from the maximum of "
            "the likelihood: fit on from them with a smaller tol, such as "
            "jaxem.em(model, params, x, tol=1e-12).params, with the weights, labels, prior and "
            "held of the fit"
        )


def warn(found: Fitted) -> None:
    """A UserWarning that names what the rows tell nothing of."""
    if checks.is_concrete(found.inverse, found.local):
        for remark in _singular(found):
            warnings.warn(remark, stacklevel=3)


def remarks(found: Fitted) -> tuple[str, ...]:
    """Why numbers have no standard error; nothing where values are traced."""
    if not checks.is_concrete(found.inverse, found.local):
        return ()
    params = found.local.params
    marks = np.asarray(ravel_pytree(found.model.without_error(params))[0])
    edge = [name for name, mark in zip(names(params), marks, strict=True) if mark]
    said = f"no standard error at the end of a range, or of what is absent: {_some(edge)}"
    return (*([said] if edge else []), *_singular(found))


def _singular(found: Fitted) -> list[str]:
    inverse = found.inverse
    if not np.asarray(inverse.null).any():
        return []
    moved = np.asarray(_moved(found.coordinates, inverse))
    own = [name for name, mark in zip(names(found.local.params), moved, strict=True) if mark]
    twins = _identical(found)
    why = "; ".join(twins) if twins else f"the rows tell nothing of {_some(own)}"
    dtype = inverse.least.dtype
    remedy = "take fewer components, hold parameters, or give a prior"
    more = " or use float64" if dtype == jnp.float32 else ""
    return [f"the information is singular to {dtype}: {why}; {remedy}{more}"]


def _some(found: list[str]) -> str:
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")


def _identical(found: Fitted) -> list[str]:
    """Pairs of components whose responsibilities are in one proportion in all rows."""
    model, local = found.model, found.local
    if model.begins(local.rows) is not None:
        return []
    shares = np.asarray(_posterior(model, local))
    weight = np.asarray(local.rows.weight)
    logs = np.log(np.maximum(shares, np.finfo(shares.dtype).tiny))
    said = []
    for i in range(len(logs)):
        for j in range(i):
            both = (shares[i] + shares[j] > 1e-6) & (weight > 0)
            if not (shares[i].any() and shares[j].any() and both.any()):
                continue
            ratio = (logs[i] - logs[j])[both]
            if np.ptp(ratio) < 0.05:
                nearly = "" if np.ptp(ratio) < 1e-5 else "nearly "
                said.append(f"components {j} and {i} are {nearly}identical")
    return said


@partial(jax.jit, static_argnames=("model",))
def _posterior(model: Model, local: Local) -> Array:
    return model.posterior(model.prepare(local.params, None), local.rows)[1]
