"""Where sequences lie: in lanes of steps, (t, lanes), in which several may follow each other.

One array (t, d) or (t,) is one sequence; (b, t, d), with the lengths where they differ, is a batch;
a list holds sequences of any lengths. A batch stays as it is while at most 1.5 times its real steps
are computed; else, and for a list, sequences are laid end to end, the longest first, each into the
emptiest of as many lanes as keep to that.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jaxem.core import checks, placement, tables
from jaxem.core.contracts import Rows
from jaxem.core.lanes import Lanes
from jaxem.core.source import runs
from jaxem.inference.forward_backward import block_length

MOST = 1.5  # steps computed for each real one


def _whole_blocks(t: int) -> int:
    length = block_length(t)
    return -(-t // length) * length


def block(rows: Rows, index: Array, length: int) -> Rows:
    """Block `index` of `length` steps, of all lanes."""
    return jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, index * length, length), rows)


class Layout(NamedTuple):
    """Where the sequences are: sequence i is `lengths[i]` steps of lane[i] from offset[i].

    form: "one", "batch", "list", or "table", of a list end to end. shape: (t, lanes). steps: of the
    array that was given, 0 for those two.
    """

    form: str
    lengths: np.ndarray
    lane: np.ndarray
    offset: np.ndarray
    shape: tuple[int, int]
    steps: int

    @property
    def places(self) -> np.ndarray:
        """Of every real step, sequence after sequence, its place among t * lanes."""
        lanes = self.shape[1]
        return runs(self.offset, self.lengths) * lanes + np.repeat(self.lane, self.lengths)

    @property
    def owner(self) -> np.ndarray:
        """(t, lanes): the sequence that each step is of, -1 in padding."""
        owner = np.full(self.shape[0] * self.shape[1], -1)
        owner[self.places] = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return owner.reshape(self.shape)

    @property
    def sources(self) -> np.ndarray:
        """For every place the row of the given data, end to end; padding takes the first."""
        ends = np.cumsum(self.lengths)
        starts = self.steps * np.arange(len(ends)) if self.steps else ends - self.lengths
        rows = np.zeros(self.shape[0] * self.shape[1], int)
        rows[self.places] = runs(starts, self.lengths)
        return rows

    @property
    def each_its_lane(self) -> bool:
        shape = _whole_blocks(max(self.steps, 1)), len(self.lengths)
        return self.steps > 0 and self.shape == shape

    @property
    def real(self) -> np.ndarray:
        """(b, steps): which of the steps that were given are within their lengths."""
        return np.arange(self.steps) < self.lengths[:, None]

    def arrange(self, values: Any) -> Any:
        """(t, lanes, ...) -> as the data came; in a batch, zeros beyond the lengths.

        For a list NumPy arrays, where there are numbers.
        """
        if self.form == "one":
            return values[: self.steps, 0]
        if self.each_its_lane:
            real = self.real.reshape(*self.real.shape, *[1] * (values.ndim - 2))
            values = jnp.swapaxes(values[: self.steps], 0, 1)
            return jnp.where(real, values, jnp.zeros((), values.dtype))
        numpy: Any = np if checks.is_concrete(values) else jnp
        flat = numpy.asarray(values).reshape(-1, *values.shape[2:])[self.places]
        if self.form == "table":
            return flat
        if self.form == "list":
            return numpy.split(flat, np.cumsum(self.lengths)[:-1])
        rows = jnp.zeros((len(self.lengths) * self.steps, *flat.shape[1:]), flat.dtype)
        rows = rows.at[np.flatnonzero(self.real)].set(flat)
        return rows.reshape(len(self.lengths), self.steps, *flat.shape[1:])

    def sums(self, values: Any) -> Any:
        """(t, lanes) summed over each sequence: (b,), or a number for one."""
        if self.form == "one":
            return jnp.sum(values[: self.steps, 0])
        if self.each_its_lane:
            return jnp.sum(self.arrange(values), axis=1)
        n = len(self.lengths)
        owner = np.repeat(np.arange(n), self.lengths)
        if placement.lies_on_host(values):  # nothing compiles, for each table anew
            flat = np.reshape(np.asarray(values), -1)[self.places]
            return jax.device_put(np.bincount(owner, flat, n).astype(flat.dtype))
        flat = jnp.reshape(values, -1)[self.places]
        return jax.ops.segment_sum(flat, owner, n, indices_are_sorted=True)


def layout(data: Any, lengths: Any) -> Layout:
    """The layout of the sequences; ValueError for lengths that cannot be.

    lengths: of a batch; or `Lanes`, for sequences that lie end to end in a table.
    """
    if isinstance(lengths, Lanes):
        t, n = lengths.shape
        return Layout("table", *lengths[:3], (_whole_blocks(t), n), 0)
    if isinstance(data, list) and not _is_numbers(data):
        if lengths is not None:
            raise ValueError("lengths are for a batch (b, t, d); a list has those of its sequences")
        if not data:
            raise ValueError("x is an empty list; give at least one sequence")
        return _packed("list", np.array([_n_steps(of) for of in data]), 0)
    leaf = _leaves(data)[0]
    if 0 in np.shape(leaf)[: 2 if np.ndim(leaf) == 3 else 1]:
        raise ValueError(f"x has shape {np.shape(leaf)}: there is no step to look at")
    if np.ndim(leaf) == 3 or lengths is not None:
        if np.ndim(leaf) < 3 and not isinstance(data, tuple):
            raise ValueError(
                f"x has shape {np.shape(leaf)}: it is one sequence, and has no lengths; a batch is "
                "(b, t, d), and sequences end to end are a list: np.split(x, np.cumsum(lengths))"
            )
        b, t = np.shape(leaf)[:2]
        each = np.full(b, t) if lengths is None else _lengths(lengths, b, t)
        if b * t > MOST * each.sum() and checks.is_concrete(data):
            return _packed("batch", each, t)
        return Layout("batch", each, np.arange(b), np.zeros(b, int), (_whole_blocks(t), b), t)
    n = _n_steps(data)
    shape = _whole_blocks(n), 1
    return Layout("one", np.array([n]), np.zeros(1, int), np.zeros(1, int), shape, n)


def _lengths(lengths: Any, b: int, t: int) -> np.ndarray:
    if not checks.is_concrete(lengths):
        raise ValueError("lengths are traced; give them as plain numbers")
    checks.numbers(lengths, "lengths")
    each = np.asarray(tables.codes(lengths, "lengths"))
    if each.shape != (b,) or each.dtype.kind not in "iu":
        raise ValueError(f"lengths is {lengths!r}; give {b} whole numbers, one for each sequence")
    wrong = np.flatnonzero((each < 1) | (each > t))
    if len(wrong):
        i = wrong[0]
        raise ValueError(f"lengths[{i}] is {each[i]}; it must be from 1 to {t}, the steps of x")
    return each


def _packed(form: str, lengths: np.ndarray, steps: int) -> Layout:
    empty = np.flatnonzero(lengths < 1)
    if len(empty):
        raise ValueError(f"sequence {empty[0]} is empty; leave it out")
    total, longest = int(lengths.sum()), int(lengths.max())
    n_lanes = -(-total // longest)
    lane, offset, t = _placed(lengths, n_lanes)
    while n_lanes * t > MOST * total:  # one lane holds them all without a step too many
        n_lanes -= 1
        lane, offset, t = _placed(lengths, n_lanes)
    return Layout(form, lengths, lane, offset, (_whole_blocks(t), n_lanes), steps)


def _placed(lengths: np.ndarray, n_lanes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """-> (lane and offset of each sequence, the fullest lane)."""
    filled = [(0, i) for i in range(n_lanes)]
    lane, offset = np.zeros_like(lengths), np.zeros_like(lengths)
    for i in np.argsort(-lengths, kind="stable"):
        used, own = filled[0]
        lane[i], offset[i] = own, used
        heapq.heapreplace(filled, (used + int(lengths[i]), own))
    return lane, offset, max(used for used, _ in filled)


def _is_numbers(data: Sequence) -> bool:
    """Whether a list is one sequence of plain numbers or of rows of them."""
    first = data[0] if data else None
    return np.isscalar(first) or (isinstance(first, list) and bool(first) and np.isscalar(first[0]))


def _leaves(data: Any) -> list[Any]:
    if isinstance(data, Mapping):
        return [leaf for part in data.values() for leaf in _leaves(part)]
    if isinstance(data, tuple):
        return [leaf for part in data for leaf in _leaves(part)]
    return [data if hasattr(data, "shape") else tables.plain(data, "x")]


def _n_steps(data: Any) -> int:
    leaf = _leaves(data)[0]
    if np.ndim(leaf) == 0:
        raise ValueError(f"x is {data!r}; a sequence is (t, d), or (t,)")
    return np.shape(leaf)[0]
