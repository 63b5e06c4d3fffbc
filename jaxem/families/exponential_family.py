"""What exponential families share: T(x) of columns, its sums, and rows seen before as the prior.

log p(x; theta) = log h(x) + natural(theta) . T(x)

The statistics are the responsibilities of all components, (k, n), times the sufficient statistics
of all rows, (f, n). A conjugate prior is rows that were seen before, given by their sums:
log p(theta) = natural(theta) . prior. Cells are independent given the component, so that a missing
one (NaN) is a zero in T(x).

How the product is formed is that of `DirectFamily`, or of `PivotFamily` where large terms would
cancel in it. A family is one file: T, log h, natural parameters, the estimate from the sums, and
its inverse.
"""

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks, parameters, tables
from jaxem.core.contracts import Family, Params, Prior
from jaxem.core.numerics import einsum

_IMPOSSIBLE = -1e30  # the log of 0 in a product: 0 times it is 0, once and more it is log 0


def guarded_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x; a finite number that stands for the log of 0, with a gradient of 0 there."""
    zero = x == 0
    return jnp.where(zero, _IMPOSSIBLE, jnp.log(jnp.where(zero, jnp.ones_like(x), x)))


def possible(product: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """-inf where the product met a log of 0."""
    return jnp.where(product < 0.5 * _IMPOSSIBLE, -jnp.inf, product)


def ratio(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"], otherwise: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """a / b, and `otherwise` where b is 0."""
    known = b > 0
    return jnp.where(known, a / jnp.where(known, b, jnp.ones_like(b)), otherwise)


def observed_cells(x: Float[Array, "n d"]) -> tuple[Float[Array, "d n"], Float[Array, "d n"]]:
    """-> (x with 0 for missing cells, 1 where a cell is observed), columns first."""
    seen = ~jnp.isnan(x.T)
    return jnp.where(seen, x.T, jnp.zeros_like(x.T)), seen.astype(x.dtype)


def column_means(x: Float[Array, "d n"], unit: Float[Array, "d n"]) -> Float[Array, "1 d"]:
    """The mean per unit of non-negative columns; 1 where it is 0."""
    mean = ratio(jnp.sum(x, axis=1), jnp.sum(unit, axis=1), jnp.ones_like(x[:, 0]))
    return jnp.where(mean > 0, mean, 1)[None]


class ExponentialFamily(Family):
    """Columns are independent given the component; parameters are (k, d) unless it says so."""

    params_type: ClassVar[Any]  # a NamedTuple
    prior_type: ClassVar[Any]  # a NamedTuple of numbers, each broadcast to (k, d)

    # ---- what a family says

    @abc.abstractmethod
    def wrong(self, x: Any) -> Any:
        """Which cells, `placement.in_place`, cannot be; NaN, a missing cell, is not among them."""

    cells_are: ClassVar[str]  # what is wrong with them, for the error
    crawls: ClassVar[bool] = False  # EM, from labels that put probabilities near 0 and 1

    @abc.abstractmethod
    def estimate(self, sums: Float[Array, "k f"], params: Any) -> Any:
        """The maximum-likelihood estimate from the sums of T; `params` where there are no rows."""

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> Any:
        """The same with some numbers known, where the estimates of others depend on them."""
        return self.estimate(sums, params)

    def estimate_active(
        self, sums: Float[Array, "k f"], params: Any, active: Bool[Array, " k"], fixed: Any
    ) -> Any:
        """The estimate of active components; absent ones keep their parameters."""
        if fixed is None:
            new = self.estimate(sums, params)
        else:
            new = self.fixed_estimate(sums, params, fixed)
        return jax.tree.map(lambda a, b: jnp.where(active[:, None], a, b), new, params)

    @abc.abstractmethod
    def expected(self, params: Any) -> Float[Array, "k f"]:
        """E T(x): the estimate from it is `params` again."""

    @abc.abstractmethod
    def earlier_rows(self, prior: Any) -> Any:
        """The sums of the rows that a conjugate prior stands for."""

    @abc.abstractmethod
    def check_prior(self, prior: Any) -> None:
        """Host side: ValueError for a prior without a mode in the domain."""

    def mean(self, params: Any) -> Float[Array, "k d"]:
        """E x of each column."""
        raise ValueError(f"{self!r} does not tell what to expect in a hole")

    def starting_rows(self, counts: Float[Array, " k"]) -> Float[Array, " k"]:
        """Rows of the pooled fit beside `counts`, those that components start from.

        One, so that nothing starts on a boundary, which EM does not leave; as many again where it
        crawls away from labels: 2 states of 4 letters, one state a letter, ended far below the
        optimum.
        """
        one = jnp.ones_like(counts)
        return jnp.maximum(counts, one) if self.crawls else one

    # ---- host side

    def check_imputable(self) -> None:
        """Any cell may be missing."""

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        what = f"{self.cells_are}, as {self!r} asks"
        checks.require_cells(x, weight, names, self.wrong, what, "drop or mend those rows")

    def as_params(self, params: Params, x: Any, k: int) -> Any:
        checks.fields(params, self.params_type, "components")
        made_for = f"{k} components, {x.shape[1]} columns and {self!r}"
        shape = (k, x.shape[1])
        leaves = [
            checks.parameter(value, shape, x.dtype, name, made_for)
            for name, value in zip(params._fields, params, strict=True)
        ]
        found = self.params_type(*leaves)
        parameters.check(self.constraints, found)
        return found

    def like_x(self, params: Params) -> Any:
        checks.fields(params, self.params_type, "components")
        if np.ndim(params[0]) != 2:
            raise ValueError(f"{params._fields[0]} has shape {np.shape(params[0])}; give (k, d)")
        return jax.ShapeDtypeStruct((1, np.shape(params[0])[1]), tables.float_dtype(params[0]))

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> Any:
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

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        return with_column_means(x)

    def blank(self, x: Any, k: int) -> Any:
        """Parameters of columns before any row is seen."""
        leaf = jax.tree.leaves(x)[0]
        half = jnp.full((k, leaf.shape[1]), 0.5, leaf.dtype)
        return self.params_type(*[half for _ in self.params_type._fields])

    # ---- cells that were not observed

    def impute_mean(
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


def check_mode(family: ExponentialFamily, prior: Any, *sums: Float[Array, "k f"]) -> None:
    """Host side: ValueError where a prior stands for fewer rows than none."""
    if checks.is_concrete(sums) and any(np.any(np.asarray(of) < 0) for of in sums):
        raise ValueError(f"the prior {prior} has no mode inside the domain of {family!r}")


def spread_ratio(
    spread: Float[Array, "k d"], weights: Float[Array, " k"], rows: Float[Array, "k d"] | None
) -> Float[Array, " k"]:
    """`variance_ratio` from a spread of each column that goes to 0 in a collapse.

    spread: a squared deviation relative to where the column is, which rounding alone makes eps^2.
    rows: those of a prior, seen before; where they are, nothing collapses.
    """
    pooled = einsum("k,kd->d", weights, spread)[None]
    smallest = jnp.min(spread / pooled, axis=1)
    singular = jnp.any(~(spread > 16 * jnp.finfo(spread.dtype).eps ** 2), axis=1)
    smallest = jnp.where(singular, jnp.zeros_like(smallest), smallest)
    return smallest if rows is None else jnp.where(jnp.all(rows > 0), jnp.inf, smallest)


def with_column_means(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """x with the mean of the column in missing cells."""
    seen = ~jnp.isnan(x)
    known = jnp.where(seen, x, jnp.zeros_like(x))
    count = jnp.maximum(jnp.sum(seen, axis=0, dtype=x.dtype), 1)
    mean = jnp.sum(known, axis=0) / count
    return jnp.where(seen, x, mean[None])
