"""What a start came to, and whether a component of it collapsed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import emissions
from jaxem.core.contracts import Health, Model, Params, Prior
from jaxem.core.status import Status
from jaxem.fitting.em import State

_NARROW = 0.1  # smallest variance ratio of 2 d rows: (1 - 2^-1/2)^2 (Marchenko and Pastur)


class Thresholds(NamedTuple):
    """What starts are judged by: when a component counts as collapsed, and the tol of the fit."""

    min_count: Float[Array, ""]
    min_variance_ratio: Float[Array, ""]
    tol: Float[Array, ""]


class Outcome(NamedTuple):
    """What one start came to."""

    params: Params
    log_likelihood: Float[Array, ""]
    log_posterior: Float[Array, ""]
    n_iter: Int[Array, ""]
    status: Int[Array, ""]
    health: Health
    collapsed: Bool[Array, " k"]
    total_weight: Float[Array, ""]
    resolution: Float[Array, ""]  # how far under its optimum tol lets it end, in log posterior
    n_free_parameters: Int[Array, ""]


def conclude_start(
    model: Model, state: State, prior: Prior | None, thresholds: Thresholds
) -> Outcome:
    """Judge a start on its final parameters; its log-likelihood is exact without a prior."""
    objective = state.objective * state.total_weight
    status = jnp.where(state.status == Status.RUNNING, Status.MAX_ITER, state.status)
    # A collapse onto a point mass is over in one step: then the step refused is singular.
    failed = status == Status.NONFINITE
    judged = jax.tree.map(lambda a, b: jnp.where(failed, a, b), state.successor, state.params)
    health = emissions.health(model, judged, state.counts, prior)
    collapsed = has_collapsed(health, thresholds)
    return Outcome(
        params=state.params,
        log_likelihood=objective,
        log_posterior=objective,
        n_iter=jnp.maximum(state.n_iter, 0),
        status=jnp.where(jnp.any(collapsed), Status.DEGENERATE, status).astype(jnp.int32),
        health=health,
        collapsed=collapsed,
        total_weight=state.total_weight,
        resolution=thresholds.tol * state.total_weight,
        n_free_parameters=emissions.n_free_parameters(model, state.params, prior),
    )


def has_collapsed(health: Health, thresholds: Thresholds) -> Bool[Array, " k"]:
    """Which components are too narrow for their number of rows, or singular.

    A spike is narrow: a few rows far apart, such as outliers have, are no collapse.
    """
    count, ratio = health
    active = count > 0
    count = jnp.where(jnp.sum(active) > 1, count, jnp.inf)  # one alone has no rows to leave
    few = active & (count < thresholds.min_count) & (ratio < _NARROW)
    thin = active & (ratio < thresholds.min_variance_ratio) & (count < 5 * thresholds.min_count)
    return few | thin | (ratio <= 0)
