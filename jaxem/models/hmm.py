"""Hidden Markov models: a chain of hidden states, each with its own distribution of what is seen.

p(x, z) = p[z_1] f(x_1 | z_1) prod_t A[z_{t-1}, z_t] f(x_t | z_t)        (Rabiner 1989)

E-step: gamma[t, k] = P(z_t = k | x) and the expected numbers of transitions, by forward and
backward recursions over lanes of sequences. M-step (Baum et al. 1970): rows of A in proportion to
those numbers, the initial law to gamma at the first steps, the family's own with gamma as weights.
"""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, parameters
from jaxem.core.capabilities import collapse, planning, simulating
from jaxem.core.contracts import (
    Family,
    Health,
    Model,
    Params,
    Prepared,
    Prior,
    Rows,
    Statistics,
)
from jaxem.core.numerics import (
    safe_divide,
    safe_log,
)
from jaxem.core.parameters import Coordinates, Joint
from jaxem.inference.chain import Chain, Posterior
from jaxem.inference.forward_backward import Block, accumulate
from jaxem.inference.recursions import RECURSIONS, Recursion
from jaxem.models import hmm_params, hmm_start, packing, seeding, sequences, transitions
from jaxem.models.hmm_params import HMMParams as HMMParams
from jaxem.models.hmm_params import HMMPrior as HMMPrior
from jaxem.models.markov_chain import INITIALS, Free, StationaryChain, Transitions
from jaxem.models.packing import Layout, flat
from jaxem.models.sequences import Steps


class HMMStatistics(NamedTuple):
    total_weight: Float[Array, ""]
    counts: Float[Array, " k"]
    initial: Float[Array, " k"]
    transitions: Float[Array, "k k"]
    emissions: Statistics


class HMMPrepared(NamedTuple):
    chain: Chain
    emissions: Prepared


