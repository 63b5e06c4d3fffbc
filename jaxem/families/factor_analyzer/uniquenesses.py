"""The variances of the columns' own: of each component, of all together, or one of a component."""

import abc
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.constraints import Constraint, Variance
from jaxem.core.numerics import safe_divide

LEAST = 1e-8  # of the variance of the column


class Uniquenesses(abc.ABC):
    """How they are stored, and their estimate from the squares that the factors leave."""

    constraint: ClassVar[Constraint] = Variance()

    @abc.abstractmethod
    def each(self, stored: Any, k: int, d: int) -> Float[Array, "k d"]:
        """Of each column in each component."""

    @abc.abstractmethod
    def stored(self, each: Float[Array, "k d"], rows: Float[Array, " k"]) -> Array:
        """The mean of those that are one, weighted by rows."""

    @abc.abstractmethod
    def select(self, active: Array, new: Array, old: Array) -> Array:
        """`new` for active components, `old` for absent ones."""


class Free(Uniquenesses):
    """(k, d)"""

    def each(self, stored: Any, k: int, d: int) -> Float[Array, "k d"]:
        return stored

    def stored(self, each: Float[Array, "k d"], rows: Float[Array, " k"]) -> Float[Array, "k d"]:
        return each

    def select(self, active: Array, new: Array, old: Array) -> Array:
        return jnp.where(active[:, None], new, old)


class Shared(Uniquenesses):
    """(d,)"""

    constraint: ClassVar[Constraint] = Variance(shared=True)

    def each(self, stored: Any, k: int, d: int) -> Float[Array, "k d"]:
        return jnp.broadcast_to(stored, (k, d))

    def stored(self, each: Float[Array, "k d"], rows: Float[Array, " k"]) -> Float[Array, " d"]:
        share = safe_divide(rows, jnp.broadcast_to(jnp.sum(rows), rows.shape))
        return jnp.sum(share[:, None] * each, axis=0)

    def select(self, active: Array, new: Array, old: Array) -> Array:
        return jnp.where(jnp.any(active), new, old)


class Isotropic(Uniquenesses):
    """(k,): with one component, probabilistic principal components (Tipping and Bishop 1999)."""

    def each(self, stored: Any, k: int, d: int) -> Float[Array, "k d"]:
        return jnp.broadcast_to(stored[:, None], (k, d))

    def stored(self, each: Float[Array, "k d"], rows: Float[Array, " k"]) -> Float[Array, " k"]:
        return jnp.mean(each, axis=1)

    def select(self, active: Array, new: Array, old: Array) -> Array:
        return jnp.where(active, new, old)


KINDS: dict[str, Uniquenesses] = {"free": Free(), "shared": Shared(), "isotropic": Isotropic()}
