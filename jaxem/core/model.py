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
from jaxem.core.values import Params, Prepared, Prior, Statistics


class Model(abc.ABC):
    """What is hidden, most often a latent structure over a family: all that the loop sees.

    A plain model says what is abstract here; the other methods are those of a model of rows of
    numbers, of one part, without prior, labels and unbounded likelihood, and refuse what it lacks.

    A model's statistics have the fields `total_weight`, and `counts` (k,): the effective rows of
    each component or state. Both are summed like the others.
    """

    n_components: Any = 1  # or states
    part: Any = "component"  # what one of them is called
    names: Any = None  # what each of them is called; None: by numbers
    family: Any = None  # of a row, given what is hidden; None: it has none

    @property
    def n_covariates(self) -> int:
        """Of each row, beside what the family describes: what is hidden depends on them."""
        return 0

    def of_family(self, tree: Any) -> Any:
        """Of parameters, a prior, statistics or what is prepared, the part that is the family's."""
        raise ValueError(f"{self!r} has no family of rows")

    def with_family(self, tree: Any, part: Any) -> Any:
        """The tree with that part replaced."""
        raise ValueError(f"{self!r} has no family of rows")

    @property
    @abc.abstractmethod
    def constraints(self) -> PyTree:
        """Where the parameters may lie: a tree of `Constraint` like theirs."""

    @property
    def exact_m_step(self) -> bool:
        """Whether `m_step` is the maximiser; else the loop halves steps that lead down."""
        return True

    @property
    def n_beside(self) -> int:
        """Parts beside those that the family describes, of which one more label tells."""
        return 0

    def with_n_components(self, n: int) -> "Model":
        """The same model with n components or states."""
        if n != self.n_components:
            raise ValueError(f"{self!r} comes with {self.n_components} parts alone, not with {n}")
        return self

    def read(self, data: Any, sample_weight: Any, labels: Any, lengths: Any) -> tuple[Rows, Any]:
        """Host side: data -> (rows, checked; where sequences lie in them, None for plain rows).

        A row of weight 0 leaves nothing of itself. lengths: of the sequences in a batch.
        """
        if labels is not None or lengths is not None:
            raise ValueError(f"{self!r} has neither labels nor lengths; give rows alone")
        x = tables.table(data)
        weight = checks.weights(sample_weight, x.shape[0])
        self.check(x, weight, tables.column_names(data))
        return as_rows(x, weight, None), None

    def check(self, x: PyTree, weight: Any, names: tuple[str, ...] | None) -> None:
        """Host side: ValueError for values that cannot be, in rows of positive weight."""
        checks.finite(x, weight, names)

    @property
    def nested_in_k(self) -> bool:
        """Whether it is the same model within one of more parts, those beyond its own absent."""
        return False

    def active(self, params: Params) -> Bool[Any, " k"]:
        """Which components or states are present."""
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

    @property
    def flat_prior(self) -> Prior:
        """The prior that says nothing, as a person gives one."""
        raise ValueError(f"{self!r} takes no prior")

    def with_trim(self, prior: Prior | None, trim: Any) -> Prior:
        """Host side: the prior as a person has it, with a share of the rows that does not count."""
        raise ValueError(f"trim is for mixtures and hidden Markov models; {self!r} is neither")

    def trim(self, prior: Prior | None) -> Any:
        """The share of the rows that does not count; None: all do."""
        return None

    def shared_start_statistics(self, rows: Rows) -> Any:
        """What all starts from these rows share, whatever their labels; None: nothing."""
        return None

    @abc.abstractmethod
    def start(
        self,
        key: Array,
        rows: Rows,
        shared: Any,
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

    @abc.abstractmethod
    def e_step(self, prepared: Prepared, rows: Rows) -> tuple[Statistics, Float[Array, ""]]:
        """-> (statistics, log-likelihood), both additive over blocks of rows."""

    @abc.abstractmethod
    def m_step(self, params: Params, statistics: Statistics, prior: Prior | None) -> Params:
        """The maximiser of the expected complete log-likelihood plus log prior."""

    def log_prior(self, params: Params, prior: Prior | None) -> Float[Array, ""]:
        """Log density of the prior, up to its normalising constant; 0 without one."""
        return jnp.zeros((), jax.tree.leaves(params)[0].dtype)

    def fisher_diagonal(self, params: Params) -> Coordinates:
        """Diagonal of the complete-data Fisher information of the coordinates, per row.

        Only ratios matter, and they need not be exact.
        """
        share = self.active(params).astype(jax.tree.leaves(params)[0].dtype)
        share = share / jnp.sum(share)
        return parameters.fisher_diagonal(self.constraints, params, share)

    def posterior(
        self, prepared: Prepared, rows: Rows
    ) -> tuple[Float[Array, "*n"], Float[Array, "k *n"]]:
        """-> (log density of each row, posterior probability of each component given the row).

        The last axes are those of the rows' weight.
        """

        def of(row: Rows) -> tuple[Array, Array]:
            alone = jax.tree.map(lambda leaf: leaf[None], row)
            alone = alone._replace(weight=jnp.ones_like(alone.weight))
            statistics, log_density = self.e_step(prepared, alone)
            return log_density, statistics.counts

        return jax.vmap(of, out_axes=(0, 1))(rows)

    def sample(self, key: Array, params: Params, n: int) -> tuple[PyTree, Array]:
        """-> (n rows, their labels)."""
        raise ValueError(f"{self!r} does not tell how rows are drawn: give it a method `sample`")


@partial(jax.jit, static_argnames=("model",))
def _start(model: Model, rows: Rows) -> Params:
    """Any parameters for such rows."""
    shared, k = model.shared_start_statistics(rows), jnp.int32(model.n_components)
    return model.start(jax.random.key(0), rows, shared, jnp.int32(0), k, None)
