"""Finite mixtures: each row is drawn from one of k components, which is hidden.

p(x) = sum_k w[k] p_k(x)                         (Dempster, Laird and Rubin 1977, section 4.3)
r[k, n] = w[k] p_k(x[n]) / sum_j w[j] p_j(x[n])      E-step: responsibilities
w[k] = N[k] / sum_j N[j],  N[k] = sum_n weight[n] r[k, n]      M-step, beside that of the family
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import entr, logsumexp, xlogy
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, missing_patterns, parameters, tables
from jaxem.core.capabilities import collapse, holes, pivots, planning, simulating
from jaxem.core.constraints import Shares
from jaxem.core.contracts import (
    Family,
    Health,
    Model,
    Params,
    Prepared,
    Prior,
    Rows,
    SortedRows,
    Statistics,
)
from jaxem.core.numerics import (
    draw,
    safe_divide,
    safe_log,
)
from jaxem.core.parameters import Coordinates
from jaxem.core.rows import as_rows, materialize_order, reordered
from jaxem.models import seeding
from jaxem.models.seeding import SharedStartStatistics


class MixtureParams(NamedTuple):
    """weights (k,), summing to 1, 0 for an absent component; components: the family's."""

    weights: Array
    components: Params


class MixturePrior(NamedTuple):
    """Dirichlet(weights) on the weights (a number or (k,)); components: the family's prior.

    fixed: `MixtureParams` that are known, with NaN for numbers and None for parts that are free.
    """

    weights: Any = 1.0
    components: Prior = None
    fixed: Any = None


class MixtureStatistics(NamedTuple):
    total_weight: Float[Array, ""]
    counts: Float[Array, " k"]
    components: Statistics


class MixturePrepared(NamedTuple):
    log_weights: Float[Array, " k"]
    components: Prepared


