"""Categories: independent columns of different numbers of levels (latent class analysis).

log p(x; p) = sum_j log p[j][x[j]],    p[j][c] = sum r [x[j] = c] / sum r [x[j] observed]

T(x) is the table of indicators, one after another for all levels of all columns (Goodman 1974).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement, tables
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Simplex
from jaxem.core.contracts import Params
from jaxem.core.numerics import einsum
from jaxem.core.parameters import tree
from jaxem.families.direct_form import DirectFamily
from jaxem.families.exponential_family import guarded_log
from jaxem.families.independent_columns import ratio


class CategoricalParams(NamedTuple):
    """probabilities: for each column (k, c), rows adding up to 1."""

    probabilities: tuple[Array, ...]


class CategoricalPrior(NamedTuple):
    """Dirichlet(concentration) on the levels of each column: that less 1 seen before."""

    concentration: Any = 1.0


@dataclass(frozen=True)
class Categorical(DirectFamily):
    """Columns of whole numbers from 0, (n, d); -1 or NaN is a missing cell.

    log p(x; p) = sum_j log p[j][x[j]]

    n_categories: levels of each column, (2, 4, 3), or one number for all columns.
    Errors: ValueError for codes beyond the levels. Source: Goodman (1974), Biometrika 61, 215-231.
    """

    n_categories: Any

    params_type, prior_type = CategoricalParams, CategoricalPrior
    constraints = tree(CategoricalParams, Simplex())  # each column's
    crawls = True
    cells_are = "values that are not whole numbers from 0 to the number of categories less 1"

    def __post_init__(self) -> None:
        given = self.n_categories
        many = isinstance(given, tuple | list | np.ndarray)
        counts = tuple(
            checks.whole(c, "n_categories", least=1) for c in (given if many else (given,))
        )
        if not counts:
            raise ValueError("n_categories is empty; give the number of levels of each column")
        object.__setattr__(self, "n_categories", counts if many else counts[0])

    def _levels(self, d: int) -> tuple[int, ...]:
        counts = self.n_categories
        counts = counts if isinstance(counts, tuple) else (counts,) * d
        if len(counts) != d:
            raise ValueError(f"x has {d} columns, n_categories has {len(counts)}: one for each")
        return counts

    def read(self, data: Any) -> Any:
        x = tables.table(data)
        numpy: Any = jnp if isinstance(x, jax.Array) else np
        return numpy.where(x == -1, numpy.nan, x)

    def describe(self, params: CategoricalParams, columns: Any, levels: Any) -> list[Line]:
        return [
            Line(name, f"P({level})", table[:, j])
            for name, table in zip(columns, params.probabilities, strict=True)
            for j, level in enumerate(levels.get(name, range(table.shape[1])))
        ]

    def wrong(self, x: Any) -> Any:
        most = np.array(self._levels(x.shape[1]), x.dtype) - 1
        return ~(placement.is_nan(x) | ((x >= 0) & (x <= most[None]) & placement.is_whole(x)))

    def as_params(self, params: Params, x: Any, k: int) -> CategoricalParams:
        checks.fields(params, CategoricalParams, "components")
        levels = self._levels(x.shape[1])
        given = params.probabilities
        if not isinstance(given, tuple | list) or len(given) != len(levels):
            raise ValueError(f"probabilities is no tuple of {len(levels)} arrays, one for a column")
        leaves = []
        for j, (value, c) in enumerate(zip(given, levels, strict=True)):
            name = f"probabilities[{j}]"
            leaves.append(checks.parameter(value, (k, c), x.dtype, name, f"{k} components"))
            for row in np.asarray(value) if checks.is_concrete(value) else ():
                checks.probabilities(row, name)
        return CategoricalParams(tuple(leaves))

    def like_x(self, params: Params) -> Any:
        checks.fields(params, CategoricalParams, "components")
        tables_ = params.probabilities
        return jax.ShapeDtypeStruct((1, len(tables_)), tables.float_dtype(tables_[0]))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        return self.features(x).T

    def blank(self, x: Float[Array, "n d"], k: int) -> CategoricalParams:
        levels = self._levels(x.shape[1])
        return CategoricalParams(tuple(jnp.full((k, c), 1 / c, x.dtype) for c in levels))

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        levels = self._levels(x.shape[1])
        column = np.repeat(np.arange(len(levels)), levels)
        level = np.concatenate([np.arange(c) for c in levels])
        return (x.T[column] == jnp.asarray(level, x.dtype)[:, None]).astype(x.dtype)

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return jnp.zeros(x.shape[0], x.dtype)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        return guarded_log(jnp.concatenate(params.probabilities, axis=1))

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> CategoricalParams:
        ends = np.cumsum([p.shape[1] for p in params.probabilities])[:-1]

        def shares(count: Array, old: Array) -> Array:
            total = jnp.sum(count, axis=1, keepdims=True)
            return ratio(count, jnp.broadcast_to(total, count.shape), old)

        parts = zip(jnp.split(sums, ends, axis=1), params.probabilities, strict=True)
        return CategoricalParams(tuple(shares(count, old) for count, old in parts))

    def impute_mean(
        self, params: Any, x: Float[Array, "n d"], shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        """The likeliest level."""
        likely = [jnp.argmax(einsum("kn,kc->nc", shares, p), axis=1) for p in params.probabilities]
        return jnp.where(jnp.isnan(x), jnp.stack(likely, axis=1).astype(x.dtype), x)

    def marginal(self, params: Any, columns: Any) -> tuple["Categorical", CategoricalParams]:
        tables_ = tuple(params.probabilities[j] for j in columns)
        return Categorical(tuple(p.shape[1] for p in tables_)), CategoricalParams(tables_)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        return jnp.concatenate(params.probabilities, axis=1)

    def as_prior(self, prior: Any, reg_covar: Any, x: Any, k: int) -> Float[Array, "k f"]:
        levels = self._levels(x.shape[1])
        like = jax.ShapeDtypeStruct((1, sum(levels)), x.dtype)
        return super().as_prior(prior, reg_covar, like, k)

    def earlier_rows(self, prior: CategoricalPrior) -> Float[Array, "k f"]:
        return prior.concentration - 1

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        keys = jax.random.split(key, len(params.probabilities))
        columns = [
            jax.random.categorical(own, guarded_log(p)[labels], axis=1).astype(p.dtype)
            for own, p in zip(keys, params.probabilities, strict=True)
        ]
        return jnp.stack(columns, axis=1)
