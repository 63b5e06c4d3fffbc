"""EM's map at its fixed points: its derivative, Newton's steps, and where there are none.

With J the derivative of the map, I - J is the share of the complete data's information that is
observed, and J what is missing (Dempster, Laird and Rubin 1977, section 3).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float

from jaxem.core import emissions, parameters
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.fitting import linear_solve, sizes, trimming

DIRECT = 200  # parameters up to which equations are solved by elimination
_STEPS = 5  # of Newton, at most; two or three are enough where the fit has converged
_AT_ONCE = 1 << 24  # numbers that columns of J made side by side may take

Vector = Float[Array, " p"]


class Inputs(NamedTuple):
    """What a fixed point depends on; origin: where what is absent or fixed comes from."""

    rows: Rows
    prior: Prior | None
    origin: Params


class Linearization(NamedTuple):
    """The map around some parameters."""

    em_step: Vector
    newton_step: Vector
    jacobian: Any  # None where there are too many parameters


class Point(NamedTuple):
    """A fixed point, and whether there is a derivative there."""

    params: Params
    sound: Bool[Array, ""]
    factor: Any  # of I - J, where it is a matrix
    scale: Vector  # the units of the parameters


def em_map(model: Model, block_size: int, params: Params, inputs: Inputs) -> Params:
    """One EM step; numbers that no M-step changes are taken from the origin."""
    rows, prior, origin = inputs
    statistics, _ = trimming.sums(model, model.prepare(params, prior), prior, rows, block_size)
    new = latent.differentiable_m_step(model, params, statistics, prior)
    same = parameters.constant(model.constraints, params, model.active(params))
    return jax.tree.map(jnp.where, same, origin, new)


def look(model: Model, block_size: int, params: Params, inputs: Inputs) -> Linearization:
    """One EM step, and one Newton step of the same equations."""
    function, vector, back = _as_vectors(model, block_size, params, inputs)
    if vector.size > DIRECT:
        step = function(vector) - vector
        derivative = _derivative(function, vector)
        newton = linear_solve.krylov(lambda t: t - derivative(t), step, units(model, params))
        return Linearization(back(step), back(newton), None)
    most = sizes.directions(model, inputs.rows, block_size, vector.size, _AT_ONCE)
    chunk = -(-vector.size // -(-vector.size // most))
    value, jacobian = linear_solve.value_and_jacobian(function, vector, chunk)
    step = value - vector
    return Linearization(back(step), back(lu_solve(_factor(jacobian), step)), jacobian)


def slowest(
    model: Model, block_size: int, params: Params, inputs: Inputs, jacobian: Any
) -> tuple[Float[Array, ""], Vector]:
    """-> (J's largest eigenvalue, its direction); jacobian: that of `look`."""
    function, vector, back = _as_vectors(model, block_size, params, inputs)
    if jacobian is not None:
        value, direction = linear_solve.largest_eigenvalue(jacobian)
        return value, back(direction)
    derivative, scale = _derivative(function, vector), units(model, params)
    value, u = linear_solve.largest_of_map(lambda u: derivative(scale * u) / scale, vector)
    return value, back(scale * u)


def _as_vectors(
    model: Model, block_size: int, params: Params, inputs: Inputs
) -> tuple[linear_solve.Map, Vector, linear_solve.Map]:
    """-> (the map of vectors, the parameters as one, the way back): at the pivot of the rows."""
    rows = inputs.rows
    vector, unravel = ravel_pytree(emissions.at_pivot(model, params, rows))

    def function(vector: Vector) -> Vector:
        new = em_map(model, block_size, emissions.from_pivot(model, unravel(vector), rows), inputs)
        return ravel_pytree(emissions.at_pivot(model, new, rows))[0]

    def back(vector: Vector) -> Vector:
        return ravel_pytree(emissions.from_pivot(model, unravel(vector), rows))[0]

    return function, vector, back


def _derivative(function: linear_solve.Map, at: Vector) -> linear_solve.Map:
    return lambda t: jax.jvp(function, (at,), (t,))[1]


def _factor(jacobian: Float[Array, "p p"]) -> Any:
    return lu_factor(jnp.eye(jacobian.shape[0], dtype=jacobian.dtype) - jacobian)


def polish(
    model: Model, block_size: int, params: Params, converged: Bool[Array, ""], inputs: Inputs
) -> Point:
    """The fixed point next to the end of a fit, by Newton steps until one is lost in rounding.

    There is no derivative where the fit has not converged or the steps do not settle, where J has
    an eigenvalue of 1 to half the digits of the dtype, and on the boundary; then the parameters are
    as given.
    """
    vector, unravel = ravel_pytree(params)
    eps = jnp.finfo(vector.dtype).eps

    def longer(state: tuple) -> Array:
        return (state[2] < _STEPS) & (state[1] > eps**0.5)  # not where it is NaN

    def move(state: tuple) -> tuple:
        vector, _, count, _ = state
        seen = look(model, block_size, unravel(vector), inputs)
        new = vector + seen.newton_step
        step = length(
            model, *(emissions.at_pivot(model, unravel(v), inputs.rows) for v in (new, vector))
        )
        return new, step, count + 1, seen.jacobian

    direct = vector.size <= DIRECT
    nothing = jnp.zeros((vector.size, vector.size), vector.dtype) if direct else None
    infinite = jnp.full((), jnp.inf, vector.dtype)
    state = vector, infinite, jnp.zeros((), jnp.int32), nothing
    end, step, _, jacobian = lax.while_loop(longer, move, state)
    best = unravel(end)
    radius, _ = slowest(model, block_size, best, inputs, jacobian)
    settled = (step <= eps**0.4) & (radius < 1 - eps**0.5) & jnp.all(jnp.isfinite(end))
    sound = converged & settled & ~any_mark(on_boundary(model, best, inputs.prior))
    best = jax.tree.map(lambda new, old: jnp.where(sound, new, old), best, params)
    factor = None if jacobian is None else _factor(jacobian)
    return Point(best, sound, factor, units(model, params))


def solve(
    model: Model,
    function: Callable[[Params], Params],
    params: Params,
    rows: Rows,
    point: Point,
    b: Params,
) -> Params:
    """The t of (I - J) t = b, with J that of `function` at `params`; NaN at an unsound point."""
    rhs, unravel = ravel_pytree(emissions.at_pivot(model, b, rows))

    def apply(t: Vector) -> Vector:
        change = jax.jvp(function, (params,), (emissions.from_pivot(model, unravel(t), rows),))[1]
        return t - ravel_pytree(emissions.at_pivot(model, change, rows))[0]

    def inverse(apply: Callable, b: Vector, transposed: bool = False) -> Vector:
        if point.factor is not None:
            return lu_solve(point.factor, b, trans=int(transposed))
        return linear_solve.krylov(apply, b, 1 / point.scale if transposed else point.scale)

    found = unravel(linear_solve.linear(apply, inverse, point.sound, rhs))
    return emissions.from_pivot(model, found, rows)


def on_boundary(model: Model, params: Params, prior: Prior | None) -> Params:
    """Which numbers are estimated and at the end of their range."""

    at = model.constraints, params, model.active(params)
    ends, same, fixed = (
        parameters.at_boundary(*at),
        parameters.constant(*at),
        emissions.fixed(prior),
    )
    found = jax.tree.map(lambda end, same: end & ~same, ends, same)
    if fixed is None:
        return found
    known = parameters.determined(model.constraints, fixed)
    return jax.tree.map(lambda end, known: end & ~known, found, known)


def any_mark(marks: Params) -> Bool[Array, ""]:
    return jnp.any(jnp.stack([jnp.any(leaf) for leaf in jax.tree.leaves(marks)]))


def length(model: Model, params: Params, before: Params) -> Float[Array, ""]:
    """Of the way between two parameters, in standard deviations of one row of complete data."""
    trees = (
        model.fisher_diagonal(params),
        *(parameters.to_unconstrained(model.constraints, of) for of in (params, before)),
    )
    leaves = zip(*map(jax.tree.leaves, trees), strict=True)
    squares = (jnp.sum(jnp.where(m > 0, m * (a - b) ** 2, 0)) for m, a, b in leaves)
    return jnp.sqrt(sum(squares, jnp.zeros((), jax.tree.leaves(params)[0].dtype)))


def units(model: Model, params: Params) -> Vector:
    """About one standard deviation of each parameter, for one row of complete data."""

    def unit(fisher: Array) -> Array:
        sign = jnp.reshape(linear_solve.generic(fisher.size, fisher.dtype), fisher.shape)
        return sign * jnp.where(fisher > 0, lax.rsqrt(jnp.where(fisher > 0, fisher, 1)), 1)

    one = jax.tree.map(unit, model.fisher_diagonal(params))
    here = parameters.to_unconstrained(model.constraints, params)
    back = partial(parameters.from_unconstrained, model.constraints)
    along = jax.jvp(back, (here,), (one,))[1]

    def positive(leaf: Array) -> Array:
        size = jnp.abs(leaf)
        least = jnp.finfo(leaf.dtype).eps ** 0.5 * jnp.max(size)
        return jnp.maximum(size, jnp.where(least > 0, least, 1))

    return ravel_pytree(jax.tree.map(positive, along))[0]
