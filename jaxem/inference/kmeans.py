"""Seeds and labels for starts: k-means++ with a few Lloyd steps, in scaled coordinates.

k-means++ draws each next seed with probability proportional to the weight times the squared
distance to the nearest seed so far (Arthur and Vassilvitskii 2007); Lloyd alternates labels by
nearest centre and centres by mean (1982). Rows of known label seed and keep their component.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.factors import eigh
from jaxem.core.numerics import einsum

# The methods of a start, traced codes.
STANDARDISED, PROJECTED, ROWS, WEIGHTED, NEAREST, WINDOWS, SEGMENTS = range(7)
N_LLOYD = 5


class Scaled(NamedTuple):
    """Points with unit variances, and those that are uncorrelated as well."""

    standardised: Float[Array, "n p"]
    sphered: Float[Array, "n p"]

    def by(self, key: Array, method: Int[Array, ""]) -> Float[Array, "n p"]:
        """The standardised points; for PROJECTED the sphered along one random direction."""
        p = self.sphered.shape[1]
        direction = jax.random.normal(key, (p,), self.sphered.dtype)
        along = einsum("np,p->n", self.sphered, direction / jnp.linalg.norm(direction))
        alone = jnp.where(jnp.arange(p) == 0, along[:, None], 0)
        return jnp.where(method == PROJECTED, alone, self.standardised)


def scaled(points: Float[Array, "n p"], weight: Float[Array, " n"]) -> Scaled:
    """The points in the scales in which distances are taken.

    A direction without variance is dropped.
    """
    share = weight / jnp.sum(weight)
    centred = points - points[:1]
    centred = centred - einsum("n,np->p", share, centred)[None]
    covariance = einsum("ni,nj->ij", share[:, None] * centred, centred)
    variance = jnp.diagonal(covariance)
    scale = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)
    standard = centred * scale[None]
    if points.shape[1] == 1:
        return Scaled(standard, standard)
    correlation = covariance * scale[:, None] * scale[None]
    values, vectors = eigh(correlation)
    kept = values > 8 * values.shape[0] * jnp.finfo(points.dtype).eps
    whiten = vectors * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, values, 1.0)), 0.0)[None]
    return Scaled(standard, einsum("np,pq->nq", standard, whiten))


def squared_distances(
    points: Float[Array, "n p"], centre: Float[Array, " p"]
) -> Float[Array, " n"]:
    return jnp.sum((points - centre[None]) ** 2, axis=1)


def seeds(
    key: Array,
    points: Float[Array, "n p"],
    weight: Float[Array, " n"],
    labels: Int[Array, " n"] | None,
    k: int,
    n_active: Int[Array, ""],
    method: Int[Array, ""],
) -> Int[Array, " k"]:
    """Indices of n_active <= k distinct rows; n for the others and where distinct rows run out.

    The method ROWS draws by weight alone among the rows that are no seed yet. The seed of a
    component with labelled rows is one of them.
    """

    def next_seed(j: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        chosen, nearest, clocks = state
        free = (nearest > 0) & (j < n_active)
        if labels is not None:
            own = (labels == j) & (weight > 0)
            free = free & jnp.where(jnp.any(own), own, labels < 0)
        by_distance = (method != ROWS) & jnp.isfinite(nearest)  # there are no seeds yet where not
        odds = jnp.where(free, jnp.where(by_distance, weight * nearest, weight), 0.0)
        # The exponential clock that rings first, at these rates, is a row in proportion to them;
        # what is left on the others is exponential again.
        rings = jnp.where(odds > 0, clocks / odds, jnp.inf)
        index = jnp.argmin(rings).astype(jnp.int32)
        found = rings[index] < jnp.inf
        clocks = jnp.where(found, clocks - odds * rings[index], clocks)
        distances = squared_distances(points, points[index])
        nearest = jnp.where(found, jnp.minimum(nearest, distances), nearest)
        return chosen.at[j].set(jnp.where(found, index, n)), nearest, clocks

    n, dtype = points.shape[0], points.dtype
    clocks = jax.random.exponential(key, (n,), dtype)
    nothing = jnp.zeros(k, jnp.int32), jnp.full(n, jnp.inf, dtype)
    return lax.fori_loop(0, k, next_seed, (*nothing, clocks))[0]


def odds(
    weight: Float[Array, " n"], labels: Int[Array, " n"] | None, found: Bool[Array, " k"]
) -> Float[Array, "k n"]:
    """By which rows of each component are drawn: its labelled ones, else those that have none."""
    all_rows = jnp.broadcast_to(weight[None], (found.shape[0], weight.shape[0]))
    if labels is not None:
        own = labels[None] == jnp.arange(found.shape[0], dtype=jnp.int32)[:, None]
        own = own & (weight > 0)[None]
        free = jnp.where(jnp.any(own, axis=1)[:, None], own, (labels < 0)[None])
        all_rows = jnp.where(free, all_rows, 0)
    return jnp.where(found[:, None], all_rows, 0)


def lloyd(
    points: Float[Array, "n p"],
    weight: Float[Array, " n"],
    labels: Int[Array, " n"] | None,
    seeds: Int[Array, " k"],
    steps: Int[Array, ""],
) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """-> (labels after so many Lloyd steps from the seeds, which rows are seeds).

    Seeds keep their own label, so that no centre is left without rows.
    """
    n, k = points.shape[0], seeds.shape[0]
    component = jnp.arange(k, dtype=jnp.int32)[:, None]
    found = (seeds < n)[:, None]
    seeded = seeds[:, None] == jnp.arange(n, dtype=jnp.int32)[None]
    is_seed = jnp.any(seeded, axis=0)
    fixed = jnp.max(jnp.where(seeded, component, -1), axis=0)
    if labels is not None:
        fixed = jnp.where(is_seed, fixed, labels)
    allowed = (fixed[None] == component) | (found & (fixed < 0)[None])
    barrier = jnp.where(allowed, jnp.zeros((), points.dtype), jnp.inf)
    with_one = jnp.concatenate([points, jnp.ones_like(points[:, :1])], axis=1)

    def distances(centres: Array) -> Array:
        # |x - c|^2 less |x|^2: the points are centred and scaled, so that little cancels.
        size = jnp.sum(centres**2, axis=1, keepdims=True)
        return einsum("np,kp->kn", with_one, jnp.concatenate([-2 * centres, size], 1)) + barrier

    def step(_: Array, centres: Array) -> Array:
        distance = distances(centres)
        nearest = distance <= jnp.min(distance, axis=0)[None]  # both of two that are equally near
        sums = einsum("kn,np->kp", jnp.where(nearest, weight[None], 0.0), with_one)
        return sums[:, :-1] / jnp.where(found, sums[:, -1:], 1.0)

    centres = lax.fori_loop(0, steps, step, points[jnp.where(found[:, 0], seeds, 0)])
    return jnp.argmin(distances(centres), axis=0).astype(jnp.int32), is_seed
