"""Paths of a hidden chain: drawn from its law, drawn given what was seen, and their entropy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.numerics import safe_log
from jaxem.inference.chain import Chain, Posterior


def sample_states(key: Array, chain: Chain, first: Bool[Array, "t b"]) -> Int[Array, "t b"]:
    """States drawn from p(z), before anything is seen."""
    begin, onward = safe_log(chain.initial), safe_log(chain.transition)

    def move(state: Array, of: tuple[Array, Array]) -> tuple[Array, Array]:
        begins, key = of
        logs = jnp.where(begins[:, None], begin[None], onward[state])
        state = jax.random.categorical(key, logs, axis=1).astype(jnp.int32)
        return state, state

    steps = first, jax.random.split(key, first.shape[0])
    return lax.scan(move, jnp.zeros_like(first[0], jnp.int32), steps)[1]


def sample_path(
    key: Array, chain: Chain, first: Bool[Array, "t b"], log_alphas: Float[Array, "t k b"]
) -> Int[Array, "t b"]:
    """A path drawn from P(z | x), backwards from the end of each sequence.

    P(z[t] | z[t+1], x) is in proportion to alpha[t] A[:, z[t+1]]  (Frühwirth-Schnatter 1994)
    """
    onward = safe_log(chain.transition).T

    def step(carry: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], Array]:
        following, is_last = carry
        alpha, first, key = now
        onto = jnp.where(is_last[None], jnp.zeros_like(alpha), onward[following].T)
        state = jax.random.categorical(key, alpha + onto, axis=0).astype(jnp.int32)
        return (state, first), state

    start = jnp.zeros_like(first[0], jnp.int32), jnp.ones_like(first[0])
    steps = log_alphas, first, jax.random.split(key, first.shape[0])
    return lax.scan(step, start, steps, reverse=True)[1]


def path_entropy(
    log_filter: Callable,
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
) -> Float[Array, "t b"]:
    """Terms of H(z | x) = log Z(1) - Z'(1) / Z(1), with Z(s) = sum_z p(x, z)^s."""

    def log_z(power: Array) -> Array:
        def of(log_p: Array) -> Array:
            return jnp.where(log_p > -jnp.inf, power * log_p, -jnp.inf)

        powers = Chain(*(jnp.exp(of(safe_log(law))) for law in chain))
        return log_filter(powers, of(log_likelihoods), first)[0]

    one = jnp.ones((), log_likelihoods.dtype)
    terms, slopes = jax.jvp(log_z, (one,), (one,))
    return terms - slopes


def expected_log(
    found: Posterior,
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    weight: Float[Array, "t b"],
) -> Float[Array, ""]:
    """E[log p(x, z)] over the paths of a posterior: N log p + N log A + gamma log f."""
    weight = weight[:, None]
    states = jnp.where(weight > 0, weight * found.states, 0)
    begun = jnp.sum(jnp.where(first[:, None], states, 0), axis=(0, 2))
    terms = (
        (begun, safe_log(chain.initial)),
        (found.pairs, safe_log(chain.transition)),
        (states, log_likelihoods),
    )
    zero = jnp.zeros((), log_likelihoods.dtype)
    return sum((jnp.sum(n * jnp.where(n > 0, log_p, 0)) for n, log_p in terms), zero)
