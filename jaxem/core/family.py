"""The contract of a family: one component distribution, k copies of it."""

import abc
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxem.core import checks, parameters, tables
from jaxem.core.parameters import Coordinates
from jaxem.core.values import Params, Prepared, Prior, Statistics


class Family(abc.ABC):
    """k copies of one distribution. Arrays of the hot path are (k, n): the long axis is innermost.

    A plain family says what is abstract here; the other methods are those of a family of a table
    of numbers without prior and without an unbounded likelihood.

    `active` marks the components of positive weight, (k,); the others are absent.
    """

    @property
    @abc.abstractmethod
    def constraints(self) -> PyTree:
        """Where the parameters may lie: a tree of `Constraint` like theirs."""

    @property
    def exact_m_step(self) -> bool:
        """Whether `m_step` is the maximiser; else it is a step uphill, which may be too long."""
        return True

    def read(self, data: Any) -> PyTree:
        """Host side: data as a person has it -> arrays of floats; ValueError if that cannot be."""
        return tables.table(data)

    def as_params(self, params: Params, x: PyTree, k: int) -> Params:
        """Host side: parameters as a person has them -> arrays that fit k components of x.

        None for x: the parameters do not tell what rows they are of.
        """
        if x is None:
            return jax.tree.map(lambda leaf: checks.floating(tables.array(leaf, "params")), params)
        return checks.parameters(params, like_params(self, x, k), "components", f"{k} of {self!r}")

    def like_x(self, params: Params) -> PyTree:
        """Host side: shape and dtype of a row, as far as the parameters tell; else None."""
        return None

    def as_prior(self, prior: Prior | None, reg_covar: Any, x: PyTree, k: int) -> Prior:
        """Host side: a prior of plain numbers -> arrays with an entry for each component.

        `reg_covar`, where not None, takes the place of the prior's own.
        """
        raise ValueError(f"{self!r} takes no prior and no reg_covar")

    def check(self, x: PyTree, weight: Any, names: tuple[str, ...] | None) -> None:
        """Host side: ValueError for values that cannot be, in rows of positive weight."""
        checks.finite(x, weight, names)

    @abc.abstractmethod
    def fit_one_component(self, x: PyTree, weight: Float[Array, " n"], k: int) -> Params:
        """k copies of the one-component fit."""

    def starting_prior(
        self, pooled: Params, counts: Float[Array, " k"], prior: Prior | None
    ) -> Prior:
        """A weak prior around the pooled fit, on top of the fit's own prior.

        counts: rows that each component starts from, 0 for an absent one. No start is singular,
        unless the fit itself must be; one row is enough for one component.
        """
        return prior

    def prepare(self, params: Params, prior: Prior | None) -> Prepared:
        """What every row needs, once an iteration: factors, normalisers, the pivot."""
        return params

    @abc.abstractmethod
    def evaluate(self, prepared: Prepared, x: PyTree) -> tuple[Float[Array, "k n"], Any]:
        """-> (log_density (k, n), cache that `statistics` uses again)."""

    @abc.abstractmethod
    def statistics(
        self, prepared: Prepared, x: PyTree, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Statistics:
        """Sums over rows, additive over blocks of rows for one `prepared`."""

    def finalize_statistics(self, prepared: Prepared, statistics: Statistics) -> Statistics:
        """The sums over all rows as `m_step` takes them: linear in them, and once an iteration."""
        return statistics

    def recentre(self, statistics: Statistics, old: Params, new: Params) -> Statistics:
        """The sums of an E-step at `old` as `m_step` takes them with `new`: from their pivot.

        Same responsibilities; identity for sums that are measured from no parameters.
        """
        return statistics

    @abc.abstractmethod
    def m_step(
        self,
        params: Params,
        statistics: Statistics,
        prior: Prior | None,
        active: Array,
        fixed: Params | None = None,
    ) -> Params:
        """The maximiser; `params` are those of the E-step; absent components keep them.

        fixed: numbers that are known, NaN where they are free; None: all are free. The model puts
        them in their places: here they matter where estimates of others depend on them.
        """

    def log_prior(self, params: Params, prior: Prior, active: Array) -> Float[Array, ""]:
        """Log density of the prior, up to its normalising constant."""
        return jnp.zeros((), jax.tree.leaves(params)[0].dtype)

    def fisher_diagonal(self, params: Params, share: Float[Array, " k"]) -> Coordinates:
        """Diagonal of the complete-data Fisher information of the coordinates, per row.

        share: of the rows, by component. Only ratios matter, and they need not be exact.
        """
        return parameters.fisher_diagonal(self.constraints, params, share)

    def variance_ratio(
        self, params: Params, weights: Float[Array, " k"], prior: Prior | None
    ) -> Float[Array, " k"]:
        """`Health.variance_ratio`; the pooled variance is the one within components.

        Infinite where no likelihood is unbounded.
        """
        finite = [
            jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
            for leaf in jax.tree.leaves(params)
        ]
        return jnp.where(jnp.all(jnp.stack(finite), axis=0), jnp.inf, jnp.nan).astype(weights.dtype)

    @abc.abstractmethod
    def sample(self, key: Array, params: Params, labels: Int[Array, " n"]) -> PyTree:
        """One row of component `labels[i]` for each i."""


def like_params(family: Family, x: PyTree, k: int) -> PyTree:
    """Shapes and dtypes of the parameters of k components for rows like x."""
    leaf = jax.tree.leaves(x)[0]
    weight = jax.ShapeDtypeStruct(leaf.shape[:1], leaf.dtype)
    return _pooled.eval_shape(family, x, weight, k)


@partial(jax.jit, static_argnames=("family", "k"))
def _pooled(family: Family, x: PyTree, weight: Float[Array, " n"], k: int) -> Params:
    return family.fit_one_component(x, weight, k)
