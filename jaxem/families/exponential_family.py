"""What exponential families share: both steps are one matrix product each.

log p(x; theta) = log h(x) + natural(theta) . T(x)

The E-step multiplies the natural parameters of all components, (k, f), by the sufficient statistics
of all rows, (f, n); the statistics are the responsibilities times the same (f, n). A conjugate
prior is rows that were seen before, given by their sums: log p(theta) = natural(theta) . prior.
Cells are independent given the component, so that a missing one (NaN) is a zero in T(x).

A family is one file: T, log h, natural parameters, the estimate from the sums, and its inverse.
"""

import abc
from functools import lru_cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks, tables
from jaxem.core.contracts import Family, Params, Prior
from jaxem.core.numerics import einsum

_IMPOSSIBLE = -1e30  # the log of 0 in a product: 0 times it is 0, once and more it is log 0


def guarded_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x; a finite number that stands for the log of 0, with a gradient of 0 there."""
    zero = x == 0
    return jnp.where(zero, _IMPOSSIBLE, jnp.log(jnp.where(zero, jnp.ones_like(x), x)))


def ratio(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"], otherwise: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """a / b; what was there before where nothing is known."""
    known = b > 0
    return jnp.where(known, a / jnp.where(known, b, jnp.ones_like(b)), otherwise)


def cells(x: Float[Array, "n d"]) -> tuple[Float[Array, "d n"], Float[Array, "d n"]]:
    """-> (x with 0 for missing cells, 1 where a cell is observed), columns first."""
    seen = ~jnp.isnan(x.T)
    return jnp.where(seen, x.T, jnp.zeros_like(x.T)), seen.astype(x.dtype)


class ExponentialFamily(Family):
    """Columns are independent given the component; parameters are (k, d) unless it says so."""

    params_type: ClassVar[Any]  # a NamedTuple
    prior_type: ClassVar[Any]  # a NamedTuple of numbers, each broadcast to (k, d)

    # ---- what a family says

    @abc.abstractmethod
    def wrong(self, x: np.ndarray) -> np.ndarray:
        """Host side: which cells cannot be; NaN is a missing cell, and is not among them."""

    cells_are: ClassVar[str]  # what is wrong with them, for the error

    @abc.abstractmethod
    def domain(self, params: Any) -> None:
        """Host side: ValueError for parameters outside their domain."""

    @abc.abstractmethod
    def features(self, x: Any) -> Float[Array, "f n"]:
        """T(x), with zeros for missing cells."""

    @abc.abstractmethod
    def log_base(self, x: Any) -> Float[Array, " n"]:
        """log h(x)."""

    @abc.abstractmethod
    def natural(self, params: Any) -> Float[Array, "k f"]:
        """The natural parameters, with a `guarded_log`."""

    @abc.abstractmethod
    def estimate(self, sums: Float[Array, "k f"], params: Any) -> Any:
        """The maximum-likelihood estimate from the sums of T; where they say nothing, `params`."""

    @abc.abstractmethod
    def expected(self, params: Any) -> Float[Array, "k f"]:
        """E T(x): the estimate from it is `params` again."""

    @abc.abstractmethod
    def earlier_rows(self, prior: Any) -> Float[Array, "k f"]:
        """The sums of the rows that a conjugate prior stands for."""

    def mean(self, params: Any) -> Float[Array, "k d"]:
        """E x of each column."""
        raise ValueError(f"{self!r} does not tell what to expect in a hole")

    # ---- host side

    def cells(self, data: Any) -> Any:
        return self.read(data)

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        what = f"{self.cells_are}, as {self!r} asks"
        checks.cells(x, weight, names, self.wrong, what, "drop or mend those rows")

    def as_params(self, params: Params, x: Any, k: int) -> Any:
        checks.fields(params, self.params_type, "components")
        made_for = f"{k} components, {x.shape[1]} columns and {self!r}"
        shape = (k, x.shape[1])
        leaves = [
            checks.parameter(value, shape, x.dtype, name, made_for)
            for name, value in zip(params._fields, params, strict=True)
        ]
        self.domain(params)
        return self.params_type(*leaves)

    def like_x(self, params: Params) -> Any:
        checks.fields(params, self.params_type, "components")
        if np.ndim(params[0]) != 2:
            raise ValueError(f"{params._fields[0]} has shape {np.shape(params[0])}; give (k, d)")
        return jax.ShapeDtypeStruct((1, np.shape(params[0])[1]), tables.float_dtype(params[0]))

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> Float[Array, "k f"]:
        checks.fields(prior, self.prior_type, "the prior's components")
        leaf = jax.tree.leaves(x)[0]
        shape = (k, leaf.shape[1])
        arrays = []
        for name, value in zip(prior._fields, prior, strict=True):
            checks.numbers(value, name)
            arrays.append(checks.broadcast(value, shape, leaf.dtype, name))
        prior = self.prior_type(*arrays)
        self.check_prior(prior)
        return self.earlier_rows(prior)

    def check_prior(self, prior: Any) -> None:
        """Host side: ValueError for a prior without a mode in the domain."""
        earlier = self.earlier_rows(prior)
        if checks.is_concrete(earlier) and bool(np.any(np.asarray(earlier) < 0)):
            raise ValueError(f"the prior {prior} has no mode inside the domain of {self!r}")

    def numbers_per_row(self, x: Any, k: int) -> int:
        leaves, tree = jax.tree.flatten(x)
        one = tuple(jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
        return 8 * _n_features(self, one, tree) + 3 * k

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        return filled(x)

    def pooled(self, x: Any, weight: Float[Array, " n"], k: int) -> Any:
        features = self.features(x)
        sums = einsum("n,fn->f", weight / jnp.sum(weight), features)
        return self.estimate(jnp.broadcast_to(sums, (k, sums.shape[0])), self.blank(x, k))

    def blank(self, x: Any, k: int) -> Any:
        """Parameters for columns of which nothing is known."""
        leaf = jax.tree.leaves(x)[0]
        half = jnp.full((k, leaf.shape[1]), 0.5, leaf.dtype)
        return self.params_type(*[half for _ in self.params_type._fields])

    def starting_prior(
        self, pooled: Any, live: Bool[Array, " k"], prior: Float[Array, "k f"] | None
    ) -> Float[Array, "k f"]:
        """One row of the pooled fit: nothing starts on a boundary, which EM does not leave."""
        row = self.expected(pooled)
        return row if prior is None else row + prior

    # ---- the two steps

    def prepare(self, params: Any, prior: Any) -> Float[Array, "k f"]:
        return self.natural(params)

    def evaluate(
        self, prepared: Float[Array, "k f"], x: Any
    ) -> tuple[Float[Array, "k n"], Float[Array, "f n"]]:
        features = self.features(x)
        log_density = einsum("kf,fn->kn", prepared, features)
        log_density = jnp.where(log_density < 0.5 * _IMPOSSIBLE, -jnp.inf, log_density)
        return log_density + self.log_base(x)[None], features

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Float[Array, "k f"]:
        return einsum("kn,fn->kf", responsibilities, cache)

    def m_step(self, params: Any, statistics: Any, prior: Any, live: Bool[Array, " k"]) -> Any:
        sums = statistics if prior is None else statistics + prior
        new = self.estimate(sums, params)
        return jax.tree.map(lambda a, b: jnp.where(live[:, None], a, b), new, params)

    # ---- cells that were not observed

    def filled(
        self, params: Any, x: Float[Array, "n d"], shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        expected = einsum("kn,kd->nd", shares, self.mean(params))
        return jnp.where(jnp.isnan(x), expected, x)

    def conditional(self, params: Any, given: dict) -> tuple[Family, Any, Float[Array, " k"]]:
        d, dtype = self.like_x(params).shape[1], jax.tree.leaves(params)[0].dtype
        row = (
            jnp.full((1, d), jnp.nan, dtype)
            .at[0, np.array(list(given))]
            .set(jnp.stack([jnp.asarray(value, dtype) for value in given.values()]))
        )
        log_density, _ = self.evaluate(self.prepare(params, None), row)
        rest = np.array([j for j in range(d) if j not in given])
        return *self.marginal(params, rest), log_density[:, 0]

    def marginal(self, params: Any, columns: Any) -> tuple[Family, Any]:
        """Family and parameters of some columns only."""
        return self, jax.tree.map(lambda leaf: leaf[:, columns], params)

    def as_held(self, held: Any, x: Any, k: int) -> Any:
        values = super().as_held(held, x, k)
        if checks.is_concrete(values):  # they must be those of some parameters
            like = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), x)
            self.as_params(self.hold(self.blank(like, k), values), like, k)
        return values

    def log_prior(self, params: Any, prior: Any, live: Bool[Array, " k"]) -> Float[Array, ""]:
        return jnp.sum(jnp.where(live[:, None], prior * self.natural(params), 0))


def spread_ratio(
    spread: Float[Array, "k d"], weights: Float[Array, " k"], rows: Float[Array, "k d"] | None
) -> Float[Array, " k"]:
    """`variance_ratio` from a spread of each column that goes to 0 in a collapse.

    rows: those of a prior, seen before; where they are, nothing collapses.
    """
    pooled = einsum("k,kd->d", weights, spread)[None]
    smallest = jnp.min(spread / pooled, axis=1)
    singular = jnp.any(~(spread > 16 * jnp.finfo(spread.dtype).eps), axis=1)
    smallest = jnp.where(singular, jnp.zeros_like(smallest), smallest)
    return smallest if rows is None else jnp.where(jnp.all(rows > 0), jnp.inf, smallest)


@lru_cache
def _n_features(family: ExponentialFamily, leaves: tuple, tree: Any) -> int:
    """How many numbers T(x) has."""
    return jax.eval_shape(family.features, jax.tree.unflatten(tree, leaves)).shape[0]


def filled(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """x with the mean of the column in missing cells."""
    seen = ~jnp.isnan(x)
    known = jnp.where(seen, x, jnp.zeros_like(x))
    count = jnp.maximum(jnp.sum(seen, axis=0, dtype=x.dtype), 1)
    mean = jnp.sum(known, axis=0) / count
    return jnp.where(seen, x, mean[None])
