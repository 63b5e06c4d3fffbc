"""A tree of arrays as a few arrays: small ones of one dtype are joined in one vector.

Each array that a loop carries is copied, selected and sliced by a kernel of its own, which costs
more than its few numbers do, and has to be compiled; the state of a start is some twenty arrays.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

_SMALL = 1 << 12  # numbers; larger arrays stay by themselves


@dataclass(frozen=True)
class Layout:
    """A tree's structure, and the shapes and dtypes of its leaves."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bundle:
    """A tree as few arrays; `layout` is that of the tree, before which the arrays may have axes."""

    arrays: Any
    layout: Layout = field(metadata={"static": True})

    @property
    def tree(self) -> PyTree:
        """The way back: of NumPy arrays as views of them."""
        groups, large = _groups(self.layout)
        shapes, found = self.layout.shapes, {}
        for vector, own in zip(self.arrays, groups, strict=False):
            numbers = [int(np.prod(shapes[i])) for i in own]
            if isinstance(vector, np.ndarray):
                parts = np.split(vector, np.cumsum(numbers)[:-1], axis=-1)
            else:
                parts = lax.split(vector, numbers, axis=vector.ndim - 1)
            for i, part in zip(own, parts, strict=True):
                found[i] = part.reshape((*vector.shape[:-1], *shapes[i]))
        found |= dict(zip(large, self.arrays[len(groups) :], strict=True))
        return jax.tree.unflatten(self.layout.structure, [found[i] for i in range(len(shapes))])


def bundle(tree: PyTree, n_axes: int = 0) -> Bundle:
    """The tree; its leaves have n_axes in common before their own. On the host where they are."""
    leaves, structure = jax.tree.flatten(tree)
    layout = Layout(
        structure,
        tuple(leaf.shape[n_axes:] for leaf in leaves),
        tuple(np.dtype(leaf.dtype) for leaf in leaves),
    )
    groups, large = _groups(layout)
    xp = np if all(isinstance(leaf, np.ndarray) for leaf in leaves) else jnp

    def vector(own: list[int]) -> Any:
        flat = [leaves[i].reshape((*leaves[i].shape[:n_axes], -1)) for i in own]
        return flat[0] if len(flat) == 1 else xp.concatenate(flat, axis=n_axes)

    return Bundle([vector(own) for own in groups] + [leaves[i] for i in large], layout)


def select(which: Array, new: PyTree, old: PyTree) -> PyTree:
    """The one tree or the other."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), bundle(new), bundle(old)).tree


@cache
def _groups(layout: Layout) -> tuple[list[list[int]], list[int]]:
    """The places of small leaves, by their dtype, and of large ones."""
    by_dtype: dict[Any, list[int]] = {}
    large = []
    for i, (shape, dtype) in enumerate(zip(layout.shapes, layout.dtypes, strict=True)):
        if np.prod(shape) <= _SMALL:
            by_dtype.setdefault(dtype, []).append(i)
        else:
            large.append(i)
    return list(by_dtype.values()), large
