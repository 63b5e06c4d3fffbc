"""What families of independent columns share: cells that are checked, missing, filled or given.

log p(x; theta) = sum_j log p(x[j]; theta[:, j])

Cells are independent given the component: a missing one (NaN) drops out of the sum. How the density
is computed and estimated is that of `ExponentialFamily` or of `NewtonFamily`.
"""

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxem.core import checks, parameters, tables
from jaxem.core.contracts import Family, Params
from jaxem.core.numerics import einsum


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


class IndependentColumns(Family):
    """Columns are independent given the component; parameters are (k, d) unless it says so."""

    params_type: ClassVar[Any]  # a NamedTuple

    @abc.abstractmethod
    def wrong(self, x: Any) -> Any:
        """Which cells, `placement.in_place`, cannot be; NaN, a missing cell, is not among them."""

    cells_are: ClassVar[str]  # what is wrong with them, for the error

    def mean(self, params: Any) -> Float[Array, "k d"]:
        """E x of each column."""
        raise ValueError(f"{self!r} does not tell what to expect in a hole")

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

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        return with_column_means(x)

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
