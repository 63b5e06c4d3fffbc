"""Digits that a family may lose: another form that keeps them, or how many are lost."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.family import Family
from jaxem.core.values import Prepared, Statistics


@runtime_checkable
class HasStableForm(Protocol):
    """A family that has a fast way and a slower one that loses fewer digits."""

    def stable_form(self, prepared: Prepared) -> tuple[Array, Prepared] | None: ...


def stable_form(family: Family, prepared: Prepared) -> tuple[Array, Prepared] | None:
    """-> (whether these parameters need it, what is then to be used instead of `prepared`)."""
    return family.stable_form(prepared) if isinstance(family, HasStableForm) else None


FEW = 256  # rows for which the slower way is about as fast, and less to compile


def prepared_for(family: Family, prepared: Prepared, n_rows: int) -> Prepared:
    """`prepared`, or for few rows what never loses digits."""
    stable = stable_form(family, prepared)
    return prepared if stable is None or n_rows > FEW else stable[1]


@runtime_checkable
class LosesDigits(Protocol):
    def rounding(self, statistics: Statistics) -> Float[Array, ""]: ...


def rounding(family: Family, statistics: Statistics) -> Float[Array, ""]:
    """What the log densities that were summed may be off by, in all; 0 where it is no more than
    their sum is."""
    if isinstance(family, LosesDigits):
        return family.rounding(statistics)
    return jnp.zeros((), jax.tree.leaves(statistics)[0].dtype)
