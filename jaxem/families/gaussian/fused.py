"""Full covariances whose products of columns are never written to memory.

What `Full` is, with the two products of an E-step by `pair_kernels` where the program
is for an NVIDIA GPU, and as `Full` has them elsewhere. In the place of the products stand the rows.

Derivatives are those of the products that are written: the same function, rounded otherwise.
"""

import os
from dataclasses import dataclass
from typing import Any

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxem.families.gaussian import kernel_trial
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.full import Full

SWITCH = "JAXEM_FUSED"  # the environment variable; 0: none of this
_LEAST_ROWS = 1 << 12
_LEAST_COLUMNS = 16
_MOST_COMPONENTS = 32  # of more, products of matrices are most of the time in either form
_WRITTEN = Full()


@dataclass(frozen=True)
class FusedFull(Full):
    """The four methods that differ from those of `Full`."""

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "n d"]:
        return x.T

    def n_products(self, d: int) -> int:
        return d

    def squared_norm(
        self, precision: Float[Array, "k p"], products: Float[Array, "n d"]
    ) -> Float[Array, "k n"]:
        return quadratic_forms(precision, products)

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "n d"]
    ) -> Float[Array, "k p"]:
        return second_moments(weight, products)


def suited(structure: Covariance, x: Float[Any, "n d"], k: int) -> Covariance:
    """The structure as it is taken for k components and rows like x: fused on a GPU, where that
    takes less time."""
    if jax.default_backend() != "gpu" or os.environ.get(SWITCH) == "0":
        return structure
    n, d = x.shape
    if structure != _WRITTEN or x.dtype != "float32":
        return structure
    if n < _LEAST_ROWS or d < _LEAST_COLUMNS or k > _MOST_COMPONENTS:
        return structure
    return FusedFull() if kernel_trial.passed(k, d) else structure


@jax.custom_jvp
def quadratic_forms(
    precision: Float[Array, "k p"], rows: Float[Array, "n d"]
) -> Float[Array, "k n"]:
    """x' inv(C) x of each row."""

    def fused(precision: Array, rows: Array) -> Array:
        from jaxem.families.gaussian import pair_kernels

        return pair_kernels.quadratic_forms(precision, rows.T)

    return lax.platform_dependent(precision, rows, cuda=fused, default=_forms)


@jax.custom_jvp
def second_moments(weight: Float[Array, "k n"], rows: Float[Array, "n d"]) -> Float[Array, "k p"]:
    """The packed form of the sum of weight x x'."""

    def fused(weight: Array, rows: Array) -> Array:
        from jaxem.families.gaussian import pair_kernels

        return pair_kernels.second_moments(weight, rows, _WRITTEN.n_products(rows.shape[1]))

    return lax.platform_dependent(weight, rows, cuda=fused, default=_sums)


def _forms(precision: Array, rows: Array) -> Array:
    return _WRITTEN.squared_norm(precision, _WRITTEN.products(rows.T))


def _sums(weight: Array, rows: Array) -> Array:
    return _WRITTEN.sums(weight, _WRITTEN.products(rows.T))


@quadratic_forms.defjvp
def _forms_jvp(primals: Any, tangents: Any) -> Any:
    return jax.jvp(_forms, primals, tangents)


@second_moments.defjvp
def _sums_jvp(primals: Any, tangents: Any) -> Any:
    return jax.jvp(_sums, primals, tangents)
