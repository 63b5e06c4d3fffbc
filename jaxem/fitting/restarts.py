"""Many starts in three compiled functions: start, advance(state, until), finish.

Starts run in vmapped chunks, one chunk after another: all at once on an accelerator. Cut into
pieces by `until`, a fit has the same bits as uncut.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.capabilities.ranges import Range
from jaxem.core.contracts import Params, Prior, Rows
from jaxem.core.status import Status
from jaxem.fitting import em, optima
from jaxem.fitting.bundles import Bundle, bundle
from jaxem.fitting.effort import program
from jaxem.fitting.execution import Execution
from jaxem.fitting.in_turn import each, lanes_in_turn
from jaxem.fitting.outcome import Outcome, Thresholds, conclude_start

Either = Array | np.ndarray  # those of NumPy are on the host
RECORDED = 32  # iterations a call, at most


class Restarts(NamedTuple):
    """What each start came to, in the order of the starts; `params` has a leading axis r.

    best: which start the result is of. n_best: how many regular starts came to its optimum, as
        `Optima` tells them apart. moved: which starts were moves of a search from the best one so
        far. resolution: how far under its optimum `tol` lets a start end, in log posterior.
    """

    log_likelihood: Float[Array, "*batch r"]
    log_posterior: Float[Array, "*batch r"]
    n_iter: Int[Array, "*batch r"]
    status: Int[Array, "*batch r"]
    params: Params
    best: Int[Array, "*batch"]
    n_best: Int[Array, "*batch"]
    moved: Bool[Array, "*batch r"]
    resolution: Float[Array, "*batch r"]

    @property
    def optima(self) -> optima.Optima:
        """The regular optima that the starts came to, the best first, and how many came to each."""
        return optima.of(self)

    @property
    def unseen(self) -> float:
        """How many better optima there may be that no start has come to, expected; at most 1."""
        return optima.unseen(self, ~np.asarray(self.moved))


class Moves(NamedTuple):
    """Starts that keep some parts of another fit, and begin anew among the rows of the others.

    labels: the likeliest part of each row in that fit, -1 for none. kept: what each of its parts is
    called in a start, -1 where its rows belong to none: there the parts that keep no rows begin, as
    they would among all rows. A start that keeps nothing is by its method alone.
    """

    labels: Int[Array, "*rows"]
    kept: Int[Either, "r k"]


class Begin(NamedTuple):
    """Where starts begin. index: which they are, of which their keys follow; kept: of `Moves`."""

    index: Int[Either, "*r"]
    method: Int[Either, "*r"]
    kept: Int[Either, "*r k"] | None


class Known(NamedTuple):
    """What starts know beside the rows that they look at. labels: of `Moves`; range: of all rows,
    where they look at some of them and parameters follow from it."""

    labels: Int[Array, "*rows"] | None = None
    range: Range | None = None


@program("execution")
def start(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    key: Array,
    begin: Begin,
    known: Known | None,
    n_active: Int[Array, ""],
    count: Int[Array, ""] | None = None,
) -> Bundle:
    """Starts at their starting parameters, the first `count` of them where that is given."""
    model: Any = execution.model

    def some(
        rows: Rows,
        prior: Prior | None,
        key: Array,
        begin: Begin,
        known: Known | None,
        n_active: Int[Array, ""],
        count: Int[Array, ""] | None,
    ) -> Bundle:
        shared = model.shared_start_statistics(rows)

        def one(begin: Begin) -> Bundle:
            labels, range = known or Known()
            own = rows if labels is None else _labelled(rows, labels, jnp.asarray(begin.kept))
            own_key, method = jax.random.fold_in(key, begin.index), jnp.asarray(begin.method)
            params = model.start(own_key, own, shared, method, n_active, prior)
            params = params if range is None else model.with_range(params, range)
            return bundle(em.begin(execution, params, rows.weight.dtype))

        return each(one, begin, execution.chunk, count)

    return lanes_in_turn(some)(rows, prior, key, begin, known, n_active, count)


def _labelled(rows: Rows, labels: Int[Array, "*rows"], kept: Int[Array, " k"]) -> Rows:
    """The rows with those labels of another fit that are kept, beside their own."""
    labels = jnp.where(labels < 0, -1, kept[labels])
    known = labels if rows.labels is None else rows.labels
    return rows._replace(labels=jnp.where(known >= 0, known, labels))


@program("execution")
def start_from(execution: Execution, rows: Rows, params: Params) -> Bundle:
    """States at given parameters, which have a leading axis r."""
    return jax.vmap(lambda p: bundle(em.begin(execution, p, rows.weight.dtype)))(params)


@program("execution", often=True)
def advance(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    states: Bundle,
    tol: Float[Array, ""],
    until: Int[Array, ""],
    count: Int[Array, ""] | None = None,
) -> Bundle:
    """Every start that is still running, up to `until` iterations in all."""

    def every(
        rows: Rows,
        prior: Prior | None,
        states: Bundle,
        tol: Float[Array, ""],
        until: Int[Array, ""],
        count: Int[Array, ""] | None,
    ) -> Bundle:
        def one(state: Bundle) -> Bundle:
            return em.advance(execution, state, rows, prior, tol, until)

        return each(one, states, execution.chunk, count)

    return lanes_in_turn(every)(rows, prior, states, tol, until, count)


class Record(NamedTuple):
    """What starts were at after each of RECORDED iterations; those not made are 0."""

    objective: Float[Array, "*r t"]
    status: Int[Array, "*r t"]


@program("execution", often=True)
def record(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    states: Bundle,
    tol: Float[Array, ""],
    until: Int[Array, ""],
    steps: Int[Array, ""],
    count: Int[Array, ""] | None = None,
) -> tuple[Bundle, Record]:
    """`advance` by so many iterations, at most RECORDED, and each of them on record."""

    def one(state: Bundle) -> tuple[Bundle, Record]:
        def step(i: Array, at: tuple[Bundle, Record]) -> tuple[Bundle, Record]:
            next_one = jnp.minimum(at[0].tree.n_iter + 1, until)
            state = em.advance(execution, at[0], rows, prior, tol, next_one)
            now = Record(state.tree.objective, state.tree.status)
            return state, jax.tree.map(lambda all_, own: all_.at[i].set(own), at[1], now)

        nothing = Record(jnp.zeros(RECORDED, tol.dtype), jnp.zeros(RECORDED, jnp.int32))
        return lax.fori_loop(0, steps, step, (state, nothing))

    return each(one, states, execution.chunk, count)


@program("execution")
def conclude(
    execution: Execution,
    rows: Rows | None,
    prior: Prior | None,
    states: Bundle,
    thresholds: Thresholds,
    count: Int[Array, ""] | None = None,
) -> Bundle:
    """What each start came to, without its parameters: those are the state's.

    rows: None where they are not at hand; then the log-likelihood has the prior in it.
    """
    model = execution.model

    def one(state: Bundle) -> Bundle:
        outcome = conclude_start(model, state.tree, prior, thresholds)
        if prior is not None and rows is not None:
            own = em.log_likelihood(model, outcome.params, prior, rows, execution.block_size)
            outcome = outcome._replace(log_likelihood=own)
        return bundle(outcome._replace(params=None))

    return each(one, states, execution.chunk, count)


@program("execution", "n_starts")
def finish(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    states: Bundle,
    thresholds: Thresholds,
    n_starts: int,
) -> tuple[Outcome, Restarts]:
    """-> (the best of the first n_starts, all of them)."""
    return best(conclude(execution, rows, prior, states, thresholds), states, n_starts)


def best(
    outcomes: Bundle, states: Bundle, n_starts: int, moved: Any = None
) -> tuple[Outcome, Restarts]:
    """-> (the best of the first n_starts, all of them); by NumPy where they are on the host.

    moved: which starts are moves; None for none.
    """
    of = outcomes.tree._replace(params=states.tree.params)
    of = jax.tree.map(lambda leaf: leaf[:n_starts], of)
    index, n_best = best_of(of.log_posterior, of.status, of.resolution)
    moved = of.status != of.status if moved is None else moved
    restarts = Restarts(
        of.log_likelihood,
        of.log_posterior,
        of.n_iter,
        of.status,
        of.params,
        index,
        n_best,
        moved,
        of.resolution,
    )
    return jax.tree.map(lambda leaf: leaf[index], of), restarts


def best_of(
    objective: Float[Either, " r"], status: Int[Either, " r"], resolution: Float[Either, " r"]
) -> tuple[Any, Any]:
    """-> (the best start, how many regular ones are within 1e-6 relative, or the resolution, of
    it).

    A regular start wins over every degenerate one, and that over one that met a NaN. Within 1e-9
    relative one that converged wins; of those that are equal to rounding the first: rounding,
    which differs inside jit and vmap, decides nothing.
    """
    xp: Any = objective.__array_namespace__()  # NumPy on the host, where nothing compiles
    failed = (status == Status.NONFINITE) | ~xp.isfinite(objective)
    rank = xp.where(failed, 0, xp.where(status == Status.DEGENERATE, 1, 2))
    score = xp.where(xp.isfinite(objective) & (rank == xp.max(rank)), objective, -xp.inf)
    highest = xp.max(score)
    margin = xp.abs(highest)
    converged = (status == Status.CONVERGED) | (status == Status.PRECISION)
    equal = converged & (score >= highest - 1e-9 * margin)
    equal = equal & (score > -xp.inf)
    rounding = 64 * xp.finfo(score.dtype).eps * margin
    nearly = equal & (score >= xp.max(xp.where(equal, score, -xp.inf)) - rounding)
    chosen = xp.where(xp.any(equal), nearly, score == highest)
    r = objective.shape[0]
    place = xp.arange(r, dtype=xp.int32)
    index = xp.min(xp.where(chosen, place, r - 1))  # the first of them
    near = (rank == 2) & (score >= highest - xp.maximum(optima.SAME * margin, resolution))
    return index, xp.sum(near, dtype=xp.int32)
