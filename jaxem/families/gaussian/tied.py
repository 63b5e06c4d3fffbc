"""Tied covariance: all components share one, (d, d). The likelihood is bounded."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum, inverse_cholesky, smallest_correlation_eigenvalue
from jaxem.families.gaussian.covariance import Covariance, Factor


@dataclass(frozen=True)
class Tied(Covariance):
    """C = sum_k S[k] / sum_k N[k]."""

    name = "tied"
    matrices = True

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (d, d)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, "d d"]:
        return covariance

    def identity(self, d: int, dtype: Any) -> Float[Array, "d d"]:
        return jnp.eye(d, dtype=dtype)

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

    def outer(
        self, weight: Float[Array, "k n"], a: Float[Array, "k d n"], b: Float[Array, "k d n"]
    ) -> Float[Array, "d d"]:
        return einsum("kin,kjn->ij", weight[:, None] * a, b)

    def trace(self, root: Float[Array, "d d"], form: Float[Array, "d d"]) -> Float[Array, ""]:
        return jnp.sum(einsum("ij,jl->il", root, form) * root)

    def log_scale(self, covariances: Float[Array, "d d"], factor: Factor) -> Float[Array, ""]:
        return factor.log_det[0]

    def select(self, live: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(jnp.any(live), new, old)

    def variance_ratio(
        self, covariances: Float[Array, "d d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        smallest = smallest_correlation_eigenvalue(covariances)
        ratio = jnp.where(smallest > 0, jnp.inf, smallest)
        return jnp.broadcast_to(ratio, weights.shape).astype(weights.dtype)

    def cholesky(self, covariances: Float[Array, "d d"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.broadcast_to(jnp.linalg.cholesky(covariances), (k, d, d))

    def variances(self, covariances: Array, k: int, d: int) -> Float[Array, "k d"]:
        return jnp.broadcast_to(jnp.diagonal(covariances), (k, d))

    def take(self, covariances: Any, index: Any) -> Any:
        return covariances

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[columns][:, columns]

    def n_free(self, n_live: Array, d: int) -> Array:
        return jnp.full_like(n_live, d * (d + 1) // 2)
