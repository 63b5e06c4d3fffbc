"""Where the parts of a model begin: labels of rows by k-means, and an M-step from them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import parameters
from jaxem.core.capabilities import digits, starts
from jaxem.core.contracts import Family, Params, Prior, Rows
from jaxem.core.numerics import draw
from jaxem.core.rows import take_rows
from jaxem.inference import kmeans

SAMPLE = 8192  # rows one start looks at


class SharedStartStatistics(NamedTuple):
    """What starts from the same rows share."""

    points: kmeans.Scaled
    pooled: Params  # the one-component fit, k times
    x: Any


class Seeded(NamedTuple):
    """labels of all rows; which parts have a seed; the rows' weights in each part."""

    labels: Int[Array, " n"]
    found: Bool[Array, " k"]
    responsibilities: Float[Array, "k n"]


def shared_start_statistics(
    family: Family, x: Any, weight: Float[Array, " n"], k: int
) -> SharedStartStatistics:
    return SharedStartStatistics(
        kmeans.scaled(starts.coordinates(family, x), weight),
        family.fit_one_component(x, weight, k),
        x,
    )


def seeded(
    key: Array,
    family: Family,
    shared_start_statistics: SharedStartStatistics,
    weight: Float[Array, " n"],
    known: Int[Array, " n"] | None,
    k: int,
    n_active: Int[Array, ""],
    method: Int[Array, ""],
) -> Seeded:
    """Labels of k-means, of the NEAREST seed, or of a random row for each part: as many as
    determine it.

    Where rows are WEIGHTED at random, k-means and the first M-step see other data in each start.
    The seeds are distinct rows and keep their own label, so that no part is empty and no two are
    identical. Parts from n_active on, and where distinct rows run out, have none. Where one part
    alone may have several maxima, rows have random weights: the Bayesian bootstrap (Rubin 1981).
    """
    key_direction, key_rows = jax.random.split(jax.random.fold_in(key, 7))
    points = shared_start_statistics.points.by(key_direction, method)
    random = weight * jax.random.exponential(key_rows, weight.shape, weight.dtype) ** 2
    weight = jnp.where(method == kmeans.WEIGHTED, random, weight)
    seeds = kmeans.seeds(key, points, weight, known, k, n_active, method)
    steps = jnp.where(method == kmeans.NEAREST, 0, kmeans.N_LLOYD)
    labels, is_seed = kmeans.lloyd(points, weight, known, seeds, steps)
    whole = (method != kmeans.ROWS) | (n_active == 1)
    odds = kmeans.odds(weight, known, seeds < weight.shape[0])
    by_few = starts.labelled(
        family,
        jax.random.fold_in(key, 3),
        shared_start_statistics.pooled,
        shared_start_statistics.x,
        weight,
        odds,
    )
    if by_few is not None:
        by_few = by_few if known is None else jnp.where(known >= 0, known, by_few)
        labels, whole = jnp.where(whole, labels, by_few), jnp.ones_like(whole)
    own = jnp.where(whole | is_seed, weight, 0.0)
    if not starts.unimodal(family):
        key_weights = jax.random.fold_in(key, 2)
        own = own * jax.random.exponential(key_weights, own.shape, own.dtype)
    chosen = labels[None] == jnp.arange(k, dtype=jnp.int32)[:, None]
    return Seeded(labels, seeds < weight.shape[0], jnp.where(chosen, own[None], 0.0))


def components(
    family: Family,
    shared_start_statistics: SharedStartStatistics,
    seeded: Seeded,
    prior: Prior | None,
    fixed: Params | None,
) -> Params:
    """One M-step under a weak prior around the pooled fit."""
    x = shared_start_statistics.x
    counts = jnp.where(seeded.found, jnp.sum(seeded.responsibilities, axis=1), 0)
    weak = family.starting_prior(shared_start_statistics.pooled, counts, prior)
    first = starts.first(family, shared_start_statistics.pooled, x, seeded.responsibilities)
    n = seeded.labels.shape[0]
    prepared = digits.prepared_for(family, family.prepare(first, None), n)
    _, cache = family.evaluate(prepared, x)
    sums = family.statistics(prepared, x, cache, seeded.responsibilities)
    given = first, family.finalize_statistics(prepared, sums), weak, seeded.found
    if fixed is None:
        return family.m_step(*given)
    return parameters.fix(family.constraints, family.m_step(*given, fixed), fixed)


def sample(key: Array, rows: Rows) -> Rows:
    """SAMPLE rows drawn by weight with replacement, half of them labelled where labels are."""
    odds = jnp.reshape(rows.weight, -1)
    if rows.labels is not None:
        odds = _balanced(odds, jnp.reshape(rows.labels, -1) >= 0)
    chosen = take_rows(rows, draw(key, odds, (SAMPLE,)))
    return chosen._replace(weight=jnp.ones_like(chosen.weight))


def _balanced(odds: Array, labelled: Array) -> Array:
    """Odds under which labelled rows, where there are any, come up half of the time."""
    zero = jnp.zeros_like(odds)
    known = jnp.sum(jnp.where(labelled, odds, zero))
    unknown = jnp.sum(jnp.where(labelled, zero, odds))
    ratio = jnp.where((known > 0) & (unknown > 0), unknown / jnp.maximum(known, 1e-30), 1)
    return jnp.where(labelled, odds * jnp.maximum(ratio, 1), odds)
