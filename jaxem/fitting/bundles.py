"""A tree of arrays as a few arrays: small ones of one dtype are joined in one vector.

Each array that a loop carries is copied, selected and sliced by a kernel of its own, which costs
more than its few numbers do, and has to be compiled; the state of a start is some twenty arrays.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

_SMALL = 1 << 12  # numbers; larger arrays stay by themselves


def bundle(tree: PyTree) -> list[Array]:
    leaves = jax.tree.leaves(tree)
    vectors = [
        jnp.concatenate([jnp.reshape(leaves[i], -1) for i in own]) for own in _groups(leaves)
    ]
    return vectors + [leaf for leaf in leaves if leaf.size > _SMALL]


def unbundle(arrays: list[Array], like: PyTree) -> PyTree:
    """The way back; like: the tree, or shapes and dtypes in its place."""
    leaves, structure = jax.tree.flatten(like)
    groups, found = _groups(leaves), {}
    for vector, own in zip(arrays, groups, strict=False):
        ends = np.cumsum([leaves[i].size for i in own])[:-1]
        parts = jnp.split(vector, ends)
        found |= {i: jnp.reshape(part, leaves[i].shape) for i, part in zip(own, parts, strict=True)}
    large = iter(arrays[len(groups) :])
    whole = (found[i] if i in found else next(large) for i in range(len(leaves)))
    return jax.tree.unflatten(structure, whole)


def select(which: Array, new: PyTree, old: PyTree) -> PyTree:
    """The one tree or the other."""
    pairs = zip(bundle(new), bundle(old), strict=True)
    return unbundle([jnp.where(which, a, b) for a, b in pairs], old)


def _groups(leaves: list[Any]) -> list[list[int]]:
    """The places of small leaves, by their dtype."""
    by_dtype: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        if leaf.size <= _SMALL:
            by_dtype.setdefault(leaf.dtype, []).append(i)
    return list(by_dtype.values())
