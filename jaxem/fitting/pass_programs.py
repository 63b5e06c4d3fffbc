"""The compiled parts of a pass over a source, each of a group of starts side by side.

stable: whether the group takes the form of densities that loses no digits, as the host decides.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import shards
from jaxem.core.contracts import Model, Params, Prepared, Prior, Rows, Statistics
from jaxem.core.numerics import Sums
from jaxem.fitting import blocks, em, sizes
from jaxem.fitting.bundles import Bundle, bundle
from jaxem.fitting.em import Proposal
from jaxem.fitting.execution import Execution
from jaxem.fitting.in_turn import each


@partial(jax.jit, static_argnames="execution")
def propose(execution: Execution, states: Bundle, prior: Prior | None) -> tuple[Proposal, Array]:
    def one(own: Bundle) -> tuple[Proposal, Array]:
        state = own.tree
        proposal = em.apart(state, lambda: em.propose(execution, state, prior))
        return proposal, blocks.loses_digits(execution.model, proposal.prepared)

    return each(one, states, execution.chunk)


@partial(jax.jit, static_argnames="execution")
def prepare(execution: Execution, params: Params, prior: Prior | None) -> tuple[Prepared, Array]:
    """Of given parameters, with an axis of starts."""

    def one(own: Params) -> tuple[Prepared, Array]:
        prepared = execution.model.prepare(own, prior)
        return prepared, blocks.loses_digits(execution.model, prepared)

    return each(one, params, execution.chunk)


@partial(jax.jit, static_argnames=("execution", "stable"))
def begin(execution: Execution, stable: bool, prepared: Prepared, rows: Rows) -> Sums:
    model, size = execution.model, execution.block_size

    def one(prepared: Prepared) -> Sums:
        return blocks.first_block(model, blocks.form(model, prepared, stable), rows, size)

    return each(one, prepared, execution.chunk)


@partial(jax.jit, static_argnames=("execution", "stable"))
def add(
    execution: Execution,
    stable: bool,
    prepared: Prepared,
    rows: Rows,
    first: Int[Array, ""],
    stop: Int[Array, ""],
    total: Sums,
) -> Sums:
    """Of rows over several devices each has sums of its own, with an axis of devices first."""
    if rows.shards is None:
        return _added(execution, stable, prepared, rows, first, stop, total)

    def local(rows: Rows, total: Sums, prepared: Prepared, first: Array, stop: Array) -> Sums:
        n_blocks = rows.n_units // execution.block_size  # those past the table's end weigh nothing
        end = jnp.minimum(stop, n_blocks)
        return _added(execution, stable, prepared, rows, first, end, total)

    return shards.apart(local, rows, total, prepared, first, stop)


def _added(
    execution: Execution,
    stable: bool,
    prepared: Prepared,
    rows: Rows,
    first: Array,
    stop: Array,
    total: Sums,
) -> Sums:
    model, size = execution.model, execution.block_size
    parts = _parts_of(model, rows, size) if stable else 1

    def one(of: tuple[Prepared, Sums]) -> Sums:
        own = blocks.form(model, of[0], stable)
        return blocks.add_blocks(
            model, own, rows, size // parts, parts * first, parts * stop, of[1]
        )

    return each(one, (prepared, total), execution.chunk)


def _parts_of(model: Model, rows: Rows, block_size: int) -> int:
    """Into how many a block is cut that the form without loss goes through: a power of 2."""
    most, parts = sizes.stable_block_size(model, rows, block_size), 1
    while block_size % (2 * parts) == 0 and block_size // parts > most:
        parts *= 2
    return parts


@partial(jax.jit, static_argnames=("execution", "stable"))
def update(
    execution: Execution,
    stable: bool,
    states: Bundle,
    proposal: Proposal,
    total: Sums,
    prior: Prior | None,
    tol: Float[Array, ""],
) -> Bundle:
    def one(of: tuple[Bundle, Proposal, Sums]) -> Bundle:
        state, proposal, total = of[0].tree, *of[1:]
        own = blocks.form(execution.model, proposal.prepared, stable)
        found = blocks.end_sums(execution.model, own, total)

        def new() -> Bundle:
            return bundle(em.update(execution, state, proposal, found, prior, tol))

        return em.apart(state, new)

    return each(one, (states, proposal, total), execution.chunk)


@partial(jax.jit, static_argnames=("execution", "stable"))
def end(
    execution: Execution, stable: bool, prepared: Prepared, total: Sums
) -> tuple[Statistics, Array]:
    """-> (statistics, log-likelihood)."""

    def one(of: tuple[Prepared, Sums]) -> tuple[Statistics, Array]:
        own = blocks.form(execution.model, of[0], stable)
        return blocks.end_sums(execution.model, own, of[1])

    return each(one, (prepared, total), execution.chunk)
