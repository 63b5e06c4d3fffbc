"""Filling cells that were not observed, within one component."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxem.core.family import Family
from jaxem.core.values import Params


@runtime_checkable
class Imputes(Protocol):
    def check_imputable(self) -> None:
        """ValueError for a family that allows no missing cells."""
        ...

    def impute_mean(self, params: Params, x: PyTree, shares: Float[Array, "k n"]) -> PyTree:
        """Of x, as it was read, the cells, with E[hole | what was observed] in the holes.

        shares: P(component | row).
        """
        ...


def imputes(family: Family) -> Imputes:
    """The family itself; ValueError for one that allows no missing cells."""
    if not isinstance(family, Imputes):
        raise ValueError(f"{family!r} observes its rows whole: there are no holes to fill")
    return family


@runtime_checkable
class ImputesByDraw(Protocol):
    def impute_draw(
        self, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
    ) -> PyTree: ...


def impute_draw(
    family: Family, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
) -> PyTree:
    """The cells of x, with holes drawn from component labels[i] given the rest of row i."""
    if isinstance(family, ImputesByDraw):
        return family.impute_draw(key, params, x, labels)
    rows = family.sample(key, params, labels)  # columns are independent given the component
    return jax.tree.map(lambda row, x: jnp.where(jnp.isnan(x), row, x), rows, x)
