"""Coordinates in which parameters are free to move.

    theta(u) = from_unconstrained(c + B u),  u = 0 at the parameters

There are more unconstrained coordinates than a model has freedoms (log odds of k probabilities,
both triangles of a matrix): the columns of B are the directions that move the parameters, from the
Jacobian of theta.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from jaxem.core import emissions, parameters
from jaxem.core.contracts import Model, Params, Prior
from jaxem.core.numerics import einsum
from jaxem.fitting.effort import program

LOST = 32.0  # a singular value of so many units of rounding is 0
_ROUNDS = 8  # of bringing rows and columns to a common size


class Coordinates(NamedTuple):
    """basis (c, r): directions of the coordinates, columns of zeros where there is none.

    jacobian (p, r): of all numbers of the parameters along them.
    """

    basis: Float[Array, "c r"]
    jacobian: Float[Array, "p r"]


def point(model: Model, params: Params, prior: Prior | None, basis: Array, u: Array) -> Params:
    """theta(u), with the numbers that are fixed in their places."""
    own = model.constraints
    here, unravel = ravel_pytree(lax.stop_gradient(parameters.to_unconstrained(own, params)))
    moved = parameters.from_unconstrained(own, unravel(here + einsum("cr,r->c", basis, u)))
    return parameters.fix(own, moved, emissions.fixed(prior))


def without_error(model: Model, params: Params) -> Params:
    """Which numbers have no standard error."""
    return parameters.without_error(model.constraints, params, model.active(params))


@program("model")
def settled(model: Model, params: Params) -> Params:
    """Numbers that converge to 0, and whose squares underflow, set to 0: 1 / 0 is guarded."""

    def of(leaf: Array, mark: Array) -> Array:
        return jnp.where(mark & (jnp.abs(leaf) < jnp.finfo(leaf.dtype).tiny ** 0.5), 0, leaf)

    return jax.tree.map(of, params, without_error(model, params))


@program("model")
def directions(model: Model, params: Params, prior: Prior | None) -> Coordinates:
    """The directions in which the parameters can move, from the singular values of the Jacobian.

    Numbers at the end of their range, and those of absent components, stay where they are.
    """
    free = _free(model, params)
    steps = jnp.diag(free.astype(params_dtype(params)))

    def theta(u: Array) -> Array:
        return ravel_pytree(point(model, params, prior, steps, u))[0]

    # A number on its way to 0 moves with the sum of the others alone, which moves nothing else.
    there = ~ravel_pytree(without_error(model, params))[0]
    jacobian = jax.jacfwd(theta)(jnp.zeros(free.shape, steps.dtype))
    jacobian = jnp.where(there[:, None], jacobian, 0)
    rows, columns = _scales(jacobian)
    _, values, across = jnp.linalg.svd(
        jacobian * rows[:, None] * columns[None], full_matrices=False
    )
    size = max(jacobian.shape) ** 0.5
    kept = values > LOST * size * jnp.finfo(values.dtype).eps * values[0]
    moves = jnp.any(jacobian != 0, axis=0)
    basis = jnp.where(moves[:, None] & kept[None], columns[:, None] * across.T, 0)
    return Coordinates(basis, einsum("pc,cr->pr", jacobian, basis))


def params_dtype(params: Params) -> Any:
    return jax.tree.leaves(params)[0].dtype


def _free(model: Model, params: Params) -> Bool[Array, " c"]:
    """Which coordinates may move; all of them where they do not stand for one number each."""
    each = jax.eval_shape(partial(parameters.to_unconstrained, model.constraints), params)
    shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (each, params)]
    if shapes[0] != shapes[1]:
        return jnp.ones(sum(leaf.size for leaf in jax.tree.leaves(each)), bool)
    return ~ravel_pytree(without_error(model, params))[0]


def _scales(matrix: Float[Array, "p c"]) -> tuple[Float[Array, " p"], Float[Array, " c"]]:
    """Factors of the rows and columns that make the largest of each about 1  (Ruiz 2001)."""
    size = jnp.abs(matrix)

    def root(largest: Array) -> Array:
        return jnp.sqrt(jnp.where(largest > 0, largest, jnp.ones_like(largest)))

    def step(_: Array, scales: tuple[Array, Array]) -> tuple[Array, Array]:
        rows, columns = scales
        now = size * rows[:, None] * columns[None]
        return rows / root(jnp.max(now, axis=1)), columns / root(jnp.max(now, axis=0))

    start = jnp.ones(size.shape[0], size.dtype), jnp.ones(size.shape[1], size.dtype)
    return lax.fori_loop(0, _ROUNDS, step, start)


@program("model")
def jacobian(model: Model, params: Params, prior: Prior | None, basis: Array) -> Array:
    """The Jacobian of all parameters along given directions."""

    def theta(u: Array) -> Array:
        return ravel_pytree(point(model, params, prior, basis, u))[0]

    return jax.jacfwd(theta)(jnp.zeros(basis.shape[1], basis.dtype))
