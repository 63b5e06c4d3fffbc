"""Finite mixtures: each row is drawn from one of k components, which is hidden.

p(x) = sum_k w[k] p_k(x)                         (Dempster, Laird and Rubin 1977, section 4.3)
r[k, n] = w[k] p_k(x[n]) / sum_j w[j] p_j(x[n])      E-step: responsibilities
N[k] = sum_n weight[n] r[k, n]                       w follows from it: `models/weighting.py`
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import entr, logsumexp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, names, parameters, tables
from jaxem.core.capabilities import describing, holes, pivots
from jaxem.core.capabilities.describing import Line
from jaxem.core.capabilities.ranges import Range
from jaxem.core.contracts import (
    Family,
    Model,
    Params,
    Prepared,
    Prior,
    Rows,
    Statistics,
)
from jaxem.core.misnamed import misnamed
from jaxem.core.parameters import Coordinates
from jaxem.core.rows import as_rows, informative, informative_weight, materialize_order
from jaxem.models import mixture_params, seeding
from jaxem.models.concomitants import (
    ConcomitantMixtureParams,
    Concomitants,
    NoisyConcomitantMixtureParams,
)
from jaxem.models.mixture_params import MixtureParams as MixtureParams
from jaxem.models.mixture_params import MixturePrior as MixturePrior
from jaxem.models.noise import BACKGROUNDS, BY_COVARIATES, Background
from jaxem.models.seeding import SharedStartStatistics
from jaxem.models.weighting import Common, Weighting

_NOISE = 2  # of the keys that a key is split into, where the first two are of the components


class MixtureStatistics(NamedTuple):
    total_weight: Float[Array, ""]
    counts: Float[Array, " k"]
    components: Statistics
    noise: Float[Array, ""] | None = None  # rows of it
    weighting: Any = None  # of covariates


class MixturePrepared(NamedTuple):
    weighting: Any
    components: Prepared
    log_noise: Float[Array, ""] | None  # log density of the noise with its share


class _Joint(NamedTuple):
    """log w[k] + log p_k(x[n]), and the same of the noise, of each row or of all; x as the family
    takes it, and its cache."""

    components: Float[Array, "k n"]
    noise: Float[Array, "*n"] | None
    x: Any
    cache: Any


@misnamed(n_states="n_components")
@dataclass(frozen=True, repr=False)
class Mixture(Model):
    """A mixture of `n_components` components of one family.

    p(x) = sum_k weights[k] p_k(x; components)

    noise: one more component, spread evenly over the box of the data, for rows that are like no
        others: p(x) = (1 - e) sum_k weights[k] p_k(x) + e / V. Its label is the last, n_components.
        The box is that of all rows of positive weight, or as given:
        fixed=jaxem.NoisyMixtureParams(None, None, jaxem.Noise(None, low, high)).
    concomitants: the number of covariates that the weights depend on, by a multinomial logit: data
        (x, Z), Z (n, concomitants), and p(x | z) = sum_k w[k](z) p_k(x). Noise is then one more
        class of the logit: its share e(z) depends on them too.
    names: what the components are called where they are shown, such as ("short", "long"): columns
        of probabilities, summaries, pictures. No number depends on them, and models that differ in
        them alone are equal.

        named = jaxem.Mixture(families.Gaussian("full"), 2, names=("short", "long"))
        jaxem.predict_proba(named, result.params, frame)  # with columns "short" and "long"

    Parameters: `MixtureParams`, with noise `NoisyMixtureParams`, with concomitants
    `ConcomitantMixtureParams`, with both `NoisyConcomitantMixtureParams`. Errors: ValueError for
    what is no family, for k below 1, and for names of another number.
    Source: McLachlan and Peel (2000), Finite Mixture Models.
    """

    family: Family = field()
    n_components: Any = field()  # any whole number, kept as an int
    noise: Any = False
    concomitants: Any = 0  # any whole number, kept as an int
    names: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.family, Family):
            raise ValueError(
                f"family is {self.family!r}; give a family, such as families.Gaussian('full')"
            )
        k = checks.whole(self.n_components, "n_components", least=1)
        object.__setattr__(self, "n_components", k)
        object.__setattr__(self, "noise", checks.flag(self.noise, "noise"))
        p = checks.whole(self.concomitants, "concomitants", least=0)
        object.__setattr__(self, "concomitants", p)
        taken = ("noise",) * self.n_beside
        object.__setattr__(self, "names", names.read(self.names, k, taken))

    def __repr__(self) -> str:
        return names.spec(self)

    @property
    def background(self) -> Background:
        """What is beside the components."""
        return BY_COVARIATES if self.noise and self.concomitants else BACKGROUNDS[self.noise]

    @property
    def weighting(self) -> Weighting:
        """What the weights are before a row is seen."""
        return Concomitants(self.concomitants, self.n_beside) if self.concomitants else Common()

    @property
    def params_type(self) -> Any:
        if not self.concomitants:
            return self.background.params_type
        return NoisyConcomitantMixtureParams if self.noise else ConcomitantMixtureParams

    @property
    def constraints(self) -> Any:
        weights, *beside = self.weighting.constraints
        own = weights, self.family.constraints, *beside, *self.background.constraints
        return parameters.tree(self.params_type, *own)

    def of_family(self, tree: Any) -> Any:
        return tree.components

    def with_family(self, tree: Any, part: Any) -> Any:
        return tree._replace(components=part)

    def active(self, params: Any) -> Bool[Any, " k"]:
        return params.weights > 0

    @property
    def nested_in_k(self) -> bool:
        return True

    @property
    def exact_m_step(self) -> bool:
        return self.family.exact_m_step and not self.concomitants

    def with_n_components(self, n: int) -> "Mixture":
        own = self.names if n == self.n_components else None
        return Mixture(self.family, n, self.noise, self.concomitants, own)

    # ---- host side

    def describe(self, params: Any, columns: Any, levels: Any) -> list[Line]:
        d = len(columns) - self.n_covariates
        own = describing.lines(self.family, params.components, columns[:d], levels)
        return [Line("", "weight", params.weights), *own, *self._log_odds(params, columns[d:])]

    def _log_odds(self, params: Any, covariates: Any) -> list[Line]:
        """Of each component against the first, by the covariates; without that of noise."""
        if not self.concomitants:
            return []
        odds = params.coefficients[: self.n_components]
        return describing.by_column(("(intercept)", *covariates), "log odds", odds)

    def read(self, data: Any, sample_weight: Any, labels: Any, lengths: Any) -> tuple[Rows, None]:
        if lengths is not None:
            raise ValueError("lengths are of sequences; a mixture's rows have no order")
        data, covariates = self.weighting.split(data)
        x = self.family.read(data)
        n = jax.tree.leaves(x)[0].shape[0]
        weight = checks.weights(sample_weight, n)
        labels = checks.labels(labels, n, self.n_components)
        self.family.check(x, weight, tables.column_names(data))
        self.background.check(x)
        observed = holes.observed(self.family, x)
        rows = as_rows(pivots.measured(self.family, x, weight), weight, labels, observed)
        return rows._replace(covariates=self.weighting.read(covariates, rows)), None

    def as_params(self, params: Params, rows: Rows | None) -> Params:
        checks.fields(params, self.params_type, "params")
        x = self.family.like_x(params.components) if rows is None else emissions.like(self, rows)
        own = mixture_params.as_params(self.family, self.n_components, params, x)
        beside = self.weighting.as_params(params, self.n_components, own.weights.dtype)
        return self.params_type(*own, *beside, *self.background.read(params, x))

    @property
    def flat_prior(self) -> MixturePrior:
        return MixturePrior()

    def with_trim(self, prior: MixturePrior | None, trim: Any) -> MixturePrior:
        return (self.flat_prior if prior is None else prior)._replace(trim=trim)

    def trim(self, prior: MixturePrior | None) -> Any:
        return None if prior is None else prior.trim

    def as_prior(
        self, prior: Prior, reg_covar: Any, x: Any, fixed: Any = None
    ) -> MixturePrior | None:
        return mixture_params.as_prior(self, prior, reg_covar, x, fixed)

    def check_weights(self, rows: Rows, names: Any) -> tuple[str, ...]:
        self.background.check_fit(rows.x, rows.weight, names)
        return self.weighting.check_identified(rows)

    def separated(self, statistics: MixtureStatistics, rows: Rows) -> tuple[str, ...]:
        return self.weighting.separated(statistics.weighting, rows)

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
    ) -> Params:
        """One M-step from hard labels; the weights have a pseudo-row for each component."""
        rest = self.background.start(rows.x, rows.weight)  # alike in every start: of all rows
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
        weights, *beside = self.weighting.start(weights / jnp.sum(weights), rows)
        own, fixed = None if prior is None else prior.components, emissions.fixed(prior)
        fixed = None if fixed is None else fixed.components
        components = seeding.components(self.family, shared, seeds, own, fixed)
        return self.params_type(weights, components, *beside, *rest)

    @property
    def has_range(self) -> bool:
        return self.noise

    def with_range(self, params: Any, range: Range) -> Params:
        return self.background.with_range(params, range)

    # ---- the two steps

    def prepare(self, params: Any, prior: MixturePrior | None) -> MixturePrepared:
        weights, prior = params.weights, None if prior is None else prior.components
        # Absent components stand for the heaviest: at its densities, log 0 is enough to rule out.
        substitute = jnp.where(weights > 0, jnp.arange(self.n_components), jnp.argmax(weights))
        components = parameters.take(self.family.constraints, params.components, substitute)
        own, logs = self.family.prepare(components, prior), self.background.log_shares(params)
        shares = self.weighting.prepare(params)
        if logs is None:
            return MixturePrepared(shares, own, None)
        shares = self.weighting.scaled(shares, logs.components)
        return MixturePrepared(shares, own, logs.noise)

    def e_step(
        self, prepared: MixturePrepared, rows: Rows
    ) -> tuple[MixtureStatistics, Float[Array, ""]]:
        log_joint, log_noise, x, cache = self._joint(prepared, rows)
        weight = jnp.reshape(rows.weight, -1)
        shifted, total, largest = _shift(log_joint, log_noise)
        present = weight > 0
        log_density = jnp.where(present, largest + jnp.log(total), jnp.zeros_like(total))
        share = jnp.where(present, weight / total, jnp.zeros_like(total))
        responsibilities = shifted * share[None]
        noise, each = None, responsibilities
        if log_noise is not None:
            of_noise = jnp.exp(log_noise - largest) * share
            noise = jnp.sum(of_noise)
            each = (
                jnp.concatenate([responsibilities, of_noise[None]]) if self.concomitants else each
            )
        statistics = MixtureStatistics(
            total_weight=jnp.sum(informative_weight(rows)),
            counts=jnp.sum(responsibilities, axis=1),
            components=self.family.statistics(prepared.components, x, cache, responsibilities),
            noise=noise,
            weighting=self.weighting.statistics(prepared.weighting, rows, each),
        )
        return statistics, jnp.sum(weight * log_density)

    def posterior(
        self, prepared: MixturePrepared, rows: Rows
    ) -> tuple[Float[Array, "*n"], Float[Array, "k *n"]]:
        log_joint, log_noise, *_ = self._joint(prepared, rows)
        shifted, total, largest = _shift(log_joint, log_noise)
        shape = rows.weight.shape
        shares = jnp.reshape(shifted / total[None], (-1, *shape))
        return jnp.reshape(largest + jnp.log(total), shape), shares

    def log_density(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, "*n"]:
        log_joint = _all(self._joint(prepared, rows))
        return jnp.reshape(logsumexp(log_joint, axis=0), rows.weight.shape)

    def expected(
        self, prepared: MixturePrepared, then: MixturePrepared, rows: Rows
    ) -> Float[Array, ""]:
        """sum_n weight[n] sum_k r[k, n] log(w[k] p_k(x[n])), with r those of `then`."""
        weight = jnp.reshape(rows.weight, -1)[None]
        shares = weight * jax.nn.softmax(_all(self._joint(then, rows)), axis=0)
        log_joint = _all(self._joint(prepared, rows))
        return jnp.sum(shares * jnp.where(shares > 0, log_joint, 0))

    def entropy(self, prepared: MixturePrepared, rows: Rows) -> Float[Array, "*n"]:
        shares = jax.nn.softmax(_all(self._joint(prepared, rows)), axis=0)
        own = jnp.reshape(jnp.sum(entr(shares), axis=0), rows.weight.shape)
        return jnp.where(informative(rows), own, 0)

    def m_step(
        self, params: Any, statistics: MixtureStatistics, prior: MixturePrior | None
    ) -> Params:
        rest = self.background.update(params, statistics.noise, jnp.sum(statistics.counts))
        weights, *beside = self.weighting.update(params, statistics, prior)
        own, fixed = None if prior is None else prior.components, emissions.fixed(prior)
        given = params.components, statistics.components, own, params.weights > 0
        made = self.params_type
        if fixed is None:
            return made(weights, self.family.m_step(*given), *beside, *rest)
        new = made(weights, self.family.m_step(*given, fixed.components), *beside, *rest)
        return parameters.fix(self.constraints, new, fixed)

    def log_prior(self, params: Any, prior: MixturePrior | None) -> Float[Array, ""]:
        if prior is None:
            return jnp.zeros((), params.weights.dtype)
        log_prior = self.weighting.log_prior(params, prior)
        if prior.components is None:
            return log_prior
        own = params.components, prior.components, params.weights > 0
        return log_prior + self.family.log_prior(*own)

    def fisher_diagonal(self, params: Any) -> Coordinates:
        weights, active = params.weights, self.active(params)
        rough = parameters.fisher_diagonal(self.constraints, params, active.astype(weights.dtype))
        own = self.family.fisher_diagonal(params.components, weights)
        return rough._replace(weights=weights, components=own)

    def sample(self, key: Array, params: Any, n: int) -> tuple[Any, Int[Array, " n"]]:
        key_labels, key_rows = jax.random.split(key)
        labels, covariates = self.weighting.sample(key_labels, params, n)
        of = jnp.minimum(labels, self.n_components - 1)  # beside them is noise
        x = self.family.sample(key_rows, params.components, of)
        key_noise = jax.random.fold_in(key, _NOISE)
        x, labels = self.background.spoil(key_noise, params, x, labels)
        return self.weighting.joined(x, covariates), labels

    def resample_like(self, key: Array, params: Any, rows: Rows) -> Rows:
        key_labels, key_rows = jax.random.split(key)
        labels = self.weighting.labels(key_labels, params, rows)
        of = jnp.minimum(labels, self.n_components - 1)
        drawn = emissions.resample_rows(self, key_rows, params.components, rows, of)
        key_noise = jax.random.fold_in(key, _NOISE)
        return drawn._replace(x=self.background.spoil(key_noise, params, drawn.x, labels)[0])

    @property
    def n_beside(self) -> int:
        return int(self.noise)

    @property
    def n_covariates(self) -> int:
        return self.concomitants

    def _joint(self, prepared: MixturePrepared, rows: Rows) -> _Joint:
        """-inf for absent components and for labels that rule it out."""
        x = emissions.family_rows(self, rows)
        log_density, cache = self.family.evaluate(prepared.components, x)
        log_weights = self.weighting.log_weights(prepared.weighting, rows)
        log_noise = prepared.log_noise
        if log_noise is not None and self.weighting.n_beside:
            log_weights, log_noise = log_weights[:-1], log_weights[-1] + log_noise
        log_joint = log_density + log_weights
        if rows.labels is not None:
            labels = jnp.reshape(rows.labels, (1, -1))
            k = jnp.arange(self.n_components, dtype=jnp.int32)[:, None]
            log_joint = jnp.where((labels < 0) | (labels == k), log_joint, -jnp.inf)
        return _Joint(log_joint, log_noise, x, cache)


def _all(joint: _Joint) -> Float[Array, "m n"]:
    """That of the noise too, where there is noise."""
    if joint.noise is None:
        return joint.components
    noise = jnp.broadcast_to(joint.noise, (1, joint.components.shape[1]))
    return jnp.concatenate([joint.components, noise])


def _shift(
    log_joint: Float[Array, "k n"], log_noise: Float[Array, "*n"] | None
) -> tuple[Float[Array, "k n"], Float[Array, " n"], Float[Array, " n"]]:
    """-> (exp(a - max a), their sum, max a): one exponential serves the log-likelihood and the
    shares; sum and maximum are over the noise too.

    The maximum cancels out of both, and is a constant to derivatives: its own would look for the
    entry that is equal to it, which may be rounded otherwise where it is computed again.
    """
    largest = lax.stop_gradient(jnp.max(log_joint, axis=0))
    if log_noise is not None:
        largest = jnp.maximum(largest, lax.stop_gradient(log_noise))
    safe = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    shifted = jnp.exp(log_joint - safe[None])
    total = jnp.sum(shifted, axis=0)
    if log_noise is not None:
        total = total + jnp.exp(log_noise - safe)
    return shifted, total, largest
