"""Full and diagonal covariances whose products of columns are never written to memory.

What `Full` and `Diag` are, with the two products of an E-step by `pair_kernels` where the program
is for an NVIDIA GPU, and as those have them elsewhere. In the place of the products stand the rows.

Derivatives are those of the products that are written: the same function, rounded otherwise.
"""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxem.families.gaussian import kernel_trial
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.full import Full

SWITCH = "JAXEM_FUSED"  # the environment variable; 0: none of this
_LEAST_ROWS = 1 << 12
_LEAST_PRODUCTS = 128
_MOST_COMPONENTS = 64


class Fused(Covariance):
    """The four methods that differ from those of the structure it is."""

    of: ClassVar[Covariance]

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "n d"]:
        return x.T

    def n_products(self, d: int) -> int:
        return d

    def squared_norm(
        self, precision: Float[Array, "k p"], products: Float[Array, "n d"]
    ) -> Float[Array, "k n"]:
        return quadratic_forms(self.of, precision, products)

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "n d"]
    ) -> Float[Array, "k p"]:
        return second_moments(self.of, weight, products)


@dataclass(frozen=True)
class FusedFull(Fused, Full):
    of = Full()


@dataclass(frozen=True)
class FusedDiag(Fused, Diag):
    of = Diag()


_FUSED: dict[Covariance, Covariance] = {fused.of: fused for fused in (FusedFull(), FusedDiag())}


def suited(structure: Covariance, x: Float[Any, "n d"], k: int) -> Covariance:
    """The structure as it is taken for k components and rows like x: fused on a GPU, where that
    takes less time."""
    if jax.default_backend() != "gpu" or os.environ.get(SWITCH) == "0":
        return structure
    n, d = x.shape
    large = n >= _LEAST_ROWS and structure.n_products(d) >= _LEAST_PRODUCTS
    if not large or k > _MOST_COMPONENTS or x.dtype != "float32" or structure not in _FUSED:
        return structure
    return _FUSED[structure] if kernel_trial.passed(structure, k, d) else structure


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def quadratic_forms(
    of: Covariance, precision: Float[Array, "k p"], rows: Float[Array, "n d"]
) -> Float[Array, "k n"]:
    """x' inv(C) x of each row."""

    def fused(precision: Array, rows: Array) -> Array:
        from jaxem.families.gaussian import pair_kernels

        return pair_kernels.quadratic_forms(precision, rows.T)

    return lax.platform_dependent(precision, rows, cuda=fused, default=partial(_forms, of))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def second_moments(
    of: Covariance, weight: Float[Array, "k n"], rows: Float[Array, "n d"]
) -> Float[Array, "k p"]:
    """The packed form of the sum of weight x x'."""

    def fused(weight: Array, rows: Array) -> Array:
        from jaxem.families.gaussian import pair_kernels

        return pair_kernels.second_moments(weight, rows, of.n_products(rows.shape[1]))

    return lax.platform_dependent(weight, rows, cuda=fused, default=partial(_sums, of))


def _forms(of: Covariance, precision: Array, rows: Array) -> Array:
    return of.squared_norm(precision, of.products(rows.T))


def _sums(of: Covariance, weight: Array, rows: Array) -> Array:
    return of.sums(weight, of.products(rows.T))


@quadratic_forms.defjvp
def _forms_jvp(of: Covariance, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_forms, of), primals, tangents)


@second_moments.defjvp
def _sums_jvp(of: Covariance, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_sums, of), primals, tangents)
