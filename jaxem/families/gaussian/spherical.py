"""Spherical covariances: one variance for all columns of a component, (k,).

An iteration takes 4 k n d + 4 k n floating-point operations, products with x and with its squared
length for the densities and for the sums, and reads the n d numbers of the data.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import constraints
from jaxem.core.numerics import einsum
from jaxem.core.placement import numpy_of
from jaxem.families.gaussian.covariance import Covariance, Factor, positive


@dataclass(frozen=True)
class Spherical(Covariance):
    """C[k] = tr(S[k]) / (d N[k])."""

    name = "spherical"
    constraint = constraints.Variance()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k,)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, " k"]:
        return jnp.broadcast_to(jnp.mean(jnp.diagonal(covariance)), (k,))

    def identity(self, d: int, dtype: Any) -> Float[Array, " 1"]:
        return jnp.full((1,), d, dtype)

    def per_covariance(self, value: Float[Array, " k"]) -> Float[Array, " k"]:
        return value

    def entries(self, d: int) -> float:
        return float(d)

    def factor(self, covariances: Float[Array, " k"], k: int, d: int) -> Factor:
        variance = positive(covariances)
        return Factor(1 / jnp.sqrt(variance), d * jnp.log(variance))

    def squared_distance(
        self, root: Float[Array, " k"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        return jnp.sum((root[:, None, None] * residuals) ** 2, axis=1)

    def scatter(
        self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, " k"]:
        return einsum("kn,kn->k", weight, jnp.sum(residuals**2, axis=1))

    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Float[Array, " k"]:
        return weight * jnp.sum(a * b, axis=1)

    def precision(self, root: Float[Array, " k"]) -> Float[Array, " k"]:
        return root**2

    def solve(self, root: Float[Array, " k"], vectors: Float[Array, "k d"]) -> Array:
        return root[:, None] ** 2 * vectors

    def magnitude(self, root: Float[Array, " k"], scale: Float[Array, " d"]) -> Array:
        return root**2 * jnp.sqrt(jnp.sum(scale**4))

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "1 n"]:
        return jnp.sum(x**2, axis=0, keepdims=True)

    def squared_norm(
        self, precision: Float[Array, " k"], products: Float[Array, "1 n"]
    ) -> Float[Array, "k n"]:
        return precision[:, None] * products

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "1 n"]
    ) -> Float[Array, " k"]:
        return einsum("kn,n->k", weight, products[0])

    def trace(self, root: Float[Array, " k"], form: Float[Array, "#k"]) -> Float[Array, " k"]:
        return root**2 * form

    def log_scale(self, covariances: Float[Array, " k"], factor: Factor) -> Float[Array, " k"]:
        return jnp.log(positive(covariances))

    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(active, new, old)

    def variance_ratio(
        self, covariances: Float[Array, " k"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        pooled = jnp.sum(weights * covariances)
        return jnp.where(pooled == 0, jnp.zeros_like(covariances), covariances / pooled)

    def cholesky(self, covariances: Float[Array, " k"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.sqrt(covariances)[:, None, None] * jnp.eye(d, dtype=covariances.dtype)[None]

    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        return numpy_of(covariances).broadcast_to(covariances[:, None], (k, d))

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances
