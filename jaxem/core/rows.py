"""Rows from arrays that are checked: on the device, and nothing left of what has weight 0."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxem.core import checks


class Rows(NamedTuple):
    """What a model iterates over; the leading axis of every leaf is the unit of independence."""

    x: PyTree
    weight: Array  # frequencies, 0 for a row that is absent; (n,) or with further axes
    labels: Array | None  # known components, -1 where unknown


def as_rows(x: Any, weight: Any, labels: Any) -> Rows:
    x = jax.tree.map(checks.floating, x)
    leaf = jax.tree.leaves(x)[0]
    if weight is None:
        return Rows(x, checks.cast(np.ones(leaf.shape[0]), leaf.dtype), labels)
    weight = checks.cast(weight, leaf.dtype)
    if not checks.is_concrete(weight):  # no error can be raised: the fit becomes NONFINITE
        weight = jnp.where(weight < 0, jnp.nan, weight)
    return Rows(replace_absent(x, weight), weight, labels)


def replace_absent(x: Any, weight: Float[Array, " n"]) -> Any:
    """x with every row of weight 0 replaced by one that is there: NaN * 0 would be NaN."""
    if checks.is_concrete(weight) and bool(np.all(np.asarray(weight) > 0)):
        return x
    present, live = weight > 0, jnp.argmax(weight)

    def replace(leaf: Array) -> Array:
        mask = jnp.reshape(present, (-1,) + (1,) * (leaf.ndim - 1))
        return jnp.where(mask, leaf, jnp.broadcast_to(leaf[live], leaf.shape))

    return jax.tree.map(replace, x)
