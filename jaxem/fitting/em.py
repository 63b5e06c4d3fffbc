"""The iteration: one while_loop over (E-step, M-step) that knows only the contracts.

The state always holds parameters with the objective *of those parameters*, and the M-step from
them: what a fit reports is never a step old, and a bad step is undone by not being taken.
A trip is one E-step, of the M-step itself (a plain trip) or of what the acceleration
proposes in its place; whether a start has converged is seen on plain trips alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import emissions, parameters
from jaxem.core.contracts import Model, Params, Prepared, Prior, Rows, Statistics
from jaxem.core.status import Status
from jaxem.fitting import sizes, trimming
from jaxem.fitting.accelerate import Acceleration, Memory
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.bundles import Bundle, bundle, select
from jaxem.fitting.execution import Execution

MIN_ITER = 5  # lack of progress is not convergence: EM can rest for a few steps
_FLOOR = 4.0  # gains below so many units of rounding of the objective count as none
_SLACK = 64.0  # a fall by more than so many units counts as one
_LOST = 4.0  # times the rounding of log densities is what a step must gain over it
_SLOW = 0.999  # the rate assumed where gains are below rounding
_LOOK = 3  # plain steps in a row before a start counts as converged
_HALVINGS = 30  # most halvings of one step, where M-steps may be too long
_PATIENCE = 32  # steps without a gain above rounding: the dtype has no more digits


class State(NamedTuple):
    """One start on its way. `objective` and gains are means per unit of weight."""

    params: Params
    counts: Float[Array, " k"]  # effective rows of each part, of params
    total_weight: Float[Array, ""]
    objective: Float[Array, ""]  # of params
    rounding: Float[Array, ""]  # of the objective, beyond that of its sum
    successor: Params  # the M-step from params
    gain: Float[Array, ""]  # of the last step taken
    mark: Float[Array, ""]  # the objective when it last rose by more than rounding
    stalled: Int[Array, ""]  # plain steps since then
    n_iter: Int[Array, ""]  # trips; -1 before the starting parameters are evaluated
    status: Int[Array, ""]
    run: Int[Array, ""]  # plain trips since the last proposal
    halved: Int[Array, ""]  # how often the step to the successor was halved
    memory: Memory  # the acceleration's


class Trips(NamedTuple):
    """Trips: plain ones since the objective rose, plain ones since a proposal, and all."""

    stalled: Int[Array, ""]
    run: Int[Array, ""]
    n_iter: Int[Array, ""]


def begin(execution: Execution, params: Params, dtype: Any) -> State:
    """The state before the first trip, which evaluates the starting parameters."""
    model = execution.model
    infinite = jnp.full((), jnp.inf, dtype)
    return State(
        params=params,
        counts=jnp.zeros(model.n_components, dtype),
        total_weight=jnp.zeros((), dtype),
        objective=-infinite,
        rounding=jnp.zeros((), dtype),
        successor=params,
        gain=infinite,
        mark=-infinite,
        stalled=jnp.zeros((), jnp.int32),
        n_iter=jnp.full((), -1, jnp.int32),
        status=jnp.full((), Status.RUNNING, jnp.int32),
        run=jnp.zeros((), jnp.int32),
        halved=jnp.zeros((), jnp.int32),
        memory=execution.acceleration.begin(model, params),
    )


def advance(
    execution: Execution,
    start: Bundle,
    rows: Rows,
    prior: Prior | None,
    tol: Float[Array, ""],
    until: Int[Array, ""],
) -> Bundle:
    """Trips of one E-step and one M-step until the start has ended or has made `until` of them."""
    large = sizes.may_be_streamed(rows)
    own = apart if large else lambda _, function: function()

    def trip(start: Bundle) -> Bundle:
        state = start.tree
        proposal = own(state, lambda: propose(execution, state, prior))
        sums = trimming.sums(execution.model, proposal.prepared, prior, rows, execution.block_size)
        return own(state, lambda: bundle(update(execution, state, proposal, sums, prior, tol)))

    def running(start: Bundle) -> Bool[Array, ""]:
        state = start.tree
        return (state.status == Status.RUNNING) & (state.n_iter < until)

    return lax.while_loop(running, trip, start)


def apart(state: State, function: Callable[[], Any]) -> Any:
    """function(), as a computation of its own.

    Fused with what is around it, it may be rounded otherwise: products and sums become one
    operation or two. As the branch of a condition it is compiled alike in every program, and a
    trip over blocks that the host reads has the bits of one over rows in memory. On an accelerator,
    where conditions wait for the host, it is no other than function().
    """
    if not sizes.on_cpu():
        return function()

    def never() -> Any:
        like = jax.eval_shape(function)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)

    return lax.cond(state.n_iter < jnp.iinfo(jnp.int32).max, function, never)


class Proposal(NamedTuple):
    """What a trip evaluates: parameters, and what every row needs of them.

    plain: whether they are the M-step itself.
    """

    params: Params
    plain: Bool[Array, ""]
    prepared: Prepared


def propose(execution: Execution, state: State, prior: Prior | None) -> Proposal:
    """The first half of a trip, before the E-step."""
    model = execution.model
    params, plain = execution.acceleration.candidate(model, state.memory, state.successor)
    params = parameters.fix(model.constraints, params, emissions.fixed(prior))
    params = emissions.within_bounds(model, params, prior)
    return Proposal(params, plain, model.prepare(params, prior))


def update(
    execution: Execution,
    state: State,
    proposal: Proposal,
    sums: tuple[Statistics, Float[Array, ""]],
    prior: Prior | None,
    tol: Float[Array, ""],
) -> State:
    """The second half, from the E-step's statistics and log-likelihood of all rows."""
    model, acceleration = execution.model, execution.acceleration
    params, plain, _ = proposal
    statistics, total = sums
    objective = total + model.log_prior(params, prior)
    objective = objective / statistics.total_weight
    rounding = emissions.rounding(model, statistics) / statistics.total_weight
    # What may be rounding does not count as gain: else steps would climb where digits are lost.
    gain = objective - state.objective - _LOST * (rounding - state.rounding)
    n_iter, seen = state.n_iter + 1, jnp.minimum(rounding, state.rounding)
    risen = objective > state.mark + resolution(objective, seen)
    stalled = jnp.where(risen, 0, state.stalled + plain.astype(jnp.int32))
    slowest = acceleration.rate(state.memory).astype(objective.dtype)
    run = jnp.where(plain, state.run + 1, 0)
    trips = Trips(stalled, run, n_iter)
    verdict = judge(objective, gain, state.gain, slowest, trips, tol, seen)
    status = jnp.where(plain, verdict, Status.RUNNING).astype(jnp.int32)
    bad = (verdict == Status.NONFINITE) | (verdict == Status.DECREASED)
    take = jnp.where(plain, ~bad, gain >= 0)
    successor = model.m_step(params, statistics, prior)
    # A small plain gain after a proposal shows nothing yet: look at some more of them.
    stay = (gain <= tol) & (run < _LOOK)
    taken = State(
        params=params,
        counts=statistics.counts,
        total_weight=statistics.total_weight,
        objective=objective,
        rounding=rounding,
        successor=successor,
        gain=gain,
        mark=jnp.where(risen, objective, state.mark),
        stalled=stalled,
        n_iter=n_iter,
        status=status,
        run=run,
        halved=jnp.zeros_like(state.halved),
        memory=acceleration.accept(model, state.memory, params, successor, stay),
    )
    refused = state._replace(n_iter=n_iter, status=status, memory=acceleration.reject(state.memory))
    if not model.exact_m_step:
        shorter = _halved(model, refused, acceleration)
        shorten = plain & bad & (state.halved < _HALVINGS) & (state.n_iter >= 0)
        refused = jax.tree.map(lambda a, b: jnp.where(shorten, a, b), shorter, refused)
    return select(take, taken, refused)


