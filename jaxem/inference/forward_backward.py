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
from jaxtyping import Array, Bool, Float, PyTree

from jaxem.core.numerics import add_exactly, any_lane, einsum, no_sums, safe_log, sums
from jaxem.inference import logarithmic, scaled
from jaxem.inference.chain import Chain, Posterior, into

_LONG = 1 << 14  # steps up to which one block has them all: what is made again costs half as much


def block_length(t: int) -> int:
    """Steps of a block of time: the least power of 2 whose square is t, or all of a shorter lane.

    Memory grows as sqrt(t), and so does a lane that is filled up to whole blocks: the length of
    its blocks stays what it was.
    """
    return t if t <= _LONG else 1 << -(-(t - 1).bit_length() // 2)


class Block(NamedTuple):
    """Some steps of all lanes, and what made them."""

    log_likelihoods: Float[Array, "t k b"]
    first: Bool[Array, "t b"]
    weight: Float[Array, "t b"]
    source: Any


def _smooth_by(
    by: Any, chain: Chain, log_likelihoods: Array, first: Array, weight: Array
) -> tuple[Posterior, Bool[Array, ""]]:
    """-> (the posterior, whether digits are lost); by: `scaled` or `logarithmic`."""
    like = log_likelihoods[0]
    _, found = by.forward(chain, log_likelihoods, first, by.before(like))
    back = by.backward(chain, found, first, into(first, weight), by.after(like))
    return Posterior(found.log_likelihood, back.states, back.pairs), found.lost | back.lost


@jax.custom_jvp
def smooth(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    weight: Float[Array, "t b"],
) -> Posterior:
    """Posteriors of the states given whole sequences."""
    given = chain, log_likelihoods, first, weight
    found, lost = _smooth_by(scaled, *given)
    return lax.cond(any_lane(lost), lambda: _smooth_by(logarithmic, *given)[0], lambda: found)


@smooth.defjvp
def _smooth_jvp(given: tuple, tangents: tuple) -> tuple[Posterior, Posterior]:
    """Of the one way that was taken: what the other lost is NaN, and 0 * NaN would be too."""
    chain, log_likelihoods, first, weight = given
    in_chain, in_logs, _, in_weight = tangents

    def along(by: Any) -> tuple[Posterior, Posterior]:
        def of(*given: Any) -> Posterior:
            return _smooth_by(by, given[0], given[1], first, given[2])[0]

        point = chain, log_likelihoods, weight
        return jax.jvp(of, point, (in_chain, in_logs, in_weight))

    lost = any_lane(_smooth_by(scaled, *lax.stop_gradient(given))[1])
    return lax.cond(lost, lambda: along(logarithmic), lambda: along(scaled))


Filtered = tuple[Float[Array, "t b"], Float[Array, "t k b"]]


def _filter_scaled(
    chain: Chain, log_likelihoods: Array, first: Array
) -> tuple[Filtered, Bool[Array, ""]]:
    """-> ((log c, log alpha), whether digits are lost).

    Nothing tells here whether an alpha that underflows will count: where a state cannot be come
    back to, it is taken to.
    """
    _, found = scaled.forward(chain, log_likelihoods, first, scaled.before(log_likelihoods[0]))
    limits = jnp.finfo(found.alphas.dtype)
    may = jnp.where(first[:, None], chain.initial[None, :, None] > 0, True)
    may = may & (log_likelihoods > -jnp.inf)
    gone = jnp.any(may & (found.alphas < limits.tiny / limits.eps))
    closed = jnp.any(chain.transition < limits.tiny**0.5)
    return (found.log_likelihood, safe_log(found.alphas)), found.lost | (gone & closed)


def _filter_by_logs(chain: Chain, log_likelihoods: Array, first: Array) -> Filtered:
    before = logarithmic.before(log_likelihoods[0])
    _, found = logarithmic.forward(chain, log_likelihoods, first, before)
    return found.log_likelihood, found.alphas


@jax.custom_jvp
def log_filter(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> Filtered:
    """-> (log c[t], log P(z[t] | x[..t]))."""
    found, lost = _filter_scaled(chain, log_likelihoods, first)
    return lax.cond(
        any_lane(lost), lambda: _filter_by_logs(chain, log_likelihoods, first), lambda: found
    )


@log_filter.defjvp
def _log_filter_jvp(given: tuple, tangents: tuple) -> tuple[Filtered, Filtered]:
    chain, log_likelihoods, first = given

    def along(of: Callable[..., Any]) -> tuple[Filtered, Filtered]:
        return jax.jvp(lambda *to: of(*to, first), (chain, log_likelihoods), tangents[:2])

    lost = any_lane(_filter_scaled(*lax.stop_gradient(given))[1])
    return lax.cond(
        lost, lambda: along(_filter_by_logs), lambda: along(lambda *to: _filter_scaled(*to)[0])
    )


def predicted(
    chain: Chain, first: Bool[Array, "t b"], alphas: Float[Array, "t k b"]
) -> Float[Array, "t k b"]:
    """P(z[t] | x[..t-1]) from P(z[t] | x[..t]): the initial law where a sequence begins."""
    onward = einsum("ij,tib->tjb", chain.transition, alphas)
    onward = jnp.concatenate([onward[:1], onward[:-1]])
    return jnp.where(first[:, None], chain.initial[None, :, None], onward)


def accumulate(
    chain: Chain,
    n_blocks: int,
    block: Callable[[Array], Block],
    collect: Callable[[Block, Posterior], PyTree],
) -> PyTree:
    """The sum of collect(block, its posterior) over blocks of time, `block(0)` being the first."""
    like = jax.eval_shape(block, jnp.int32(0)).log_likelihoods
    like = jnp.zeros_like(like, shape=like.shape[1:])
    every = jnp.arange(n_blocks, dtype=jnp.int32)

    def starts(by: Any) -> tuple[Array, Array]:
        """-> (alpha before each block, whether any is lost)."""

        def step(alpha: Array, index: Array) -> tuple[Array, tuple[Array, Array]]:
            own = block(index)
            new, found = by.forward(chain, own.log_likelihoods, own.first, alpha)
            return new, (alpha, found.lost)

        alphas, lost = lax.scan(step, by.before(like), every)[1]
        return alphas, jnp.any(lost)

    def back(by: Any, alphas: Array) -> tuple[PyTree, Array]:
        """-> (the sum, whether any is lost)."""

        def step(carry: Any, now: tuple[Array, Array]) -> tuple[Any, Array]:
            after, total = carry
            index, alpha = now
            own = block(index)
            _, found = by.forward(chain, own.log_likelihoods, own.first, alpha)
            way = by.backward(chain, found, own.first, into(own.first, own.weight), after)
            found_here = collect(own, Posterior(found.log_likelihood, way.states, way.pairs))
            return (way.before, add_exactly(total, found_here)), way.lost

        own = jax.eval_shape(block, every[0])
        k = like.shape[0]
        posterior = Posterior(own.weight, own.log_likelihoods, jnp.zeros((k, k), like.dtype))
        nothing = no_sums(jax.eval_shape(collect, own, posterior))
        start = by.after(like), nothing
        (_, total), lost = lax.scan(step, start, (every, alphas), reverse=True)
        return sums(total), jnp.any(lost)

    alphas, lost = starts(scaled)
    found, lost_back = back(scaled, alphas)
    return lax.cond(
        any_lane(lost | lost_back),
        lambda: back(logarithmic, starts(logarithmic)[0])[0],
        lambda: found,
    )
