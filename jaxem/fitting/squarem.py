"""SQUAREM: two plain steps and one extrapolation along them (Varadhan and Roland 2008, S3).

r = M(t) - t,  v = (M(M(t)) - M(t)) - r,  a = |r| / |v|,  t' = t + 2 a r + a^2 v

in the unconstrained coordinates of the model. Where EM contracts by the rate q along one direction,
r and v are parallel to it and a = 1 / (1 - q) is the step to the fixed point. Lengths are measured
in the metric of the complete data's information, in which EM's map is symmetric at a fixed point;
a = 1 is M(M(t)). One proposal for two evaluations: the second M-step is not evaluated unless the
proposal is refused.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import parameters
from jaxem.core.contracts import Model, Params
from jaxem.core.parameters import Coordinates
from jaxem.fitting.accelerate import Acceleration

_GROWTH = 4.0  # of the longest step allowed, after a proposal that was taken
_SHORTEST = 2.0  # the longest step allowed is never under it: steps of 1 are plain
_LONGEST = 2.0**20
_FADE = 0.8  # of the memory of long steps, a proposal


class Memory(NamedTuple):
    """Coordinates as vectors: one small operation each, however many arrays the parameters have."""

    here: Float[Array, " p"]  # of the parameters taken
    ahead: Float[Array, " p"]  # of the M-step from them
    proposal: Float[Array, " p"]
    plain: Bool[Array, ""]  # whether the next candidate is the plain step
    limit: Float[Array, ""]  # the longest step allowed
    longest: Float[Array, ""]  # step asked for lately


@dataclass(frozen=True)
class Squarem(Acceleration):
    def begin(self, model: Model, params: Params) -> Memory:
        start = _vector(parameters.to_unconstrained(model.constraints, params))
        limit = jnp.full((), _GROWTH, start.dtype)
        return Memory(start, start, start, jnp.ones((), bool), limit, jnp.ones_like(limit))

    def candidate(
        self, model: Model, memory: Memory, successor: Params
    ) -> tuple[Params, Bool[Array, ""]]:
        proposed = parameters.from_unconstrained(
            model.constraints, _coordinates(model, memory.proposal, successor)
        )
        plain = memory.plain
        return jax.tree.map(lambda a, b: jnp.where(plain, a, b), successor, proposed), plain

    def accept(
        self, model: Model, memory: Memory, params: Params, successor: Params, stay: Bool[Array, ""]
    ) -> Memory:
        metric = _vector(model.fisher_diagonal(params))

        def length(x: Float[Array, " p"]) -> Float[Array, ""]:
            return jnp.sqrt(jnp.sum(jnp.where(metric > 0, metric * x**2, 0)))

        here = jnp.where(memory.plain, memory.ahead, memory.proposal)
        ahead = _vector(parameters.to_unconstrained(model.constraints, successor))
        r, next_r = here - memory.here, ahead - here
        v = next_r - r
        step = length(r) / length(v)
        contracts = length(next_r) < length(r)
        propose = memory.plain & ~stay & contracts & (step > 1) & (step < jnp.inf)
        grown = jnp.minimum(_GROWTH * memory.limit, _LONGEST)
        limit = jnp.where(memory.plain, memory.limit, grown)
        a = jnp.where(propose, jnp.minimum(step, limit), 1)
        return Memory(
            here=here,
            ahead=ahead,
            proposal=memory.here + 2 * a * r + a**2 * v,
            plain=~propose,
            limit=limit,
            longest=jnp.where(propose, jnp.maximum(step, _FADE * memory.longest), memory.longest),
        )

    def reject(self, memory: Memory) -> Memory:
        limit = jnp.maximum(memory.limit / _GROWTH, _SHORTEST)
        return memory._replace(plain=jnp.ones((), bool), limit=limit)

    def redirect(self, model: Model, memory: Memory, successor: Params) -> Memory:
        return memory._replace(
            ahead=_vector(parameters.to_unconstrained(model.constraints, successor))
        )

    def rate(self, memory: Memory) -> Float[Array, ""]:
        return (1 - 1 / memory.longest) ** 2


def _vector(coordinates: Coordinates) -> Float[Array, " p"]:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(coordinates)])


def _coordinates(model: Model, vector: Float[Array, " p"], params: Params) -> Coordinates:
    """The vector as coordinates of parameters like these."""
    leaves, tree = jax.tree.flatten(
        jax.eval_shape(partial(parameters.to_unconstrained, model.constraints), params)
    )
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = jnp.split(vector, ends)
    shaped = [jnp.reshape(part, leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(tree, shaped)
