"""The contract of a family: one component distribution, k copies of it."""

import abc
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxem.core import checks, parameters, tables
from jaxem.core.parameters import Coordinates
from jaxem.core.values import Params, Prepared, Prior, Statistics

SEEN = 0.5  # rows from which on something is taken to be known


# Blocks within blocks, by name, and a column of the innermost, or two that go together.
Place = tuple[tuple[str, ...], tuple[int, ...]]


def rows_with(both: PyTree) -> np.ndarray:
    """How many rows of each component have a column, (k, c); a response is the last column."""
    return np.concatenate([np.einsum("kii->ki", leaf) for leaf in jax.tree.leaves(both)], axis=1)


def some_of(marks: Mapping[Place, np.ndarray]) -> dict[Place, tuple[int, ...]]:
    """Which components are marked, where some is."""
    found = {place: tuple(map(int, np.flatnonzero(own))) for place, own in marks.items()}
    return {place: parts for place, parts in found.items() if parts}


def informed(prior: Prior | None, counts: np.ndarray) -> np.ndarray:
    """Which components a prior tells something of, (k,)."""
    leaves = [np.reshape(leaf, (len(counts), -1)) for leaf in jax.tree.leaves(prior)]
    return np.any([np.any(leaf != 0, axis=1) for leaf in leaves], axis=0) & (counts >= 0)


