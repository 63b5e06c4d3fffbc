"""Parameters that are known: a tree like theirs with the known numbers, NaN where they are free."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from jaxem.core import checks


def read(value: Any, like: PyTree, what: str = "held") -> PyTree:
    """Host side: as a person gives it -> arrays like `like`.

    None stands for a part of the tree that is free as a whole.
    """

    def whole(part: Any) -> bool:
        return part is None or isinstance(part, list)

    try:
        parts = jax.tree.broadcast(value, like, is_leaf=whole)
    except ValueError:
        raise ValueError(
            f"{what} is {value!r}; give a tree like the parameters, {jax.tree.structure(like)}, "
            "with None for parts that are free"
        ) from None

    def array(path: Any, like: Any, part: Any) -> Array:
        name = f"{what}{jax.tree_util.keystr(path)}"
        if part is None:
            return jnp.full(like.shape, jnp.nan, like.dtype)
        checks.numbers(part, name)
        if np.asarray(part).dtype == bool if checks.is_concrete(part) else part.dtype == bool:
            raise ValueError(
                f"{name} holds True and False; give the known numbers, NaN where they are free: "
                "jnp.where(mask, params, jnp.nan)"
            )
        if np.shape(part) != like.shape:
            raise ValueError(f"{name} has shape {np.shape(part)}, expected {like.shape}")
        if checks.is_concrete(part) and np.isinf(np.asarray(part)).any():
            raise ValueError(f"{name} holds infinite values")
        return checks.cast(part, like.dtype)

    return jax.tree.map_with_path(array, like, parts, is_leaf=lambda leaf: leaf is None)


def hold(params: PyTree, held: PyTree) -> PyTree:
    """The parameters with the known numbers in their places."""
    return jax.tree.map(lambda p, known: jnp.where(jnp.isnan(known), p, known), params, held)


def hold_probabilities(
    p: Float[Array, "*batch k"], held: Float[Array, "*batch k"]
) -> Float[Array, "*batch k"]:
    """Probabilities along the last axis: the free ones share what the known ones leave."""
    free = jnp.isnan(held)
    known = jnp.where(free, 0, held)
    rest = 1 - jnp.sum(known, axis=-1, keepdims=True)
    own = jnp.where(free, p, 0)
    own = jnp.where(jnp.sum(own, axis=-1, keepdims=True) > 0, own, free.astype(p.dtype))
    total = jnp.sum(own, axis=-1, keepdims=True)
    return jnp.where(free, own * rest / jnp.where(total > 0, total, 1), known)


def check_probabilities(held: Any, what: str) -> None:
    """Host side: ValueError for known numbers that are none of a distribution's, (k,)."""
    if not checks.is_concrete(held):
        return
    values = np.asarray(held)
    some = values[~np.isnan(values)]
    total = some.sum()
    if (some < 0).any() or total > 1 + 1e-3 or (len(some) == len(values) and total < 1 - 1e-3):
        raise ValueError(f"{what} is {values}; probabilities are from 0 and add up to 1")


def marks(held: Float[Array, "*shape"], live: Bool[Array, " k"] | None = None) -> Array:
    """Which numbers are known, of the components that are there."""
    known = ~jnp.isnan(held)
    if live is None:
        return known
    return known & jnp.reshape(live, (-1,) + (1,) * (held.ndim - 1))


def count(held: PyTree, live: Bool[Array, " k"]) -> Array:
    """How many numbers are known of the components that are there."""
    leaves = jax.tree.leaves(held)
    return sum((jnp.sum(marks(leaf, live), dtype=jnp.int32) for leaf in leaves), jnp.int32(0))


def count_probabilities(held: Float[Array, "k c"], live: Bool[Array, " k"]) -> Array:
    """The same of distributions over c: the last number of each follows from the others."""
    known = jnp.sum(marks(held, live), axis=1, dtype=jnp.int32)
    return jnp.sum(jnp.minimum(known, held.shape[1] - 1), dtype=jnp.int32)


def every(held: PyTree) -> Bool[Array, " k"]:
    """Which components are known as a whole."""
    each = [jnp.all(marks(leaf), axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(held)]
    return jnp.all(jnp.stack(each), axis=0)
