"""Where a start looks for components."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, PyTree

from jaxem.core.family import Family
from jaxem.core.values import Params


@runtime_checkable
class HasCoordinates(Protocol):
    def coordinates(self, x: PyTree) -> Float[Array, "n p"]:
        """x as points between which a distance has a meaning: where k-means looks for starts."""
        ...


def coordinates(family: Family, x: PyTree) -> Float[Array, "n p"]:
    return family.coordinates(x) if isinstance(family, HasCoordinates) else x


@runtime_checkable
class LabelsByFewRows(Protocol):
    def labelled(
        self, key: Array, pooled: Params, x: PyTree, weight: Array, odds: Float[Array, "k n"]
    ) -> Int[Array, " n"] | None:
        """Labels of rows for a start, by components that a few rows each determine.

        odds: by which those of each component are drawn, none for an absent one.
        """
        ...


def labelled(
    family: Family,
    key: Array,
    pooled: Params,
    x: PyTree,
    weight: Array,
    odds: Float[Array, "k n"],
) -> Int[Array, " n"] | None:
    """None where rows of one component lie together, and k-means finds them."""
    if not isinstance(family, LabelsByFewRows):
        return None
    return family.labelled(key, pooled, x, weight, odds)


@runtime_checkable
class SetsOutElsewhere(Protocol):
    def first(self, pooled: Params, x: PyTree, responsibilities: Float[Array, "k n"]) -> Params:
        """The parameters that a start's first M-step sets out from."""
        ...


def first(
    family: Family, pooled: Params, x: PyTree, responsibilities: Float[Array, "k n"]
) -> Params:
    """The pooled fit, for most."""
    if not isinstance(family, SetsOutElsewhere):
        return pooled
    return family.first(pooled, x, responsibilities)


@runtime_checkable
class HasOptimaOfOne(Protocol):
    @property
    def unimodal(self) -> bool:
        """Whether the likelihood of one component has one maximum; else its starts differ."""
        ...


def unimodal(family: Family) -> bool:
    return family.unimodal if isinstance(family, HasOptimaOfOne) else True
