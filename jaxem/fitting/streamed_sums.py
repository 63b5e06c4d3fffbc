"""Sums over the rows of a source at given parameters: E-steps, and what else adds over blocks.

Each takes one reading, of the blocks that a fit has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxem.core.contracts import Model, Params, Prior, Rows, Statistics
from jaxem.core.dataset import Dataset, as_dataset, refuse_beside
from jaxem.core.numerics import add_exactly, no_sums, sums
from jaxem.core.source import Piece, Source, part
from jaxem.fitting import one_reading, processes, stream
from jaxem.fitting import pass_programs as programs
from jaxem.fitting.execution import Execution
from jaxem.fitting.one_reading import Group
from jaxem.fitting.options import acceleration
from jaxem.fitting.stream import Stream

_FEW = 64  # rows


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """A source in the place of `Rows`. some: the first of them."""

    execution: Execution
    stream: Stream
    some: Rows

    @property
    def model(self) -> Model:
        return self.execution.model


def opened(
    model: Model,
    x: Any,
    sample_weight: Any = None,
    labels: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Dataset | StreamedRows:
    """x as a verb was given it; a source that is not small is not read whole."""
    if not isinstance(x, Source) or stream.read_whole(x, mesh):
        return as_dataset(model, x, sample_weight, labels, lengths, mesh)
    refuse_beside((sample_weight, labels, lengths))
    team, _ = processes.of_mesh(mesh)
    if team is None:
        own, (some, n_rows) = x, _begun(model, x)
        n_own = n_rows
    else:
        own = team.share(x)
        each = team.together(lambda: _few(*_begun(model, own)))
        n_rows = sum(n for _, n in each)
        some = next((first for first, _ in each if first is not None), None)
        n_own = each[team.place][1]
    if some is None:
        raise ValueError("the source has no rows of positive weight: there is nothing to sum")
    rows: Any = stream.checked(model, some)
    block = stream.block_size_of(model, rows, n_rows, None)
    execution = Execution(model, block, 1, acceleration(None))
    return StreamedRows(execution, stream.opened(own, n_own, rows, block, mesh=mesh), rows)


def _begun(model: Model, source: Source) -> tuple[Piece | None, int]:
    """-> (the first rows of positive weight, how many rows there are)."""
    some, n_rows = None, 0
    for piece in source.pieces():
        if some is None and stream.checked(model, piece) is not None:
            some = piece
        n_rows += piece.n_rows
    return some, n_rows


def _few(piece: Piece | None, n_rows: int) -> tuple[Piece | None, int]:
    """What is sent to other processes of them, which look at its form."""
    if piece is None or piece.weight is None:
        return None if piece is None else part(piece, slice(_FEW)), n_rows
    return part(piece, np.flatnonzero(piece.weight)[:_FEW]), n_rows


def e_step(rows: StreamedRows, params: Params, prior: Prior | None) -> tuple[Statistics, Array]:
    """-> (statistics, log-likelihood), summed in the order of `accumulate`."""
    execution, one = rows.execution, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    prepared, loses = programs.prepare(execution, one, prior)
    group = Group(np.zeros(1, int), prepared, bool(np.any(loses)))
    (total,) = one_reading.summed(execution, rows.stream, [group])
    found = programs.end(execution, group.stable, prepared, total)
    return jax.tree.map(lambda leaf: leaf[0], found)


def summed(function: Callable[[Rows, Array], PyTree], rows: StreamedRows) -> PyTree:
    """The sum of function(rows of a part, share of what counts once that they have)."""
    one = jnp.ones((), rows.some.weight.dtype)
    parts = (part.rows for part in rows.stream.parts(rows.execution) if part is not None)
    first = function(next(parts), one)
    total = add_exactly(no_sums(first), first)
    for more in parts:
        own = function(more, jnp.zeros_like(one))
        total = jax.block_until_ready(add_exactly(total, own))  # parts that wait fill the memory
    return sums(total)


def some(data: Dataset | StreamedRows) -> Rows:
    """Rows like all others; of a Dataset all."""
    return data.some if isinstance(data, StreamedRows) else data.filled
