"""Inputs are the caller's: when a verb returns, nothing reads what a person may change.

On a CPU JAX computes on a NumPy array where it lies, and returns before it is done. The data, which
may fill the memory, is not copied for that: a verb that was given arrays of the host waits for its
result. What is small and may be a part of the result, such as parameters, is copied at the door
(`checks.cast`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from jaxem.core import checks, frames

P = ParamSpec("P")
R = TypeVar("R")


def waits(verb: Callable[P, R]) -> Callable[P, R]:
    """The public verb, which returns when it is done with its inputs."""

    @functools.wraps(verb)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        given = args, kwargs
        if not any(map(_may_change, checks.leaves(given))):
            return verb(*args, **kwargs)
        if checks.is_concrete(given):
            return jax.block_until_ready(verb(*args, **kwargs))
        args, kwargs = owned(given)  # what is traced ends after the verb: no waiting for it
        return verb(*args, **kwargs)

    return waiting


def owned(tree: Any) -> Any:
    """The tree with copies of NumPy arrays and frames; read-only arrays stay as they are."""

    def copied(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return leaf.copy() if leaf.flags.writeable else leaf
        return frames.cloned(leaf)

    return jax.tree.map(copied, tree)


def _may_change(leaf: Any) -> bool:
    return not (isinstance(leaf, jax.Array) or np.isscalar(leaf) or dataclasses.is_dataclass(leaf))
