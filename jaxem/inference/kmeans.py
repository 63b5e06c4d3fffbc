"""Seeds and labels for starts: k-means++ with a few Lloyd steps, in scaled coordinates.

k-means++ draws each next seed with probability proportional to the weight times the squared
distance to the nearest seed so far (Arthur and Vassilvitskii 2007); Lloyd alternates labels by
nearest centre and centres by mean (1982). Rows of known label seed and keep their component.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core.numerics import draw, einsum

STANDARDISED, SPHERED, ROWS = 0, 1, 2  # the methods of a start, traced codes
N_LLOYD = 5


def transformed(
    points: Float[Array, "n p"], weight: Float[Array, " n"], method: Int[Array, ""]
) -> Float[Array, "n p"]:
    """The points with unit variances (STANDARDISED), or uncorrelated as well (SPHERED).

    A direction without variance is dropped.
    """
    share = weight / jnp.sum(weight)
    origin = points[jnp.argmax(weight)]
    centred = points - origin[None]
    centred = centred - einsum("n,np->p", share, centred)[None]
    covariance = einsum("ni,nj->ij", share[:, None] * centred, centred)
    variance = jnp.diagonal(covariance)
    scale = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)
    standard = centred * scale[None]
    correlation = covariance * scale[:, None] * scale[None]
    values, vectors = jnp.linalg.eigh(correlation)
    kept = values > 8 * values.shape[0] * jnp.finfo(points.dtype).eps
    whiten = vectors * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, values, 1.0)), 0.0)[None]
    sphered = einsum("np,pq->nq", standard, whiten)
    return jnp.where(method == SPHERED, sphered, standard)


def squared_distances(
    points: Float[Array, "n p"], centre: Float[Array, " p"]
) -> Float[Array, " n"]:
    return jnp.sum((points - centre[None]) ** 2, axis=1)


def seeds(
    key: Array,
    points: Float[Array, "n p"],
    weight: Float[Array, " n"],
    labels: Int[Array, " n"],
    k: int,
    method: Int[Array, ""],
) -> Int[Array, " k"]:
    """Indices of k distinct rows; where distinct rows run out, the spare rows: the last k.

    The method ROWS draws by weight alone among the rows that are no seed yet. The seed of a
    component with labelled rows is one of them.
    """
    n = points.shape[0]
    spare = jnp.arange(n, dtype=jnp.int32) - (n - k)

    def next_seed(j: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        chosen, nearest = state
        own = (labels == j) & (weight > 0)
        free = jnp.where(jnp.any(own), own, labels < 0) & (nearest > 0)
        by_distance = (method != ROWS) & (j > 0)
        odds = jnp.where(free, jnp.where(by_distance, weight * nearest, weight), 0.0)
        odds = jnp.where(jnp.any(odds > 0), odds, (spare == j).astype(weight.dtype))
        index = draw(jax.random.fold_in(key, j), odds)
        nearest = jnp.minimum(nearest, squared_distances(points, points[index]))
        return chosen.at[j].set(index), nearest

    state = jnp.zeros(k, jnp.int32), jnp.full(n, jnp.inf, points.dtype)
    return lax.fori_loop(0, k, next_seed, state)[0]


def lloyd(
    points: Float[Array, "n p"],
    weight: Float[Array, " n"],
    labels: Int[Array, " n"],
    seeds: Int[Array, " k"],
    k: int,
) -> Int[Array, " n"]:
    """Labels after a few Lloyd steps from the seeds, which keep their own label."""
    fixed = labels.at[seeds].set(jnp.arange(k, dtype=jnp.int32))

    def assign(centres: Float[Array, "k p"]) -> Int[Array, " n"]:
        # |x - c|^2 less |x|^2: the points are centred and scaled, so that little cancels.
        product = einsum("np,kp->kn", points, centres)
        distance = jnp.sum(centres**2, axis=1)[:, None] - 2 * product
        nearest = jnp.argmin(distance, axis=0).astype(jnp.int32)
        return jnp.where(fixed >= 0, fixed, nearest)

    def step(_: Array, centres: Float[Array, "k p"]) -> Float[Array, "k p"]:
        own = assign(centres)[None] == jnp.arange(k, dtype=jnp.int32)[:, None]
        members = jnp.where(own, jnp.maximum(weight, is_seed)[None], 0.0)
        return einsum("kn,np->kp", members, points) / jnp.sum(members, axis=1)[:, None]

    is_seed = jnp.zeros_like(weight).at[seeds].set(1)
    return assign(lax.fori_loop(0, N_LLOYD, step, points[seeds]))

