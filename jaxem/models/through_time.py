"""Starts of a chain that see time: rows smoothed over windows, and labels that stay for a while."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core.rows import Rows
from jaxem.inference import kmeans
from jaxem.models.seeding import Seeded

_LONGEST = 32.0  # steps that a window reaches to either side, at most
_FEWEST = 2.0  # segments of a series, about


def smoothed(
    key: Array, rows: Rows, points: kmeans.Scaled, method: Int[Array, ""]
) -> kmeans.Scaled:
    """The points, for WINDOWS averaged over windows of a random width within their sequence."""
    t, lanes = rows.weight.shape
    here = jnp.arange(t, dtype=jnp.int32)[:, None]
    begin, end = _bounds(rows)
    reach = _log_uniform(jax.random.fold_in(key, 5), 1.0, _LONGEST, rows.weight.dtype)
    reach = reach.astype(jnp.int32)
    low, high = jnp.maximum(begin, here - reach), jnp.minimum(end, here + reach + 1)

    def windowed(values: Float[Array, "t lanes p"]) -> Float[Array, "t lanes p"]:
        sums = jnp.pad(jnp.cumsum(values, axis=0), ((1, 0), (0, 0), (0, 0)))
        upper, lower = (jnp.take_along_axis(sums, i[..., None], axis=0) for i in (high, low))
        return upper - lower

    own = jnp.reshape(points.standardised, (t, lanes, -1))
    weight = rows.weight[..., None]
    total = windowed(weight)
    mean = windowed(weight * own) / jnp.where(total > 0, total, 1)
    mean = jnp.reshape(mean, points.standardised.shape)
    return points._replace(
        standardised=jnp.where(method == kmeans.WINDOWS, mean, points.standardised)
    )


def in_segments(
    key: Array, rows: Rows, seeds: Seeded, told: Int[Array, " n"] | None, method: Int[Array, ""]
) -> Seeded:
    """The labels; for SEGMENTS those of unknown rows stay for segments of random lengths."""
    t, lanes = rows.weight.shape
    k = seeds.found.shape[0]
    known = jnp.full(t * lanes, -1, jnp.int32) if told is None else told
    taken = jnp.any(known[None] == jnp.arange(k, dtype=jnp.int32)[:, None], axis=1)
    free = seeds.found & ~taken
    free = jnp.where(jnp.any(free), free, seeds.found)
    key_length, key_switch, key_state = jax.random.split(jax.random.fold_in(key, 6), 3)
    rate = 1 / _log_uniform(key_length, 1.0, max(t / _FEWEST, 1.0), rows.weight.dtype)
    switch = rows.first | (jax.random.uniform(key_switch, (t, lanes), rate.dtype) < rate)
    here = jnp.arange(t, dtype=jnp.int32)[:, None]
    begun = lax.cummax(jnp.where(switch, here, 0), axis=0)
    drawn = jax.random.categorical(key_state, jnp.where(free, 0.0, -jnp.inf), shape=(t, lanes))
    drawn = jnp.take_along_axis(drawn.astype(jnp.int32), begun, axis=0)
    labels = jnp.where(known >= 0, known, jnp.reshape(drawn, -1))
    labels = jnp.where(method == kmeans.SEGMENTS, labels, seeds.labels)
    weight = jnp.sum(seeds.responsibilities, axis=0)
    whole = jnp.where(method == kmeans.SEGMENTS, jnp.reshape(rows.weight, -1), weight)
    own = labels[None] == jnp.arange(k, dtype=jnp.int32)[:, None]
    return Seeded(labels, seeds.found, jnp.where(own, whole[None], 0))


def _bounds(rows: Rows) -> tuple[Int[Array, "t lanes"], Int[Array, "t lanes"]]:
    """-> (the first step of each step's sequence, the one after its last)."""
    t = rows.weight.shape[0]
    here = jnp.arange(t, dtype=jnp.int32)[:, None]
    begin = lax.cummax(jnp.where(rows.first, here, 0), axis=0)
    ends = jnp.where(rows.first, here, t)
    after = jnp.concatenate([ends[1:], jnp.full_like(ends[:1], t)])
    return begin, lax.cummin(after, axis=0, reverse=True)


def _log_uniform(key: Array, low: float, high: float, dtype: Any) -> Float[Array, ""]:
    """A number whose logarithm is uniform."""
    lows, highs = (jnp.log(jnp.asarray(of, dtype)) for of in (low, high))
    return jnp.exp(lows + (highs - lows) * jax.random.uniform(key, (), dtype))
