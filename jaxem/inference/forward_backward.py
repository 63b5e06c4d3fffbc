"""Posteriors of the states of a hidden Markov chain, one step after another.

Scaled probabilities (`scaled`); where they are lost in underflow, everything is done again with
logarithms (`logarithmic`). Long sequences go in blocks of time: a first way forward keeps one alpha
for each block, the way back makes each block again, so that memory is that of one block.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxem.core.numerics import add_exactly, einsum, no_sums, safe_log, sums
from jaxem.inference import logarithmic, scaled
from jaxem.inference.chain import Chain, Forward, Posterior


class Block(NamedTuple):
    """Some steps of all lanes, and what made them."""

    log_likelihoods: Float[Array, "t k b"]
    first: Bool[Array, "t b"]
    weight: Float[Array, "t b"]
    source: Any


def _into(first: Array, weight: Array) -> Array:
    """The weight of the transition into each step."""
    return jnp.where(first, jnp.zeros_like(weight), weight)


def smooth(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    weight: Float[Array, "t b"],
) -> Posterior:
    """Posteriors of the states given whole sequences."""
    like, into = log_likelihoods[0], _into(first, weight)

    def back(by: Any, found: Forward) -> Posterior:
        _, states, pairs = by.backward(chain, found, first, into, by.after(like))
        return Posterior(found.log_likelihood, states, pairs)

    _, found = scaled.forward(chain, log_likelihoods, first, scaled.before(like))
    return lax.cond(
        scaled.is_lost(found),
        lambda: back(logarithmic, _logarithmic(chain, log_likelihoods, first)),
        lambda: back(scaled, found),
    )


def log_filter(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Float[Array, "t b"], Float[Array, "t k b"]]:
    """-> (log c[t], log P(z[t] | x[..t]))."""
    _, found = scaled.forward(chain, log_likelihoods, first, scaled.before(log_likelihoods[0]))

    def logarithms() -> tuple[Array, Array]:
        again = _logarithmic(chain, log_likelihoods, first)
        return again.log_likelihood, again.alphas

    return lax.cond(
        scaled.is_lost(found), logarithms, lambda: (found.log_likelihood, jnp.log(found.alphas))
    )


def _logarithmic(chain: Chain, log_likelihoods: Array, first: Array) -> Forward:
    before = logarithmic.before(log_likelihoods[0])
    return logarithmic.forward(chain, log_likelihoods, first, before)[1]


def predicted(
    chain: Chain, first: Bool[Array, "t b"], alphas: Float[Array, "t k b"]
) -> Float[Array, "t k b"]:
    """P(z[t] | x[..t-1]) from P(z[t] | x[..t]): the initial law where a sequence begins."""
    onward = einsum("ij,tib->tjb", chain.transition, alphas)
    onward = jnp.concatenate([onward[:1], onward[:-1]])
    return jnp.where(first[:, None], chain.initial[None, :, None], onward)


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

    lanes = first.shape[1]
    start = jnp.zeros(lanes, jnp.int32), jnp.ones(lanes, bool)
    steps = log_alphas, first, jax.random.split(key, first.shape[0])
    return lax.scan(step, start, steps, reverse=True)[1]


def accumulate(
    chain: Chain,
    n_blocks: int,
    block: Callable[[Array], Block],
    collect: Callable[[Block, Posterior], PyTree],
) -> PyTree:
    """The sum of collect(block, its posterior) over blocks of time, `block(0)` being the first."""
    like = jax.eval_shape(block, jnp.int32(0)).log_likelihoods
    like = jnp.zeros(like.shape[1:], like.dtype)
    every = jnp.arange(n_blocks, dtype=jnp.int32)

    def starts(by: Any) -> tuple[Array, Array]:
        """-> (alpha before each block, whether any is lost)."""

        def step(alpha: Array, index: Array) -> tuple[Array, tuple[Array, Array]]:
            own = block(index)
            new, found = by.forward(chain, own.log_likelihoods, own.first, alpha)
            return new, (alpha, scaled.is_lost(found) if by is scaled else jnp.array(False))

        alphas, lost = lax.scan(step, by.before(like), every)[1]
        return alphas, jnp.any(lost)

    def back(by: Any, alphas: Array) -> PyTree:
        def step(carry: Any, now: tuple[Array, Array]) -> tuple[Any, None]:
            after, total = carry
            index, alpha = now
            own = block(index)
            _, found = by.forward(chain, own.log_likelihoods, own.first, alpha)
            into = _into(own.first, own.weight)
            after, states, pairs = by.backward(chain, found, own.first, into, after)
            found_here = collect(own, Posterior(found.log_likelihood, states, pairs))
            return (after, add_exactly(total, found_here)), None

        own = jax.eval_shape(block, every[0])
        k = like.shape[0]
        posterior = Posterior(own.weight, own.log_likelihoods, jnp.zeros((k, k), like.dtype))
        nothing = no_sums(jax.eval_shape(collect, own, posterior))
        (_, total), _ = lax.scan(step, (by.after(like), nothing), (every, alphas), reverse=True)
        return sums(total)

    alphas, lost = starts(scaled)
    return lax.cond(
        lost, lambda: back(logarithmic, starts(logarithmic)[0]), lambda: back(scaled, alphas)
    )
