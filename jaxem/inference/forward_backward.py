"""Hidden Markov chains: posteriors of the states given likelihoods of the steps.

Functions of arrays alone, blind to what was observed. `log_likelihoods[t, k, b]` is that of step t
of lane b in state k: -inf where impossible, 0 in every state where nothing was observed. `first`
marks the steps at which a sequence begins, so that a lane may hold several, one after another.

alpha[t] = P(z[t] | x[..t]),  c[t] = p(x[t] | x[..t-1])
alpha[t, j] c[t] = p(x[t] | j) sum_i alpha[t-1, i] A[i, j]            (Rabiner 1989, section V.A)
beta[t, i] = sum_j A[i, j] p(x[t+1] | j) beta[t+1, j] / c[t+1],  gamma = alpha beta

Likelihoods are relative to the largest of their step. Where a c[t] would be lost in underflow all
the same, everything is done again with logarithms.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import any_lane, einsum, safe_log


class Chain(NamedTuple):
    initial: Float[Array, " k"]
    transition: Float[Array, "k k"]  # rows add up to 1


class Posterior(NamedTuple):
    """log_likelihood: log c[t], given the steps before; states: gamma; pairs: expected numbers of
    transitions, weighted."""

    log_likelihood: Float[Array, "t b"]
    states: Float[Array, "t k b"]
    pairs: Float[Array, "k k"]


class Filtered(NamedTuple):
    log_likelihood: Float[Array, "t b"]
    states: Float[Array, "t k b"]  # alpha


def smooth(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    weight: Float[Array, "t b"],
) -> Posterior:
    """Posteriors of the states given whole sequences; pairs are weighted by their later step."""
    likelihoods, largest = _relative(log_likelihoods)
    alphas, scales = _forward(chain, likelihoods, first)
    into = jnp.where(first, jnp.zeros_like(weight), weight)

    def scaled() -> Posterior:
        states, pairs = _backward(chain, likelihoods, first, scales, alphas, into)
        return Posterior(jnp.log(scales) + largest, states, pairs)

    def logarithmic() -> Posterior:
        return _smooth_logs(chain, log_likelihoods, first, into)

    return lax.cond(_is_lost(scales), logarithmic, scaled)


def filter_states(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> Filtered:
    """Posteriors of the states given what came before and the step itself."""
    likelihoods, largest = _relative(log_likelihoods)
    alphas, scales = _forward(chain, likelihoods, first)

    def logarithmic() -> Filtered:
        alphas, totals = _forward_logs(chain, log_likelihoods, first)
        return Filtered(totals, jnp.exp(alphas))

    def scaled() -> Filtered:
        return Filtered(jnp.log(scales) + largest, alphas)

    return lax.cond(_is_lost(scales), logarithmic, scaled)


def _relative(
    log_likelihoods: Float[Array, "t k b"],
) -> tuple[Float[Array, "t k b"], Float[Array, "t b"]]:
    largest = jnp.max(log_likelihoods, axis=1)
    largest = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    return jnp.exp(log_likelihoods - largest[:, None]), largest


def _is_lost(scales: Float[Array, "t b"]) -> Bool[Array, ""]:
    limits = jnp.finfo(scales.dtype)
    return any_lane(jnp.any(scales < limits.tiny / limits.eps))


def _forward(
    chain: Chain, likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Float[Array, "t k b"], Float[Array, "t b"]]:
    """-> (alpha, c)."""

    def step(alpha: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        likelihood, first = now
        ahead = einsum("ij,ib->jb", chain.transition, alpha)
        joint = jnp.where(first[None], chain.initial[:, None], ahead) * likelihood
        scale = jnp.sum(joint, axis=0)
        alpha = joint / jnp.where(scale > 0, scale, jnp.ones_like(scale))[None]
        return alpha, (alpha, scale)

    return lax.scan(step, jnp.zeros_like(likelihoods[0]), (likelihoods, first))[1]


def _backward(
    chain: Chain,
    likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    scales: Float[Array, "t b"],
    alphas: Float[Array, "t k b"],
    into: Float[Array, "t b"],
) -> tuple[Float[Array, "t k b"], Float[Array, "k k"]]:
    """-> (gamma, weighted sums of pairs); `into` weighs the transition into each step."""

    def step(carry: tuple, now: tuple) -> tuple[tuple, Array]:
        later, is_last, weight, pairs = carry  # later: p(x | j) beta / c of the step after
        likelihood, scale, alpha, first, own = now
        beta = jnp.where(
            is_last[None],
            jnp.ones_like(later),
            einsum("ij,jb->ib", chain.transition, later),
        )
        pairs = pairs + einsum("ib,jb->ij", alpha * weight[None], later)
        return (likelihood * beta / scale[None], first, own, pairs), alpha * beta

    steps = likelihoods, scales, alphas, first, into
    states, pairs = _reverse(step, steps, chain.transition)
    return states, chain.transition * pairs


def _reverse(
    step: Callable[..., Any], steps: tuple, transition: Float[Array, "k k"]
) -> tuple[Float[Array, "t k b"], Float[Array, "k k"]]:
    """-> (states, pairs) of a step from the last to the first; nothing comes after the last."""
    later, weight = jnp.zeros_like(steps[0][0]), jnp.zeros_like(steps[-1][0])
    start = later, jnp.ones(weight.shape, bool), weight, jnp.zeros_like(transition)
    (_, _, _, pairs), states = lax.scan(step, start, steps, reverse=True)
    return states, pairs


# ---- the same with logarithms


def _log_sum(x: Array, axis: int) -> Array:
    """log sum exp; -inf where all are."""
    largest = jnp.max(x, axis=axis, keepdims=True)
    largest = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    total = jnp.sum(jnp.exp(x - largest), axis=axis)
    return safe_log(total) + jnp.squeeze(largest, axis)


def _forward_logs(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Float[Array, "t k b"], Float[Array, "t b"]]:
    """-> (log alpha, log c)."""
    initial, transition = safe_log(chain.initial)[:, None], safe_log(chain.transition)[:, :, None]

    def step(alpha: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        log_likelihood, first = now
        ahead = _log_sum(alpha[:, None] + transition, axis=0)
        joint = jnp.where(first[None], initial, ahead) + log_likelihood
        total = _log_sum(joint, axis=0)
        alpha = joint - jnp.where(total > -jnp.inf, total, jnp.zeros_like(total))[None]
        return alpha, (alpha, total)

    return lax.scan(step, jnp.zeros_like(log_likelihoods[0]), (log_likelihoods, first))[1]


def _smooth_logs(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    into: Float[Array, "t b"],
) -> Posterior:
    alphas, totals = _forward_logs(chain, log_likelihoods, first)
    transition = safe_log(chain.transition)[:, :, None]

    def step(carry: tuple, now: tuple) -> tuple[tuple, Array]:
        later, is_last, weight, pairs = carry
        log_likelihood, total, alpha, first, own = now
        joint = transition + later[None]
        beta = jnp.where(is_last[None], jnp.zeros_like(later), _log_sum(joint, axis=1))
        pair = jnp.exp(alpha[:, None] + joint)
        own_weight = jnp.broadcast_to(weight[None, None], pair.shape)
        pairs = pairs + jnp.sum(jnp.where(own_weight > 0, own_weight * pair, 0), axis=2)
        safe = jnp.where(total > -jnp.inf, total, jnp.zeros_like(total))
        return (log_likelihood + beta - safe[None], first, own, pairs), jnp.exp(alpha + beta)

    states, pairs = _reverse(step, (log_likelihoods, totals, alphas, first, into), chain.transition)
    return Posterior(totals, states, pairs)
