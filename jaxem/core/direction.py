"""Vectors of length 1: where the directions of components may lie."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.constraints import Constraint, require_whole

UNIT = 1e-3  # how far from 1 a length may be


def unit(x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """Vectors of length 1 in these directions; the first axis where there is none."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    some = largest > 0
    first = jnp.zeros_like(x).at[..., 0].set(1)
    scaled = jnp.where(some, x / jnp.where(some, largest, 1), first)
    return scaled / jnp.sqrt(jnp.sum(scaled**2, axis=-1, keepdims=True))


def require_unit(value: Any, name: str) -> None:
    """ValueError for concrete rows whose length is not 1."""
    if checks.is_concrete(value):
        length = np.sqrt(np.sum(np.asarray(value, float) ** 2, axis=-1))
        for at in np.argwhere(~(np.abs(length - 1) < UNIT))[:1]:
            raise ValueError(
                f"{name}{at.tolist()} has length {length[tuple(at)]:.6g}; give vectors of length "
                "1, each divided by its length"
            )


@dataclass(frozen=True)
class Direction(Constraint):
    """Vectors of length 1 along the last axis; coordinates any vector of that direction."""

    def check(self, value: Any, name: str) -> None:
        require_unit(value, name)

    def check_fixed(self, fixed: Any, name: str) -> None:
        free = np.isnan(fixed)
        require_whole(free, -1, name)
        require_unit(fixed[~free.any(axis=-1)], name)

    def to_unconstrained(self, value: Float[Array, "*k d"]) -> Float[Array, "*k d"]:
        return value

    def from_unconstrained(self, coordinate: Float[Array, "*k d"]) -> Float[Array, "*k d"]:
        return unit(coordinate)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        """Of each vector one number follows from the others, up to its sign."""
        free = jnp.isnan(fixed[..., 1:]) & self.by_component(active, fixed)
        return jnp.sum(free, dtype=jnp.int32)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        """The others keep their ratios; NaN where there is no such vector."""
        *component, i = index
        row = value[*component].at[i].set(0)
        rest = jnp.sqrt(1 - number**2) / jnp.sqrt(jnp.sum(row**2))
        return value.at[*component].set((row * rest).at[i].set(number))
