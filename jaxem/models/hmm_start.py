"""Where a hidden Markov model starts: states of pooled steps, and counts of their labels."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.capabilities import collapse
from jaxem.core.contracts import Family, Rows
from jaxem.core.rows import flat, observed_weight
from jaxem.models import seeding, through_time, transitions
from jaxem.models.hmm_params import HMMParams, HMMPrior


def shared(family: Family, rows: Rows, k: int) -> seeding.SharedStartStatistics:
    weight = jnp.reshape(observed_weight(rows), -1)
    return seeding.shared_start_statistics(family, flat(rows.x, rows.weight.ndim), weight, k)


def start(
    model: Any,
    key: Array,
    rows: Rows,
    of_all: Any,
    method: Int[Array, ""],
    n_active: Int[Array, ""],
    prior: HMMPrior | None,
) -> HMMParams:
    """States from a mixture start of the steps; model: an `HMM`."""
    family, kind, k = model.family, model.transitions, model.n_states
    if of_all is None:
        key_window, key = jax.random.split(key)
        rows = _window(key_window, rows)
        of_all = shared(family, rows, k)
    weight = jnp.reshape(observed_weight(rows), -1)
    told = None if rows.labels is None else jnp.reshape(rows.labels, -1)
    of_all = of_all._replace(points=through_time.smoothed(key, rows, of_all.points, method))
    seeds = seeding.seeded(key, family, of_all, weight, told, k, n_active, method)
    seeds = through_time.in_segments(key, rows, seeds, told, method)
    if not collapse.regularised(family):
        seeds = _seedless(jax.random.fold_in(key, 1), seeds, weight, told, n_active)
    own, fixed = (None, None) if prior is None else (prior.emissions, prior.fixed)
    if kind == "left-right" and fixed is None:
        named = jnp.zeros((), bool) if told is None else jnp.any(told >= 0)
        in_order = _by_time(seeds, weight, rows.first)
        seeds = jax.tree.map(lambda own, new: jnp.where(named, own, new), seeds, in_order)
    fixed = None if fixed is None else fixed.emissions
    emissions = seeding.components(family, of_all, seeds, own, fixed)
    possible = jnp.asarray(transitions.mask(kind, k))
    possible = possible & seeds.found[:, None] & seeds.found[None]
    labels = jnp.reshape(seeds.labels, rows.weight.shape)
    begins, moves = transitions.counts(labels, rows.weight, rows.first, possible)
    initial = jnp.where(seeds.found, begins + 1, jnp.zeros_like(begins))
    moves = transitions.persistent_or_any(jax.random.fold_in(key, 4), moves, possible)
    transition = transitions.rows(moves, jnp.zeros_like(moves))
    return HMMParams(initial / jnp.sum(initial), transition, emissions)


def _seedless(
    key: Array, seeds: seeding.Seeded, weight: Array, told: Any, n_active: Int[Array, ""]
) -> seeding.Seeded:
    """States beyond the distinct steps, which differ in the chain alone, take steps at random."""
    k, n = seeds.found.shape[0], weight.shape[0]
    active = jnp.arange(k, dtype=jnp.int32) < n_active
    without = active & ~seeds.found
    key_which, key_state = jax.random.split(key)
    share = jnp.sum(without) / jnp.sum(active)
    taken = jax.random.uniform(key_which, (n,), weight.dtype) < share.astype(weight.dtype)
    taken = taken if told is None else taken & (told < 0)
    odds = jnp.where(without, 0.0, -jnp.inf)
    drawn = jax.random.categorical(key_state, odds, shape=(n,)).astype(jnp.int32)
    labels = jnp.where(taken, drawn, seeds.labels)
    own = labels[None] == jnp.arange(k, dtype=jnp.int32)[:, None]
    again = seeding.Seeded(labels, active, jnp.where(own, weight[None], 0))
    some = jnp.any(without)
    return jax.tree.map(lambda new, old: jnp.where(some, new, old), again, seeds)


def _by_time(
    seeds: seeding.Seeded, weight: Float[Array, " n"], first: Bool[Array, "t lanes"]
) -> seeding.Seeded:
    """The states numbered by their mean time of appearance: few of the k! orders lead anywhere."""
    k, step = seeds.found.shape[0], jnp.arange(first.shape[0], dtype=jnp.int32)[:, None]
    begun = lax.cummax(jnp.where(first, step, 0), axis=0)
    since = jnp.reshape(step - begun, -1).astype(weight.dtype)
    own = seeds.labels[None] == jnp.arange(k, dtype=jnp.int32)[:, None]
    total = jnp.sum(jnp.where(own, weight[None], 0), axis=1)
    late = jnp.sum(jnp.where(own, (weight * since)[None], 0), axis=1)
    late = late / jnp.where(total > 0, total, 1)
    order = jnp.argsort(jnp.where(seeds.found, late, jnp.inf))
    place = jnp.argsort(order).astype(jnp.int32)
    return seeding.Seeded(place[seeds.labels], seeds.found[order], seeds.responsibilities[order])


def _window(key: Array, rows: Rows) -> Rows:
    """Some lanes from some step on: in all at most as many steps as a start looks at."""
    t, lanes = rows.weight.shape
    some = min(lanes, max(1, seeding.SAMPLE // min(t, 128)))
    length = min(t, seeding.SAMPLE // some)
    key_lane, key_step = jax.random.split(key)
    lane = jax.random.randint(key_lane, (), 0, lanes - some + 1)
    step = jax.random.randint(key_step, (), 0, t - length + 1)

    def cut(leaf: Array) -> Array:
        return lax.dynamic_slice_in_dim(
            lax.dynamic_slice_in_dim(leaf, lane, some, axis=1), step, length, axis=0
        )

    return jax.tree.map(cut, rows)
