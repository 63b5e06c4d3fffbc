"""What the recursions over hidden Markov chains share: the chain, and products with its matrix.

`log_likelihoods[t, k, b]` is that of step t of lane b in state k: -inf where impossible, 0 in every
state where nothing was observed. `first` marks the steps at which a sequence begins, so that a lane
may hold several, one after another. Everything is blind to what was observed.
"""

from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum

_FEW = 12  # states up to which a product is k fused terms: a call for each step costs more


class Chain(NamedTuple):
    initial: Float[Array, " k"]
    transition: Float[Array, "k k"]  # rows add up to 1


class Posterior(NamedTuple):
    """log_likelihood: log c[t] = log p(x[t] | x[..t-1]); states: gamma; pairs: expected numbers of
    transitions, weighted by their later step."""

    log_likelihood: Float[Array, "t b"]
    states: Float[Array, "t k b"]
    pairs: Float[Array, "k k"]


class Forward(NamedTuple):
    """alphas: P(z[t] | x[..t]), or their logarithms; work: what the way back needs; lost: whether
    a c[t] is, in underflow."""

    log_likelihood: Float[Array, "t b"]
    alphas: Float[Array, "t k b"]
    work: Any
    lost: Bool[Array, ""]


class Backward(NamedTuple):
    """states: gamma; pairs: weighted sums of pairs; lost: whether any digit of them is."""

    before: "Later"  # what comes to the step before
    states: Float[Array, "t k b"]
    pairs: Float[Array, "k k"]
    lost: Bool[Array, ""]


class Later(NamedTuple):
    """What the way back brings to a step: of the step after it, p(x[t+1] | z) beta / c, or its
    logarithm, whether a sequence begins there, and the weight of the transition into it."""

    later: Float[Array, "k b"]
    first: Bool[Array, " b"]
    weight: Float[Array, " b"]


def into(first: Bool[Array, "t b"], weight: Float[Array, "t b"]) -> Float[Array, "t b"]:
    """The weight of the transition into each step."""
    return jnp.where(first, jnp.zeros_like(weight), weight)


def ahead(transition: Float[Array, "k k"], states: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """sum_i A[i, j] states[i]."""
    if transition.shape[0] > _FEW:
        return einsum("ij,ib->jb", transition, states)
    terms = [row[:, None] * of[None] for row, of in zip(transition, states, strict=True)]
    return reduce(jnp.add, terms)


def pairs_of(
    weighted: Float[Array, "k b"], later: Float[Array, "k b"]
) -> Float[Array, "k k"] | Float[Array, "k k b"]:
    """weighted[i] later[j], its lanes summed where there are many states."""
    if weighted.shape[0] > _FEW:
        return einsum("ib,jb->ij", weighted, later)
    return weighted[:, None] * later[None]
