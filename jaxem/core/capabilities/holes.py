"""Rows of which some cells were not observed."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxem.core import checks, placement
from jaxem.core.family import Family
from jaxem.core.rows import flat


@runtime_checkable
class SortsHoles(Protocol):
    """A family that shares work between rows with the same missing cells."""

    def with_holes(self) -> Family:
        """The same family for rows with NaN where a cell was not observed."""
        ...

    def missing_mask(self, x: PyTree) -> Any:
        """(n, c) bool, the missing cells by which rows are grouped; None where none matter."""
        ...

    def flatten_tiles(self, x: PyTree) -> PyTree:
        """x of tiles, (m, s, ...), as plain rows wherever the family does not use tiles."""
        ...

    def joined(self, parts: Sequence[PyTree]) -> PyTree:
        """Host side: parts that were read separately, one after the other."""
        ...


def with_holes(family: Family) -> Family:
    return family.with_holes() if isinstance(family, SortsHoles) else family


def missing_mask(family: Family, x: PyTree) -> Any:
    return family.missing_mask(x) if isinstance(family, SortsHoles) else None


def flatten_tiles(family: Family, x: PyTree) -> PyTree:
    if isinstance(family, SortsHoles):
        return family.flatten_tiles(x)
    return flat(x, 2)


def joined(family: Family, parts: Sequence[PyTree]) -> PyTree:
    if isinstance(family, SortsHoles):
        return family.joined(parts)
    return jax.tree.map(placement.end_to_end, *parts)


@runtime_checkable
class TellsByPart(Protocol):
    """A family in which not every number of a row is an observation: regressors are none."""

    def informative(self, x: PyTree) -> Any: ...


def informative(family: Family, x: PyTree) -> Any:
    """Which rows of x, as it was read, carry information, (n,): those with an observed number.

    The others have a density of 1, and do not count in the N of BIC.
    """
    return family.informative(x) if isinstance(family, TellsByPart) else any_number(x)


def observed(family: Family, x: PyTree) -> Any:
    """`informative` as `Rows.observed` has it: None where it holds for every row."""
    if family != with_holes(family):  # for whole rows
        return None
    found = informative(family, x)
    if checks.is_concrete(found):
        return None if placement.in_place(found).all() else jax.device_put(found)
    return found


def any_number(x: PyTree) -> Any:
    def seen(leaf: Any) -> Any:
        numpy = placement.numpy_of(leaf)
        return ~numpy.all(numpy.isnan(leaf.reshape(leaf.shape[0], -1)), axis=1)

    leaves = jax.tree.leaves(x)
    numbers = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return reduce(or_, map(seen, numbers))
