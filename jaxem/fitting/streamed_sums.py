"""Sums over the rows of a source at given parameters: E-steps, and what else adds over blocks.

Each takes one reading, of the blocks that a fit has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxem.core.contracts import Model, Params, Prior, Rows, Statistics
from jaxem.core.dataset import Dataset, as_dataset, refuse_beside
from jaxem.core.numerics import add_exactly, no_sums, sums
from jaxem.core.source import Piece, Source, part
from jaxem.fitting import one_reading, packed, processes, stream
from jaxem.fitting import pass_programs as programs
from jaxem.fitting.execution import Execution
from jaxem.fitting.one_reading import Group
from jaxem.fitting.options import acceleration
from jaxem.fitting.processes import Team
from jaxem.fitting.stream import Stream

_FEW = 64  # rows


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """A source in the place of `Rows`. some: the first of them; n_sequences: 0 for rows."""

    execution: Execution
    stream: Stream
    some: Rows
    n_sequences: int

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
    own = x if team is None else team.share(x)
    begun, lengths = (_begun if team is None else partial(_begun_by, team))(model, own)
    each = [begun] if team is None else team.told(begun)
    some = next((of.some for of in each if of.some is not None), None)
    if some is None:
        raise ValueError("the source has no rows of positive weight: there is nothing to sum")
    n_rows, n = sum(of.n_rows for of in each), sum(of.n_sequences for of in each)
    of_all = packed.of_all(lengths, max(of.longest for of in each), n_rows, n) if n else None
    read: Any = stream.checked(model, some)
    rows, n_units = stream.units(model, some, read, n_rows, of_all)
    block = stream.block_size_of(model, rows, n_units, None)
    execution = Execution(model, block, 1, acceleration(None))
    source = stream.opened(own, begun.n_rows, rows, block, mesh=mesh, lengths=of_all)
    return StreamedRows(execution, source, rows, n)


class _Begun(NamedTuple):
    """some: the first rows of positive weight. n_sequences: 0 for rows; longest: of them."""

    some: Piece | None
    n_rows: int
    n_sequences: int
    longest: int


def _begun(model: Model, source: Source) -> tuple[_Begun, np.ndarray]:
    """-> (what all rows come to, the lengths of sequences)."""
    some, n_rows, lengths = None, 0, [np.zeros(0, np.int32)]
    for piece in source.pieces():
        if some is None and stream.checked(model, piece) is not None:
            some = piece
        n_rows += piece.n_rows
        lengths += [] if piece.lengths is None else [piece.lengths.astype(np.int32)]
    each = np.concatenate(lengths)
    return _Begun(some, n_rows, len(each), int(each.max(initial=0))), each


def _begun_by(team: Team, model: Model, source: Source) -> tuple[_Begun, np.ndarray]:
    """The same in each process, of its share; what is sent to others is small."""
    begun, lengths = team.own(lambda: _begun(model, source))
    return begun._replace(some=_few(begun.some)), lengths


def _few(piece: Piece | None) -> Piece | None:
    """Some of the rows, or one sequence, of positive weight: others look at their form."""
    if piece is None:
        return None
    most = _FEW if piece.lengths is None else 1
    there = slice(most) if piece.weight is None else np.flatnonzero(piece.weight)[:most]
    return part(piece, there)


def e_step(rows: StreamedRows, params: Params, prior: Prior | None) -> tuple[Statistics, Array]:
    """-> (statistics, log-likelihood), summed in the order of `accumulate`."""
    execution, one = rows.execution, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    prepared, loses = programs.prepare(execution, one, prior)
    group = Group(np.zeros(1, int), prepared, bool(np.any(loses)))
    (total,) = one_reading.summed(execution, rows.stream, [group])
    found = programs.end(execution, group.stable, prepared, total)
    return jax.tree.map(lambda leaf: leaf[0], found)


def summed(function: Callable[[Rows, Array], PyTree], rows: StreamedRows) -> PyTree:
    """The sum of function(rows of a part, share of what counts once that they have), over all
    processes, of which the first has what counts once."""
    team = rows.stream.team
    if team is None:
        return _summed(function, rows, True)
    each = team.together(lambda: jax.device_get(_summed(function, rows, team.place == 0)))
    there = [own for own in each if own is not None]
    return jax.tree.map(lambda *own: jnp.asarray(sum(own[1:], own[0])), *there)


def _summed(function: Callable[[Rows, Array], PyTree], rows: StreamedRows, once: bool) -> PyTree:
    """Of the rows that this process reads; None where it has none, nor what counts once."""
    one = jnp.ones((), rows.some.weight.dtype)
    zero = jnp.zeros_like(one)
    parts = (part.rows for part in rows.stream.parts(rows.execution) if part is not None)
    begin = next(parts, None)
    if begin is None:
        absent = rows.some._replace(weight=jnp.zeros_like(rows.some.weight))
        return function(absent, one) if once else None
    first = function(begin, one if once else zero)
    total = add_exactly(no_sums(first), first)
    for more in parts:
        before, total = total, add_exactly(total, function(more, zero))
        jax.block_until_ready(before)  # more than one on its way would fill the memory
    return sums(total)


def some(data: Dataset | StreamedRows) -> Rows:
    """Rows like all others; of a Dataset all."""
    return data.some if isinstance(data, StreamedRows) else data.filled
