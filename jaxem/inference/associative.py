"""The recursions as associative scans: log2(t) rounds in place of t steps, of k^3 work each.

The element of a step is the matrix M[t][i, j] = log A[i, j] + log p(x[t] | j), its rows all
log initial[j] + log p(x[t] | j) where a sequence begins. Products of matrices in (log sum exp, +)
are all that sums over paths need, in (max, +) all that the best path needs (Särkkä and
García-Fernández 2021). Each is relative to its largest number. t k^2 numbers a lane are in memory.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.numerics import safe_log
from jaxem.inference.chain import Chain, Posterior, into
from jaxem.inference.logarithmic import log_sum
from jaxem.inference.viterbi import joint_terms

_Total = Callable[..., Array]  # log_sum, or max, over an axis


def _elements(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> Float[Array, "t k k b"]:
    initial = safe_log(chain.initial)[None, None, :, None]
    moves = jnp.where(first[:, None, None], initial, safe_log(chain.transition)[None, :, :, None])
    return moves + log_likelihoods[:, None]


def _products(total: _Total, elements: Array, first: Array, reverse: bool) -> Array:
    """Of all elements up to each, or from each on, as far as its sequence goes."""

    def product(near: tuple[Array, Array], far: tuple[Array, Array]) -> tuple[Array, Array]:
        (a, ends), (b, further) = near, far
        left, right = (a, b) if reverse else (b, a)
        both = total(left[:, :, :, None] + right[:, None], axis=2)
        largest = lax.stop_gradient(jnp.max(both, axis=(1, 2), keepdims=True))
        both = both - jnp.where(largest > -jnp.inf, largest, jnp.zeros_like(largest))
        return jnp.where(ends[:, None, None], a, both), ends | further

    def earlier_first(a: Any, b: Any) -> Any:
        return product(b, a)  # the scan hands over what it has, and then the next

    return lax.associative_scan(earlier_first, (elements, first), reverse=reverse)[0]


def _upto(total: _Total, elements: Array, first: Array) -> Float[Array, "t k b"]:
    """Over the paths up to each state of each step: the first step forgets the row."""
    return _products(total, elements, first, reverse=False)[:, 0]


def _onward(total: _Total, elements: Array, first: Array) -> Float[Array, "t k b"]:
    """Over the paths on from each state: the same for all where nothing follows."""
    nothing = jnp.ones_like(first[:1])
    last = jnp.concatenate([first[1:], nothing])
    after = jnp.concatenate([elements[1:], elements[:1]])
    after = jnp.where(last[:, None, None], jnp.zeros_like(after), after)
    return total(_products(total, after, last, reverse=True), axis=2)


def _normalised(x: Array, axis: int | tuple[int, ...]) -> Array:
    total = log_sum(x, axis)
    return x - jnp.expand_dims(jnp.where(total > -jnp.inf, total, jnp.zeros_like(total)), axis)


def log_filter(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Float[Array, "t b"], Float[Array, "t k b"]]:
    """`forward_backward.log_filter`."""
    alphas = _normalised(_upto(log_sum, _elements(chain, log_likelihoods, first), first), axis=1)
    return _log_likelihood(chain, log_likelihoods, first, alphas), alphas


def _log_likelihood(chain: Chain, log_likelihoods: Array, first: Array, alphas: Array) -> Array:
    """log c[t], from log alpha[t-1]."""
    before = jnp.concatenate([alphas[:1], alphas[:-1]])
    ahead = log_sum(before[:, :, None] + safe_log(chain.transition)[None, :, :, None], axis=1)
    prior = jnp.where(first[:, None], safe_log(chain.initial)[None, :, None], ahead)
    return log_sum(prior + log_likelihoods, axis=1)


def smooth(
    chain: Chain,
    log_likelihoods: Float[Array, "t k b"],
    first: Bool[Array, "t b"],
    weight: Float[Array, "t b"],
) -> Posterior:
    """`forward_backward.smooth`."""
    elements = _elements(chain, log_likelihoods, first)
    alphas = _normalised(_upto(log_sum, elements, first), axis=1)
    onward = _onward(log_sum, elements, first)
    states = jnp.exp(_normalised(alphas + onward, axis=1))
    moves = elements[1:] + alphas[:-1, :, None] + onward[1:, None]
    pairs = jnp.exp(_normalised(moves, axis=(1, 2)))
    own = into(first, weight)[1:, None, None]
    pairs = jnp.where(jnp.broadcast_to(own, pairs.shape) > 0, own * pairs, 0)
    log_likelihood = _log_likelihood(chain, log_likelihoods, first, alphas)
    return Posterior(log_likelihood, states, jnp.sum(pairs, axis=(0, 3)))


def viterbi(
    chain: Chain, log_likelihoods: Float[Array, "t k b"], first: Bool[Array, "t b"]
) -> tuple[Int[Array, "t b"], Float[Array, "t b"]]:
    """`viterbi.viterbi`, where one path alone is the most likely."""
    elements = _elements(chain, log_likelihoods, first)
    best = _upto(jnp.max, elements, first) + _onward(jnp.max, elements, first)
    path = jnp.argmax(best, axis=1).astype(jnp.int32)
    return path, joint_terms(chain, log_likelihoods, first, path)
