"""Guarded numerics: products that state their precision, logs and ratios that fail as NaN."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

# The default product on recent GPUs is TF32, with three digits: wrong for EM.
einsum = partial(jnp.einsum, precision=lax.Precision.HIGHEST)


@jax.custom_batching.custom_vmap
def any_lane(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """The flag, and under vmap whether that of any lane is set.

    All lanes then take one branch of a `cond`, which otherwise runs both for all of them.
    """
    return flag


@any_lane.def_vmap
def _any_lane(size: int, batched: list[bool], flag: Bool[Array, " lanes"]) -> tuple[Array, bool]:
    return any_lane(jnp.any(flag, axis=0)), False


class Sums(NamedTuple):
    """Sums of trees, and what their last addition was rounded by."""

    total: PyTree
    lost: PyTree


def no_sums(like: PyTree) -> Sums:
    zeros = jax.tree.map(jnp.zeros_like, like)
    return Sums(zeros, zeros)


def add_exactly(sums: Sums, tree: PyTree) -> Sums:
    """1e5 float32 sums of blocks add up as one; else as many times the rounding is lost."""
    leaves, form = jax.tree.flatten(tree)
    total, lost = map(jax.tree.leaves, sums)
    both = [two_sum(*of) for of in zip(total, lost, leaves, strict=True)]
    return Sums(*(jax.tree.unflatten(form, side) for side in zip(*both, strict=True)))


def sums(of: Sums) -> PyTree:
    return jax.tree.map(jnp.add, of.total, of.lost)


def two_sum(total: Array, lost: Array, x: Array) -> tuple[Array, Array]:
    """-> (total + lost + x, what that sum is rounded by, exactly) (Knuth 1969, section 4.2.2)."""
    x = x + lost
    summed = total + x
    of_x = summed - total
    return summed, (total - (summed - of_x)) + (x - of_x)


def safe_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x, -inf at 0, with a gradient of 0 there instead of NaN."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, jnp.ones_like(x))), -jnp.inf)


def root(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The square root, 0 from 0 down, with a gradient of 0 there instead of an infinite one."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), 0)


_LOG_ZERO = -1e4  # below the log of every positive number, in every dtype


def log_odds(p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Coordinates of probabilities: their logs, and a finite number for 0.

    Equal in several points it is equal in every affine combination of them: 0 stays 0.
    """
    return jnp.where(p > 0, safe_log(p), _LOG_ZERO)


def from_log_odds(x: Float[Array, "*batch k"]) -> Float[Array, "*batch k"]:
    """Probabilities, adding up to 1 along the last axis; 0 far below the largest."""
    largest = lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))
    shifted = jnp.exp(x - largest)
    some = largest > _LOG_ZERO / 2  # else only ratios say anything
    shifted = jnp.where((x > _LOG_ZERO / 2) | ~some, shifted, jnp.zeros_like(x))
    return shifted / jnp.sum(shifted, axis=-1, keepdims=True)


def logit(p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log p / (1 - p); finite numbers for 0 and 1."""
    return log_odds(p) - log_odds(1 - p)


def from_logit(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """A probability; 0 and 1 far out."""
    inside = jax.nn.sigmoid(jnp.clip(x, _LOG_ZERO / 2, -_LOG_ZERO / 2))
    far = jnp.where(x > 0, jnp.ones_like(x), jnp.zeros_like(x))
    return jnp.where(jnp.abs(x) < -_LOG_ZERO / 2, inside, far)


def to_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x of what is not negative; a finite number for 0, NaN below it."""
    return jnp.where(x == 0, _LOG_ZERO, jnp.log(jnp.where(x == 0, jnp.ones_like(x), x)))


def from_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """exp x such that its square is a number; 0 far below."""
    return jnp.where(x > _LOG_ZERO / 2, jnp.exp(clip_log(x)), jnp.zeros_like(x))


def clip_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x such that the squares of exp(x) and exp(-x) are numbers."""
    most = 0.4 * jnp.log(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -most, most)


def safe_divide(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """a / b, and 0 where b is 0."""
    zero = b == 0
    return jnp.where(zero, jnp.zeros_like(a), a / jnp.where(zero, jnp.ones_like(b), b))


def replace_probability(
    p: Float[Array, " k"], index: int, value: Float[Array, ""]
) -> Float[Array, " k"]:
    """p with one entry replaced; the others keep their ratios, and all add up to 1.

    NaN where there is no such p.
    """
    possible = (value >= 0) & (value <= 1) if p.shape[0] > 1 else value == 1
    value = jnp.where(possible, value, jnp.nan)
    others = p.at[index].set(0.0)
    equal = jnp.ones_like(p).at[index].set(0.0)
    others = jnp.where(jnp.sum(others) > 0, others, equal)
    rest = (1 - value) / jnp.maximum(jnp.sum(others), jnp.finfo(p.dtype).tiny)
    return (others * rest).at[index].set(value)


_FEW = 32  # columns: masks of more are made when they are needed, not kept in programs


def diagonal_mask(d: int) -> Any:
    """(d, d) bool: the diagonal. A constant where it is small: there it needs no kernel."""
    return np.eye(d, dtype=bool) if d <= _FEW else jnp.eye(d, dtype=bool)


def lower_mask(d: int) -> Any:
    """(d, d) bool: the diagonal and what is below it."""
    return np.tri(d, dtype=bool) if d <= _FEW else jnp.tri(d, dtype=bool)


def transpose(a: Float[Array, "*batch d e"]) -> Float[Array, "*batch e d"]:
    return jnp.swapaxes(a, -1, -2)


def correlation(covariance: Float[Array, "*batch d d"]) -> Float[Array, "*batch d d"]:
    """The correlation matrix; columns without variance keep their scale."""
    variance = jnp.diagonal(covariance, axis1=-2, axis2=-1)
    scale = 1 / jnp.sqrt(jnp.where(variance > 0, variance, jnp.ones_like(variance)))
    return covariance * scale[..., :, None] * scale[..., None, :]


def unless_singular(
    smallest: Float[Array, "*batch"], covariance: Float[Array, "*batch d d"]
) -> Float[Array, "*batch"]:
    """The smallest eigenvalue of the correlation matrix, and 0 once that is lost in rounding.

    0 as well where a variance is not positive; NaN for NaN.
    """
    variance = jnp.diagonal(covariance, axis1=-2, axis2=-1)
    positive = jnp.all(variance > 0, -1)
    lost = smallest <= 8 * covariance.shape[-1] * jnp.finfo(covariance.dtype).eps
    nan = jnp.any(jnp.isnan(covariance), (-2, -1))
    zero = jnp.zeros_like(smallest)
    return jnp.where(nan, jnp.nan, jnp.where(positive & ~lost, smallest, zero))


def draw(key: Array, odds: Float[Array, " n"], shape: tuple[int, ...] = ()) -> Int[Array, "*shape"]:
    """Indices drawn with replacement, in proportion to the odds, by inversion."""
    cumulated = jnp.cumsum(odds)
    target = jax.random.uniform(key, shape, odds.dtype) * cumulated[-1]
    return jnp.searchsorted(cumulated, target, side="right").astype(jnp.int32)
