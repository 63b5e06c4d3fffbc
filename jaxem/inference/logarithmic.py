"""The recursions of `scaled` on logarithms, where probabilities are lost in underflow."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import safe_log
from jaxem.inference.chain import Backward, Chain, Forward, Later


def log_sum(x: Array, axis: int | tuple[int, ...]) -> Array:
    """log sum exp; -inf where all are."""
    largest = lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True))  # it cancels out
    largest = jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
    total = jnp.sum(jnp.exp(x - largest), axis=axis)
    return safe_log(total) + jnp.squeeze(largest, axis)


def _finite(total: Array) -> Array:
    return jnp.where(total > -jnp.inf, total, jnp.zeros_like(total))


def before(like: Float[Array, "k b"]) -> Float[Array, "k b"]:
    return jnp.full_like(like, -jnp.inf)


def after(like: Float[Array, "k b"]) -> Later:
    lanes = jnp.zeros_like(like[0])
    return Later(jnp.full_like(like, -jnp.inf), jnp.ones_like(lanes, bool), lanes)


def forward(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    alpha: Float[Array, "k b"],
) -> tuple[Float[Array, "k b"], Forward]:
    """-> (log alpha of the last step, all)."""
    initial, transition = safe_log(chain.initial)[:, None], safe_log(chain.transition)[:, :, None]

    def step(alpha: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        log_likelihood, first = now
        prior = jnp.where(first[None], initial, log_sum(alpha[:, None] + transition, axis=0))
        joint = prior + log_likelihood
        total = log_sum(joint, axis=0)
        alpha = joint - _finite(total)[None]
        return alpha, (alpha, total)

    alpha, (alphas, totals) = lax.scan(step, alpha, (log_likelihoods, first))
    return alpha, Forward(totals, alphas, log_likelihoods, jnp.zeros((), bool))


def backward(
    chain: Chain,
    found: Forward,
    first: Bool[Array, "t b"],
    into: Float[Array, "t b"],
    after: Later,
) -> Backward:
    transition = safe_log(chain.transition)[:, :, None]

    def step(carry: tuple[Later, Array], now: tuple) -> tuple[tuple[Later, Array], Array]:
        (later, is_last, weight), pairs = carry
        log_likelihood, total, alpha, first, own = now
        joint = transition + later[None]
        beta = jnp.where(is_last[None], jnp.zeros_like(later), log_sum(joint, axis=1))
        pair = jnp.exp(alpha[:, None] + joint)
        own_weight = jnp.broadcast_to(weight[None, None], pair.shape)
        pairs = pairs + jnp.sum(jnp.where(own_weight > 0, own_weight * pair, 0), axis=2)
        later = log_likelihood + beta - _finite(total)[None]
        return (Later(later, first, own), pairs), jnp.exp(alpha + beta)

    steps = found.work, found.log_likelihood, found.alphas, first, into
    start = after, jnp.zeros_like(after.later, shape=chain.transition.shape)
    (before, pairs), states = lax.scan(step, start, steps, reverse=True)
    return Backward(before, states, pairs, jnp.zeros((), bool))
