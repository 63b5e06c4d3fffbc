"""Many starts in three compiled functions: start, advance(state, until), finish.

Starts run in vmapped chunks, one chunk after another: all at once on an accelerator. Cut into
pieces by `until`, a fit has the same bits as uncut.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import emissions
from jaxem.core.contracts import Params, Prior, Rows
from jaxem.core.status import Status
from jaxem.fitting import bundles, em, sizes
from jaxem.fitting.em import Outcome, State, Thresholds
from jaxem.fitting.execution import Execution


class Restarts(NamedTuple):
    """What each start came to, in the order of the starts; `params` has a leading axis r.

    best: which start the result is of. n_best: how many regular starts are within 1e-6 relative of
        the best log posterior.
    """

    log_likelihood: Float[Array, "*batch r"]
    log_posterior: Float[Array, "*batch r"]
    n_iter: Int[Array, "*batch r"]
    status: Int[Array, "*batch r"]
    params: Params
    best: Int[Array, "*batch"]
    n_best: Int[Array, "*batch"]


class Splits(NamedTuple):
    """Starts that divide one part of a fit that has fewer: among its rows the new parts begin.

    labels: the likeliest part of each row in that fit. part: which is divided, -1 for a start that
    is by its method alone.
    """

    labels: Int[Array, "*rows"]
    part: Int[Array, " r"]


@partial(jax.jit, static_argnames="execution")
def start(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    key: Array,
    index: Int[Array, " some"],
    methods: Int[Array, " r"],
    n_active: Int[Array, ""],
    splits: Splits | None,
) -> State:
    """The starts at `index` at their starting parameters; `methods` are those of all."""
    model = execution.model

    def some(
        rows: Rows,
        prior: Prior | None,
        key: Array,
        index: Int[Array, " some"],
        methods: Int[Array, " r"],
        n_active: Int[Array, ""],
        splits: Splits | None,
    ) -> Params:
        shared = model.shared_start_statistics(rows)

        def one(index: Array) -> Params:
            own = rows if splits is None else _labelled(rows, splits.labels, splits.part[index])
            own_key = jax.random.fold_in(key, index)
            return model.start(own_key, own, shared, methods[index], n_active, prior)

        return _each(one, index, execution.chunk)

    params = _in_turn(some)(rows, prior, key, index, methods, n_active, splits)
    return start_from(execution, rows, params)


def _labelled(rows: Rows, labels: Int[Array, "*rows"], part: Int[Array, ""]) -> Rows:
    """The rows with their labels in a smaller fit; those of `part` become unknown."""
    labels = jnp.where((part < 0) | (labels == part), -1, labels)
    known = labels if rows.labels is None else rows.labels
    return rows._replace(labels=jnp.where(known >= 0, known, labels))


@partial(jax.jit, static_argnames="execution")
def start_from(execution: Execution, rows: Rows, params: Params) -> State:
    """Starts at given parameters, which have a leading axis r."""
    return jax.vmap(lambda p: em.begin(execution, p, rows.weight.dtype))(params)


@partial(jax.jit, static_argnames="execution")
def advance(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    state: State,
    tol: Float[Array, ""],
    until: Int[Array, ""],
) -> State:
    """Every start that is still running, up to `until` iterations in all."""

    def every(
        rows: Rows,
        prior: Prior | None,
        state: State,
        tol: Float[Array, ""],
        until: Int[Array, ""],
    ) -> State:
        like = jax.eval_shape(lambda: jax.tree.map(lambda leaf: leaf[0], state))

        def one(bundle: list[Array]) -> list[Array]:
            here = bundles.unbundle(bundle, like)
            return bundles.bundle(em.advance(execution, here, rows, prior, tol, until))

        ended = _each(one, jax.vmap(bundles.bundle)(state), execution.chunk)
        return jax.vmap(lambda bundle: bundles.unbundle(bundle, like))(ended)

    return _in_turn(every)(rows, prior, state, tol, until)


@partial(jax.jit, static_argnames=("execution", "n_starts"))
def finish(
    execution: Execution,
    rows: Rows,
    prior: Prior | None,
    state: State,
    thresholds: Thresholds,
    n_starts: int,
) -> tuple[Outcome, Restarts, Array]:
    """-> (the best start, all of them, the number of free parameters of the best)."""
    model = execution.model
    outcomes = jax.vmap(lambda s: em.conclude(model, s, prior, thresholds))(state)
    if prior is not None:

        def one(params: Params) -> Array:
            return em.log_likelihood(model, params, rows, execution.block_size)

        outcomes = outcomes._replace(log_likelihood=_each(one, state.params, execution.chunk))
    outcomes = jax.tree.map(lambda leaf: leaf[:n_starts], outcomes)
    index, n_best = best_of(outcomes.log_posterior, outcomes.status)
    best = jax.tree.map(lambda leaf: leaf[index], outcomes)
    restarts = Restarts(
        outcomes.log_likelihood,
        outcomes.log_posterior,
        outcomes.n_iter,
        outcomes.status,
        outcomes.params,
        index,
        n_best,
    )
    return best, restarts, emissions.n_free_parameters(model, best.params, prior)


def best_of(
    objective: Float[Array, " r"], status: Int[Array, " r"]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """-> (the best start, how many regular ones are within 1e-6 relative of it).

    A regular start wins over every degenerate one, and that over one that met a NaN. Within 1e-9
    relative one that converged wins; of those that are equal to rounding the first: rounding,
    which differs inside jit and vmap, decides nothing.
    """
    failed = (status == Status.NONFINITE) | ~jnp.isfinite(objective)
    rank = jnp.where(failed, 0, jnp.where(status == Status.DEGENERATE, 1, 2))
    score = jnp.where(jnp.isfinite(objective) & (rank == jnp.max(rank)), objective, -jnp.inf)
    highest = jnp.max(score)
    margin = jnp.abs(highest)
    converged = (status == Status.CONVERGED) | (status == Status.PRECISION)
    equal = converged & (score >= highest - 1e-9 * margin)
    equal = equal & (score > -jnp.inf)
    rounding = 64 * jnp.finfo(score.dtype).eps * margin
    nearly = equal & (score >= jnp.max(jnp.where(equal, score, -jnp.inf)) - rounding)
    chosen = jnp.where(jnp.any(equal), nearly, score == highest)
    r = objective.shape[0]
    place = jnp.arange(r, dtype=jnp.int32)
    index = jnp.min(jnp.where(chosen, place, r - 1))  # the first of them
    near = (rank == 2) & (score >= highest - 1e-6 * margin)
    return index, jnp.sum(near, dtype=jnp.int32)


def _in_turn(function: Any) -> Any:
    """The function, which on a CPU takes the lanes of a user's vmap one after another.

    Side by side all lanes would wait for the slowest: 200 fits took 19 times as long.
    """
    if not sizes.on_cpu():
        return function

    def in_turn(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)  # where a tree has None, JAX finds no derivatives

        @jax.custom_batching.custom_vmap
        def flat(*leaves: Any) -> Any:
            return function(*jax.tree.unflatten(tree, leaves))

        @flat.def_vmap
        def lanes(size: int, batched: list[bool], *leaves: Any) -> tuple[Any, Any]:
            lane = [leaf for leaf, own in zip(leaves, batched, strict=True) if own]

            def one(lane: list[Any]) -> Any:
                own = iter(lane)
                both = zip(leaves, batched, strict=True)
                return flat(*(next(own) if of_lane else leaf for leaf, of_lane in both))

            out = lax.map(one, lane) if lane else function(*jax.tree.unflatten(tree, leaves))
            return out, jax.tree.map(lambda _: bool(lane), out)

        return flat(*leaves)

    return in_turn


def _each(function: Any, starts: Any, chunk: int) -> Any:
    """function over the leading axis, `chunk` at a time."""
    r = jax.tree.leaves(starts)[0].shape[0]
    if r == 1:
        one = function(jax.tree.map(lambda leaf: leaf[0], starts))
        return jax.tree.map(lambda leaf: leaf[None], one)
    return lax.map(function, starts, batch_size=None if chunk == 1 else chunk)
