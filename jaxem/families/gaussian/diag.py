"""Diagonal covariances: the columns are independent within a component, (k, d) variances."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum
from jaxem.families.gaussian.covariance import Covariance, Factor, positive


@dataclass(frozen=True)
class Diag(Covariance):
    """C[k, j] = S[k, j, j] / N[k]."""

    name = "diag"

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

    def outer(
        self, weight: Float[Array, "k n"], a: Float[Array, "k d n"], b: Float[Array, "k d n"]
    ) -> Float[Array, "k d"]:
        return einsum("kn,kdn->kd", weight, a * b)

    def trace(self, root: Float[Array, "k d"], form: Float[Array, "#k d"]) -> Float[Array, "k d"]:
        return root**2 * form

    def log_scale(self, covariances: Float[Array, "k d"], factor: Factor) -> Float[Array, "k d"]:
        return jnp.log(positive(covariances))

    def select(self, live: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(live[:, None], new, old)

    def variance_ratio(
        self, covariances: Float[Array, "k d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        pooled = einsum("k,kd->d", weights, covariances)[None]
        ratio = jnp.where(pooled == 0, jnp.zeros_like(pooled), covariances / pooled)
        return jnp.min(ratio, axis=1)

    def cholesky(self, covariances: Float[Array, "k d"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.sqrt(covariances)[:, :, None] * jnp.eye(d, dtype=covariances.dtype)[None]

    def variances(self, covariances: Array, k: int, d: int) -> Float[Array, "k d"]:
        return covariances

    def take(self, covariances: Any, index: Any) -> Any:
        return covariances[index]

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[:, columns]

    def n_free(self, n_live: Array, d: int) -> Array:
        return n_live * d
