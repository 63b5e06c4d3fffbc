"""What numbers of parameters are called: "components.means[0, 1]"."""

from dataclasses import MISSING, fields
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


def spec(of: Any) -> str:
    """A frozen dataclass as one writes it: fields that have their default are left out."""
    given = [
        f"{field.name}={getattr(of, field.name)!r}"
        for field in fields(of)
        if field.default is MISSING or getattr(of, field.name) != field.default
    ]
    return f"{type(of).__name__}({', '.join(given)})"
