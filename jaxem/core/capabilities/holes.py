"""Rows of which some cells were not observed."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxem.core import checks
from jaxem.core.family import Family
from jaxem.core.rows import flat


@runtime_checkable
class SortsHoles(Protocol):
    """A family whose work on a row is shared by rows with the same holes."""

    def with_holes(self) -> Family:
        """The same family for rows with NaN where a cell was not observed."""
        ...

    def missing_mask(self, x: PyTree) -> Any:
        """Host side: (n, c) bool, the holes that rows alike in which share work on; None: none."""
        ...

    def flatten_tiles(self, x: PyTree) -> PyTree:
        """x of tiles, (m, s, ...), with one axis for rows but where tiles are made use of."""
        ...

    def joined(self, parts: Sequence[PyTree]) -> PyTree:
        """Host side: what was read in parts, as the rows of one table."""
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
    return jax.tree.map(checks.end_to_end, *parts)


@runtime_checkable
class TellsByPart(Protocol):
    """A family for which not every number of a row tells something."""

    def informative(self, x: PyTree) -> Any: ...


def informative(family: Family, x: PyTree) -> Any:
    """Which rows of x, as it was read, tell anything, (n,): those with a number in them.

    On the host for NumPy arrays. The others have a density of 1, and are none of the N of BIC.
    """
    return family.informative(x) if isinstance(family, TellsByPart) else any_number(x)


def observed(family: Family, x: PyTree) -> Any:
    """`informative`, as rows have it: None where every row tells something."""
    if family != with_holes(family):  # for whole rows
        return None
    found = informative(family, x)
    if checks.is_concrete(found):
        return None if checks.in_place(found).all() else jax.device_put(found)
    return found


def any_number(x: PyTree) -> Any:
    def seen(leaf: Any) -> Any:
        numpy = checks.numpy_of(leaf)
        return ~numpy.all(numpy.isnan(leaf.reshape(leaf.shape[0], -1)), axis=1)

    leaves = jax.tree.leaves(x)
    numbers = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return reduce(or_, map(seen, numbers))
