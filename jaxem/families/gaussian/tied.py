"""Tied covariance: all components share one, (d, d). The likelihood is bounded.

An iteration takes 4 k n d + 4 n d^2 floating-point operations: products with the means alone, and
the quadratic term and the scatter once for all components. It reads the n d numbers of the data.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import constraints
from jaxem.core.factors import cholesky, inverse_cholesky, smallest_eigenvalue
from jaxem.core.numerics import (
    correlation,
    diagonal_mask,
    einsum,
    unless_singular,
)
from jaxem.core.placement import numpy_of
from jaxem.families.gaussian.covariance import (
    Covariance,
    Factor,
)


@dataclass(frozen=True)
class Tied(Covariance):
    """C = sum_k S[k] / sum_k N[k]."""

    name = "tied"
    own_volume = False
    constraint = constraints.Covariance(shared=True)
    one_shape = True
    matrices = True
    least_columns = 2

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (d, d)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, "d d"]:
        return covariance

    def identity(self, d: int, dtype: Any) -> Float[Array, "d d"]:
        return jnp.asarray(diagonal_mask(d), dtype)

    def per_covariance(self, value: Float[Array, " k"]) -> Float[Array, ""]:
        return jnp.sum(value)

    def flat_degrees_of_freedom(self, d: int) -> float:
        return -(d + 1.0)

    def factor(self, covariances: Float[Array, "d d"], k: int, d: int) -> Factor:
        root, log_det = inverse_cholesky(covariances)
        return Factor(root, jnp.broadcast_to(log_det, (k,)))

    def squared_distance(
        self, root: Float[Array, "d d"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        return jnp.sum(einsum("ij,kjn->kin", root, residuals) ** 2, axis=1)

    def scatter(
        self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "d d"]:
        return einsum("kin,kjn->ij", weight[:, None] * residuals, residuals)

    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Float[Array, "d d"]:
        return einsum("ki,kj->ij", weight[:, None] * a, b)

    def precision(self, root: Float[Array, "d d"]) -> Float[Array, "d d"]:
        return root

    def solve(self, root: Float[Array, "d d"], vectors: Float[Array, "k d"]) -> Array:
        return einsum("ij,ki->kj", root, einsum("ij,kj->ki", root, vectors))

    def magnitude(self, root: Float[Array, "d d"], scale: Float[Array, " d"]) -> Array:
        scaled = einsum("il,ij->lj", root, root) * scale[:, None] * scale[None]
        return jnp.sqrt(jnp.sum(scaled**2))[None]

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "d n"]:
        return x  # the quadratic term is common to the components, and so is the scatter

    def squared_norm(
        self, precision: Float[Array, "d d"], products: Float[Array, "d n"]
    ) -> Float[Array, "1 n"]:
        return jnp.sum(einsum("ij,jn->in", precision, products) ** 2, axis=0)[None]

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "d n"]
    ) -> Float[Array, "d d"]:
        return einsum("in,jn->ij", jnp.sum(weight, axis=0)[None] * products, products)

    def trace(self, root: Float[Array, "d d"], form: Float[Array, "d d"]) -> Float[Array, ""]:
        return jnp.sum(einsum("ij,jl->il", root, form) * root)

    def log_scale(self, covariances: Float[Array, "d d"], factor: Factor) -> Float[Array, ""]:
        return factor.log_det[0]

    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(jnp.any(active), new, old)

    def variance_ratio(
        self, covariances: Float[Array, "d d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        smallest = unless_singular(smallest_eigenvalue(correlation(covariances)), covariances)
        ratio = jnp.where(smallest > 0, jnp.inf, smallest)
        return jnp.broadcast_to(ratio, weights.shape).astype(weights.dtype)

    def cholesky(self, covariances: Float[Array, "d d"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.broadcast_to(cholesky(covariances), (k, d, d))

    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        return numpy_of(covariances).broadcast_to(covariances.diagonal(), (k, d))

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[columns][:, columns]
