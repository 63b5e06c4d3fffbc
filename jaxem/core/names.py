"""What numbers of parameters are called: "components.means[0, 1]"."""

from typing import Any

import jax
import numpy as np


def name(path: Any, at: Any = ()) -> str:
    """path: of a leaf, as `jax.tree_util` gives it; at: the index of a number in it."""
    return jax.tree_util.keystr(path).lstrip(".") + (str(list(map(int, at))) if len(at) else "")


def names(tree: Any) -> tuple[str, ...]:
    """Of all numbers, in the order of the tree."""
    return tuple(
        name(path, at)
        for path, leaf in jax.tree.leaves_with_path(tree)
        for at in np.ndindex(np.shape(leaf))
    )