@dataclass(frozen=True, repr=False)
class HMM(Model):
    """A hidden Markov model of `n_states` states with emissions of one family.

    initial: "free"; "stationary", the law that the chain stays in; or "fixed", as it is given.
    transitions: "full"; "left-right" (never back to an earlier state); "cyclic" (on to the next, or
    stay); or a mask, k rows of True and False. What is not possible stays exactly 0.
    recursion: "sequential", t steps of k^2 work for each lane; or "associative", log2(t) rounds of
    k^3 work and t k^2 numbers in memory, for accelerators and single sequences.
    """

    family: Family = field()
    n_states: Any = field()
    initial: Any = "free"
    transitions: Any = "full"
    recursion: str = "sequential"

    sequential = True

    def __post_init__(self) -> None:
        if not isinstance(self.family, Family):
            raise ValueError(f"family is {self.family!r}; give one, such as families.Poisson()")
        k = checks.whole(self.n_states, "n_states", least=1)
        object.__setattr__(self, "n_states", k)
        if not isinstance(self.initial, str) or self.initial not in INITIALS:
            names = ", ".join(map(repr, INITIALS))
            raise ValueError(f"initial is {self.initial!r}; it must be one of {names}")
        object.__setattr__(self, "transitions", transitions.read(self.transitions, k))
        if not isinstance(self.recursion, str) or self.recursion not in RECURSIONS:
            names = ", ".join(map(repr, RECURSIONS))
            raise ValueError(f"recursion is {self.recursion!r}; it must be one of {names}")
        n_closed = transitions.n_closed(transitions.mask(self.transitions, k))
        if self.initial_law.stationary and n_closed > 1:
            raise ValueError(
                f"transitions makes {n_closed} sets of states that are never left: there is no one "
                'stationary law; take initial="free"'
            )

    def __repr__(self) -> str:
        own = [f"family={self.family!r}", f"n_states={self.n_states}"]
        own += [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)[2:]
            if getattr(self, field.name) != field.default
        ]
        return f"HMM({', '.join(own)})"

    @property
    def initial_law(self) -> Free:
        return INITIALS[self.initial]

    @property
    def constraints(self) -> Any:
        moves = Transitions(kind=self.transitions)
        each = parameters.tree(HMMParams, self.initial_law, moves, self.family.constraints)
        return StationaryChain(each) if self.initial_law.stationary else each

    @property
    def n_components(self) -> int:
        return self.n_states

    def of_family(self, tree: Any) -> Any:
        return tree.emissions

    def with_family(self, tree: Any, part: Any) -> Any:
        return tree._replace(emissions=part)

    def family_rows(self, rows: Rows) -> Any:
        return flat(rows.x.x)

    def family_weight(self, rows: Rows) -> Any:
        if not checks.is_concrete(rows.x.observed, rows.weight):
            return flat(jnp.where(rows.x.observed, rows.weight, 0))
        return flat(np.where(rows.x.observed, rows.weight, 0))

    def active(self, params: HMMParams) -> Bool[Array, " k"]:
        """A state is absent where its row of the transition matrix is 0."""
        return jnp.sum(params.transition, axis=1) > 0

    @property
    def nested_in_k(self) -> bool:
        return self.transitions in ("full", "left-right")

    @property
    def remarks(self) -> tuple[str, ...]:
        found = transitions.remarks(self.transitions, self.n_states)
        if not self.initial_law.stationary:
            return found
        gone = transitions.transient(transitions.mask(self.transitions, self.n_states))
        return (*found, *(f"state {i} has none of the stationary law" for i in gone))

    @property
    def backend(self) -> Recursion:
        return RECURSIONS[self.recursion]

    @property
    def exact_m_step(self) -> bool:
        return self.family.exact_m_step and self.initial_law.exact_m_step

    def with_n_components(self, n: int) -> "HMM":
        """A mask is for its own number of states: it becomes "full" for another."""
        own = (
            self.transitions if isinstance(self.transitions, str) or n == self.n_states else "full"
        )
        return HMM(self.family, n, self.initial, own, self.recursion)

    # ---- host side

    def rows(self, data: Any, sample_weight: Any, labels: Any, lengths: Any = None) -> Rows:
        possible = transitions.mask(self.transitions, self.n_states)
        return sequences.read(self.family, data, sample_weight, labels, lengths, possible)

    def layout(self, data: Any, lengths: Any) -> Layout:
        return packing.layout(data, lengths)

    def n_rows(self, rows: Rows) -> int:
        """Steps without padding, where values are concrete."""
        if not checks.is_concrete(rows.weight):
            return rows.weight.size
        return int(np.sum(~(np.asarray(rows.x.first) & (np.asarray(rows.weight) == 0))))

    def total_weight(self, rows: Rows) -> Float[Array, ""]:
        return jnp.sum(jnp.where(self._told(rows), rows.weight, 0))

    def _told(self, rows: Rows) -> Bool[Array, "b t"]:
        """Which steps tell anything: those observed, or of a state that is known."""
        if rows.labels is None:
            return rows.x.observed
        return rows.x.observed | (rows.labels >= 0)

    def observed(self, rows: Rows) -> tuple[Any, Array]:
        x = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), rows.x.x)
        return x, jnp.where(rows.x.observed, rows.weight, 0).T

    def check_enough(self, rows: Rows) -> None:
        """States may differ in the chain alone, where their emissions cannot collapse."""
        if collapse.regularised(self.family):
            checks.enough_rows(flat(rows.x.x), self.n_states, "states")

    def as_params(self, params: Params, rows: Rows | None) -> HMMParams:
        checks.fields(params, HMMParams, "params")
        x = self.family.like_x(params.emissions) if rows is None else flat(rows.x.x)
        given = hmm_params.as_params(self.family, self.n_states, self.transitions, params, x)
        if self.initial_law.stationary and checks.is_concrete(given.transition):
            n_closed = transitions.n_closed(np.asarray(given.transition) > 0)
            if n_closed > 1:
                raise ValueError(
                    f"transition has {n_closed} sets of states that are never left: it has no one "
                    "stationary law"
                )
        return self._settled(given)

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, fixed: Any = None) -> HMMPrior | None:
        x = flat(x.x) if isinstance(x, Steps) else x
        found = hmm_params.as_prior(
            self.family, self.n_states, self.constraints, prior, reg_covar, x, fixed
        )
        own = self.fixed(found)
        given = own is not None and checks.is_concrete(own) and not np.isnan(own.initial).all()
        if given and self.initial_law.stationary:
            raise ValueError("fixed.initial is given, but the initial law is the stationary one")
        return found

    def fixed(self, prior: HMMPrior | None) -> HMMParams | None:
        return None if prior is None else prior.fixed

    def numbers_per_row(self, rows: Rows) -> int:
        t = packing.block_length(rows.weight.shape[1])
        return t * (
            planning.numbers_per_row(self.family, flat(rows.x.x), self.n_states) + 6 * self.n_states
        )

    # ---- starts

    def shared_start_statistics(self, rows: Rows) -> Any:
        """None where each start looks at a window of its own."""
        if rows.weight.size > seeding.SAMPLE:
            return None
        return hmm_start.shared_start_statistics(self.family, rows, self.n_states)

    def start(
        self,
        key: Array,
        rows: Rows,
        shared_start_statistics: Any,
        method: Int[Array, ""],
        n_active: Int[Array, ""],
        prior: HMMPrior | None,
    ) -> HMMParams:
        params = hmm_start.start(
            self.family,
            self.transitions,
            key,
            rows,
            shared_start_statistics,
            method,
            n_active,
            prior,
            self.n_states,
        )
        return self._settled(params._replace(initial=self.initial_law.begin(params.initial)))

    def _settled(self, params: HMMParams) -> HMMParams:
        own = self.constraints
        return own.settled(params) if isinstance(own, Joint) else params

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
        t = rows.weight.shape[1]
        length = packing.block_length(t)
        if self.recursion == "associative" or length == t:
            block = self._block(prepared, rows)
            return self._sums(prepared, block, self._smoothed(prepared, block))
        return accumulate(
            prepared.chain,
            t // length,
            lambda index: self._block(prepared, packing.block(rows, index, length)),
            lambda block, found: self._sums(prepared, block, found),
        )

    def _block(self, prepared: HMMPrepared, rows: Rows) -> Block:
        x, logs, cache = self.log_likelihoods(prepared, rows)
        return Block(
            logs, rows.x.first.T, rows.weight.T, (x, rows.x.observed.T, self._told(rows).T, cache)
        )

    def _smoothed(self, prepared: HMMPrepared, block: Block) -> Posterior:
        return self.backend.smooth(prepared.chain, block.log_likelihoods, block.first, block.weight)

    def _sums(
        self, prepared: HMMPrepared, block: Block, found: Posterior
    ) -> tuple[HMMStatistics, Float[Array, ""]]:
        x, observed, told, cache = block.source
        weight = block.weight
        own = jnp.where(weight[:, None] > 0, found.states * weight[:, None], 0)
        seen = jnp.where(observed[:, None], own, 0)
        responsibilities = jnp.reshape(jnp.moveaxis(seen, 1, 0), (self.n_states, -1))
        statistics = HMMStatistics(
            total_weight=jnp.sum(jnp.where(told, weight, 0)),
            counts=jnp.sum(own, axis=(0, 2)),
            initial=jnp.sum(jnp.where(block.first[:, None], own, 0), axis=(0, 2)),
            transitions=found.pairs,
            emissions=self.family.statistics(prepared.emissions, x, cache, responsibilities),
        )
        terms = jnp.where(weight > 0, weight * found.log_likelihood, 0)
        return statistics, jnp.sum(terms)

    def log_likelihoods(
        self, prepared: HMMPrepared, rows: Rows
    ) -> tuple[Any, Float[Array, "t k b"], Any]:
        """-> (the rows step by step, their log densities in each state, the family's cache)."""
        lanes, t = rows.weight.shape

        def by_step(leaf: Array) -> Array:
            return jnp.reshape(jnp.swapaxes(leaf, 0, 1), (t * lanes, *leaf.shape[2:]))

        x = jax.tree.map(by_step, rows.x.x)
        log_density, cache = self.family.evaluate(prepared.emissions, x)
        logs = jnp.moveaxis(jnp.reshape(log_density, (self.n_states, t, lanes)), 1, 0)
        logs = jnp.where(rows.x.observed.T[:, None], logs, 0)
        if rows.labels is not None:
            states = jnp.arange(self.n_states, dtype=jnp.int32)[None, :, None]
            own = rows.labels.T[:, None]
            logs = jnp.where((own < 0) | (own == states), logs, -jnp.inf)
        return x, logs, cache

    def check_possible(self, params: HMMParams, rows: Rows, where: Layout) -> None:
        prepared = self.prepare(params, None)
        _, logs, _ = self.log_likelihoods(prepared, rows)
        terms, _ = self.backend.log_filter(prepared.chain, logs, rows.x.first.T)
        bad = ~np.isfinite(np.asarray(terms).T) & (np.asarray(rows.weight) > 0)
        for i, (lane, start, n) in enumerate(
            zip(where.lane, where.offset, where.lengths, strict=True)
        ):
            steps = np.flatnonzero(bad[lane, start : start + n])
            if not len(steps):
                continue
            never = not np.isfinite(np.asarray(logs)[start + steps[0], :, lane]).any()
            states = "every state" if never else "every state that the chain can be in by then"
            raise ValueError(
                f"step {steps[0]} of sequence {i} is impossible: under these parameters its "
                f"density is 0 in {states}; look at it, or give other parameters (a prior keeps "
                "probabilities and rates from 0)"
            )

    def posterior(
        self, prepared: HMMPrepared, rows: Rows
    ) -> tuple[Float[Array, "t b"], Float[Array, "k t b"]]:
        found = self._smoothed(prepared, self._block(prepared, rows))
        return found.log_likelihood, jnp.moveaxis(found.states, 1, 0)

    def log_density(self, prepared: HMMPrepared, rows: Rows) -> Float[Array, "t b"]:
        _, logs, _ = self.log_likelihoods(prepared, rows)
        return self.backend.log_filter(prepared.chain, logs, rows.x.first.T)[0]

    def expected(self, prepared: HMMPrepared, then: HMMPrepared, rows: Rows) -> Float[Array, ""]:
        """sum of N log p + N log A + gamma log f, with the expected numbers N, gamma of `then`."""
        block = self._block(then, rows)
        found, weight = self._smoothed(then, block), block.weight[:, None]
        _, logs, _ = self.log_likelihoods(prepared, rows)
        states = jnp.where(weight > 0, weight * found.states, 0)
        begun = jnp.sum(jnp.where(block.first[:, None], states, 0), axis=(0, 2))
        terms = (
            (begun, safe_log(prepared.chain.initial)),
            (found.pairs, safe_log(prepared.chain.transition)),
            (states, logs),
        )
        return sum(
            (jnp.sum(n * jnp.where(n > 0, log_p, 0)) for n, log_p in terms),
            jnp.zeros((), logs.dtype),
        )

    def sequence_starts(self, rows: Rows) -> Bool[Array, "t b"]:
        return rows.x.first.T

    def entropy(self, prepared: HMMPrepared, rows: Rows) -> Float[Array, "t b"]:
        """H(z | x) = log Z(1) - Z'(1) / Z(1), with Z(s) = sum_z p(x, z)^s."""
        _, logs, _ = self.log_likelihoods(prepared, rows)

        def log_z(power: Array) -> Array:
            def of(log_p: Array) -> Array:
                return jnp.where(log_p > -jnp.inf, power * log_p, -jnp.inf)

            chain = Chain(*(jnp.exp(of(safe_log(law))) for law in prepared.chain))
            return self.backend.log_filter(chain, of(logs), rows.x.first.T)[0]

        one = jnp.ones((), logs.dtype)
        terms, slopes = jax.jvp(log_z, (one,), (one,))
        return terms - slopes

    def m_step(
        self, params: HMMParams, statistics: HMMStatistics, prior: HMMPrior | None
    ) -> HMMParams:
        law = self.initial_law.m_step(
            self._chain_counts(params, statistics, prior), (params.initial, params.transition)
        )
        own, fixed = None if prior is None else prior.emissions, self.fixed(prior)
        given = params.emissions, statistics.emissions, own, self.active(params)
        if fixed is None:
            return HMMParams(*law, self.family.m_step(*given))
        new = HMMParams(*law, self.family.m_step(*given, fixed.emissions))
        return parameters.fix(self.constraints, new, fixed)

    def _chain_counts(
        self, params: HMMParams, statistics: HMMStatistics, prior: HMMPrior | None
    ) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
        """-> (how often states begin, and follow each other), with a prior's pseudo-counts."""
        initial, moves = statistics.initial, statistics.transitions
        if prior is None:
            return initial, moves
        pseudo = prior.transition - 1 + jnp.diag(prior.sticky)
        return (
            initial + jnp.where(params.initial > 0, prior.initial - 1, 0),
            moves + jnp.where(params.transition > 0, pseudo, 0),
        )

    def differentiable_m_step(
        self, params: HMMParams, statistics: HMMStatistics, prior: HMMPrior | None
    ) -> HMMParams:
        new = self.m_step(params, statistics, prior)
        initial, transition = self.initial_law.differentiable_m_step(
            self._chain_counts(params, statistics, prior), (params.initial, params.transition)
        )
        new = new._replace(initial=initial, transition=transition)
        return parameters.fix(self.constraints, new, self.fixed(prior))

    def log_prior(self, params: HMMParams, prior: HMMPrior | None) -> Float[Array, ""]:
        if prior is None:
            return jnp.zeros((), params.initial.dtype)

        def of(p: Array, pseudo: Array) -> Array:
            return jnp.sum(jnp.where((p > 0) & (pseudo != 0), pseudo * safe_log(p), 0))

        total = of(params.initial, prior.initial - 1)
        total = total + of(params.transition, prior.transition - 1 + jnp.diag(prior.sticky))
        if prior.emissions is None:
            return total
        return total + self.family.log_prior(params.emissions, prior.emissions, self.active(params))

    def fisher_diagonal(self, params: HMMParams) -> Coordinates:
        """Approximated with an equal share of the steps for every state."""
        share = self.active(params).astype(params.initial.dtype)
        share = share / jnp.sum(share)
        return HMMParams(
            self.initial_law.fisher_diagonal(params.initial, share),
            Transitions(kind=self.transitions).fisher_diagonal(params.transition, share),
            self.family.fisher_diagonal(params.emissions, share),
        )

    # ---- what is said of a result

    def health(
        self, params: HMMParams, counts: Float[Array, " k"], prior: HMMPrior | None
    ) -> Health:
        shares = safe_divide(counts, jnp.broadcast_to(jnp.sum(counts), counts.shape))
        ratio = emissions.spread(self, params, shares, prior)
        active = self.active(params)
        return Health(jnp.where(active, counts, 0), jnp.where(active, ratio, jnp.inf))

    def sample(self, key: Array, params: HMMParams, n: int) -> tuple[Any, Int[Array, " n"]]:
        """One sequence of n steps, and its states."""
        key_first, key_chain, key_rows = jax.random.split(key, 3)
        start = jax.random.categorical(key_first, safe_log(params.initial))
        logs = safe_log(params.transition)

        def move(state: Array, key: Array) -> tuple[Array, Array]:
            following = jax.random.categorical(key, logs[state])
            return following, following

        rest = lax.scan(move, start, jax.random.split(key_chain, n - 1))[1]
        labels = jnp.concatenate([start[None], rest]).astype(jnp.int32)
        return self.family.sample(key_rows, params.emissions, labels), labels

    def resample_like(self, key: Array, params: HMMParams, rows: Rows) -> Rows:
        """Every sequence with as many steps as it had, those not observed left out again."""
        key_chain, key_rows = jax.random.split(key)
        lanes, t = rows.weight.shape
        first, onward = safe_log(params.initial), safe_log(params.transition)

        def move(state: Array, of: tuple[Array, Array]) -> tuple[Array, Array]:
            begins, key = of
            logs = jnp.where(begins[:, None], first[None], onward[state])
            state = jax.random.categorical(key, logs, axis=1).astype(jnp.int32)
            return state, state

        keys = jax.random.split(key_chain, t)
        states = lax.scan(move, jnp.zeros(lanes, jnp.int32), (rows.x.first.T, keys))[1]
        drawn = simulating.resample_like(
            self.family, key_rows, params.emissions, flat(rows.x.x), jnp.ravel(states.T)
        )
        x = jax.tree.map(lambda leaf: leaf.reshape(lanes, t, *leaf.shape[1:]), drawn)
        return rows._replace(x=rows.x._replace(x=x))
