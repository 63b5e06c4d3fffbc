"""The chain of a hidden Markov model: the law of the first state, and the transitions.

Both have their constraints and their M-step from the expected counts: how often states begin,
(k,), and follow each other, (k, k).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.constraints import Shares, Simplex
from jaxem.core.numerics import from_log_odds, log_odds, safe_divide, safe_log
from jaxem.core.parameters import Joint
from jaxem.core.placement import numpy_of
from jaxem.models import transitions

Law = tuple[Float[Array, " k"], Float[Array, "k k"]]  # of the first state, and of the others


@dataclass(frozen=True)
class Free(Shares):
    """Any law of the first state, estimated from the first steps."""

    exact_m_step = True  # the M-step has a closed form
    stationary = False

    def begin(self, initial: Float[Array, " k"]) -> Float[Array, " k"]:
        """The law of a start, given the one estimated from its labels."""
        return initial

    def m_step(self, counts: Law, old: Law) -> Law:
        initial, moves = counts
        total = jnp.broadcast_to(jnp.sum(initial), initial.shape)
        return safe_divide(initial, total), transitions.rows(moves, old[1])

    def differentiable_m_step(self, counts: Law, old: Law) -> Law:
        """A map with the same fixed points, and differentiable there."""
        return self.m_step(counts, old)

    def fisher_diagonal(self, value: Float[Array, " k"], share: Float[Array, " k"]) -> Array:
        return jnp.zeros_like(value)

    def ends(self, value: Float[Any, " k"]) -> Bool[Any, " k"]:
        """An initial law at one state is the rule."""
        return numpy_of(value).zeros(value.shape, bool)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, " k"]:
        """The steps of one sequence put the law at one state."""
        certain = (value < checks.BOUNDARY) | (value > 1 - checks.BOUNDARY)
        return certain & active & (value.shape[0] > 1)


@dataclass(frozen=True)
class Fixed(Free):
    """The law as it is given."""

    def begin(self, initial: Float[Array, " k"]) -> Float[Array, " k"]:
        there = (initial > 0).astype(initial.dtype)
        return there / jnp.sum(there)

    def m_step(self, counts: Law, old: Law) -> Law:
        return old[0], transitions.rows(counts[1], old[1])

    def from_unconstrained(self, coordinate: Float[Array, " k"]) -> Float[Array, " k"]:
        """A given law has no direction to move in."""
        return lax.stop_gradient(from_log_odds(coordinate))

    def constant(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, " k"]:
        return jnp.ones(value.shape, bool)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, " k"]:
        return jnp.zeros(value.shape, bool)

    def n_free(self, fixed: Float[Array, " k"], active: Bool[Array, " k"]) -> Array:
        return jnp.int32(0)


@dataclass(frozen=True)
class Stationary(Free):
    """The law that the chain stays in, which follows from the transitions."""

    exact_m_step = False
    stationary = True

    def m_step(self, counts: Law, old: Law) -> Law:
        initial, moves = counts
        return _stationary(transitions.stationary_rows(moves, initial, old[1]))

    def differentiable_m_step(self, counts: Law, old: Law) -> Law:
        """A step that raises the law of the stationary chain, where the M-step searches."""
        initial, moves = counts
        return _stationary(transitions.stationary_target(moves, initial, old[1]))

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, " k"]:
        return jnp.zeros(value.shape, bool)

    def n_free(self, fixed: Float[Array, " k"], active: Bool[Array, " k"]) -> Array:
        return jnp.int32(0)


def _stationary(transition: Float[Array, "k k"]) -> Law:
    return transitions.stationary(transition), transition


INITIALS = {"free": Free(), "stationary": Stationary(), "fixed": Fixed()}


@dataclass(frozen=True)
class StationaryChain(Joint):
    """Parameters of a model whose initial law follows from its transitions."""

    def settled(self, value: Any) -> Any:
        return value._replace(initial=transitions.stationary(value.transition))


@dataclass(frozen=True)
class Transitions(Simplex):
    """Rows that add up to 1, those of absent states 0; kind: which transitions are possible."""

    kind: Any = "full"

    def _open(self, active: Bool[Any, " k"]) -> Bool[Any, "k k"]:
        possible: Any = transitions.mask(self.kind, active.shape[0])
        return possible & active[:, None] & active[None]

    def check_fixed(self, fixed: Any, name: str) -> None:
        Simplex.check_fixed(self, fixed, name)
        possible = transitions.mask(self.kind, len(fixed))
        for i, row in enumerate(fixed):
            closed = np.where(np.isnan(row), 0, row) * ~possible[i]
            if closed.any():
                j = int(np.argmax(closed))
                raise ValueError(f"{name}[{i}, {j}] is {row[j]:g}, which {self.kind!r} rules out")
            if np.isfinite(row[possible[i]]).all() and abs(row[possible[i]].sum() - 1) > 1e-3:
                raise ValueError(
                    f"{name}[{i}] is {row}: what {self.kind!r} leaves free cannot make it add up "
                    "to 1"
                )

    def from_unconstrained(self, coordinate: Float[Array, "k k"]) -> Float[Array, "k k"]:
        there = coordinate > 0.5 * log_odds(jnp.zeros_like(coordinate))
        return jnp.where(jnp.any(there, axis=1)[:, None], from_log_odds(coordinate), 0)

    def fix(self, value: Float[Array, "k k"], fixed: Float[Array, "k k"]) -> Array:
        """Transitions that are ruled out are fixed at 0."""
        possible = jnp.asarray(transitions.mask(self.kind, value.shape[0]))
        rows = Simplex.fix(self, value, jnp.where(possible, fixed, 0))
        return jnp.where(jnp.any(value > 0, axis=1)[:, None], rows, value)

    def determined(self, fixed: Float[Array, "k k"]) -> Bool[Array, "k k"]:
        possible = jnp.asarray(transitions.mask(self.kind, fixed.shape[0]))
        return Simplex.determined(self, jnp.where(possible, fixed, 0))

    def at_boundary(self, value: Any, active: Bool[Any, " k"]) -> Bool[Any, "k k"]:
        """Only transitions that are possible count."""
        return self._open(active) & (value < checks.BOUNDARY)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, "k k"]:
        return self.at_boundary(value, active)

    def n_free(self, fixed: Float[Array, "k k"], active: Bool[Array, " k"]) -> Array:
        free = jnp.sum(jnp.isnan(fixed) & self._open(active), axis=1, dtype=jnp.int32)
        return jnp.sum(jnp.maximum(free - 1, 0), dtype=jnp.int32)

    def take(self, value: Any, index: Any) -> Any:
        """Host side: -1 is an absent state."""
        found, absent = np.asarray(value)[index][:, index], np.asarray(index) < 0
        found[absent] = found[:, absent] = 0
        return found


class ChainPrior(NamedTuple):
    """Pseudo-counts of the Dirichlets, beyond 1 each: (k,) and (k, k)."""

    initial: Array
    transitions: Array


@dataclass(frozen=True)
class MarkovChain:
    """The law of the first state, and which transitions are possible, of k states."""

    initial: Free
    transitions: Transitions
    k: int

    def check(self) -> None:
        """ValueError for a stationary law that would not be one."""
        n_closed = transitions.n_closed(transitions.mask(self.transitions.kind, self.k))
        if self.initial.stationary and n_closed > 1:
            raise ValueError(
                f"transitions makes {n_closed} sets of states that are never left: there is no one "
                'stationary law; take initial="free"'
            )

    def check_params(self, transition: Any) -> None:
        if not (self.initial.stationary and checks.is_concrete(transition)):
            return
        n_closed = transitions.n_closed(np.asarray(transition) > 0)
        if n_closed > 1:
            raise ValueError(
                f"transition has {n_closed} sets of states that are never left: it has no one "
                "stationary law"
            )

    def check_fixed(self, fixed: Any) -> None:
        given = fixed is not None and checks.is_concrete(fixed) and not np.isnan(fixed).all()
        if given and self.initial.stationary:
            raise ValueError("fixed.initial is given, but the initial law is the stationary one")

    @property
    def remarks(self) -> tuple[str, ...]:
        kind = self.transitions.kind
        found = transitions.remarks(kind, self.k)
        if not self.initial.stationary:
            return found
        gone = transitions.transient(transitions.mask(kind, self.k))
        return (*found, *(f"state {i} has none of the stationary law" for i in gone))

    def m_step(self, params: Any, statistics: Any, prior: ChainPrior | None) -> Law:
        """params, statistics: of the model, with the fields of the chain."""
        return self.initial.m_step(*_counts(params, statistics, prior))

    def differentiable_m_step(self, params: Any, statistics: Any, prior: ChainPrior | None) -> Law:
        return self.initial.differentiable_m_step(*_counts(params, statistics, prior))

    def log_prior(self, params: Any, prior: ChainPrior) -> Float[Array, ""]:
        """Up to its normalising constant."""

        def of(p: Array, pseudo: Array) -> Array:
            return jnp.sum(jnp.where((p > 0) & (pseudo != 0), pseudo * safe_log(p), 0))

        return of(params.initial, prior.initial) + of(params.transition, prior.transitions)

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> Law:
        return (
            self.initial.fisher_diagonal(params.initial, share),
            self.transitions.fisher_diagonal(params.transition, share),
        )


def _counts(params: Any, statistics: Any, prior: ChainPrior | None) -> tuple[Law, Law]:
    """-> (how often states begin, and follow each other; the laws of both).

    What is impossible gets no pseudo-counts.
    """
    old = params.initial, params.transition
    counts = statistics.initial, statistics.transitions
    if prior is not None:
        pairs = zip(counts, old, prior, strict=True)
        counts = tuple(count + jnp.where(p > 0, more, 0) for count, p, more in pairs)
    return counts, old
