"""How much an E-step makes of a row."""

from typing import Protocol, runtime_checkable

import jax
from jaxtyping import PyTree

from jaxem.core.family import Family


@runtime_checkable
class CountsNumbers(Protocol):
    def numbers_per_row(self, x: PyTree, k: int) -> int: ...


@runtime_checkable
class CountsStableNumbers(Protocol):
    def stable_numbers_per_row(self, x: PyTree, k: int) -> int: ...


def numbers_per_row(family: Family, x: PyTree, k: int, stable: bool = False) -> int:
    """About how many numbers an E-step makes of each row: blocks are sized by it.

    stable: of the form that loses no digits, see `digits`.
    """
    if stable and isinstance(family, CountsStableNumbers):
        return family.stable_numbers_per_row(x, k)
    if isinstance(family, CountsNumbers):
        return family.numbers_per_row(x, k)
    leaves = jax.tree.leaves(x)
    return k * (2 + sum(leaf.size // leaf.shape[0] for leaf in leaves))