def fixed_column(fixed: Any, j: int, d: int) -> np.ndarray:
    """In which components the numbers of a column are all known, (k,)."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(fixed)]
    own = [~np.isnan(leaf[:, j]) for leaf in leaves if leaf.shape[1:] == (d,)]
    return np.all(own, axis=0) if own else np.array(False)


def n_columns(family: "Family", x: PyTree) -> int:
    """How many numbers a row of x has, as it was given."""
    leaves, tree = jax.tree.flatten(x)
    one = tuple(jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    return _n_given(family, one, tree)


@lru_cache
def _n_given(family: "Family", row: tuple, tree: Any) -> int:
    return checks.n_numbers(jax.eval_shape(family.given, jax.tree.unflatten(tree, row)), 1)


class Family(abc.ABC):
    """k copies of one distribution. Arrays of the hot path are (k, n): the long axis is innermost.

    A plain family says what is abstract here; the other methods are those of a family of a table
    of numbers without prior and without an unbounded likelihood.

    `live` marks the components of positive weight, (k,); the others are absent.
    """

    @property
    @abc.abstractmethod
    def constraints(self) -> PyTree:
        """Where the parameters may lie: a tree of `Constraint` like theirs."""

    @property
    def regularised(self) -> bool:
        """Whether it has covariances, for `reg_covar`."""
        return False

    @property
    def exact_m_step(self) -> bool:
        """Whether `m_step` is the maximiser; else it is a step uphill, which may be too long."""
        return True

    @property
    def unimodal(self) -> bool:
        """Whether the likelihood of one component has one maximum; else its starts differ."""
        return True

    def read(self, data: Any) -> PyTree:
        """Host side: data as a person has it -> arrays of floats; ValueError if that cannot be."""
        return tables.table(data)

    def joined(self, parts: Sequence[PyTree]) -> PyTree:
        """Host side: what was read in parts, as the rows of one table."""
        return jax.tree.map(checks.end_to_end, *parts)

    def like_params(self, x: PyTree, k: int) -> PyTree:
        """Shapes and dtypes of the parameters of k components for rows like x."""
        n, dtype = (of(jax.tree.leaves(x)[0]) for of in (lambda a: a.shape[0], lambda a: a.dtype))
        weight = jax.ShapeDtypeStruct((n,), dtype)
        return jax.eval_shape(lambda x, w: self.pooled(x, w, k), x, weight)

    def as_params(self, params: Params, x: PyTree, k: int) -> Params:
        """Host side: parameters as a person has them -> arrays that fit k components of x."""
        return checks.parameters(params, self.like_params(x, k), "components", f"{k} of {self!r}")

    def like_x(self, params: Params) -> PyTree:
        """Host side: the shape and dtype of one row that the parameters were made for."""
        raise ValueError(f"{self!r} does not tell what rows its parameters are of: give x")

    def as_prior(self, prior: Prior | None, reg_covar: Any, x: PyTree, k: int) -> Prior:
        """Host side: a prior of plain numbers -> arrays with an entry for each component.

        `reg_covar`, where not None, takes the place of the prior's own.
        """
        raise ValueError(f"{self!r} takes no prior and no reg_covar")

    def regularised_by(self, reg_covar: Any) -> bool:
        """Host side: whether `reg_covar` asks for anything; ValueError where it has no meaning."""
        if reg_covar is None:
            return False
        if checks.is_concrete(reg_covar):
            checks.nonnegative(reg_covar, "reg_covar")
            if float(reg_covar) == 0:
                return False
        if not self.regularised:
            raise ValueError(f"reg_covar is for covariances; {self!r} has none: give prior=")
        return True

    def check(self, x: PyTree, weight: Any, names: tuple[str, ...] | None) -> None:
        """Host side: ValueError for values that cannot be, in rows of positive weight."""
        checks.finite(x, weight, names)

    def measured(self, x: PyTree, weight: Any) -> PyTree:
        """x, checked, as the steps take it: from an origin of its own where it lies far from 0."""
        return x

    def given(self, x: PyTree) -> PyTree:
        """The numbers of x, as the steps take it, as they were given."""
        return x

    def check_identified(
        self, x: PyTree, weight: Any, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        """Host side: what rows to be fitted leave open; ValueError where that is a whole column."""
        return ()

    def unbounded(
        self, x: PyTree, weight: Any, names: tuple[str, ...] | None, k: int
    ) -> tuple[str, ...]:
        """Host side: for which rows the likelihood of k components has no bound without a prior,
        where no component collapses by itself."""
        return ()

    def informative(self, x: PyTree) -> Any:
        """Which rows of x, as it was read, tell anything, (n,): those with a number in them.

        On the host for NumPy arrays. The others have a density of 1, and are none of the N of BIC.
        """

        def seen(leaf: Any) -> Any:
            numpy: Any = np if isinstance(leaf, np.ndarray) else jnp
            return ~numpy.all(numpy.isnan(leaf.reshape(leaf.shape[0], -1)), axis=1)

        leaves = jax.tree.leaves(x)
        numbers = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return reduce(or_, map(seen, numbers))

    def left_open(
        self, counts: np.ndarray, both: PyTree, prior: Prior | None, fixed: Any
    ) -> dict[Place, tuple[int, ...]]:
        """Host side: columns of which nothing is known, and in which components.

        counts: rows of each component, (k,); both: how many of them have both columns, in the tree
        of x, (k, c, c). prior, fixed: of the components, None where there are none.
        """
        there, alone = (counts >= SEEN) & ~informed(prior, counts), rows_with(both)
        d = alone.shape[1]
        marks = {
            ((), (j,)): there & (alone[:, j] < SEEN) & ~fixed_column(fixed, j, d) for j in range(d)
        }
        return some_of(marks)

    @property
    def runs_away(self) -> bool:
        """Whether a likelihood may have no maximum, rising for ever with some parameters."""
        return False

    def run_away(self, statistics: Statistics, x: PyTree, weight: Any) -> tuple[str, ...]:
        """Host side: which components' do, where it can; statistics: where the fit has ended."""
        return ()

    def missing_mask(self, x: PyTree) -> Any:
        """Host side: (n, c) bool, the holes that rows alike in which share work on; None: no such
        holes."""
        return None

    def with_tile_size(self, x: PyTree, tile_size: int) -> PyTree:
        """x, of which so many rows after each other, from the first on, have one pattern."""
        return x

    def default_min_count(self, x: PyTree) -> float:
        """Effective rows under which a component counts as collapsed."""
        return 0.0

    def coordinates(self, x: PyTree) -> Float[Array, "n p"]:
        """x as points between which a distance has a meaning: where k-means looks for starts."""
        return x

    def numbers_per_row(self, x: PyTree, k: int) -> int:
        """About how many numbers an E-step makes of each row: blocks are sized by it."""
        leaves = jax.tree.leaves(x)
        return k * (2 + sum(leaf.size // leaf.shape[0] for leaf in leaves))

    def labelled(
        self, key: Array, pooled: Params, x: PyTree, weight: Array, odds: Float[Array, "k n"]
    ) -> Int[Array, " n"] | None:
        """Labels of rows for a start, by components that a few rows each determine.

        odds: by which those of each component are drawn, none for an absent one. None: rows of one
        component lie together, where k-means finds them.
        """
        return None

    @abc.abstractmethod
    def pooled(self, x: PyTree, weight: Float[Array, " n"], k: int) -> Params:
        """k copies of the one-component fit."""

    def first(self, pooled: Params, x: PyTree, responsibilities: Float[Array, "k n"]) -> Params:
        """Where the M-step of a start, from these shares of the rows, sets out."""
        return pooled

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

    def stable_form(self, prepared: Prepared) -> tuple[Array, Prepared] | None:
        """-> (whether these parameters need it, what is then to be used instead of `prepared`).

        For a family that has a fast way and a slower one that loses fewer digits; None: one way.
        """
        return None

    @abc.abstractmethod
    def evaluate(self, prepared: Prepared, x: PyTree) -> tuple[Float[Array, "k n"], Any]:
        """-> (log_density, cache); the cache is what `statistics` can use again."""

    @abc.abstractmethod
    def statistics(
        self, prepared: Prepared, x: PyTree, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Statistics:
        """Sums over rows, additive over blocks of rows for one and the same `prepared`."""

    def finalize_statistics(self, prepared: Prepared, statistics: Statistics) -> Statistics:
        """The sums over all rows as `m_step` takes them: linear in them, and once an iteration."""
        return statistics

    def rounding(self, statistics: Statistics) -> Float[Array, ""]:
        """What the log densities that were summed may be off by, in all.

        0 where none loses more digits than their sum does.
        """
        return jnp.zeros((), jax.tree.leaves(statistics)[0].dtype)

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

    def spread_fixed(self, fixed: Params) -> Array:
        """Which components cannot collapse, (k,), since what would have to is fixed."""
        return jnp.ones(jax.tree.leaves(fixed)[0].shape[0], bool)

    def log_prior(self, params: Params, prior: Prior, active: Array) -> Float[Array, ""]:
        """Log density of the prior, up to its normalising constant."""
        return jnp.zeros((), jax.tree.leaves(params)[0].dtype)

    def fisher_diagonal(self, params: Params, share: Float[Array, " k"]) -> Coordinates:
        """The diagonal of the complete data's information about the coordinates, a row.

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

    def at_pivot(self, params: Params, x: PyTree) -> Params:
        """A linear map of parameters, or of changes of them, to such as x tells apart: the values
        of lines among its rows in the place of those at 0."""
        return params

    def from_pivot(self, params: Params, x: PyTree) -> Params:
        """The way back."""
        return params

    @abc.abstractmethod
    def sample(self, key: Array, params: Params, labels: Int[Array, " n"]) -> PyTree:
        """One row of component `labels[i]` for each i."""

    def resample_like(
        self, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
    ) -> PyTree:
        """x, as it was read, with new numbers from component `labels[i]` in row i.

        What the family says nothing of stays as it is: regressors, exposures, which cells are
        missing.
        """
        rows = self.sample(key, params, labels)
        return jax.tree.map(lambda row, x: jnp.where(jnp.isnan(x), x, row), rows, x)

    # ---- cells that were not observed

    def with_holes(self) -> "Family":
        """The same family for rows with NaN where a cell was not observed."""
        return self

    def read_incomplete(self, data: Any) -> PyTree:
        """Host side: data as a person has it -> its numbers as they are, NaN in the holes."""
        raise ValueError(f"{self!r} observes its rows whole: there are no holes to fill")

    def impute_mean(self, params: Params, x: PyTree, shares: Float[Array, "k n"]) -> PyTree:
        """Of x, as it was read, the cells, with E[hole | what was observed] in the holes.

        shares: P(component | row).
        """
        raise ValueError(f"{self!r} does not tell what to expect in a hole")

    def impute_draw(
        self, key: Array, params: Params, x: PyTree, labels: Int[Array, " n"]
    ) -> PyTree:
        """The cells of x, with holes drawn from component labels[i] given the rest of row i.

        Right as it is where columns are independent given the component.
        """
        rows = self.sample(key, params, labels)
        return jax.tree.map(lambda row, x: jnp.where(jnp.isnan(x), row, x), rows, x)

    def moments(self, params: Params) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        """Mean and covariance of each component."""
        raise ValueError(f"{self!r} does not tell its moments")

    def conditional(self, params: Params, given: dict) -> tuple["Family", Params, Array]:
        """-> (family and parameters of the columns left, log density of those given, (k,)).

        given: values by column, at least one; at least one column is left.
        """
        raise ValueError(f"{self!r} has no columns that could be given")