def _halved(model: Model, state: State, acceleration: Acceleration) -> State:
    """Half the step to the successor, for an M-step that is uphill but may be too long.

    With it generalized EM never lowers the objective (Dempster, Laird and Rubin 1977, section 2).
    """
    own = model.constraints
    here, ahead = (parameters.to_unconstrained(own, of) for of in (state.params, state.successor))
    middle = jax.tree.map(lambda a, b: 0.5 * (a + b), here, ahead)
    middle = parameters.from_unconstrained(own, middle)
    return state._replace(
        successor=middle,
        status=jnp.full_like(state.status, Status.RUNNING),
        halved=state.halved + 1,
        memory=acceleration.redirect(model, state.memory, middle),
    )


def resolution(objective: Float[Array, ""], rounding: Any = 0.0) -> Float[Array, ""]:
    """The least difference of mean objectives that is seen over their rounding.

    rounding: of the log densities that were summed, where they lose more digits than their sum.
    """
    eps = jnp.finfo(objective.dtype).eps
    return _FLOOR * eps * jnp.maximum(jnp.abs(objective), 1) + rounding


def judge(
    objective: Float[Array, ""],
    gain: Float[Array, ""],
    previous_gain: Float[Array, ""],
    slowest: Float[Array, ""],
    trips: Trips,
    tol: Float[Array, ""],
    rounding: Any = 0.0,
) -> Int[Array, ""]:
    """The status after a plain step.

    Aitken's projection: gains that shrink by the rate r each step add up to gain / (1 - r). Both
    are taken at the worst that rounding allows, and r is at least `slowest`, the rate that an
    acceleration has met: it leaves little of the gains along slow directions. While r >= 1 nothing
    is projected. When two steps together gain nothing that is seen, what is left is bounded by the
    resolution at a rate of 0.999; where that is above tol, 32 such steps show that the dtype has no
    more to give.
    """
    stalled, run, n_iter = trips
    noise = resolution(objective, rounding)
    largest = jnp.maximum(gain, 0) + noise
    rate = largest / (previous_gain - noise)
    shrinks = (rate >= 0) & (rate < 1)
    projected = jnp.where(shrinks, largest / (1 - jnp.maximum(rate, slowest)), jnp.inf)
    at_floor = (stalled >= 2) & (noise / (1 - _SLOW) <= tol)
    late = (n_iter >= MIN_ITER) & (run >= _LOOK)
    status = jnp.select(
        [
            ~jnp.isfinite(objective),
            gain < -_SLACK / _FLOOR * noise,
            late & ((projected <= tol) | at_floor),
            late & (stalled >= _PATIENCE),
        ],
        [Status.NONFINITE, Status.DECREASED, Status.CONVERGED, Status.PRECISION],
        Status.RUNNING,
    )
    return status.astype(jnp.int32)


def log_likelihood(
    model: Model, params: Params, prior: Prior | None, rows: Rows, block_size: int
) -> Array:
    """The log-likelihood alone, without prior and penalties, of the rows that count."""
    own = trimming.counting(model, model.prepare(params, prior), prior, rows, block_size)
    return accumulate(model, model.prepare(params, None), own, block_size)[1]
