"""The contract of a model: a latent structure over a family, and all that the loop sees."""

import abc
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxem.core import checks, parameters, tables
from jaxem.core.parameters import Coordinates
from jaxem.core.rows import Rows, as_rows
from jaxem.core.values import Health, Params, Prepared, Prior, SortedRows, Statistics


class Model(abc.ABC):
    """What is hidden, most often a latent structure over a family: all that the loop sees.

    A plain model says what is abstract here; the other methods are those of a model of rows of
    numbers, of one part, without prior, labels and unbounded likelihood, and refuse what it lacks.

    A model's statistics have the fields `total_weight`, and `counts` (k,): the effective rows of
    each component or state. Both are summed like the others.
    """

    n_components: Any = 1  # or states
    sequential: bool = False  # whether the E-step goes from step to step of each row
    family: Any = None  # of a row, given what is hidden; None: it has none

    def of_family(self, tree: Any) -> Any:
        """Of parameters, a prior, statistics or what is prepared, the part that is the family's."""
        raise ValueError(f"{self!r} has no family of rows")

    def with_family(self, tree: Any, part: Any) -> Any:
        """The tree with that part replaced."""
        raise ValueError(f"{self!r} has no family of rows")

    def family_rows(self, rows: Rows) -> PyTree:
        """x as the family takes it, its rows on the leading axis."""
        return rows.x

    def family_weight(self, rows: Rows) -> Any:
        """The weights in the order of those, 0 where nothing was observed."""
        return rows.weight

    @property
    @abc.abstractmethod
    def constraints(self) -> PyTree:
        """Where the parameters may lie: a tree of `Constraint` like theirs."""

    @property
    def exact_m_step(self) -> bool:
        """Whether `m_step` is the maximiser; else the loop halves steps that lead down."""
        return True

    def with_n_components(self, n: int) -> "Model":
        """The same model with n components or states."""
        if n != self.n_components:
            raise ValueError(f"{self!r} comes with {self.n_components} parts alone, not with {n}")
        return self

    def rows(self, data: Any, sample_weight: Any, labels: Any, lengths: Any = None) -> Rows:
        """Host side: data -> Rows, checked. A row of weight 0 leaves nothing of itself.

        lengths: of the sequences in a batch, for models of sequences.
        """
        if labels is not None or lengths is not None:
            raise ValueError(f"{self!r} has neither labels nor lengths; give rows alone")
        x = tables.table(data)
        weight = checks.weights(sample_weight, x.shape[0])
        self.check(x, weight, tables.column_names(data))
        return as_rows(x, weight, None)

    def check(self, x: PyTree, weight: Any, names: tuple[str, ...] | None) -> None:
        """Host side: ValueError for values that cannot be, in rows of positive weight."""
        checks.finite(x, weight, names)

    def sorted_for_fit(self, rows: Rows) -> SortedRows:
        """Host side: the rows in the order in which they are fitted fastest."""
        return SortedRows(rows, self.n_rows(rows), 1)

    def observed(self, rows: Rows) -> tuple[PyTree, Array]:
        """-> (x, weight), axes as those of `posterior`; weight 0 where nothing was observed."""
        return rows.x, rows.weight

    def layout(self, data: Any, lengths: Any) -> Any:
        """Host side: where the sequences of the data are; None for plain rows."""
        return None

    @property
    def nested_in_k(self) -> bool:
        """Whether it is the same model within one of more parts, those beyond its own absent."""
        return False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is legal in the model, but may not be meant; shown with a result."""
        return ()

    def total_weight(self, rows: Rows) -> Float[Array, ""]:
        """Of the rows that tell anything: N of BIC, and what the objective is a mean over."""
        return jnp.sum(rows.weight)

    def check_possible(self, params: Params, rows: Rows, where: Any) -> None:
        """Host side: ValueError that names what of the rows has a density of 0, where some has.

        where: the `layout` of the data.
        """
        return None

    def n_rows(self, rows: Rows) -> int:
        """How many rows, or steps of sequences."""
        return rows.weight.shape[0]

    def check_enough(self, rows: Rows) -> None:
        """Host side: ValueError when there are fewer distinct rows than parts to start from."""
        checks.enough_rows(rows.x, self.n_components)

    def active(self, params: Params) -> Bool[Array, " k"]:
        """Which parts are there."""
        return jnp.ones(self.n_components, bool)

    def as_params(self, params: Params, rows: Rows | None) -> Params:
        """Host side: parameters as a person has them -> arrays, checked; None: for any rows."""
        if rows is None:
            return jax.tree.map(lambda p: checks.floating(tables.array(p, "params")), params)

        return checks.parameters(params, _start.eval_shape(self, rows), "params", repr(self))

    def as_prior(
        self, prior: Prior | None, reg_covar: Any, x: PyTree, fixed: Any = None
    ) -> Prior | None:
        """Host side: a prior of plain numbers -> arrays for rows like x; None stays None.

        `fixed`, where not None, takes the place of the prior's own: fixed parameters are
        those of a prior that is a point.
        """
        given = reg_covar is not None and not (checks.is_concrete(reg_covar) and reg_covar == 0)
        if prior is not None or fixed is not None or given:
            raise ValueError(f"{self!r} takes no prior, no reg_covar and nothing fixed")
        return None

    def numbers_per_row(self, rows: Rows) -> int:
        """About how many numbers an E-step makes of each row: blocks are sized by it."""
        return self.n_components * (2 + checks.n_numbers(rows.x, rows.weight.shape[0]))

    def shared_start_statistics(self, rows: Rows) -> Any:
        """What all starts from these rows share, whatever their labels; None: nothing."""
        return None

    @abc.abstractmethod
    def start(
        self,
        key: Array,
        rows: Rows,
        shared_start_statistics: Any,
        method: Int[Array, ""],
        n_active: Int[Array, ""],
        prior: Prior | None,
    ) -> Params:
        """Starting parameters from (a sample of) the rows, by a traced method code.

        Parts from n_active on are absent, of weight 0, and stay so: one compilation serves every
        number of parts up to `n_components`.
        """

    def prepare(self, params: Params, prior: Prior | None) -> Prepared:
        """What every row needs, once an iteration."""
        return params

    def stable_form(self, prepared: Prepared) -> tuple[Array, Prepared] | None:
        """As that of the family: when something else must be used instead of `prepared`."""
        found = None if self.family is None else self.family.stable_form(self.of_family(prepared))
        return None if found is None else (found[0], self.with_family(prepared, found[1]))

    @abc.abstractmethod
    def e_step(self, prepared: Prepared, rows: Rows) -> tuple[Statistics, Float[Array, ""]]:
        """-> (statistics, log-likelihood), both additive over blocks of rows."""

    def finalize_statistics(self, prepared: Prepared, statistics: Statistics) -> Statistics:
        """The sums over all rows as `m_step` takes them."""
        if self.family is None:
            return statistics
        sums = self.of_family(prepared), self.of_family(statistics)
        return self.with_family(statistics, self.family.finalize_statistics(*sums))

    def rounding(self, statistics: Statistics) -> Float[Array, ""]:
        """What the log-likelihood may be off by, beyond the rounding of its sum: the family's."""
        if self.family is None:
            return jnp.zeros((), jax.tree.leaves(statistics)[0].dtype)
        return self.family.rounding(self.of_family(statistics))

    @abc.abstractmethod
    def m_step(self, params: Params, statistics: Statistics, prior: Prior | None) -> Params:
        """The maximiser of the expected complete log-likelihood plus log prior."""

    def differentiable_m_step(
        self, params: Params, statistics: Statistics, prior: Prior | None
    ) -> Params:
        """A map with the fixed points of `m_step`, and differentiable there.

        The M-step itself, unless that is a search.
        """
        return self.m_step(params, statistics, prior)

    def fixed(self, prior: Prior | None) -> Params | None:
        """The numbers that the prior fixes, NaN where they are free; None: it fixes none."""
        return None

    def log_prior(self, params: Params, prior: Prior | None) -> Float[Array, ""]:
        """Log density of the prior, up to its normalising constant; 0 without one."""
        return jnp.zeros((), jax.tree.leaves(params)[0].dtype)

    def fisher_diagonal(self, params: Params) -> Coordinates:
        """The diagonal of the complete data's information about the coordinates, a row.

        Only ratios matter, and they need not be exact.
        """
        share = self.active(params).astype(jax.tree.leaves(params)[0].dtype)
        share = share / jnp.sum(share)
        return parameters.fisher_diagonal(self.constraints, params, share)

    def n_free_parameters(self, params: Params, prior: Prior | None = None) -> Array:
        """How many parameters are free, for AIC and BIC: none of those that the prior fixes."""
        active, fixed = self.active(params), self.fixed(prior)
        return parameters.n_free(self.constraints, params, active, fixed)

    def health(self, params: Params, counts: Float[Array, " k"], prior: Prior | None) -> Health:
        """How near each component is to a collapse."""
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]
        ratio = jnp.where(jnp.all(jnp.stack(finite)), jnp.inf, jnp.nan).astype(counts.dtype)
        return Health(counts, jnp.broadcast_to(ratio, counts.shape))

    def posterior(
        self, prepared: Prepared, rows: Rows
    ) -> tuple[Float[Array, "*t n"], Float[Array, "k *t n"]]:
        """-> (log density of each row, posterior probability of each component given the row).

        The last axis is that of rows; a model of sequences has their steps before it. Else it is
        the E-step of each row alone: what it counts adds up to 1.
        """

        def of(row: Rows) -> tuple[Array, Array]:
            alone = jax.tree.map(lambda leaf: leaf[None], row)
            alone = alone._replace(weight=jnp.ones_like(alone.weight))
            statistics, log_density = self.e_step(prepared, alone)
            return log_density, statistics.counts

        return jax.vmap(of, out_axes=(0, 1))(rows)

    def log_density(self, prepared: Prepared, rows: Rows) -> Float[Array, "*t n"]:
        """Of each row, as it is differentiated twice; of a step that given the steps before it."""
        return self.posterior(prepared, rows)[0]

    def expected(self, prepared: Prepared, then: Prepared, rows: Rows) -> Float[Array, ""]:
        """Q = E[log p(x, z; prepared) | x; then], weighted and summed over the rows."""
        raise ValueError(f"{self!r} does not tell its complete log-likelihood")

    def sequence_starts(self, rows: Rows) -> Bool[Array, "t n"] | None:
        """At which steps sequences begin; None: every row is independent of the others."""
        return None

    def entropy(self, prepared: Prepared, rows: Rows) -> Float[Array, "*t n"]:
        """Of what is hidden, given the rows, in nats: terms of each row, rows last; NaN: untold."""
        return jnp.full_like(rows.weight, jnp.nan)

    def sample(self, key: Array, params: Params, n: int) -> tuple[PyTree, Array]:
        """-> (n rows, their labels)."""
        raise ValueError(f"{self!r} does not tell how rows are drawn: give it a method `sample`")

    def resample_like(self, key: Array, params: Params, rows: Rows) -> Rows:
        """The rows with new numbers in them, drawn from the model; all else is as it was."""
        raise ValueError(
            f"{self!r} does not tell how rows are drawn: give it a method `resample_like`"
        )


@partial(jax.jit, static_argnames=("model",))
def _start(model: Model, rows: Rows) -> Params:
    """Any parameters for such rows."""
    shared, k = model.shared_start_statistics(rows), jnp.int32(model.n_components)
    return model.start(jax.random.key(0), rows, shared, jnp.int32(0), k, None)
