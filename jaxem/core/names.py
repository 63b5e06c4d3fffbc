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


def of_parts(model: Any, between: str = "_") -> tuple[str, ...]:
    """Of a model's components or states, and of what is beside them: "component_0", "noise"."""
    numbered = (f"{model.part}{between}{i}" for i in range(model.n_components))
    return tuple(model.names or numbered) + ("noise",) * model.n_beside


def read(given: Any, n: int, taken: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """Names of n components or states as a person has them; ValueError unless each has its own."""
    if given is None:
        return None
    found = () if isinstance(given, str) else tuple(given)
    text = all(isinstance(one, str) and one for one in found)
    if not text or len(found) != n or len({*found, *taken}) != n + len(taken):
        beside = f", none of them {', '.join(map(repr, taken))}" if taken else ""
        raise ValueError(f"names is {given!r}; give {n} different names{beside}")
    return found


def spec(of: Any) -> str:
    """A frozen dataclass as one writes it: fields that have their default are left out."""
    given = [
        f"{field.name}={getattr(of, field.name)!r}"
        for field in fields(of)
        if field.default is MISSING or getattr(of, field.name) != field.default
    ]
    return f"{type(of).__name__}({', '.join(given)})"
