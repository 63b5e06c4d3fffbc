"""Data like some that is given, drawn from a fitted model."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from jaxem.core.family import Family
from jaxem.core.values import Params


@runtime_checkable
class ResamplesLike(Protocol):
    def resample_like(
        self, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
    ) -> PyTree: ...


def resample_like(
    family: Family, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
) -> PyTree:
    """x, as it was read, with new numbers from component `labels[i]` in row i.

    What the family says nothing of stays as it is: regressors, exposures, which cells are missing.
    """
    if isinstance(family, ResamplesLike):
        return family.resample_like(key, params, x, labels)
    rows = family.sample(key, params, labels)
    return jax.tree.map(lambda row, x: jnp.where(jnp.isnan(x), x, row), rows, x)
