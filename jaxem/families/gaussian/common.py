"""Diagonal covariances that all components have in common: EEI, (d,), and EII, one variance, ().

The forms are those of the components (`diag`, `spherical`), added up. An iteration takes
4 k n d + 4 n d floating-point operations or fewer. The likelihood is bounded.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import constraints
from jaxem.families.gaussian.covariance import Covariance, Factor
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.spherical import Spherical


@dataclass(frozen=True)
class Common(Covariance):
    """C = sum_k S[k] / sum_k N[k] in the form of each component."""

    own_volume = False
    constraint = constraints.Variance(shared=True)
    of: ClassVar[Diag | Spherical]

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return self.of.shape(k, d)[1:]

    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Array:
        return self.of.pooled(covariance, 1)[0]

    def identity(self, d: int, dtype: Any) -> Array:
        return self.of.identity(d, dtype)[0]

    def per_covariance(self, value: Float[Array, " k"]) -> Float[Array, ""]:
        return jnp.sum(value)

    def entries(self, d: int) -> float:
        return self.of.entries(d)

    def factor(self, covariances: Array, k: int, d: int) -> Factor:
        root, log_det = self.of.factor(covariances[None], 1, d)
        return Factor(root[0], jnp.broadcast_to(log_det, (k,)))

    def squared_distance(
        self, root: Array, residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        return self.of.squared_distance(_each(root, len(residuals)), residuals)

    def scatter(self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]) -> Array:
        return jnp.sum(self.of.scatter(weight, residuals), axis=0)

    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Array:
        return jnp.sum(self.of.outer(weight, a, b), axis=0)

    def precision(self, root: Array) -> Array:
        return self.of.precision(root[None])

    def solve(self, root: Array, vectors: Float[Array, "k d"]) -> Float[Array, "k d"]:
        return self.of.solve(_each(root, len(vectors)), vectors)

    def magnitude(self, root: Array, scale: Float[Array, " d"]) -> Float[Array, " 1"]:
        return self.of.magnitude(root[None], scale)

    def products(self, x: Float[Array, "d n"]) -> Float[Array, "p n"]:
        return self.of.products(x)

    def n_products(self, d: int) -> int:
        return self.of.n_products(d)

    def squared_norm(self, precision: Array, products: Float[Array, "p n"]) -> Float[Array, "1 n"]:
        return self.of.squared_norm(precision, products)

    def sums(self, weight: Float[Array, "k n"], products: Float[Array, "p n"]) -> Array:
        return self.of.sums(jnp.sum(weight, axis=0, keepdims=True), products)[0]

    def trace(self, root: Array, form: Array) -> Array:
        return self.of.trace(root[None], form[None])[0]

    def log_scale(self, covariances: Array, factor: Factor) -> Array:
        return self.of.log_scale(covariances[None], factor)[0]

    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        return jnp.where(jnp.any(active), new, old)

    def total(self, value: Array) -> Float[Array, ""]:
        return jnp.sum(value)

    def variance_ratio(self, covariances: Array, weights: Float[Array, " k"]) -> Float[Array, " k"]:
        least = jnp.min(covariances)
        ratio = jnp.where(least > 0, jnp.inf, jnp.where(jnp.isnan(least), jnp.nan, 0))
        return jnp.broadcast_to(ratio, weights.shape).astype(weights.dtype)

    def cholesky(self, covariances: Array, k: int, d: int) -> Float[Array, "k d d"]:
        return jnp.broadcast_to(self.of.cholesky(covariances[None], 1, d), (k, d, d))

    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        one = self.of.variances(covariances[None], 1, d)
        return one.repeat(k, 0)

    def marginal(self, covariances: Any, columns: Any) -> Any:
        return self.of.marginal(covariances[None], columns)[0]


@dataclass(frozen=True)
class EEI(Common):
    """One variance a column."""

    name = "EEI"
    of = Diag()
    one_shape = True


@dataclass(frozen=True)
class EII(Common):
    """One variance."""

    name = "EII"
    of = Spherical()


def _each(root: Array, k: int) -> Array:
    return jnp.broadcast_to(root, (k, *root.shape))
