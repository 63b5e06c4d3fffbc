"""Rows from arrays that are checked: on the device, and nothing left of what has weight 0."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from jaxem.core import checks

_COPIED = 1 << 25  # bytes of a table that may be there twice


class Rows(NamedTuple):
    """What a model iterates over; the leading axis of every leaf is the unit of independence.

    order: which row of x the weights and labels are of, in turn; None: x lies as they do.
    """

    x: PyTree
    weight: Array  # frequencies, 0 for a row that is absent; (n,) or with further axes
    labels: Array | None  # known components, -1 where unknown
    order: Array | None = None


def as_rows(x: Any, weight: Any, labels: Any) -> Rows:
    x = jax.tree.map(checks.floating, x)
    leaf = jax.tree.leaves(x)[0]
    if weight is None:
        return Rows(x, jax.device_put(np.ones(leaf.shape[0], leaf.dtype)), labels)
    weight = checks.cast(weight, leaf.dtype)
    if not checks.is_concrete(weight):  # no error can be raised: the fit becomes NONFINITE
        weight = jnp.where(weight < 0, jnp.nan, weight)
    return Rows(replace_absent(x, weight), weight, labels)


def slice_rows(rows: Rows, start: Any, size: int) -> Rows:
    """`size` rows from `start` on."""
    return _picked(rows, lambda leaf: lax.dynamic_slice_in_dim(leaf, start, size))


def take_rows(rows: Rows, index: Array) -> Rows:
    """The rows at some places."""
    return _picked(rows, lambda leaf: leaf[index])


def materialize_order(rows: Rows) -> Rows:
    """x copied so that it lies as the weights do."""
    return _picked(rows, lambda leaf: leaf)


def _picked(rows: Rows, of: Callable[[Array], Array]) -> Rows:
    if rows.order is None:
        return jax.tree.map(of, rows)
    own = jax.tree.map(of, rows._replace(x=None))
    gathered = jax.tree.map(lambda leaf: leaf.at[own.order].get(mode="promise_in_bounds"), rows.x)
    return own._replace(x=gathered, order=None)


def reordered(rows: Rows, index: np.ndarray) -> Rows:
    """The rows in another order, of which some may stand in for others.

    A large x is not copied: each block is put together when it is needed.
    """
    order = jnp.asarray(index)
    own = jax.tree.map(lambda leaf: leaf[order], rows._replace(x=None))
    rows = own._replace(x=rows.x, order=order)
    large = sum(leaf.nbytes for leaf in jax.tree.leaves(rows.x)) > _COPIED
    return rows if large else materialize_order(rows)


def replace_absent(x: Any, weight: Float[Array, " n"]) -> Any:
    """x with every row of weight 0 replaced by one that is there: NaN * 0 would be NaN."""
    if checks.is_concrete(weight) and bool(np.all(np.asarray(weight) > 0)):
        return x
    present, live = weight > 0, jnp.argmax(weight)

    def replace(leaf: Array) -> Array:
        mask = jnp.reshape(present, (-1,) + (1,) * (leaf.ndim - 1))
        return jnp.where(mask, leaf, jnp.broadcast_to(leaf[live], leaf.shape))

    return jax.tree.map(replace, x)
