"""Incremental EM: an M-step after every block of rows, whose statistics replace its old ones.

    s[b] <- E[T(x, z) | block b; theta],   theta <- argmax_theta' of s[1] + ... + s[B]

The free energy, sum_b E_q[b][log p(x, z | theta)] + H(q[b]) with q[b] the posterior of block b when
it was last read, rises with both, and never falls (Neal and Hinton 1998, in Jordan (ed.), Learning
in Graphical Models, 355-368); its maxima are those of the likelihood. The statistics of a block are
kept as it left them, with the parameters that they are measured from.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from jaxem.core import checks, emissions
from jaxem.core.capabilities import expansion
from jaxem.core.contracts import Model, Params, Prior, Statistics
from jaxem.core.inputs import waits
from jaxem.core.numerics import Sums
from jaxem.fitting import one_reading, online, stream
from jaxem.fitting import pass_programs as programs
from jaxem.fitting.execution import Execution
from jaxem.fitting.one_reading import Group
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result
from jaxem.fitting.stream import Part

N_BLOCKS = 32


class State(NamedTuple):
    """sums: of all blocks, from the pivot of params; each: of every block, first axis, from that of
    `at`, the parameters by which it was read."""

    params: Params
    sums: Statistics
    each: Statistics
    at: Params


@waits
def fit_incremental(
    model: Model,
    source: Any,
    *,
    key: Any,
    n_init: int = 20,
    init: str | Params = "portfolio",
    prior: Prior | None = None,
    fixed: Any = None,
    reg_covar: Any = 0.0,
    n_blocks: int = N_BLOCKS,
    n_passes: int = 10,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
) -> Result:
    """Fit a model by incremental EM: the parameters move after each of some blocks of a source.

    The first pass is an iteration of EM, and each that follows is worth about two; the free energy,
    a bound from below on the objective that `fit` climbs, never falls. In ten passes it comes about
    as far as `fit` does from the same start; over more `fit`, which accelerates EM, is ahead.

    source, key, n_init, init: as `fit_online` takes them; rows may come in any order.
    prior, fixed, reg_covar, min_count, min_variance_ratio: as `fit` takes them.
    n_blocks: statistics of so many blocks are kept, and as many M-steps made in a pass.

    The log-likelihood of the result takes one more pass. The status is never CONVERGED, but
    MAX_ITER, or says what is wrong; `em(model, result.params, source)` goes on from there.
    Errors: ValueError for bad input, and for models whose M-step need not raise the free energy: a
    search, or one that expands parameters, as with t components and factors.
    """
    _check(model)
    n_blocks = checks.whole(n_blocks, "n_blocks", least=1)
    n_passes = checks.whole(n_passes, "n_passes", least=1)
    options = Options(prior, fixed, reg_covar=reg_covar, min_count=min_count,
                      min_variance_ratio=min_variance_ratio)  # fmt: skip
    job, params, _ = online.begun_with(model, source, options, Starts(init, key, n_init))
    own = _cut(job, n_blocks)
    for state in states(own, params, n_blocks, n_passes):
        params = state.params
    return online.evaluated(job, params)


def _check(model: Model) -> None:
    if model.family is None or not model.exact_m_step or expansion.expands(model.family):
        raise ValueError(
            "incremental EM is of models whose M-step is the maximum of sums of several E-steps, "
            f"which is not so for {model!r}; fit it by jaxem.fit"
        )


def _cut(job: FitPlan, n_blocks: int) -> FitPlan:
    """The plan with parts that are few enough rows for so many blocks."""
    n = job.stream.n_rows
    size = min(job.block_size, -(-n // (2 * n_blocks)))
    size = stream.block_size_of(job.model, job.rows, n, size)
    most = max(2, -(-n // size) // n_blocks)  # of one block XLA makes another program
    part = min(most, stream.blocks_a_part(job.rows, size, n))
    execution = replace(job.execution, block_size=size, chunk=1)
    return job._replace(execution=execution, stream=job.stream._replace(part=part))


def states(job: FitPlan, params: Params, n_blocks: int, n_passes: int) -> Iterator[State]:
    """After the first pass, and after each block of those that follow."""
    read = [_e_step(job, params, parts) for _, parts in _blocks(job, n_blocks)]
    nothing = jax.tree.map(jnp.zeros_like, next(own for own in read if own is not None))
    each = [nothing if own is None else own for own in read]
    state = _begun(job.execution, params, jax.tree.map(_stacked, *each), job.prior)
    yield state
    for _ in range(n_passes - 1):
        for b, parts in _blocks(job, n_blocks):
            own = _e_step(job, state.params, parts)
            if own is not None:
                state = _moved(job.execution, state, own, jnp.asarray(b, jnp.int32), job.prior)
                yield state
        state = state._replace(sums=_total(job.execution, state))  # without what rounding left


def _blocks(job: FitPlan, n_blocks: int) -> Iterator[tuple[int, Iterator[Part | None]]]:
    """Of parts that are read one after another; fewer blocks where there are fewer parts."""
    n_parts = job.stream.n_parts(job.execution)
    n = min(n_blocks, n_parts)
    numbered = enumerate(job.stream.parts(job.execution))
    for b, own in itertools.groupby(numbered, lambda part: part[0] * n // n_parts):
        yield b, (part for _, part in own)


def _e_step(job: FitPlan, params: Params, parts: Iterator[Part | None]) -> Statistics | None:
    """None for rows that all have weight 0."""
    execution, one = job.execution, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    prepared, loses = programs.prepare(execution, one, job.prior)
    group = Group(np.zeros(1, int), prepared, bool(np.any(loses)))
    total: list[Sums] = []
    for part in parts:
        total = total if part is None else one_reading.added(execution, [group], part, total)
    if not total:
        return None
    statistics, _ = programs.end(execution, group.stable, prepared, total[0])
    return jax.tree.map(lambda leaf: leaf[0], statistics)


def _stacked(*leaves: Array) -> Array:
    return jnp.stack(leaves)


@partial(jax.jit, static_argnames="execution")
def _begun(execution: Execution, params: Params, each: Statistics, prior: Prior | None) -> State:
    """An iteration of EM."""
    n = jax.tree.leaves(each)[0].shape[0]
    at = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *jnp.shape(leaf))), params)
    sums = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), each)
    return _with_sums(execution, State(params, sums, each, at), prior)


@partial(jax.jit, static_argnames="execution")
def _moved(
    execution: Execution, state: State, own: Statistics, b: Int[Array, ""], prior: Prior | None
) -> State:
    """own: the statistics of block b by the parameters of the state."""

    def put(each: Any, new: Any) -> Any:
        return jax.tree.map(lambda leaf, value: leaf.at[b].set(value), each, new)

    old, at = jax.tree.map(lambda leaf: leaf[b], (state.each, state.at))
    had = emissions.recentre(execution.model, old, at, state.params)
    sums = jax.tree.map(lambda total, a, b: total - a + b, state.sums, had, own)
    new = State(state.params, sums, put(state.each, own), put(state.at, state.params))
    return _with_sums(execution, new, prior)


def _with_sums(execution: Execution, state: State, prior: Prior | None) -> State:
    """The M-step; where it leaves no parameters, they stay."""
    new = execution.model.m_step(state.params, state.sums, prior)
    moved = new, emissions.recentre(execution.model, state.sums, state.params, new)
    sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(new)]))
    params, sums = jax.tree.map(
        lambda a, b: jnp.where(sound, a, b), moved, (state.params, state.sums)
    )
    return state._replace(params=params, sums=sums)


@partial(jax.jit, static_argnames="execution")
def _total(execution: Execution, state: State) -> Statistics:
    """The sums of all blocks, from the pivot of the parameters."""

    def of_block(each: tuple[Statistics, Params]) -> Statistics:
        return emissions.recentre(execution.model, *each, state.params)

    moved = lax.map(of_block, (state.each, state.at))
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), moved)
