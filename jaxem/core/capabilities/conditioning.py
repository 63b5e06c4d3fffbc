"""Some columns given others, and moments, within each component."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from jaxem.core.family import Family
from jaxem.core.values import Params


@runtime_checkable
class Conditions(Protocol):
    def conditional(self, params: Params, given: dict) -> tuple[Family, Params, Array]:
        """-> (family and parameters of the columns left, log density of those given, (k,)).

        given: values by column, at least one; at least one column is left.
        """
        ...


def conditional(family: Family, params: Params, given: dict) -> tuple[Family, Params, Array]:
    if not isinstance(family, Conditions):
        raise ValueError(f"{family!r} has no columns that could be given")
    return family.conditional(params, given)


@runtime_checkable
class HasMoments(Protocol):
    def moments(self, params: Params) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        """Mean and covariance of each component."""
        ...


def moments(family: Family, params: Params) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
    if not isinstance(family, HasMoments):
        raise ValueError(f"{family!r} does not tell its moments")
    return family.moments(params)
