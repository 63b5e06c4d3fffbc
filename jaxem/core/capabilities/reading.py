"""Families that read data in the same way."""

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

from jaxem.core.family import Family


@runtime_checkable
class ReadsLikeOthers(Protocol):
    @property
    def reads_as(self) -> Hashable:
        """Equal for families that make the same arrays of the same data."""
        ...


def reads_as(family: Family) -> Hashable:
    """The family itself, for most."""
    return family.reads_as if isinstance(family, ReadsLikeOthers) else family
