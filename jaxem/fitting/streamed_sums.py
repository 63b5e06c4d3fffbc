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
from jaxem.core.source import Source
from jaxem.fitting import one_reading, stream
from jaxem.fitting import pass_programs as programs
from jaxem.fitting.execution import Execution
from jaxem.fitting.one_reading import Group
from jaxem.fitting.options import acceleration
from jaxem.fitting.stream import Stream


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
    if not isinstance(x, Source) or x.small:
        return as_dataset(model, x, sample_weight, labels, lengths, mesh)
    refuse_beside((sample_weight, labels, lengths))
    some, n_rows = _begun(model, x)
    block = stream.block_size_of(model, some, n_rows, None)
    execution = Execution(model, block, 1, acceleration(None))
    return StreamedRows(execution, stream.opened(x, some, n_rows, block, mesh=mesh), some)


def _begun(model: Model, source: Source) -> tuple[Rows, int]:
    """-> (the first rows, how many there are)."""
    some, n_rows = None, 0
    for piece in source.pieces():
        some = stream.checked(model, piece) if some is None else some
        n_rows += piece.n_rows
    if some is None:
        raise ValueError("the source has no rows of positive weight: there is nothing to sum")
    return some, n_rows


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
    for part in parts:
        own = function(part, jnp.zeros_like(one))
        total = jax.block_until_ready(add_exactly(total, own))  # parts that wait fill the memory
    return sums(total)


def some(data: Dataset | StreamedRows) -> Rows:
    """Rows like all others; of a Dataset all."""
    return data.some if isinstance(data, StreamedRows) else data.filled