@dataclass(frozen=True)
class Mixture(Model):
    """A mixture of `n_components` components of one family."""

    family: Family = field()
    n_components: Any = field()  # any whole number, kept as an int

    def __post_init__(self) -> None:
        if not isinstance(self.family, Family):
            raise ValueError(
                f"family is {self.family!r}; give a family, such as families.Gaussian('full')"
            )
        k = checks.whole(self.n_components, "n_components", least=1)
        object.__setattr__(self, "n_components", k)

    @property
    def constraints(self) -> MixtureParams:
        return parameters.tree(MixtureParams, Shares(), self.family.constraints)

    def of_family(self, tree: Any) -> Any:
        return tree.components

    def with_family(self, tree: Any, part: Any) -> Any:
        return tree._replace(components=part)

    def family_weight(self, rows: Rows) -> Any:
        """In the order of x; where rows are reordered, 1 for those of positive weight."""
        if rows.order is None or not checks.is_concrete(rows.weight):
            return rows.weight
        weight = np.zeros(jax.tree.leaves(rows.x)[0].shape[0], rows.weight.dtype)
        weight[np.asarray(rows.order)[np.asarray(rows.weight) > 0]] = 1
        return weight

    def active(self, params: MixtureParams) -> Bool[Array, " k"]:
        return params.weights > 0

    @property
    def nested_in_k(self) -> bool:
        return True

    @property
    def exact_m_step(self) -> bool:
        return self.family.exact_m_step

    def with_n_components(self, n: int) -> "Mixture":
        return Mixture(self.family, n)

    # ---- host side

    def rows(self, data: Any, sample_weight: Any, labels: Any, lengths: Any = None) -> Rows:
        if lengths is not None:
            raise ValueError("lengths are of sequences; a mixture's rows have no order")
        x = self.family.read(data)
        n = jax.tree.leaves(x)[0].shape[0]
        weight = checks.weights(sample_weight, n)
        labels = checks.labels(labels, n, self.n_components)
        self.family.check(x, weight, tables.column_names(data))
        return as_rows(pivots.measured(self.family, x, weight), weight, labels)

    def sorted_for_fit(self, rows: Rows) -> SortedRows:
        """Sorted by pattern of holes, where there are holes."""
        n = self.n_rows(rows)
        if not checks.is_concrete(rows.x):
            return SortedRows(rows, n, 1)
        patterns = missing_patterns.patterns(
            holes.missing_mask(self.family, block) for block in checks.blocks(rows.x)
        )
        if patterns is None:
            return SortedRows(rows, n, 1)
        index, real, tile_size = missing_patterns.by_pattern(patterns)
        rows = reordered(
            rows._replace(x=holes.with_tile_size(self.family, rows.x, tile_size)), index
        )
        return SortedRows(rows._replace(weight=jnp.where(real, rows.weight, 0)), n, tile_size)

    def _told(self, rows: Rows) -> Bool[Array, " n"]:
        """Which rows tell anything: with a number, or of a component that is known."""
        if self.family != holes.with_holes(self.family):  # every row is whole
            return jnp.ones(rows.weight.shape, bool)
        told = holes.informative(self.family, rows.x)
        return told if rows.labels is None else told | (rows.labels >= 0)

    def total_weight(self, rows: Rows) -> Float[Array, ""]:
        return jnp.sum(jnp.where(self._told(rows), rows.weight, 0))

    def as_params(self, params: Params, rows: Rows | None) -> MixtureParams:
        checks.fields(params, MixtureParams, "params")
        k = self.n_components
        x = self.family.like_x(params.components) if rows is None else rows.x
        dtype = tables.float_dtype(jax.tree.leaves((x, params.weights))[0])
        weights = checks.parameter(params.weights, (k,), dtype, "weights", f"{k} components")
        checks.probabilities(weights, "weights")
        return MixtureParams(weights, self.family.as_params(params.components, x, k))

    def as_prior(
        self, prior: Prior, reg_covar: Any, x: Any, fixed: Any = None
    ) -> MixturePrior | None:
        regularised = collapse.regularised_by(self.family, reg_covar)
        if prior is None and fixed is None and not regularised:
            return None
        prior = MixturePrior() if prior is None else prior
        checks.fields(prior, MixturePrior, "prior")
        components = prior.components
        if regularised or components is not None:
            components = self.family.as_prior(
                components, reg_covar if regularised else None, x, self.n_components
            )
        checks.numbers(prior.weights, "the prior's weights")
        if checks.is_concrete(prior.weights) and not np.all(np.asarray(prior.weights) >= 1):
            raise ValueError(
                f"the prior's weights is {prior.weights}; a Dirichlet has a mode from 1 on "
                "(1 is flat): below it the posterior is unbounded where a weight is 0"
            )
        dtype, k = jax.tree.leaves(x)[0].dtype, self.n_components
        weights = checks.broadcast(prior.weights, (k,), dtype, "the prior's weights")
        fixed = prior.fixed if fixed is None else fixed
        return MixturePrior(weights, components, self._read_fixed(fixed, x))

    def _read_fixed(self, fixed: Any, x: Any) -> MixtureParams | None:
        if fixed is None:
            return None
        checks.fields(fixed, MixtureParams, "fixed")
        k, dtype = self.n_components, jax.tree.leaves(x)[0].dtype
        weights: Any = jax.ShapeDtypeStruct((k,), dtype)
        like = MixtureParams(weights, self.family.like_params(x, k))
        return parameters.read_fixed(self.constraints, fixed, like, "fixed")

    def fixed(self, prior: MixturePrior | None) -> MixtureParams | None:
        return None if prior is None else prior.fixed

    def numbers_per_row(self, rows: Rows) -> int:
        return planning.numbers_per_row(self.family, rows.x, self.n_components)

    # ---- starts

    def shared_start_statistics(self, rows: Rows) -> SharedStartStatistics | None:
        """None where each start looks at a sample of its own."""
        if rows.weight.shape[0] > seeding.SAMPLE:
            return None
        return self._survey(rows)

    def _survey(self, rows: Rows) -> SharedStartStatistics:
        x, weight, *_ = materialize_order(rows)
        return seeding.shared_start_statistics(self.family, x, weight, self.n_components)

    def start(
        self,
        key: Array,
        rows: Rows,
        shared_start_statistics: SharedStartStatistics | None,
        method: Int[Array, ""],
        n_active: Int[Array, ""],
        prior: MixturePrior | None,
    ) -> MixtureParams:
        """One M-step from hard labels; the weights have a pseudo-row for each component."""
        if shared_start_statistics is None:
            key_sample, key = jax.random.split(key)
            rows = seeding.sample(key_sample, rows)
            rows = rows._replace(x=holes.with_tile_size(self.family, rows.x, 1))
            shared_start_statistics = self._survey(rows)
        x, weight, known, _ = materialize_order(rows)
        seeds = seeding.seeded(
            key,
            self.family,
            shared_start_statistics,
            weight,
            known,
            self.n_components,
            n_active,
            method,
        )
        counts = jnp.sum(seeds.responsibilities, axis=1)
        weights = jnp.where(seeds.found, counts + 1, jnp.zeros_like(counts))
        own = None if prior is None else prior.components
        fixed = self.fixed(prior)
        fixed = None if fixed is None else fixed.components
        components = seeding.components(self.family, shared_start_statistics, x, seeds, own, fixed)
        return MixtureParams(weights / jnp.sum(weights), components)

    def from_responsibilities(
        self,
        params: MixtureParams,
        x: Any,
        responsibilities: Float[Array, "k n"],
        prior: MixturePrior | None,
    ) -> MixtureParams:
        """One M-step from given shares of the rows, weights in them; `params` are the origin."""
        prepared = self.family.prepare(params.components, None)
        _, cache = self.family.evaluate(prepared, x)
        statistics = MixtureStatistics(
            jnp.sum(responsibilities),
            jnp.sum(responsibilities, axis=1),
            self.family.finalize_statistics(
                prepared, self.family.statistics(prepared, x, cache, responsibilities)
            ),
        )
        return self.m_step(params, statistics, prior)

    # ---- the two steps

    def prepare(self, params: MixtureParams, prior: MixturePrior | None) -> MixturePrepared:
        weights, prior = params.weights, None if prior is None else prior.components
        # Absent components stand for the heaviest: at its densities, log 0 is enough to rule out.
        substitute = jnp.where(weights > 0, jnp.arange(self.n_components), jnp.argmax(weights))
        components = parameters.take(self.family.constraints, params.components, substitute)
        return MixturePrepared(safe_log(weights), self.family.prepare(components, prior))

    def e_step(
        self, prepared: MixturePrepared, rows: Rows
    ) -> tuple[MixtureStatistics, Float[Array, ""]]:
        log_joint, cache = self._joint(prepared, rows)
        present = rows.weight > 0
        shifted, largest = _shift(log_joint)
        total = jnp.sum(shifted, axis=0)
        log_density = jnp.where(present, largest + jnp.log(total), jnp.zeros_like(total))
        share = jnp.where(present, rows.weight / total, jnp.zeros_like(total))
        responsibilities = shifted * share[None]
        statistics = MixtureStatistics(
            total_weight=self.total_weight(rows),
            counts=jnp.sum(responsibilities, axis=1),
            components=self.family.statistics(prepared.components, rows.x, cache, responsibilities),
        )
        return statistics, jnp.sum(rows.weight * log_density)

    def posterior(
        self, prepared: MixturePrepared, rows: Rows
    ) -> tuple[Float[Array, " n"], Float[Array, "k n"]]:
        log_joint, _ = self._joint(prepared, rows)
        shifted, largest = _shift(log_joint)
        total = jnp.sum(shifted, axis=0)
        return largest + jnp.log(total), shifted / total[None]

    def log_density(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, " n"]:
        return logsumexp(self._joint(prepared, rows)[0], axis=0)

    def expected(
        self, prepared: MixturePrepared, then: MixturePrepared, rows: Rows
    ) -> Float[Array, ""]:
        """sum_n weight[n] sum_k r[k, n] log(w[k] p_k(x[n])), with r those of `then`."""
        shares = rows.weight[None] * jax.nn.softmax(self._joint(then, rows)[0], axis=0)
        log_joint = self._joint(prepared, rows)[0]
        return jnp.sum(shares * jnp.where(shares > 0, log_joint, 0))

    def entropy(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, " n"]:
        own = jnp.sum(entr(self.posterior(prepared, rows)[1]), axis=0)
        return jnp.where(self._told(rows), own, 0)

    def m_step(
        self, params: MixtureParams, statistics: MixtureStatistics, prior: MixturePrior | None
    ) -> MixtureParams:
        counts = statistics.counts
        if prior is not None:  # mode of the Dirichlet posterior; absent components stay absent
            pseudo = jnp.where(params.weights > 0, prior.weights - 1, jnp.zeros_like(counts))
            counts = jnp.maximum(counts + pseudo, 0)
        total = jnp.broadcast_to(jnp.sum(counts), counts.shape)
        weights = safe_divide(counts, total)
        own, fixed = None if prior is None else prior.components, self.fixed(prior)
        given = params.components, statistics.components, own, params.weights > 0
        if fixed is None:
            return MixtureParams(weights, self.family.m_step(*given))
        new = MixtureParams(weights, self.family.m_step(*given, fixed.components))
        return parameters.fix(self.constraints, new, fixed)

    def log_prior(self, params: MixtureParams, prior: MixturePrior | None) -> Float[Array, ""]:
        if prior is None:
            return jnp.zeros((), params.weights.dtype)
        active = params.weights > 0
        safe = jnp.where(active, params.weights, jnp.ones_like(params.weights))
        log_prior = jnp.sum(xlogy(prior.weights - 1, safe))
        if prior.components is None:
            return log_prior
        return log_prior + self.family.log_prior(params.components, prior.components, active)

    def fisher_diagonal(self, params: MixtureParams) -> Coordinates:
        weights = params.weights
        return MixtureParams(weights, self.family.fisher_diagonal(params.components, weights))

    # ---- what is said of a result

    def health(
        self, params: MixtureParams, counts: Float[Array, " k"], prior: MixturePrior | None
    ) -> Health:
        ratio = emissions.spread(self, params, params.weights, prior)
        inactive = params.weights == 0
        zero = jnp.zeros_like(ratio)
        return Health(jnp.where(inactive, zero, counts), jnp.where(inactive, jnp.inf, ratio))

    def sample(self, key: Array, params: MixtureParams, n: int) -> tuple[Any, Int[Array, " n"]]:
        key_labels, key_rows = jax.random.split(key)
        labels = jax.random.categorical(key_labels, safe_log(params.weights), shape=(n,))
        labels = labels.astype(jnp.int32)
        return self.family.sample(key_rows, params.components, labels), labels

    def resample_like(self, key: Array, params: MixtureParams, rows: Rows) -> Rows:
        key_labels, key_rows = jax.random.split(key)
        labels = draw(key_labels, params.weights, rows.weight.shape)
        rows = materialize_order(rows)
        return rows._replace(
            x=simulating.resample_like(self.family, key_rows, params.components, rows.x, labels)
        )

    def marginal(self, params: MixtureParams, columns: Any) -> MixtureParams:
        """The parameters of the mixture's marginal of some columns."""
        family: Any = self.family  # not every family has columns to leave out
        return MixtureParams(params.weights, family.marginal(params.components, columns))

    def _joint(self, prepared: MixturePrepared, rows: Rows) -> tuple[Float[Array, "k n"], Any]:
        """log w[k] + log p_k(x[n]); -inf for absent components and for labels that rule it out."""
        log_density, cache = self.family.evaluate(prepared.components, rows.x)
        log_joint = log_density + prepared.log_weights[:, None]
        if rows.labels is not None:
            k = jnp.arange(self.n_components, dtype=jnp.int32)[:, None]
            possible = (rows.labels < 0)[None] | (rows.labels[None] == k)
            log_joint = jnp.where(possible, log_joint, -jnp.inf)
        return log_joint, cache


def _shift(
    log_joint: Float[Array, "k n"],
) -> tuple[Float[Array, "k n"], Float[Array, " n"]]:
    """-> (exp(a - max a), max a): one exponential serves the log-likelihood and the shares.

    The maximum cancels out of both, and is a constant to derivatives: its own would look for the
    entry that is equal to it, which may be rounded otherwise where it is computed again.
    """
    largest = lax.stop_gradient(jnp.max(log_joint, axis=0))
    safe = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    return jnp.exp(log_joint - safe[None]), largest
