"""Regressors that lie far from 0: read from an origin of their own, where no digits are lost."""

from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import PyTree

from jaxem.core import checks
from jaxem.core.family import Family
from jaxem.core.values import Params


@runtime_checkable
class MeasuresFromPivot(Protocol):
    def measured(self, x: PyTree, weight: Any) -> PyTree:
        """x, checked, as the steps take it: from an origin of its own where it lies far from 0."""
        ...

    def given(self, x: PyTree) -> PyTree:
        """The numbers of x, as the steps take it, as they were given."""
        ...

    def at_pivot(self, params: Params, x: PyTree) -> Params:
        """A linear map of parameters, or of changes of them, to parameters that x determines well:
        the values of the lines at the pivot in the place of those at 0."""
        ...

    def from_pivot(self, params: Params, x: PyTree) -> Params:
        """The way back."""
        ...


def measured(family: Family, x: PyTree, weight: Any) -> PyTree:
    return family.measured(x, weight) if isinstance(family, MeasuresFromPivot) else x


def given(family: Family, x: PyTree) -> PyTree:
    return family.given(x) if isinstance(family, MeasuresFromPivot) else x


def at_pivot(family: Family, params: Params, x: PyTree) -> Params:
    return family.at_pivot(params, x) if isinstance(family, MeasuresFromPivot) else params


def from_pivot(family: Family, params: Params, x: PyTree) -> Params:
    return family.from_pivot(params, x) if isinstance(family, MeasuresFromPivot) else params


def n_columns(family: Family, x: PyTree) -> int:
    """How many numbers a row of x has, as it was given."""
    leaves, tree = jax.tree.flatten(x)
    one = tuple(jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    return _n_given(family, one, tree)


@lru_cache
def _n_given(family: Family, row: tuple, tree: Any) -> int:
    row_given = jax.eval_shape(lambda x: given(family, x), jax.tree.unflatten(tree, row))
    return checks.n_numbers(row_given, 1)
