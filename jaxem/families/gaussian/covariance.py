"""What a covariance structure is: how the k covariances are stored, and what sums they need.

The *form* of a matrix in a structure is what the structure keeps of a sum of outer products:
full keeps (k, d, d), tied adds up the components to (d, d), diag keeps the diagonals (k, d),
spherical the traces (k,). The M-step, `estimate`, is linear in it: with N rows and `entries`
squared residuals added up into each number, C = form / (N entries).

A structure that links the components takes the form of full or of diag as it is, with what the
steps over the rows need, and has an `estimate` and a `constraint` of its own.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.constraints import Constraint


class Factor(NamedTuple):
    """What a density needs of the covariances: inv(C) = root' root, and log det(C)."""

    root: Array  # in the structure's own shape
    log_det: Float[Array, " k"]


class Covariance(abc.ABC):
    """One covariance structure; the shapes of `covariances` are scikit-learn's."""

    name: ClassVar[str]
    one_shape: ClassVar[bool] = False  # whether a column may have no variance in any component
    own_volume: ClassVar[bool] = True  # whether that of each component is free
    constraint: ClassVar[Constraint]  # where `covariances` may lie
    matrices: ClassVar[bool] = False  # whether whole matrices (..., d, d) are stored
    least_columns: ClassVar[int] = 4  # from how many on products are faster than residuals

    @abc.abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """The shape of `covariances`, and of a form."""

    @abc.abstractmethod
    def pooled(self, covariance: Float[Array, "d d"], k: int) -> Array:
        """k copies of the one-component fit, whose scatter per row is `covariance`."""

    @abc.abstractmethod
    def identity(self, d: int, dtype: Any) -> Array:
        """The form of the identity matrix, of one component; broadcasts against `covariances`."""

    @abc.abstractmethod
    def per_covariance(self, value: Float[Array, " k"]) -> Array:
        """A number for each component, shaped for arithmetic with `covariances`."""

    def entries(self, d: int) -> float:
        """How many squared residuals of one row go into each number of a form."""
        return 1.0

    def flat_degrees_of_freedom(self, d: int) -> float:
        """The degrees of freedom at which the prior on the covariances is flat.

        The (inverse) Wishart prior has exponent -(dof - flat) / 2 on det C.
        """
        return -2.0

    @abc.abstractmethod
    def factor(self, covariances: Array, k: int, d: int) -> Factor:
        """Factors once an iteration; NaN where a covariance is not positive definite."""

    @abc.abstractmethod
    def squared_distance(
        self, root: Array, residuals: Float[Array, "k d n"]
    ) -> Float[Array, "k n"]:
        """(x - m)' inv(C) (x - m) from the residuals x - m."""

    @abc.abstractmethod
    def scatter(self, weight: Float[Array, "k n"], residuals: Float[Array, "k d n"]) -> Array:
        """The form of sum_n weight r r'."""

    @abc.abstractmethod
    def outer(
        self, weight: Float[Array, " k"], a: Float[Array, "k d"], b: Float[Array, "k d"]
    ) -> Array:
        """The form of weight a b'."""

    @abc.abstractmethod
    def precision(self, root: Array) -> Array:
        """inv(C) as `squared_norm` takes it, once an iteration."""

    @abc.abstractmethod
    def solve(self, root: Array, vectors: Float[Array, "k d"]) -> Float[Array, "k d"]:
        """inv(C) v."""

    @abc.abstractmethod
    def magnitude(self, root: Array, scale: Float[Array, " d"]) -> Float[Array, "#k"]:
        """The root of sum_ij (s[i] inv(C)[i, j] s[j])^2: what x' inv(C) x adds up, at |x| = s."""

    def columns(self, x: Float[Array, "n d"]) -> Float[Array, "d n"]:
        """The rows as columns, as `products` takes them."""
        return x.T

    @abc.abstractmethod
    def products(self, x: Float[Array, "d n"]) -> Float[Array, "p n"]:
        """The products of columns that both steps use."""

    def n_products(self, d: int) -> int:
        return d

    @abc.abstractmethod
    def squared_norm(self, precision: Array, products: Float[Array, "p n"]) -> Float[Array, "#k n"]:
        """x' inv(C) x from the products of x."""

    @abc.abstractmethod
    def sums(self, weight: Float[Array, "k n"], products: Float[Array, "p n"]) -> Array:
        """The packed form of sum_n weight x x' from the products of x."""

    def unpack(self, packed: Array, d: int) -> Array:
        """A form of which every number was kept once."""
        return packed

    @abc.abstractmethod
    def trace(self, root: Array, form: Array) -> Array:
        """tr(inv(C) M), for each covariance stored, from the form of M."""

    @abc.abstractmethod
    def log_scale(self, covariances: Array, factor: Factor) -> Array:
        """The log of what the prior's exponent applies to: log det C, or log variances."""

    @abc.abstractmethod
    def select(self, active: Bool[Array, " k"], new: Array, old: Array) -> Array:
        """`new` for active components, `old` for absent ones."""

    def total(self, value: Array) -> Array:
        """The sum over columns of what `trace` gives, for each covariance."""
        return jnp.sum(value, axis=tuple(range(1, value.ndim)))

    def estimate(self, rows: Array, scatter: Array, old: Array) -> Array:
        """The covariances that maximise - 1/2 sum_k (N[k] log det C[k] + tr(inv(C[k]) S[k])).

        rows: N, `per_covariance`, 0 for an absent component, which keeps what is its own in `old`;
        scatter: the form of S.
        """
        told = rows > 0
        return jnp.where(told, scatter / jnp.where(told, rows, jnp.ones_like(rows)), old)

    @abc.abstractmethod
    def variance_ratio(self, covariances: Array, weights: Float[Array, " k"]) -> Float[Array, " k"]:
        """Smallest variance of each component relative to the pooled within-component one.

        0 where singular to the dtype, NaN where NaN.
        """

    @abc.abstractmethod
    def cholesky(self, covariances: Array, k: int, d: int) -> Float[Array, "k d d"]:
        """Lower factors of the k covariances, for sampling."""

    @abc.abstractmethod
    def variances(self, covariances: Any, k: int, d: int) -> Float[Any, "k d"]:
        """The variance of each column within each component."""

    @abc.abstractmethod
    def marginal(self, covariances: Any, columns: Any) -> Any:
        """The covariances of the columns at these indices."""

    def of_columns(self) -> "Covariance":
        """The structure of some of the columns, alone or given others."""
        return self


def positive(variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The variance, NaN where it is none."""
    return jnp.where(variance > 0, variance, jnp.nan)
