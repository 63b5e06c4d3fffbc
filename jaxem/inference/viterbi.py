"""The most likely path of a hidden Markov chain (Viterbi 1967)."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.numerics import safe_log
from jaxem.inference.chain import Chain


def viterbi(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Int[Array, "t b"], Float[Array, "t b"]]:
    """-> (the path, and what each step adds to its log joint probability with what was observed).

    best[t, j] = log p(x[t] | j) + max_i best[t-1, i] + log A[i, j]
    """
    initial, transition = safe_log(chain.initial)[:, None], safe_log(chain.transition)[:, :, None]

    def forward(best: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        log_likelihood, first = now
        ahead = best[:, None] + transition
        came = jnp.argmax(ahead, axis=0).astype(jnp.int32)
        best = jnp.where(first[None], initial, jnp.max(ahead, axis=0)) + log_likelihood
        largest = jnp.max(best, axis=0)
        # Measured from the best: only differences matter, and a million steps lose no digits.
        best = best - jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))[None]
        return best, (came, jnp.argmax(best, axis=0).astype(jnp.int32))

    start = jnp.zeros_like(log_likelihoods[0])
    came, likeliest = lax.scan(forward, start, (log_likelihoods, first))[1]

    def backward(carry: tuple[Array, Array, Array], now: tuple) -> tuple[tuple, Array]:
        state, came_after, is_last = carry
        came, likeliest, first = now
        own = jnp.take_along_axis(came_after, state[None], axis=0)[0]
        state = jnp.where(is_last, likeliest, own)
        return (state, came, first), state

    last = jnp.ones_like(first[0])
    begin = jnp.zeros_like(likeliest[0]), jnp.zeros_like(came[0]), last
    path = lax.scan(backward, begin, (came, likeliest, first), reverse=True)[1]
    return path, joint_terms(chain, log_likelihoods, first, path)


def joint_terms(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    path: Int[Array, "t b"],
) -> Float[Array, "t b"]:
    """log A[z[t-1], z[t]] + log p(x[t] | z[t]), with the initial law where a sequence begins."""
    seen = jnp.take_along_axis(log_likelihoods, path[:, None], axis=1)[:, 0]
    before = jnp.concatenate([path[:1], path[:-1]])
    moved = jnp.where(
        first, safe_log(chain.initial)[path], safe_log(chain.transition)[before, path]
    )
    return moved + seen
