"""Weighted least squares from its normal equations, by steps from coefficients that are there.

    S = sum w u u',  g = sum r e u,  u = (1, x - c);    (S + P) t = g - q

with the pivot c of the rows, e what the coefficients b leave of them, P and q those of a normal
prior on b. The step t is of the line's value at c and of its slopes: b[0] moves by t[0] - c' t[1:].
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.factors import eigh
from jaxem.core.numerics import correlation, einsum, safe_divide
from jaxem.inference.pivot import pivot_of


class Normal(NamedTuple):
    """S and g, and count c with a 0 before it for the intercept."""

    second: Float[Array, "k p p"]
    gradient: Float[Array, "k p"]
    pivot: Float[Array, "k p"]


class Step(NamedTuple):
    """t and c, by which it moves the coefficients; slope: t' (g - q); bend: t' S t; gain: 2 t' g
    less it."""

    t: Float[Array, "k p"]
    pivot: Float[Array, "k p"]
    slope: Float[Array, " k"]
    bend: Float[Array, " k"]
    gain: Float[Array, " k"]


def normal(
    w: Float[Array, "k n"],
    residual: Float[Array, "k n"],
    count: Float[Array, " k"],
    u: Float[Array, "p n"],
    x: Any,
) -> Normal:
    """The sums, additive over rows of one pivot; residual: r e."""
    p, n = u.shape
    squares = jnp.reshape(u[:, None] * u[None], (p * p, n))
    pivot = pivot_of(x)
    pivot = jnp.concatenate([jnp.zeros(p - pivot.shape[0], pivot.dtype), pivot])
    return Normal(
        jnp.reshape(einsum("kn,fn->kf", w, squares), (-1, p, p)),
        einsum("kn,pn->kp", residual, u),
        count[:, None] * pivot[None],
    )


def solve_step(
    sums: Normal,
    count: Float[Array, " k"],
    b: Float[Array, "k p"],
    fixed: Float[Array, "k p"],
    mean: Float[Array, "k p"],
    precision: Float[Array, "k p"],
) -> Step:
    """t from b, with a normal prior on the coefficients, and some that are fixed."""
    second, gradient, pivot = _about(sums, count, fixed)
    pull = precision * (b - mean)
    pull = pull - pivot * pull[:, :1]
    first = -pivot.at[:, 0].set(-1)  # of the intercept, in the coordinates of t
    slopes = precision.at[:, 0].set(0)[:, :, None] * jnp.eye(b.shape[1], dtype=b.dtype)[None]
    prior = slopes + precision[:, :1, None] * first[:, :, None] * first[:, None, :]
    t = solve_fixed(second + prior, gradient - pull, fixed - b)
    slope, bend = jnp.sum(t * (gradient - pull), axis=1), einsum("ki,kij,kj->k", t, second, t)
    return Step(t, pivot, slope, bend, 2 * jnp.sum(t * gradient, axis=1) - bend)


def recentred(
    sums: Normal, count: Float[Array, " k"], change: Float[Array, "k p"]
) -> tuple[Normal, Float[Array, " k"]]:
    """-> (the sums from coefficients that are `change` away, by how much sum r e^2 is less).

    g - S t,  2 t' g - t' S t,    with t the change of the line's value at c and of its slopes.
    """
    second, gradient, pivot = sums
    c = safe_divide(pivot, jnp.broadcast_to(count[:, None], pivot.shape))
    t = change.at[:, 0].add(jnp.sum(c * change, axis=1))
    half = einsum("kij,kj->ki", second, t)
    lost = jnp.sum(t * (2 * gradient - half), axis=1)
    return Normal(second, gradient - half, pivot), lost


def moved(
    b: Float[Array, "k p"], step: Step, share: Any, fixed: Float[Array, "k p"]
) -> Float[Array, "k p"]:
    """b after that share of a step; the intercept follows the slopes as they were rounded."""
    new = jnp.where(jnp.isnan(fixed), b + share * step.t, fixed)
    back = jnp.sum(step.pivot * (new - b), axis=1)
    return new.at[:, 0].add(-back)


def _about(sums: Normal, count: Float[Array, " k"], fixed: Float[Array, "k p"]) -> Normal:
    """The sums with c itself, which is 0 where the intercept is fixed: lines turn about it."""
    second, gradient, pivot = sums
    pivot = safe_divide(pivot, jnp.broadcast_to(count[:, None], pivot.shape))
    c = jnp.where(jnp.isnan(fixed[:, :1]), 0, pivot)
    half = c[:, :, None] * (second[:, :1] + 0.5 * second[:, :1, :1] * c[:, None])
    second = second + half + jnp.swapaxes(half, 1, 2)
    return Normal(second, gradient + c * gradient[:, :1], pivot - c)


def solve_fixed(
    matrix: Float[Array, "k p p"], vector: Float[Array, "k p"], fixed: Float[Array, "k p"]
) -> Float[Array, "k p"]:
    """The minimiser of x' matrix x / 2 - vector' x with some entries fixed, NaN where free."""
    free = jnp.isnan(fixed)
    given = jnp.where(free, 0, fixed)
    vector = vector - einsum("kij,kj->ki", matrix, given)
    matrix = jnp.where(free[:, :, None] & free[:, None, :], matrix, 0)
    return given + solve(matrix, jnp.where(free, vector, 0))


@jax.custom_jvp
def solve(matrix: Float[Array, "k p p"], vector: Float[Array, "k p"]) -> Float[Array, "k p"]:
    """The shortest solution of a semidefinite system, in units of the diagonal.

    Directions of which nothing is known, with too few rows or columns that depend on each other,
    are left alone.
    """
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    scale = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, jnp.ones_like(diagonal)))
    values, vectors = eigh(correlation(matrix))
    most = 8 * matrix.shape[-1] * jnp.finfo(matrix.dtype).eps
    known = values > most * jnp.maximum(values[..., -1:], 1)
    inverse = jnp.where(known, 1 / jnp.where(known, values, jnp.ones_like(values)), 0)
    turned = einsum("kji,kj->ki", vectors, vector * scale)
    return scale * einsum("kij,kj->ki", vectors, inverse * turned)


@solve.defjvp
def _solve_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Of the system, dx = inv(matrix) (d vector - d matrix x): eigenvectors have no derivative
    where eigenvalues are equal.
    """
    matrix, _ = given
    in_matrix, in_vector = tangents
    x = solve(*given)
    return x, solve(matrix, in_vector - einsum("kij,kj->ki", in_matrix, x))
