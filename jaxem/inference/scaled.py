"""Forward and backward recursions on probabilities, each step scaled to sum to 1.

alpha[t, j] c[t] = p(x[t] | j) sum_i alpha[t-1, i] A[i, j]            (Rabiner 1989, section V.A)
beta[t, i] = sum_j A[i, j] p(x[t+1] | j) beta[t+1, j] / c[t+1],  gamma = alpha beta

Likelihoods are relative to the largest of their step. Digits are lost where a c[t] underflows, and
where an alpha did that later steps make count: gamma is at most 1, so that its beta tells.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import safe_log
from jaxem.inference.chain import Backward, Chain, Forward, Later, ahead, pairs_of


def before(like: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """The carry into the first step."""
    return jnp.zeros_like(like)


def after(like: Float[Array, "k b"]) -> Later:
    """The carry back into the last step."""
    lanes = jnp.zeros_like(like[0])
    return Later(jnp.zeros_like(like), jnp.ones_like(lanes, bool), lanes)


def forward(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    alpha: Float[Array, "k b"],
) -> tuple[Float[Array, "k b"], Forward]:
    """-> (alpha of the last step, all)."""
    largest = lax.stop_gradient(jnp.max(log_likelihoods, axis=1))  # it cancels out
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
    lost = jnp.any(scales < 1 / _largest(scales.dtype))
    return alpha, Forward(safe_log(scales) + largest, alphas, (likelihoods, scales), lost)


def _largest(dtype: Any) -> Any:
    """Of a beta: where it is larger, an alpha that matters was lost in underflow."""
    limits = jnp.finfo(dtype)
    return limits.eps / limits.tiny


def backward(
    chain: Chain,
    found: Forward,
    first: Bool[Array, "t b"],
    into: Float[Array, "t b"],
    after: Later,
) -> Backward:
    """`into` weighs the transition into each step."""
    onward = chain.transition.T

    def step(carry: tuple[Later, Array, Array], now: tuple) -> tuple[tuple, Array]:
        (later, is_last, weight), pairs, highest = carry
        likelihood, scale, alpha, first, own = now
        beta = jnp.where(is_last[None], jnp.ones_like(later), ahead(onward, later))
        pairs = pairs + pairs_of(alpha * weight[None], later)
        before = Later(likelihood * beta / scale[None], first, own)
        return (before, pairs, jnp.maximum(highest, beta)), alpha * beta

    nothing = jnp.zeros_like(pairs_of(after.later, after.later))
    steps = *found.work, found.alphas, first, into
    start = after, nothing, jnp.zeros_like(after.later)
    (before, pairs, highest), states = lax.scan(step, start, steps, reverse=True)
    pairs = chain.transition * (pairs.sum(axis=2) if pairs.ndim == 3 else pairs)
    lost = ~jnp.all(highest < _largest(pairs.dtype))  # NaN is lost too
    return Backward(before, states, pairs, lost)
