"""Rows from arrays that are checked: on the device, and nothing left of what has weight 0."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from jaxem.core import checks, placement

_COPIED = 1 << 25  # bytes of a table that may be there twice


class Rows(NamedTuple):
    """What a model iterates over. The axes of `weight` come first in every leaf of x.

    They are (n,) for rows; (m, s) for m tiles of s rows with the same holes; (t, n) for the steps
    of n lanes of sequences. Rows, tiles and lanes are the units that are independent of each other.

    order: which row of x the weights are of, in turn; None: x lies as they do.
    observed: of which rows a number is there; None: of all.
    first: at which steps sequences begin; None: there are none.
    shards: `Shards` of rows that lie over several devices.
    covariates: what the weights of the components depend on, as x; None: nothing.
    """

    x: PyTree
    weight: Array  # frequencies, 0 for a row that is absent
    labels: Array | None  # known components, -1 where unknown
    order: Array | None = None
    observed: Any = None
    first: Any = None
    shards: Any = None
    covariates: Any = None

    @property
    def axis(self) -> int:
        """Along which the units lie."""
        return 0 if self.first is None else 1

    @property
    def n_units(self) -> int:
        return self.weight.shape[self.axis]


def as_rows(x: Any, weight: Any, labels: Any, observed: Any = None) -> Rows:
    """Plain rows."""
    x = jax.tree.map(checks.floating, x)
    leaf = jax.tree.leaves(x)[0]
    if weight is None:
        weight = jax.device_put(np.ones(leaf.shape[0], leaf.dtype))
        return Rows(x, weight, labels, observed=observed)
    weight = checks.cast(weight, leaf.dtype)
    if not checks.is_concrete(weight):  # no error can be raised: the fit becomes NONFINITE
        weight = jnp.where(weight < 0, jnp.nan, weight)
    return Rows(replace_absent(x, weight), weight, labels, observed=observed)


def informative(rows: Rows) -> Array:
    """Which rows carry information: observed, or of a known component."""
    if rows.observed is None:
        return jnp.ones(rows.weight.shape, bool)
    return rows.observed if rows.labels is None else rows.observed | (rows.labels >= 0)


def informative_weight(rows: Rows) -> Array:
    """The weights of informative rows, 0 for the others: the N of BIC is their sum."""
    return rows.weight if rows.observed is None else jnp.where(informative(rows), rows.weight, 0)


def observed_weight(rows: Rows) -> Array:
    """The weights of the rows that are observed, 0 for the others."""
    return rows.weight if rows.observed is None else jnp.where(rows.observed, rows.weight, 0)


def flat(tree: PyTree, n_axes: int) -> PyTree:
    """With the first axes of every leaf merged; shapes and dtypes stay shapes and dtypes."""

    def merged(leaf: Any) -> Any:
        shape = math.prod(leaf.shape[:n_axes]), *leaf.shape[n_axes:]
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(shape, leaf.dtype)
        return jnp.reshape(leaf, shape)

    return jax.tree.map(merged, tree)


def slice_units(rows: Rows, start: Any, size: int, vectors: bool = False) -> Rows:
    """`size` units from `start` on.

    vectors: tables are taken as one long vector, which lies in one way: where the block is wanted
    in columns, XLA would lay out the whole table so, a copy of it.
    """

    def of(leaf: Array) -> Array:
        width = leaf.size // leaf.shape[0]
        if not vectors or rows.axis or width == 1 or leaf.size >= 1 << 32:
            return lax.dynamic_slice_in_dim(leaf, start, size, rows.axis)
        first = jnp.asarray(start).astype(jnp.uint32) * jnp.uint32(width)
        vector = lax.optimization_barrier(jnp.reshape(leaf, -1))  # which XLA does not undo
        own = lax.dynamic_slice_in_dim(vector, first, size * width)
        return jnp.reshape(own, (size, *leaf.shape[1:]))

    return _picked(rows, of)


def take_rows(rows: Rows, index: Array) -> Rows:
    """Plain rows: those at some places of rows, or of tiles end to end."""
    of_tile = jnp.unravel_index(index, rows.weight.shape)
    return _picked(rows, lambda leaf: leaf[of_tile])


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
    """The plain rows at `index`, in its shape; a row may appear more than once.

    A large x is not copied: each block is put together when it is needed.
    """
    order = jnp.asarray(index)
    own = jax.tree.map(lambda leaf: leaf[order], rows._replace(x=None))
    rows = own._replace(x=rows.x, order=order)
    large = sum(leaf.nbytes for leaf in jax.tree.leaves(rows.x)) > _COPIED
    return rows if large else materialize_order(rows)


def replace_absent(x: Any, weight: Float[Array, " n"]) -> Any:
    """x with every row of weight 0 replaced by one that is there: NaN * 0 would be NaN."""
    if checks.is_concrete(weight) and bool((placement.in_place(weight) > 0).all()):
        return x
    on_host = all(map(placement.on_one_cpu, jax.tree.leaves((x, weight))))
    numpy: Any = np if on_host else jnp  # of which nothing compiles
    own = placement.in_place(weight) if on_host else weight
    present, live = own > 0, numpy.argmax(own)

    def replace(leaf: Any) -> Any:
        leaf = placement.in_place(leaf) if on_host else leaf
        mask = numpy.reshape(present, (-1,) + (1,) * (leaf.ndim - 1))
        found = numpy.where(mask, leaf, numpy.broadcast_to(leaf[live], leaf.shape))
        return jax.device_put(found) if on_host else found

    return jax.tree.map(replace, x)
