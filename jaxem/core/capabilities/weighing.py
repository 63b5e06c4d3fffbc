"""Rows that count for less, the further out they are."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, PyTree

from jaxem.core.family import Family
from jaxem.core.values import Prepared


@runtime_checkable
class WeighsRows(Protocol):
    def row_weights(self, prepared: Prepared, x: PyTree) -> Float[Array, "k n"]:
        """What each row counts for in the estimate of each component, about 1 for most."""
        ...


def weighing(family: Family) -> WeighsRows:
    """The family itself; ValueError for one in which all rows count alike."""
    if not isinstance(family, WeighsRows):
        raise ValueError(
            f"{family!r} has no weights of rows: they are of families.StudentT "
            "and families.ContaminatedNormal"
        )
    return family
