"""The maximum next to fitted parameters, and the inverse of the information there.

A fit stops just short of its maximum: Newton steps go on to it. The inverse is of one of the
informations of `information`, or the sandwich inv(I) O inv(I), which holds where the model is not
the true one (Huber 1967, White 1982).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxem.analysis import coordinates, information
from jaxem.analysis.coordinates import Coordinates
from jaxem.analysis.information import BlockPlan, Inverse, Local
from jaxem.core import checks, emissions, parameters
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import Dataset
from jaxem.core.numerics import einsum
from jaxem.fitting import sizes, streamed_sums
from jaxem.fitting.effort import program
from jaxem.fitting.streamed_sums import StreamedRows

METHODS = ("observed", "louis", "outer", "sandwich")
FAR = 0.5  # standard errors that parameters may be from the maximum, where theirs are taken
_NEAR = 3e-5  # to which Newton steps bring them, where the dtype can tell
_STEPS = 4


class Fitted(NamedTuple):
    """A model at its maximum, with what is known around it."""

    model: Model
    local: Local
    coordinates: Coordinates
    inverse: Inverse
    spread: Float[Array, "r r"]  # covariance of the coordinates
    plan: BlockPlan
    complete: Float[Array, "r r"]


def fitted(
    data: Dataset | StreamedRows,
    params: Params,
    method: str,
    prior: Prior | None,
    fixed: Any,
    reg_covar: Any,
) -> Fitted:
    """Check everything, go to the maximum, and invert the information asked for."""
    checks.one_of(method, METHODS, "method")
    model, rows = data.model, streamed_sums.some(data)
    prior = model.as_prior(prior, reg_covar, emissions.like(model, rows), fixed)
    if model.trim(prior) is not None:
        raise ValueError(
            "standard errors are of fits in which all rows count: leave trim out of the prior"
        )
    params = coordinates.settled(model, model.as_params(params, rows))
    params = parameters.fix(model.constraints, params, emissions.fixed(prior))
    if method in ("outer", "sandwich"):
        _check_sequences(data)
    directions = _thin(coordinates.directions(model, params, prior))
    own = data if isinstance(data, StreamedRows) else rows
    found = _at(model, Local(params, prior, directions.basis, own), directions, method)
    if not checks.is_concrete(found.inverse, found.local):
        return found
    for _ in range(_STEPS):
        _check_maximum(found)
        if float(found.inverse.distance) <= max(_NEAR, 10 * float(eps(found.inverse)) ** 0.5):
            return found
        found = _next(found, method)
    _check_maximum(found)
    return found


def _at(model: Model, local: Local, directions: Coordinates, method: str) -> Fitted:
    plan = information.plan(model, local, _block_size(model, local.rows))
    complete = information.complete(model, local, plan)
    white, least = information.whitening(complete)
    directions = Coordinates(*(einsum("pa,ab->pb", leaf, white) for leaf in directions))
    local = local._replace(basis=directions.basis)
    if checks.is_concrete(least) and float(least) > float(jnp.finfo(least.dtype).eps) ** 0.5:
        complete = einsum("ai,ab,bj->ij", white, complete, white)
    else:
        directions = directions._replace(
            jacobian=coordinates.jacobian(model, local.params, local.prior, local.basis)
        )
        complete = information.complete(model, local, plan)
    inverse, spread = _inverse(model, local, plan, method, complete)
    return Fitted(model, local, directions, inverse, spread, plan, complete)


def _block_size(model: Model, rows: Rows | StreamedRows) -> int:
    if isinstance(rows, StreamedRows):
        return rows.execution.block_size
    return sizes.block_size(model, rows)


def _next(found: Fitted, method: str) -> Fitted:
    """A Newton step to the maximum: a fit stops just short of it.

    The complete information only measures the other: that of before is good enough.
    """
    model, local, _, inverse, _, plan, complete = found
    local = local._replace(params=_newton(model, local._replace(rows=None), inverse))
    jacobian = coordinates.jacobian(model, local.params, local.prior, local.basis)
    if method == "louis":
        complete = information.complete(model, local, plan)
    inverse, spread = _inverse(model, local, plan, method, complete)
    directions = Coordinates(local.basis, jacobian)
    return Fitted(model, local, directions, inverse, spread, plan, complete)


@program("model")
def _newton(model: Model, local: Local, inverse: Inverse) -> Params:
    return coordinates.point(model, local.params, local.prior, local.basis, inverse.step)


def _thin(found: Coordinates) -> Coordinates:
    """Without columns of zeros, where values are concrete."""
    if not checks.is_concrete(found):
        return found
    host = jax.device_get(found)  # where nothing compiles
    there = host.basis.any(axis=0)
    return jax.device_put(Coordinates(*(leaf[:, there] for leaf in host)))


def _inverse(
    model: Model, local: Local, plan: BlockPlan, method: str, complete: Float[Array, "r r"]
) -> tuple[Inverse, Float[Array, "r r"]]:
    """-> (the inverse, the covariance of the coordinates)."""
    zero = np.zeros(local.basis.shape[1], local.basis.dtype)
    if method == "outer":
        gradient, matrix = information.outer(model, local, plan)
    elif method == "louis":
        gradient = information.gradient(model, local, zero, plan)
        matrix = complete - information.missing(model, local, plan)
    else:
        _, gradient, matrix = information.observed(model, local, zero, plan)
    inverse = information.invert(matrix, complete, gradient, local.basis)
    if method != "sandwich":
        return inverse, _spread(inverse.root, None)
    return inverse, _spread(inverse.root, information.outer(model, local, plan)[1])


@program()
def _spread(root: Float[Array, "r m"], scores: Float[Array, "r r"] | None) -> Float[Array, "r r"]:
    inverse = einsum("im,jm->ij", root, root)
    if scores is None:
        return inverse
    return einsum("ij,jk,kl->il", inverse, scores, inverse)


def eps(inverse: Inverse) -> Any:
    return jnp.finfo(inverse.least.dtype).eps


# ---- points that are no regular maximum


def _check_sequences(data: Dataset | StreamedRows) -> None:
    if isinstance(data, StreamedRows):
        n = data.n_sequences
    else:
        rows = data.rows
        if rows.first is None or not checks.is_concrete(rows):
            return
        n = int(np.sum(np.asarray(rows.first) & (np.asarray(rows.weight) > 0)))
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
    if float(inverse.least) < -float(eps(inverse) ** 0.5) and not identical(found):
        raise ValueError(
            "the parameters are no maximum of the likelihood: it curves upward in some direction "
            "(a saddle point); fit from other starts"
        )
    if float(inverse.distance) > FAR:
        raise ValueError(
            f"the parameters are {float(inverse.distance):.2g} standard errors from the maximum of "
            "the likelihood: fit on from them with a smaller tol, such as "
            "jaxem.em(model, params, x, tol=1e-12).params, with the weights, labels, prior and "
            "fixed of the fit"
        )


def identical(found: Fitted) -> list[str]:
    """Pairs of components whose responsibilities are in one proportion in all rows; of a source
    in the first."""
    model, local = found.model, found.local
    rows = information.some(local)
    if rows.first is not None:
        return []
    shares = np.asarray(_posterior(model, local._replace(rows=rows)))
    weight = np.asarray(rows.weight)
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


@program("model")
def _posterior(model: Model, local: Local) -> Array:
    return model.posterior(model.prepare(local.params, None), local.rows)[1]
