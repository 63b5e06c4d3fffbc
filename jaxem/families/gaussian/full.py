"""Full covariances: each component has its own, (k, d, d)."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import (
    einsum,
    inverse_cholesky,
    smallest_correlation_eigenvalue,
    transpose,
)
from jaxem.families.gaussian.covariance import Covariance, Factor


@dataclass(frozen=True)
class Full(Covariance):
    """C[k] = S[k] / N[k]."""

    name = "full"
    matrices = True

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, d)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, "k d d"]:
        return jnp.broadcast_to(covariance, (k, *covariance.shape))

    def identity(self, d: int, dtype: Any) -> Float[Array, "1 d d"]:
        return jnp.eye(d, dtype=dtype)[None]

    def per_covariance(self, value: Float[Array, " k"]) -> Float[Array, "k 1 1"]:
        return value[:, None, None]

    def flat_degrees_of_freedom(self, d: int) -> float:
        return -(d + 1.0)

    def factor(self, covariances: Float[Array, "k d d"], k: int, d: int) -> Factor:
        return Factor(*inverse_cholesky(covariances))

    def squared_distance(
        self, root: Float[Array, "k d d"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        return jnp.sum(einsum("kij,kjn->kin", root, residuals) ** 2, axis=1)

    def outer(
        self, weight: Float[Array, "k n"], a: Float[Array, "k d n"], b: Float[Array, "k d n"]
    ) -> Float[Array, "k d d"]:
        return einsum("kin,kjn->kij", weight[:, None] * a, b)

    def trace(
        self, root: Float[Array, "k d d"], form: Float[Array, "#k d d"]
    ) -> Float[Array, "k 1 1"]:
        form = jnp.broadcast_to(form, root.shape)
        return jnp.sum(einsum("kij,kjl->kil", root, form) * root, (1, 2), keepdims=True)

    def log_scale(
        self, covariances: Float[Array, "k d d"], factor: Factor
    ) -> Float[Array, "k 1 1"]:
        return factor.log_det[:, None, None]

    def select(self, live: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(live[:, None, None], new, old)

    def variance_ratio(
        self, covariances: Float[Array, "k d d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        """Smallest generalised eigenvalue of C[k] against sum_k w[k] C[k]."""
        root, _ = inverse_cholesky(einsum("k,kij->ij", weights, covariances))
        whitened = einsum("il,klm,jm->kij", root, covariances, root)
        whitened = (whitened + transpose(whitened)) / 2
        d = covariances.shape[-1]
        ratio = jnp.linalg.eigvalsh(whitened)[:, 0] if d > 1 else whitened[:, 0, 0]
        smallest = smallest_correlation_eigenvalue(covariances)
        return jnp.where(smallest > 0, jnp.nan_to_num(ratio, nan=0.0), smallest)

    def cholesky(self, covariances: Float[Array, "k d d"], k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.linalg.cholesky(covariances)

    def variances(self, covariances: Array, k: int, d: int) -> Float[Array, "k d"]:
        return jnp.diagonal(covariances, axis1=-2, axis2=-1)

    def take(self, covariances: Any, index: Any) -> Any:
        return covariances[index]

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[:, columns][:, :, columns]

    def n_free(self, n_live: Array, d: int) -> Array:
        return n_live * (d * (d + 1) // 2)
