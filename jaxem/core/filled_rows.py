"""Rows filled up to a few sizes with rows of weight 0: programs are compiled by size.

One row more or less would compile everything anew, and so would each fold of a cross-validation.
On a CPU, for tables for which compiling takes as long as fitting.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import checks, placement
from jaxem.core.rows import Rows

_SMALL, _MOST = 1 << 13, 1 << 20  # numbers of a table
_LEAST = 8  # rows
_STEPS = 1 << 14  # longer sequences are cut in blocks of time
_COARSE, _FINE = 3, 5  # bits of a size below its first: sizes grow by 1/8 at most, and by 1/32


def size(n: int, n_numbers: int, least: int = _LEAST) -> int:
    """The rows to which n of them are filled up; n_numbers: of the table."""
    if n_numbers > _MOST:
        return n
    bits = _COARSE if n_numbers <= _SMALL else _FINE
    step = max(least, 1 << max(0, (n - 1).bit_length() - bits - 1))
    return -(-n // step) * step


def filled(rows: Rows) -> Rows:
    """The rows with units of weight 0 after them: copies of the first."""
    if not checks.is_concrete(rows) or not all(map(placement.on_one_cpu, jax.tree.leaves(rows))):
        return rows
    n_numbers = sum(leaf.size for leaf in jax.tree.leaves(rows.x))
    n = rows.weight.shape[0]
    if rows.first is None:
        return longer(rows, 0, size(n, n_numbers))
    if n <= _STEPS:
        rows = longer(rows, 0, size(n, n_numbers))
    return longer(rows, 1, size(rows.n_units, n_numbers, least=1))


def unfilled(values: Any, rows: Rows, last: bool = False) -> Any:
    """Values with the axes of filled rows' weight first, or last, of the rows themselves."""
    shape = rows.weight.shape
    had = values.shape[-len(shape) :] if last else values.shape[: len(shape)]
    there: tuple[Any, ...] = tuple(slice(n) for n in shape)
    there = (..., *there) if last else there
    if not checks.is_concrete(values):
        return values[there]
    if had == shape:
        return jax.device_put(values)
    return jax.device_put(np.asarray(values)[there])  # nothing compiles


def longer(rows: Rows, axis: int, n: int) -> Rows:
    """The rows with n units, or steps, along the axis: by NumPy where they are no tracers."""
    had = rows.weight.shape[axis]
    if n == had:
        return rows
    index = np.where(np.arange(n) < had, np.arange(n), 0)
    new = np.arange(n) >= had
    xp: Any = np if checks.is_concrete(rows) else jnp

    def taken(leaf: Any) -> Any:
        return xp.take(xp.asarray(leaf), index, axis)

    own = jax.tree.map(taken, rows if rows.order is None else rows._replace(x=None))
    absent = np.expand_dims(new, [i for i in range(own.weight.ndim) if i != axis])
    own = own._replace(
        x=own.x if rows.order is None else rows.x,
        weight=xp.where(absent, own.weight.dtype.type(0), own.weight),
        first=None if own.first is None else own.first | absent,
    )
    return jax.device_put(own)
