"""Covariances whose largest eigenvalue, of all components, is at most c times the smallest.

With that bound the likelihood has a maximum (Hathaway 1985). With v the eigenvalues that the rows
give without it, whose vectors stay, the M-step maximises

    - 1/2 sum_kj N[k] (log e[k, j] + v[k, j] / e[k, j])    over m <= e[k, j] <= c m, and over m

by e = clip(v, m, c m), and m where both sides of

    sum_kj N[k] max(m - v[k, j], 0) = sum_kj N[k] max(v[k, j] / c - m, 0)

are equal, of which the left one rises with m and the right one falls: the place is found among the
sorted v and v / c (Fritz, García-Escudero and Mayo-Iscar 2013, section 3).

So it is where eigenvalues are free, of each component or in common: of EEV too, whose components
have one set of them along axes of their own, in an order that no clipping changes. Volumes or
shapes that alone are in common are linked across the bound: then what is clipped in one component
moves the others, and clipping is no maximiser; and where axes alone are in common, the best ones
depend on what is clipped. García-Escudero, Mayo-Iscar and Riani (2022, Stat. Comput. 32, 2) bound
volumes and shapes apart there, which is another model.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.factors import eigh, smallest_eigenvalue
from jaxem.core.numerics import einsum
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.linked import Linked

SAFE = 1e3  # a larger ratio leaves room for components that have collapsed
_SLACK = 64.0  # units of rounding by which a ratio may be over the bound
_WHY = {
    "EVI": "volumes alone are in common",
    "EVV": "volumes alone are in common",
    "VEI": "shapes alone are in common",
    "VEV": "shapes alone are in common",
    "VEE": "shapes and axes are in common, but not volumes",
    "EVE": "volumes and axes are in common, but not shapes",
    "VVE": "axes alone are in common",
}
_POSSIBLE = ("full", "tied", "diag", "spherical", "EEI", "EII", "EEV")


def possible(structure: Covariance) -> bool:
    """Whether clipped eigenvalues are the maximiser."""
    return structure.name in _POSSIBLE


def check(structure: Covariance, ratio: Any) -> None:
    """ValueError where the bound means nothing."""
    checks.numbers(ratio, "max_eigenvalue_ratio")
    if checks.is_concrete(ratio) and not (jnp.ndim(ratio) == 0 and ratio >= 1):
        raise ValueError(
            f"max_eigenvalue_ratio is {ratio}; give one number from 1, the largest eigenvalue "
            "of the covariances over the smallest, such as 100"
        )
    if not possible(structure):
        raise ValueError(
            f"max_eigenvalue_ratio clips eigenvalues, and in {structure.name!r} they are linked "
            f"({_WHY[structure.name]}): what is clipped in one component would move the others, "
            f"and no step is sure to lead up; take one of {', '.join(map(repr, _POSSIBLE))}"
        )


def smallest(structure: Covariance, covariances: Array, k: int) -> Float[Array, " k"]:
    """The smallest eigenvalue of each component."""
    values = smallest_eigenvalue(covariances) if structure.matrices else covariances
    own = structure.per_covariance(jnp.ones(k)).ndim > 0
    least = jnp.min(jnp.reshape(values, (k if own else 1, -1)), axis=1)
    return jnp.broadcast_to(least, (k,))


def bounded(
    structure: Covariance, covariances: Array, rows: Array, ratio: Float[Array, ""]
) -> Array:
    """The covariances within the bound; those that are within it as they are.

    rows: N, `per_covariance`, 0 for an absent component, which bounds no other.
    """
    if not structure.matrices:
        weight = jnp.broadcast_to(rows, covariances.shape)
        within, values = _clipped(covariances, weight, ratio)
        return jnp.where(within, covariances, values)
    values, vectors = eigh(covariances)
    weight = jnp.broadcast_to(rows[..., 0] if rows.ndim else rows, values.shape)
    within, values = _clipped(values, weight, ratio)
    clipped = einsum("...ij,...j,...kj->...ik", vectors, values, vectors)
    return jnp.where(within, covariances, clipped)


def settled(structure: Covariance, active: Bool[Array, " k"], inside: Array, old: Array) -> Array:
    """Those of absent components as they were, but for what they have in common with others."""
    linked = isinstance(structure.constraint, Linked)
    return inside if linked else structure.select(active, inside, old)


def _clipped(
    values: Float[Array, "*shape"], weight: Float[Array, "*shape"], ratio: Float[Array, ""]
) -> tuple[Bool[Array, ""], Float[Array, "*shape"]]:
    """-> (whether the values are within the bound, the values clipped to it)."""
    there = weight > 0
    largest = jnp.max(jnp.where(there, values, -jnp.inf))
    smallest = jnp.min(jnp.where(there, values, jnp.inf))
    slack = 1 + _SLACK * jnp.finfo(values.dtype).eps
    lowest = _lowest(jnp.ravel(values), jnp.ravel(weight), ratio)
    return largest <= slack * ratio * smallest, jnp.clip(values, lowest, ratio * lowest)


def _lowest(
    v: Float[Array, " p"], weight: Float[Array, " p"], ratio: Float[Array, ""]
) -> Float[Array, ""]:
    """m, the root of a function that is linear between the v and the v / c, and rises."""
    ends = jnp.concatenate([v, v / ratio])
    order = jnp.argsort(ends)
    ends = ends[order]
    # From each end on the slope is more by the weight of a v, and less by that of a v / c.
    turn = jnp.concatenate([weight, -weight])[order]
    slope = jnp.sum(weight) + jnp.cumsum(turn)
    first = jnp.sum(weight) * ends[0] - jnp.sum(weight * v) / ratio
    rise = jnp.concatenate([jnp.zeros((1,), v.dtype), jnp.cumsum(slope[:-1] * jnp.diff(ends))])
    place = jnp.sum(first + rise < 0)  # of the first end that is not under the root
    right = ends[jnp.minimum(place, ends.size - 1)]
    between = 0.5 * (ends[jnp.maximum(place - 1, 0)] + right)
    low, high = v < between, v > ratio * between
    own = jnp.where(low | high, weight, 0)
    total = jnp.sum(own)
    near = jnp.sum(own * jnp.where(low, v, v / ratio)) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, near, right)
