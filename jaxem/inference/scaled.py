"""Forward and backward recursions on probabilities, each step scaled to sum to 1.

alpha[t, j] c[t] = p(x[t] | j) sum_i alpha[t-1, i] A[i, j]            (Rabiner 1989, section V.A)
beta[t, i] = sum_j A[i, j] p(x[t+1] | j) beta[t+1, j] / c[t+1],  gamma = alpha beta

Likelihoods are relative to the largest of their step.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import any_lane
from jaxem.inference.chain import Chain, Forward, Later, ahead, pairs_of


def before(like: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """What comes to the first step of all."""
    return jnp.zeros_like(like)


def after(like: Float[Array, "k b"]) -> Later:
    """What comes back to the last step of all: nothing."""
    lanes = jnp.zeros_like(like[0])
    return Later(jnp.zeros_like(like), jnp.ones(lanes.shape, bool), lanes)


def forward(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    alpha: Float[Array, "k b"],
) -> tuple[Float[Array, "k b"], Forward]:
    """-> (alpha of the last step, all)."""
    largest = jnp.max(log_likelihoods, axis=1)
    largest = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    likelihoods = jnp.exp(log_likelihoods - largest[:, None])

    def step(alpha: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        likelihood, first = now
        prior = jnp.where(first[None], chain.initial[:, None], ahead(chain.transition, alpha))
        joint = prior * likelihood
        scale = jnp.sum(joint, axis=0)
        alpha = joint / jnp.where(scale > 0, scale, jnp.ones_like(scale))[None]
        return alpha, (alpha, scale)

    alpha, (alphas, scales) = lax.scan(step, alpha, (likelihoods, first))
    return alpha, Forward(jnp.log(scales) + largest, alphas, (likelihoods, scales))


def is_lost(found: Forward) -> Bool[Array, ""]:
    """Whether a c[t] is lost in underflow: everything is to be done again with logarithms."""
    scales = found.work[1]
    limits = jnp.finfo(scales.dtype)
    return any_lane(jnp.any(scales < limits.tiny / limits.eps))


def backward(
    chain: Chain,
    found: Forward,
    first: Bool[Array, "t b"],
    into: Float[Array, "t b"],
    after: Later,
) -> tuple[Later, Float[Array, "t k b"], Float[Array, "k k"]]:
    """-> (what comes to the step before, gamma, weighted sums of pairs); `into` weighs the
    transition into each step."""
    onward = chain.transition.T

    def step(carry: tuple[Later, Array], now: tuple) -> tuple[tuple[Later, Array], Array]:
        (later, is_last, weight), pairs = carry
        likelihood, scale, alpha, first, own = now
        beta = jnp.where(is_last[None], jnp.ones_like(later), ahead(onward, later))
        pairs = pairs + pairs_of(alpha * weight[None], later)
        return (Later(likelihood * beta / scale[None], first, own), pairs), alpha * beta

    nothing = jnp.zeros_like(pairs_of(after.later, after.later))
    steps = *found.work, found.alphas, first, into
    (before, pairs), states = lax.scan(step, (after, nothing), steps, reverse=True)
    return before, states, chain.transition * (pairs.sum(axis=2) if pairs.ndim == 3 else pairs)
