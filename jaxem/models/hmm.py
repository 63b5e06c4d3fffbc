"""Hidden Markov models: a chain of hidden states, each with its own distribution of what is seen.

p(x, z) = p[z_1] f(x_1 | z_1) prod_t A[z_{t-1}, z_t] f(x_t | z_t)        (Rabiner 1989)

E-step: gamma[t, k] = P(z_t = k | x) and the expected numbers of transitions, by forward and
backward recursions over lanes of sequences. M-step (Baum et al. 1970): rows of A in proportion to
those numbers, the initial law to gamma at the first steps, the family's own with gamma as weights.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, names, parameters
from jaxem.core.capabilities import describing
from jaxem.core.capabilities.describing import Line
from jaxem.core.contracts import Family, Model, Params, Prepared, Prior, Rows, Statistics
from jaxem.core.misnamed import misnamed
from jaxem.core.parameters import Coordinates
from jaxem.core.rows import informative_weight
from jaxem.inference import recursions
from jaxem.inference.chain import Chain, Posterior
from jaxem.inference.forward_backward import Block, accumulate, block_length
from jaxem.inference.paths import expected_log, path_entropy, sample_states
from jaxem.models import hmm_params, hmm_start, packing, seeding, sequences, transitions
from jaxem.models.hmm_params import HMMParams as HMMParams
from jaxem.models.hmm_params import HMMPrior as HMMPrior
from jaxem.models.markov_chain import INITIALS, MarkovChain, StationaryChain, Transitions
from jaxem.models.packing import Layout


class HMMStatistics(NamedTuple):
    total_weight: Float[Array, ""]
    counts: Float[Array, " k"]
    initial: Float[Array, " k"]
    transitions: Float[Array, "k k"]
    emissions: Statistics


class HMMPrepared(NamedTuple):
    chain: Chain
    emissions: Prepared


@misnamed(n_components="n_states")
@dataclass(frozen=True, repr=False)
class HMM(Model):
    """A hidden Markov model of `n_states` states with emissions of one family.

    p(x, z) = initial[z[0]] prod_t transition[z[t-1], z[t]] prod_t p(x[t]; emissions[z[t]])

    initial: "free"; "stationary", the law that the chain stays in; or "fixed", as it is given.
    transitions: "full"; "left-right" (never back to an earlier state); "cyclic" (on to the next, or
    stay); or a mask, k rows of True and False. What is not possible stays exactly 0.
    recursion: "sequential", t steps of k^2 work a lane; "associative", log2(t) rounds of k^3 work
    and t k^2 numbers; "auto", that on an accelerator where states and lanes are few.
    names: what the states are called where they are shown, as those of a `Mixture`.
    Parameters: `HMMParams`. Errors: ValueError for what is no family, for k below 1, and for names
    of another number.
    Source: Rabiner (1989), Proc. IEEE 77, 257-286.
    """

    family: Family = field()
    n_states: Any = field()
    initial: Any = "free"
    transitions: Any = "full"
    recursion: str = recursions.AUTO
    names: Any = field(default=None, compare=False)

    part = "state"

    def __post_init__(self) -> None:
        if not isinstance(self.family, Family):
            raise ValueError(f"family is {self.family!r}; give one, such as families.Poisson()")
        k = checks.whole(self.n_states, "n_states", least=1)
        object.__setattr__(self, "n_states", k)
        checks.one_of(self.initial, INITIALS, "initial")
        object.__setattr__(self, "transitions", transitions.read(self.transitions, k))
        checks.one_of(self.recursion, (recursions.AUTO, *recursions.RECURSIONS), "recursion")
        object.__setattr__(self, "names", names.read(self.names, k))
        self.chain.check()

    def __repr__(self) -> str:
        return names.spec(self)

    @property
    def chain(self) -> MarkovChain:
        moves = Transitions(kind=self.transitions)
        return MarkovChain(INITIALS[self.initial], moves, self.n_states)

    @property
    def constraints(self) -> Any:
        initial, moves = self.chain.initial, self.chain.transitions
        each = parameters.tree(HMMParams, initial, moves, self.family.constraints)
        return StationaryChain(each) if initial.stationary else each

    @property
    def n_components(self) -> int:
        return self.n_states

    def of_family(self, tree: Any) -> Any:
        return tree.emissions

    def with_family(self, tree: Any, part: Any) -> Any:
        return tree._replace(emissions=part)

    def active(self, params: HMMParams) -> Bool[Any, " k"]:
        """A state is absent where its row of the transition matrix is 0."""
        return params.transition.sum(axis=1) > 0

    @property
    def nested_in_k(self) -> bool:
        return self.transitions in ("full", "left-right")

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.chain.remarks

    def through_time(self, rows: Rows) -> recursions.Recursion:
        return recursions.of(self.recursion, self.n_states, *rows.weight.shape)

    @property
    def exact_m_step(self) -> bool:
        return self.family.exact_m_step and self.chain.initial.exact_m_step

    def with_n_components(self, n: int) -> "HMM":
        """A mask is for its own number of states: it becomes "full" for another."""
        kept = isinstance(self.transitions, str) or n == self.n_states
        own = self.transitions if kept else "full"
        called = self.names if n == self.n_states else None
        return HMM(self.family, n, self.initial, own, self.recursion, called)

    # ---- host side

    def describe(self, params: HMMParams, columns: Any, levels: Any) -> list[Line]:
        moves = zip(names.of_parts(self, between=" "), params.transition.T, strict=True)
        law = [Line("", "initial", params.initial), *(Line("", f"to {j}", p) for j, p in moves)]
        return law + describing.lines(self.family, params.emissions, columns, levels)

    def read(self, data: Any, sample_weight: Any, labels: Any, lengths: Any) -> tuple[Rows, Layout]:
        possible = transitions.mask(self.transitions, self.n_states)
        return sequences.read(self.family, data, sample_weight, labels, lengths, possible)

    def as_params(self, params: Params, rows: Rows | None) -> HMMParams:
        checks.fields(params, HMMParams, "params")
        x = self.family.like_x(params.emissions) if rows is None else emissions.like(self, rows)
        given = hmm_params.as_params(self.family, self.n_states, self.transitions, params, x)
        self.chain.check_params(given.transition)
        return self._settled(given)

    @property
    def flat_prior(self) -> HMMPrior:
        return HMMPrior()

    def with_trim(self, prior: HMMPrior | None, trim: Any) -> HMMPrior:
        return (self.flat_prior if prior is None else prior)._replace(trim=trim)

    def trim(self, prior: HMMPrior | None) -> Any:
        return None if prior is None else prior.trim

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, fixed: Any = None) -> HMMPrior | None:
        found = hmm_params.as_prior(self, prior, reg_covar, x, fixed)
        own = emissions.fixed(found)
        self.chain.check_fixed(None if own is None else own.initial)
        return found

    # ---- starts

    def shared_start_statistics(self, rows: Rows) -> Any:
        """None where each start looks at a window of its own."""
        large = rows.weight.size > seeding.SAMPLE
        return None if large else hmm_start.shared(self.family, rows, self.n_states)

    def start(
        self,
        key: Array,
        rows: Rows,
        shared: Any,
        method: Int[Array, ""],
        n_active: Int[Array, ""],
        prior: HMMPrior | None,
    ) -> HMMParams:
        params = hmm_start.start(self, key, rows, shared, method, n_active, prior)
        return self._settled(params._replace(initial=self.chain.initial.begin(params.initial)))

    def _settled(self, params: HMMParams) -> HMMParams:
        return parameters.settled(self.constraints, params)

    # ---- the two steps

    def prepare(self, params: HMMParams, prior: HMMPrior | None) -> HMMPrepared:
        active = self.active(params)
        # Absent states stand for one that is there: log 0 is enough to rule them out.
        substitute = jnp.where(active, jnp.arange(self.n_states), jnp.argmax(active))
        emissions = parameters.take(self.family.constraints, params.emissions, substitute)
        own = None if prior is None else prior.emissions
        chain = Chain(params.initial, params.transition)
        return HMMPrepared(chain, self.family.prepare(emissions, own))

    def e_step(self, prepared: HMMPrepared, rows: Rows) -> tuple[HMMStatistics, Float[Array, ""]]:
        t, lanes = rows.weight.shape
        length = block_length(t)
        if length == t or recursions.by_scans(self.recursion, self.n_states, t, lanes):
            block = self._block(prepared, rows)
            return self._sums(prepared, block, self._smoothed(prepared, block))
        return accumulate(
            prepared.chain,
            t // length,
            lambda index: self._block(prepared, packing.block(rows, index, length)),
            lambda block, found: self._sums(prepared, block, found),
        )

    def _block(self, prepared: HMMPrepared, rows: Rows) -> Block:
        logs, x, cache = self._evaluate(prepared, rows)
        return Block(logs, rows.first, rows.weight, (rows, x, cache))

    def _smoothed(self, prepared: HMMPrepared, block: Block) -> Posterior:
        given = block.log_likelihoods, block.first, block.weight
        return self.through_time(block.source[0]).smooth(prepared.chain, *given)

    def _sums(
        self, prepared: HMMPrepared, block: Block, found: Posterior
    ) -> tuple[HMMStatistics, Float[Array, ""]]:
        rows, x, cache = block.source
        weight = block.weight
        own = jnp.where(weight[:, None] > 0, found.states * weight[:, None], 0)
        seen = jnp.where(rows.observed[:, None], own, 0)
        responsibilities = jnp.reshape(jnp.moveaxis(seen, 1, 0), (self.n_states, -1))
        statistics = HMMStatistics(
            total_weight=jnp.sum(informative_weight(rows)),
            counts=jnp.sum(own, axis=(0, 2)),
            initial=jnp.sum(jnp.where(block.first[:, None], own, 0), axis=(0, 2)),
            transitions=found.pairs,
            emissions=self.family.statistics(prepared.emissions, x, cache, responsibilities),
        )
        terms = jnp.where(weight > 0, weight * found.log_likelihood, 0)
        return statistics, jnp.sum(terms)

    def log_likelihoods(self, prepared: HMMPrepared, rows: Rows) -> Float[Array, "t k b"]:
        """Log densities of every step in each state, 0 where nothing was observed."""
        return self._evaluate(prepared, rows)[0]

    def _evaluate(
        self, prepared: HMMPrepared, rows: Rows
    ) -> tuple[Float[Array, "t k b"], Any, Any]:
        """-> (log likelihoods, x as the family takes it, its cache)."""
        x = emissions.family_rows(self, rows)
        log_density, cache = self.family.evaluate(prepared.emissions, x)
        logs = jnp.reshape(log_density, (self.n_states, *rows.weight.shape))
        logs = jnp.where(rows.observed[:, None], jnp.moveaxis(logs, 1, 0), 0)
        if rows.labels is not None:
            states = jnp.arange(self.n_states, dtype=jnp.int32)[None, :, None]
            own = rows.labels[:, None]
            logs = jnp.where((own < 0) | (own == states), logs, -jnp.inf)
        return logs, x, cache

    def posterior(
        self, prepared: HMMPrepared, rows: Rows
    ) -> tuple[Float[Array, "t b"], Float[Array, "k t b"]]:
        found = self._smoothed(prepared, self._block(prepared, rows))
        return found.log_likelihood, jnp.moveaxis(found.states, 1, 0)

    def log_density(self, prepared: HMMPrepared, rows: Rows) -> Float[Array, "t b"]:
        logs = self.log_likelihoods(prepared, rows)
        return self.through_time(rows).log_filter(prepared.chain, logs, rows.first)[0]

    def expected(self, prepared: HMMPrepared, then: HMMPrepared, rows: Rows) -> Float[Array, ""]:
        """sum of N log p + N log A + gamma log f, with the expected numbers N, gamma of `then`."""
        found = self._smoothed(then, self._block(then, rows))
        logs = self.log_likelihoods(prepared, rows)
        return expected_log(found, prepared.chain, logs, rows.first, rows.weight)

    def entropy(self, prepared: HMMPrepared, rows: Rows) -> Float[Array, "t b"]:
        logs = self.log_likelihoods(prepared, rows)
        return path_entropy(self.through_time(rows).log_filter, prepared.chain, logs, rows.first)

    def m_step(
        self, params: HMMParams, statistics: HMMStatistics, prior: HMMPrior | None
    ) -> HMMParams:
        law = self.chain.m_step(params, statistics, hmm_params.of_chain(prior))
        own, fixed = None if prior is None else prior.emissions, emissions.fixed(prior)
        given = params.emissions, statistics.emissions, own, self.active(params)
        if fixed is None:
            return HMMParams(*law, self.family.m_step(*given))
        new = HMMParams(*law, self.family.m_step(*given, fixed.emissions))
        return parameters.fix(self.constraints, new, fixed)

    def differentiable_m_step(
        self, params: HMMParams, statistics: HMMStatistics, prior: HMMPrior | None
    ) -> HMMParams:
        new = self.m_step(params, statistics, prior)
        law = self.chain.differentiable_m_step(params, statistics, hmm_params.of_chain(prior))
        new = HMMParams(*law, new.emissions)
        return parameters.fix(self.constraints, new, emissions.fixed(prior))

    def log_prior(self, params: HMMParams, prior: HMMPrior | None) -> Float[Array, ""]:
        own = hmm_params.of_chain(prior)
        if prior is None or own is None:
            return jnp.zeros((), params.initial.dtype)
        total = self.chain.log_prior(params, own)
        if prior.emissions is None:
            return total
        return total + self.family.log_prior(params.emissions, prior.emissions, self.active(params))

    def fisher_diagonal(self, params: HMMParams) -> Coordinates:
        """Approximated with an equal share of the steps for every state."""
        share = self.active(params).astype(params.initial.dtype)
        share = share / jnp.sum(share)
        law = self.chain.fisher_diagonal(params, share)
        return HMMParams(*law, self.family.fisher_diagonal(params.emissions, share))

    # ---- draws

    def sample(self, key: Array, params: HMMParams, n: int) -> tuple[Any, Int[Array, " n"]]:
        """One sequence of n steps, and its states."""
        key_chain, key_rows = jax.random.split(key)
        first = jnp.arange(n, dtype=jnp.int32)[:, None] == 0
        labels = sample_states(key_chain, Chain(params.initial, params.transition), first)[:, 0]
        return self.family.sample(key_rows, params.emissions, labels), labels

    def resample_like(self, key: Array, params: HMMParams, rows: Rows) -> Rows:
        """Every sequence with as many steps as it had, those not observed left out again."""
        key_chain, key_rows = jax.random.split(key)
        chain = Chain(params.initial, params.transition)
        labels = sample_states(key_chain, chain, rows.first)
        return emissions.resample_rows(self, key_rows, params.emissions, rows, labels)
