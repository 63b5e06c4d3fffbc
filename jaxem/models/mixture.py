"""Finite mixtures: each row is drawn from one of k components, which is hidden.

p(x) = sum_k w[k] p_k(x)                         (Dempster, Laird and Rubin 1977, section 4.3)
r[k, n] = w[k] p_k(x[n]) / sum_j w[j] p_j(x[n])      E-step: responsibilities
w[k] = N[k] / sum_j N[j],  N[k] = sum_n weight[n] r[k, n]      M-step, beside that of the family
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import entr, logsumexp, xlogy
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, parameters, tables
from jaxem.core.capabilities import holes, pivots
from jaxem.core.constraints import Shares
from jaxem.core.contracts import (
    Family,
    Model,
    Params,
    Prepared,
    Prior,
    Rows,
    Statistics,
)
from jaxem.core.numerics import (
    draw,
    safe_divide,
    safe_log,
)
from jaxem.core.parameters import Coordinates
from jaxem.core.rows import as_rows, informative, informative_weight, materialize_order
from jaxem.models import mixture_params, seeding
from jaxem.models.mixture_params import MixtureParams as MixtureParams
from jaxem.models.mixture_params import MixturePrior as MixturePrior
from jaxem.models.seeding import SharedStartStatistics


class MixtureStatistics(NamedTuple):
    total_weight: Float[Array, ""]
    counts: Float[Array, " k"]
    components: Statistics


class MixturePrepared(NamedTuple):
    log_weights: Float[Array, " k"]
    components: Prepared


@dataclass(frozen=True)
class Mixture(Model):
    """A mixture of `n_components` components of one family.

    p(x) = sum_k weights[k] p_k(x; components)

    Parameters: `MixtureParams`. Errors: ValueError for what is no family, and for k below 1.
    Source: McLachlan and Peel (2000), Finite Mixture Models.
    """

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

    def active(self, params: MixtureParams) -> Bool[Any, " k"]:
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

    def read(self, data: Any, sample_weight: Any, labels: Any, lengths: Any) -> tuple[Rows, None]:
        if lengths is not None:
            raise ValueError("lengths are of sequences; a mixture's rows have no order")
        x = self.family.read(data)
        n = jax.tree.leaves(x)[0].shape[0]
        weight = checks.weights(sample_weight, n)
        labels = checks.labels(labels, n, self.n_components)
        self.family.check(x, weight, tables.column_names(data))
        observed = holes.observed(self.family, x)
        return as_rows(pivots.measured(self.family, x, weight), weight, labels, observed), None

    def as_params(self, params: Params, rows: Rows | None) -> MixtureParams:
        checks.fields(params, MixtureParams, "params")
        x = self.family.like_x(params.components) if rows is None else emissions.like(self, rows)
        return mixture_params.as_params(self.family, self.n_components, params, x)

    def as_prior(
        self, prior: Prior, reg_covar: Any, x: Any, fixed: Any = None
    ) -> MixturePrior | None:
        return mixture_params.as_prior(self, prior, reg_covar, x, fixed)

    # ---- starts

    def shared_start_statistics(self, rows: Rows) -> SharedStartStatistics | None:
        """None where each start looks at a sample of its own."""
        return None if rows.weight.size > seeding.SAMPLE else self._shared(rows)

    def _shared(self, rows: Rows) -> SharedStartStatistics:
        rows = materialize_order(rows)
        x, weight = emissions.family_rows(self, rows), jnp.reshape(rows.weight, -1)
        return seeding.shared_start_statistics(self.family, x, weight, self.n_components)

    def start(
        self,
        key: Array,
        rows: Rows,
        shared: SharedStartStatistics | None,
        method: Int[Array, ""],
        n_active: Int[Array, ""],
        prior: MixturePrior | None,
    ) -> MixtureParams:
        """One M-step from hard labels; the weights have a pseudo-row for each component."""
        if shared is None:
            key_sample, key = jax.random.split(key)
            rows = seeding.sample(key_sample, rows)
            shared = self._shared(rows)
        known = None if rows.labels is None else jnp.reshape(rows.labels, -1)
        seeds = seeding.seeded(
            key,
            self.family,
            shared,
            jnp.reshape(rows.weight, -1),
            known,
            self.n_components,
            n_active,
            method,
        )
        counts = jnp.sum(seeds.responsibilities, axis=1)
        weights = jnp.where(seeds.found, counts + 1, jnp.zeros_like(counts))
        own, fixed = None if prior is None else prior.components, emissions.fixed(prior)
        fixed = None if fixed is None else fixed.components
        components = seeding.components(self.family, shared, seeds, own, fixed)
        return MixtureParams(weights / jnp.sum(weights), components)

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
        log_joint, x, cache = self._joint(prepared, rows)
        weight = jnp.reshape(rows.weight, -1)
        shifted, largest = _shift(log_joint)
        total, present = jnp.sum(shifted, axis=0), weight > 0
        log_density = jnp.where(present, largest + jnp.log(total), jnp.zeros_like(total))
        share = jnp.where(present, weight / total, jnp.zeros_like(total))
        responsibilities = shifted * share[None]
        statistics = MixtureStatistics(
            total_weight=jnp.sum(informative_weight(rows)),
            counts=jnp.sum(responsibilities, axis=1),
            components=self.family.statistics(prepared.components, x, cache, responsibilities),
        )
        return statistics, jnp.sum(weight * log_density)

    def posterior(
        self, prepared: MixturePrepared, rows: Rows
    ) -> tuple[Float[Array, "*n"], Float[Array, "k *n"]]:
        log_joint, *_ = self._joint(prepared, rows)
        shifted, largest = _shift(log_joint)
        total, shape = jnp.sum(shifted, axis=0), rows.weight.shape
        shares = jnp.reshape(shifted / total[None], (-1, *shape))
        return jnp.reshape(largest + jnp.log(total), shape), shares

    def log_density(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, "*n"]:
        return jnp.reshape(logsumexp(self._joint(prepared, rows)[0], axis=0), rows.weight.shape)

    def expected(
        self, prepared: MixturePrepared, then: MixturePrepared, rows: Rows
    ) -> Float[Array, ""]:
        """sum_n weight[n] sum_k r[k, n] log(w[k] p_k(x[n])), with r those of `then`."""
        weight = jnp.reshape(rows.weight, -1)[None]
        shares = weight * jax.nn.softmax(self._joint(then, rows)[0], axis=0)
        log_joint = self._joint(prepared, rows)[0]
        return jnp.sum(shares * jnp.where(shares > 0, log_joint, 0))

    def entropy(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, "*n"]:
        own = jnp.sum(entr(self.posterior(prepared, rows)[1]), axis=0)
        return jnp.where(informative(rows), own, 0)

    def m_step(
        self, params: MixtureParams, statistics: MixtureStatistics, prior: MixturePrior | None
    ) -> MixtureParams:
        counts = statistics.counts
        if prior is not None:  # mode of the Dirichlet posterior; absent components stay absent
            pseudo = jnp.where(params.weights > 0, prior.weights - 1, jnp.zeros_like(counts))
            counts = jnp.maximum(counts + pseudo, 0)
        total = jnp.broadcast_to(jnp.sum(counts), counts.shape)
        weights = safe_divide(counts, total)
        own, fixed = None if prior is None else prior.components, emissions.fixed(prior)
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

    def sample(self, key: Array, params: MixtureParams, n: int) -> tuple[Any, Int[Array, " n"]]:
        key_labels, key_rows = jax.random.split(key)
        labels = jax.random.categorical(key_labels, safe_log(params.weights), shape=(n,))
        labels = labels.astype(jnp.int32)
        return self.family.sample(key_rows, params.components, labels), labels

    def resample_like(self, key: Array, params: MixtureParams, rows: Rows) -> Rows:
        key_labels, key_rows = jax.random.split(key)
        labels = draw(key_labels, params.weights, rows.weight.shape)
        return emissions.resample_rows(self, key_rows, params.components, rows, labels)

    def _joint(self, prepared: MixturePrepared, rows: Rows) -> tuple[Float[Array, "k n"], Any, Any]:
        """-> (log w[k] + log p_k(x[n]), x as the family takes it, its cache).

        -inf for absent components and for labels that rule it out.
        """
        x = emissions.family_rows(self, rows)
        log_density, cache = self.family.evaluate(prepared.components, x)
        log_joint = log_density + prepared.log_weights[:, None]
        if rows.labels is not None:
            labels = jnp.reshape(rows.labels, (1, -1))
            k = jnp.arange(self.n_components, dtype=jnp.int32)[:, None]
            log_joint = jnp.where((labels < 0) | (labels == k), log_joint, -jnp.inf)
        return log_joint, x, cache


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
