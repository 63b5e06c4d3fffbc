"""Full covariances: each component has its own, (k, d, d).

An iteration takes 4 k n (d (d + 1) / 2 + d) floating-point operations, half for the densities and
half for the sums, each product of two columns counted once, and reads the n d numbers of the data.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core import constraints
from jaxem.core.factors import cholesky, inverse_cholesky, smallest_eigenvalue
from jaxem.core.numerics import (
    correlation,
    diagonal_mask,
    einsum,
    transpose,
    unless_singular,
)
from jaxem.families.gaussian import pairs
from jaxem.families.gaussian.covariance import (
    Covariance,
    Factor,
)


@dataclass(frozen=True)
class Full(Covariance):
    """C[k] = S[k] / N[k]."""

    name = "full"
    constraint = constraints.Covariance()
    matrices = True
    least_columns = 4

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, d)

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Float[Array, "k d d"]:
        return jnp.broadcast_to(covariance, (k, *covariance.shape))

    def identity(self, d: int, dtype: Any) -> Float[Array, "1 d d"]:
        return jnp.asarray(diagonal_mask(d), dtype)[None]

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

    def scatter(
        self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k d d"]:
        def one(of: tuple[Array, Array]) -> Float[Array, "d d"]:
            weight, residuals = of
            return einsum("in,jn->ij", weight[None] * residuals, residuals)

        if residuals.shape[1] < self.least_columns:
            return einsum("kin,kjn->kij", weight[:, None] * residuals, residuals)
        return lax.map(one, (weight, residuals))  # faster there than a batch of products

    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Float[Array, "k d d"]:
        return weight[:, None, None] * a[:, :, None] * b[:, None, :]

    def precision(self, root: Float[Array, "k d d"]) -> Float[Array, "k p"]:
        times = jnp.asarray(pairs.multiplicity(root.shape[-1]), root.dtype)
        return times[None] * pairs.pack(_gram(root))

    def solve(self, root: Float[Array, "k d d"], vectors: Float[Array, "k d"]) -> Array:
        return einsum("kij,ki->kj", root, einsum("kij,kj->ki", root, vectors))

    def magnitude(self, root: Float[Array, "k d d"], scale: Float[Array, " d"]) -> Array:
        scaled = _gram(root) * (scale[:, None] * scale[None])[None]
        return jnp.sqrt(jnp.sum(scaled**2, axis=(1, 2)))

    def columns(self, x: Float[Array, "n d"]) -> Float[Array, "d n"]:
        """On a CPU each in one piece: XLA would read them across the rows that they lie in, for
        three times the iteration. What a product gives lies as it is written."""

        def copied(x: Float[Array, "n d"]) -> Float[Array, "d n"]:
            return einsum("ij,nj->in", jnp.eye(x.shape[1], dtype=x.dtype), x)

        return lax.platform_dependent(x, cpu=copied, default=lambda x: x.T)

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "p n"]:
        return pairs.products(x)

    def n_products(self, d: int) -> int:
        return pairs.partners(d).size

    def squared_norm(
        self, precision: Float[Array, "k p"], products: Float[Array, "p n"]
    ) -> Float[Array, "k n"]:
        return einsum("kp,pn->kn", precision, products)

    def sums(
        self, weight: Float[Array, "k n"], products: Float[Array, "p n"]
    ) -> Float[Array, "k p"]:
        return einsum("kn,pn->kp", weight, products)

    def unpack(self, packed: Float[Array, "k p"], d: int) -> Float[Array, "k d d"]:
        return pairs.unpack(packed, d)

    def trace(
        self, root: Float[Array, "k d d"], form: Float[Array, "#k d d"]
    ) -> Float[Array, "k 1 1"]:
        form = jnp.broadcast_to(form, root.shape)
        return jnp.sum(einsum("kij,kjl->kil", root, form) * root, (1, 2), keepdims=True)

    def log_scale(
        self, covariances: Float[Array, "k d d"], factor: Factor
    ) -> Float[Array, "k 1 1"]:
        return factor.log_det[:, None, None]

    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(active[:, None, None], new, old)

    def variance_ratio(
        self, covariances: Float[Array, "k d d"], weights: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        """Smallest generalised eigenvalue of C[k] against sum_k w[k] C[k]."""
        root, _ = inverse_cholesky(einsum("k,kij->ij", weights, covariances))
        whitened = einsum("il,klm,jm->kij", root, covariances, root)
        whitened = (whitened + transpose(whitened)) / 2
        both = jnp.concatenate([whitened, correlation(covariances)])
        ratio, smallest = jnp.split(smallest_eigenvalue(both), 2)
        smallest = unless_singular(smallest, covariances)
        return jnp.where(smallest > 0, jnp.nan_to_num(ratio, nan=0.0), smallest)

    def cholesky(self, covariances: Float[Array, "k d d"], k: int, d: int) -> Float[Array, "k d d"]:
        return cholesky(covariances)

    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        return covariances.diagonal(0, -2, -1)

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return covariances[:, columns][:, :, columns]

    def of_columns(self) -> Covariance:
        """What is equal between components of all columns is not of some of them."""
        return Full()


def _gram(root: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
    return einsum("kil,kij->klj", root, root)
