"""Families with hidden numbers beside the labels, in which the M-step goes further than EM's.

The expanded parameters (Liu, Rubin and Wu 1998) change what the E-step said of those numbers: sums
of E-steps at several parameters cannot follow.
"""

from typing import Protocol, runtime_checkable

from jaxem.core.family import Family


@runtime_checkable
class Expands(Protocol):
    @property
    def expands(self) -> bool: ...


def expands(family: Family) -> bool:
    return isinstance(family, Expands) and family.expands
