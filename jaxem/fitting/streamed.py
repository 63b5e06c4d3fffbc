"""Fits of a source: the host goes through the blocks, one reading for all starts.

A pass is a trip of `em` for every start that still runs: `propose`, the E-steps of all blocks,
`update`. In one process, with the same blocks, the fit is that of the table in memory, bit for bit.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem.core import pool
from jaxem.core.contracts import Model
from jaxem.core.files import check_writable
from jaxem.core.numerics import Sums
from jaxem.core.source import Source
from jaxem.core.status import Status
from jaxem.fitting import first_look, processes, restarts, sizes, stream, termination, trimming
from jaxem.fitting import pass_programs as programs
from jaxem.fitting.bundles import Bundle, bundle
from jaxem.fitting.checkpoint import Checkpoint, Kept, about_fit
from jaxem.fitting.first_look import Seen
from jaxem.fitting.one_reading import Group, summed
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.processes import Team
from jaxem.fitting.result import Result, gathered


def planned(
    model: Model,
    source: Source,
    options: Options,
    begin: Starts,
    checkpoint: Any = None,
    seen: Seen | None = None,
    mesh: Any = None,
) -> FitPlan:
    """The source is looked at, unless that was done, and what is given is checked.

    checkpoint: a file. The plan is that of the pool of the source, but for the size of blocks.
    """
    if checkpoint is not None and not source.fingerprint:
        raise ValueError(
            "a checkpoint is for rows that are known again: give the source a fingerprint=, such "
            "as the version of its data"
        )
    checkpoint = _own_file(checkpoint, processes.of_mesh(mesh)[0])  # before hours of work
    seen = first_look.look(model, source, seed_of(begin), mesh) if seen is None else seen
    data = first_look.pool_of(model, seen)
    job, rows = prepare(data, options._replace(block_size=None), begin), data.rows
    trimming.refuse(model, job.prior, "a source")
    like, n_units = stream.units(model, seen.pool, rows, seen.n_rows, seen.lengths)
    block = stream.block_size_of(model, like, n_units, options.block_size)
    chunk = sizes.chunk_size(model, stream.like_rows(like, n_units), job.n_starts, block)
    filled = chunk * -(-job.n_starts // chunk)
    return job._replace(
        execution=replace(job.execution, block_size=block, chunk=chunk),
        start_rows=first_look.start_rows(model, seen, rows),
        range=seen.range,
        methods=np.resize(job.methods[: job.n_starts], filled),
        provenance=replace(job.provenance, n_rows=seen.n_rows, columns=source.names),
        stream=stream.opened(*seen.own, like, block, checkpoint, mesh, seen.lengths),
    )


def seed_of(begin: Starts) -> int:
    """Of the pool."""
    return 0 if begin.key is None else pool.seed_of(begin.key)


def _own_file(checkpoint: Any, team: Team | None) -> Any:
    """The file of this process, which can be written."""
    if checkpoint is None:
        return None
    if team is None:
        check_writable(checkpoint)
        return checkpoint
    own = os.fspath(checkpoint) + (f".{team.place}" if team.place else "")
    team.own(lambda: check_writable(own))
    return own


def about(job: FitPlan) -> dict[str, str]:
    """What a checkpoint is of."""
    of = job.stream
    data = f"{of.source.fingerprint} {of.n_rows} {job.provenance.n_columns} {job.tol.dtype}"
    return about_fit(job, data, f"{of.part} {1 if of.over is None else of.over.n}")


# ---- passes


def passes(job: FitPlan, states: Bundle) -> Iterator[Bundle]:
    """Yields the states of all starts after each pass, until all have ended; with a checkpoint
    first those that it has."""
    states, path, team = jax.device_get(states), job.stream.checkpoint, job.stream.team
    with nullcontext() if team is None else team.watched():
        states = states if team is None else team.of_first(states)  # machines differ in rounding
        if path is None:
            yield from _passes(job, states, None, None)
            return
        with termination.awaited():
            checkpoint = Checkpoint(path, about(job))
            kept = _kept(checkpoint, states, team)
            if kept is not None:
                states = kept.states
                yield states
            yield from _passes(job, states, checkpoint, kept)


def _kept(checkpoint: Checkpoint, states: Bundle, team: Team | None) -> Kept | None:
    """Where the fit was: by process 0, with the sums of this one if it was there too."""
    if team is None:
        return checkpoint.load(states)
    found = team.own(lambda: checkpoint.load(states))
    if not team.told(found is not None)[0]:
        return None
    own = found or Kept(states, None, 0)
    first = team.of_first(own.states)
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(own.states), strict=True)
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
    return own if same else Kept(first, None, 0)


def _passes(
    job: FitPlan, states: Bundle, checkpoint: Checkpoint | None, kept: Kept | None
) -> Iterator[Bundle]:
    execution = job.execution
    while True:
        running = np.flatnonzero(_running(states, int(job.max_iter)))
        if not len(running):
            return
        groups, proposals = [], []
        for index in _in_groups(running, execution.chunk):
            proposal, loses = programs.propose(execution, _at(states, index), job.prior)
            groups.append(Group(index, proposal.prepared, bool(np.any(loses))))
            proposals.append(proposal)
        reached = None if checkpoint is None else partial(_keep_and_heed, checkpoint, states)
        total, kept = summed(execution, job.stream, groups, kept, reached), None
        for own, proposal, sums in zip(groups, proposals, total, strict=True):
            given = _at(states, own.index), proposal, sums, job.prior, job.tol
            new = programs.update(execution, own.stable, *given)
            states = _with(states, own.index, jax.device_get(new))
        if job.stream.team is not None:
            states = job.stream.team.of_first(states)
        over = not np.any(_running(states, int(job.max_iter)))
        if checkpoint is not None:
            _keep(checkpoint, states, over)
            if not over and job.stream.team is None:  # processes heed it together, in a reading
                termination.heed(checkpoint.path)
        yield states


def _keep(checkpoint: Checkpoint, states: Bundle, over: bool = False, *within: Any) -> None:
    """within: a reading, its sums so far and the part that is next."""
    if over or checkpoint.due or termination.asked():
        checkpoint.save(states, *within)


def _keep_and_heed(checkpoint: Checkpoint, states: Bundle, total: list[Sums], part: int) -> None:
    _keep(checkpoint, states, False, total, part)
    termination.heed(checkpoint.path)


def _running(states: Bundle, max_iter: int) -> np.ndarray:
    state = states.tree
    return (state.status == Status.RUNNING) & (state.n_iter < max_iter)


def _in_groups(running: np.ndarray, size: int) -> list[np.ndarray]:
    """Starts side by side, the last group filled up with its first."""
    found = [running[i : i + size] for i in range(0, len(running), size)]
    return [np.concatenate([own, np.full(size - len(own), own[0])]) for own in found]


def _at(states: Bundle, index: np.ndarray) -> Bundle:
    return jax.device_put(jax.tree.map(lambda leaf: leaf[index], states))


def _with(states: Bundle, index: np.ndarray, new: Bundle) -> Bundle:
    def put(old: np.ndarray, own: np.ndarray) -> np.ndarray:
        changed = old.copy()
        changed[index] = own
        return changed

    return jax.tree.map(put, states, new)


def finish(job: FitPlan, states: Bundle) -> Result:
    """Judge every start on its final parameters and return the best with all of them."""
    execution, states = job.execution, jax.device_get(states)
    outcomes = jax.device_get(
        restarts.conclude.full(execution, None, job.prior, states, job.thresholds)
    )
    if job.prior is not None:
        own = _log_likelihoods(job, states)
        outcomes = bundle(outcomes.tree._replace(log_likelihood=own), 1)
    with np.errstate(invalid="ignore"):  # starts without a likelihood
        best, all_starts = restarts.best(outcomes, states, job.n_starts)
    return jax.device_put(gathered(best, all_starts, job.provenance))


def _log_likelihoods(job: FitPlan, states: Bundle) -> np.ndarray:
    execution, r, groups = job.execution, len(job.methods), []
    for index in _in_groups(np.arange(r), execution.chunk):
        prepared, loses = programs.prepare(execution, _at(states, index).tree.params, None)
        groups.append(Group(index, prepared, bool(np.any(loses))))
    found = [
        programs.end(execution, own.stable, own.prepared, total)[1]
        for own, total in zip(groups, summed(execution, job.stream, groups), strict=True)
    ]
    return np.concatenate(jax.device_get(found))[:r]
