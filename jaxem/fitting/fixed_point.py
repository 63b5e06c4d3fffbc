"""EM's map at its fixed point: its derivative, and the linear equations with it.

Up to a hundred parameters I - J is a matrix and is factored; beyond, J is applied to vectors alone
(GMRES, to a relative residual of eps^0.6: 4e-10 in float64).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jax.scipy.sparse.linalg import gmres
from jaxtyping import Array, Bool, Float

from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.numerics import einsum
from jaxem.fitting.blocks import accumulate

DIRECT = 100  # parameters up to which equations are solved by elimination
_STEPS = 5  # of Newton, at most; two or three are enough where the fit has converged
_SQUARINGS = 20
_POWERS = 60  # of J, where it is no matrix
_AT_ONCE = 1 << 24  # numbers that columns of J made side by side may take
_KRYLOV = 40  # vectors of one cycle
_CYCLES = 10

Vector = Float[Array, " p"]


class Inputs(NamedTuple):
    """What a fixed point depends on; origin: where what is absent or fixed comes from."""

    rows: Rows
    prior: Prior | None
    origin: Params


class Point(NamedTuple):
    """A fixed point. factor: of I - J, where it is a matrix; scale: the units of the parameters.

    step: the last correction, in standard deviations of a row (of complete data).
    """

    params: Params
    sound: Bool[Array, ""]
    radius: Float[Array, ""]
    step: Float[Array, ""]
    on_boundary: Bool[Array, ""]
    factor: Any
    scale: Vector


def em_map(model: Model, block_size: int, params: Params, inputs: Inputs) -> Params:
    """One EM step; what it hands on comes from the origin."""
    rows, prior, origin = inputs
    statistics, _ = accumulate(model, model.prepare(params, prior), rows, block_size)
    new = model.smooth_step(params, statistics, prior)
    return jax.tree.map(jnp.where, model.kept(params), origin, new)


def polish(
    model: Model, block_size: int, params: Params, converged: Bool[Array, ""], inputs: Inputs
) -> Point:
    """The fixed point next to the end of a fit, and whether there is a derivative there.

    There is none where the fit has not converged or Newton steps do not settle, where J has an
    eigenvalue of 1 to half the digits of the dtype, and on the boundary; then the parameters are
    as given.
    """
    vector, unravel = ravel_pytree(params)
    scale = _units(model, params)

    def function(vector: Vector) -> Vector:
        return ravel_pytree(em_map(model, block_size, unravel(vector), inputs))[0]

    def length(new: Vector, old: Vector) -> Array:
        return _length(model, unravel(new), unravel(old))

    if vector.size <= DIRECT:
        chunk = _chunk(model, inputs.rows, block_size, vector.size)
        polished, step, factor, radius = _by_elimination(function, vector, length, chunk)
    else:
        factor = None
        polished, step, radius = _by_krylov(function, vector, length, scale)
    best = unravel(polished)
    boundary = on_boundary(model, best, inputs.prior)
    eps = jnp.finfo(vector.dtype).eps
    settled = (step <= eps**0.4) & (radius < 1 - eps**0.5)
    sound = converged & settled & ~boundary & jnp.all(jnp.isfinite(polished))
    best = jax.tree.map(lambda new, old: jnp.where(sound, new, old), best, params)
    return Point(best, sound, radius, step, boundary, factor, scale)


def solve(function: Callable[[Params], Params], params: Params, point: Point, b: Params) -> Params:
    """The t of (I - J) t = b, with J that of `function` at `params`; NaN at an unsound point."""
    rhs, unravel = ravel_pytree(b)

    def apply(t: Vector) -> Vector:
        return t - ravel_pytree(jax.jvp(function, (params,), (unravel(t),))[1])[0]

    def inverse(apply: Callable, b: Vector, transposed: bool = False) -> Vector:
        if point.factor is not None:
            return lu_solve(point.factor, b, trans=int(transposed))
        return _krylov(apply, b, 1 / point.scale if transposed else point.scale)

    return unravel(linear(apply, inverse, point.sound, rhs))


def linear(
    apply: Callable[[Vector], Vector],
    inverse: Callable[..., Vector],
    sound: Bool[Array, ""],
    b: Vector,
) -> Vector:
    """x of apply(x) = b, in both directions of differentiation; NaN unless sound, and 0 for 0."""

    def guarded(apply: Callable, b: Vector, **how: Any) -> Vector:
        some = jnp.any(b != 0)  # NaN is
        x = jnp.where(sound, inverse(apply, b, **how), jnp.nan)
        return jnp.where(some, x, jnp.zeros_like(b))

    return lax.custom_linear_solve(apply, b, guarded, partial(guarded, transposed=True))


def _by_elimination(
    function: Callable[[Vector], Vector],
    start: Vector,
    length: Callable[[Vector, Vector], Array],
    chunk: int,
) -> tuple[Vector, Array, Any, Array]:
    """-> (the point, the length of the last step to it, the factor of I - J before it, J's radius)."""
    identity = jnp.eye(start.size, dtype=start.dtype)

    def newton(vector: Vector) -> tuple[Vector, Any]:
        value, jacobian = _value_and_jacobian(function, vector, chunk)
        step = lu_solve(lu_factor(identity - jacobian), value - vector)
        return vector + step, jacobian

    vector, step, jacobian = _newton(newton, start, length, jnp.zeros_like(identity))
    return vector, step, lu_factor(identity - jacobian), spectral_radius(jacobian)


def _by_krylov(
    function: Callable[[Vector], Vector],
    start: Vector,
    length: Callable[[Vector, Vector], Array],
    scale: Vector,
) -> tuple[Vector, Array, Array]:
    """-> (the point, the length of the last step to it, the radius of J)."""

    def derivative(vector: Vector, t: Vector) -> Vector:
        return jax.jvp(function, (vector,), (t,))[1]

    def newton(vector: Vector) -> tuple[Vector, None]:
        step = _krylov(lambda t: t - derivative(vector, t), function(vector) - vector, scale)
        return vector + step, None

    vector, step, _ = _newton(newton, start, length, None)

    def power(_: Any, state: tuple[Vector, Array]) -> tuple[Vector, Array]:
        u = state[0]
        new = derivative(vector, scale * u) / scale
        size = jnp.sqrt(jnp.sum(new**2))
        return new / jnp.where(size > 0, size, 1), jnp.sum(u * new) / jnp.sum(u * u)

    any_one = jnp.cos(1 + jnp.arange(start.size, dtype=start.dtype))
    _, radius = lax.fori_loop(0, _POWERS, power, (any_one, jnp.zeros((), start.dtype)))
    return vector, step, radius


def _newton(
    step: Callable[[Vector], tuple[Vector, Any]],
    start: Vector,
    length: Callable[[Vector, Vector], Array],
    beside: Any,
) -> tuple[Vector, Array, Any]:
    """Steps until one is so short that the next would be lost in rounding.

    -> (the point, the length of the last step, what was found beside it)
    """
    short = jnp.finfo(start.dtype).eps ** 0.5

    def longer(state: tuple) -> Array:
        _, last, _, count = state
        return (count < _STEPS) & (last > short)  # not where it is NaN

    def move(state: tuple) -> tuple:
        vector, _, _, count = state
        new, beside = step(vector)
        return new, length(new, vector), beside, count + 1

    state = start, jnp.full((), jnp.inf, start.dtype), beside, jnp.zeros((), jnp.int32)
    return lax.while_loop(longer, move, state)[:3]


def _krylov(apply: Callable[[Vector], Vector], b: Vector, scale: Vector) -> Vector:
    """GMRES in units of `scale`; NaN where it does not come to its tolerance."""
    tolerance = jnp.finfo(b.dtype).eps ** 0.6

    def scaled(u: Vector) -> Vector:
        return apply(scale * u) / scale

    rhs = b / scale
    u, _ = gmres(
        scaled, rhs, tol=tolerance, restart=min(_KRYLOV, b.size), maxiter=_CYCLES,
        solve_method="incremental",
    )  # fmt: skip
    missed = jnp.sum((rhs - scaled(u)) ** 2) > (10 * tolerance) ** 2 * jnp.sum(rhs**2)
    return jnp.where(missed, jnp.nan, scale * u)


def _value_and_jacobian(
    function: Callable[[Vector], Vector], vector: Vector, chunk: int
) -> tuple[Vector, Float[Array, "p p"]]:
    """`chunk` columns at a time."""
    p = vector.size
    n_chunks = -(-p // chunk)
    basis = jnp.eye(n_chunks * chunk, p, dtype=vector.dtype)

    def columns(tangents: Float[Array, "c p"]) -> tuple[Vector, Float[Array, "c p"]]:
        def one(t: Vector) -> tuple[Vector, Vector]:
            return jax.jvp(function, (vector,), (t,))

        return jax.vmap(one, out_axes=(None, 0))(tangents)

    if n_chunks == 1:
        value, rows = columns(basis)
        return value, rows.T
    values, rows = lax.map(columns, jnp.reshape(basis, (n_chunks, chunk, p)))
    return values[0], jnp.reshape(rows, (-1, p))[:p].T


def _chunk(model: Model, rows: Rows, block_size: int, p: int) -> int:
    each = min(rows.weight.shape[0], block_size) * model.numbers_per_row(rows)
    most = max(1, min(p, _AT_ONCE // each))
    return -(-p // -(-p // most))


def spectral_radius(jacobian: Float[Array, "p p"]) -> Float[Array, ""]:
    """The largest eigenvalue of a matrix whose eigenvalues are real: that of (I + J) / 2, by
    |A^m|^(1/m) with m = 2^20. EM's own are from 0 on; the shift allows for some down to -3.
    """
    half = (jnp.eye(jacobian.shape[0], dtype=jacobian.dtype) + jacobian) / 2

    def square(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        power, log_size = state
        size = jnp.max(jnp.abs(power))
        power = power / size
        return einsum("ij,jk->ik", power, power), 2 * (log_size + jnp.log(size))

    power, log_size = lax.fori_loop(0, _SQUARINGS, square, (half, jnp.zeros((), jacobian.dtype)))
    total = log_size + jnp.log(jnp.max(jnp.abs(power)))
    return 2 * jnp.exp(total / 2**_SQUARINGS) - 1


def on_boundary(model: Model, params: Params, prior: Prior | None) -> Bool[Array, ""]:
    """Whether a number that is estimated is at the end of its range."""

    def moved(leaf: Array) -> Array:
        off = 2 + jnp.cos(1 + jnp.arange(leaf.size, dtype=leaf.dtype))
        return leaf + jnp.reshape(off, leaf.shape)

    held = jax.tree.map(jnp.equal, model.hold(jax.tree.map(moved, params), prior), params)
    marks = jax.tree.map(
        lambda end, held, kept: jnp.any(end & ~held & ~kept),
        model.on_boundary(params),
        held,
        model.kept(params),
    )
    return jnp.any(jnp.stack(jax.tree.leaves(marks)))


def _length(model: Model, params: Params, before: Params) -> Float[Array, ""]:
    """Of the way between two parameters, in the metric of the complete data's information."""
    trees = model.metric(params), model.to_chart(params), model.to_chart(before)
    leaves = zip(*map(jax.tree.leaves, trees), strict=True)
    squares = (jnp.sum(jnp.where(m > 0, m * (a - b) ** 2, 0)) for m, a, b in leaves)
    return jnp.sqrt(sum(squares, jnp.zeros((), jax.tree.leaves(params)[0].dtype)))


def _units(model: Model, params: Params) -> Vector:
    """About one standard deviation of each parameter, for one row of complete data."""

    def unit(metric: Array) -> Array:
        sign = jnp.cos(1 + 3 * jnp.arange(metric.size, dtype=metric.dtype))
        return jnp.reshape(sign, metric.shape) * jnp.where(
            metric > 0, lax.rsqrt(jnp.where(metric > 0, metric, 1)), 1
        )

    one = jax.tree.map(unit, model.metric(params))
    along = jax.jvp(model.from_chart, (model.to_chart(params),), (one,))[1]

    def positive(leaf: Array) -> Array:
        size = jnp.abs(leaf)
        least = jnp.finfo(leaf.dtype).eps ** 0.5 * jnp.max(size)
        return jnp.maximum(size, jnp.where(least > 0, least, 1))

    return ravel_pytree(jax.tree.map(positive, along))[0]
