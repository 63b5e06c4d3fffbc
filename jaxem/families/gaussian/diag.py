"""Diagonal covariances: the columns are independent within a component, (k, d) variances.

An iteration takes 8 k n d floating-point operations, products with x and with its squares for the
densities and for the sums, and reads the n d numbers of the data.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import constraints
from jaxem.core.numerics import einsum
from jaxem.families.gaussian.covariance import Covariance, Factor, positive


@dataclass(frozen=True)
class Diag(Covariance):
    """C[k, j] = S[k, j, j] / N[k]."""

    name = "diag"
    constraint = constraints.Variance()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, "k d"]:
        return jnp.broadcast_to(jnp.diagonal(covariance), (k, covariance.shape[0]))

    def identity(self, d: int, dtype: Any) -> Float[Array, "1 d"]:
        return jnp.ones((1, d), dtype)

    def per_covariance(self, value: Float[Array, " k"]) -> Float[Array, "k 1"]:
        return value[:, None]

    def factor(self, covariances: Float[Array, "k d"], k: int, d: int) -> Factor:
        variance = positive(covariances)
        return Factor(1 / jnp.sqrt(variance), jnp.sum(jnp.log(variance), axis=1))

    def squared_distance(
        self, root: Float[Array, "k d"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        return jnp.sum((root[:, :, None] * residuals) ** 2, axis=1)

    def scatter(
        self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k d"]:
        return einsum("kn,kdn->kd", weight, residuals**2)

    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Float[Array, "k d"]:
        return weight[:, None] * a * b

    def precision(self, root: Float[Array, "k d"]) -> Float[Array, "k d"]:
        return root**2

    def solve(self, root: Float[Array, "k d"], vectors: Float[Array, "k d"]) -> Array:
        return root**2 * vectors

    def magnitude(self, root: Float[Array, "k d"], scale: Float[Array, " d"]) -> Array:
        return jnp.sqrt(jnp.sum((root * scale[None]) ** 4, axis=1))

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "d n"]:
        return x**2

    def squared_norm(
        self, precision: Float[Array, "k d"], products: Float[Array, "d n"]
    ) -> Float[Array, "k n"]:
        return einsum("kd,dn->kn", precision, products)

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "d n"]
    ) -> Float[Array, "k d"]:
        return einsum("kn,dn->kd", weight, products)

    def trace(self, root: Float[Array, "k d"], form: Float[Array, "#k d"]) -> Float[Array, "k d"]:
        return root**2 * form

    def log_scale(self, covariances: Float[Array, "k d"], factor: Factor) -> Float[Array, "k d"]:
        return jnp.log(positive(covariances))

    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(active[:, None], new, old)

    def variance_ratio(
        self, covariances: Float[Array, "k d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        pooled = einsum("k,kd->d", weights, covariances)[None]
        ratio = jnp.where(pooled == 0, jnp.zeros_like(pooled), covariances / pooled)
        return jnp.min(ratio, axis=1)

    def cholesky(self, covariances: Float[Array, "k d"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.sqrt(covariances)[:, :, None] * jnp.eye(d, dtype=covariances.dtype)[None]

    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        return covariances

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[:, columns]

    def of_columns(self) -> Covariance:
        """What is equal between components of all columns is not of some of them."""
        return Diag()
