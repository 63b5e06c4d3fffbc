"""The numbers of factor analysers, and where the loadings may lie."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxem.core.constraints import Real


class FactorAnalyzerParams(NamedTuple):
    """means (k, d); loadings (k, d, q); uniquenesses (k, d), shared (d,), isotropic (k,).

    Loadings are told up to a rotation of the factors.
    """

    means: Array
    loadings: Array
    uniquenesses: Array


@dataclass(frozen=True)
class Loadings(Real):
    """(k, d, q). Where none of a component's is fixed, q (q - 1) / 2 of them only rotate it."""

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        free = jnp.isnan(fixed)
        rotations = fixed.shape[2] * (fixed.shape[2] - 1) // 2
        each = jnp.sum(free, axis=(1, 2), dtype=jnp.int32)
        each = each - jnp.where(jnp.all(free, axis=(1, 2)), rotations, 0)
        return jnp.sum(jnp.where(active, each, 0), dtype=jnp.int32)
