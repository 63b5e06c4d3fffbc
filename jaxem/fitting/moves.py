"""Moves from an optimum to its neighbours: two parts merge, and one is divided.

Merging i and j into one, and dividing l by starting anew among its rows, keeps the number of parts
(Ueda, Nakano, Ghahramani and Hinton 2000, Neural Computation 12, 2109-2128). l may be the merged
part itself, which is then divided otherwise. Parts merge by how much their rows overlap, and the
heavy are divided, in half of the draws; in the others any.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core.contracts import Model, Params, Rows
from jaxem.fitting.agreement import agreement, likeliest
from jaxem.fitting.effort import program
from jaxem.fitting.plan import FitPlan


def look(job: FitPlan, params: Params) -> tuple[Any, Float[np.ndarray, "k k"]]:
    """-> (the likeliest part of each row that starts look at, sum_n weight[n] r[i, n] r[j, n])."""
    rows = job.rows if job.start_rows is None else job.start_rows
    labels, overlap = _look(job.model, jax.device_put(params), rows, job.block_size)
    return labels, np.asarray(overlap, float)


def drawn(
    rng: np.random.Generator, overlap: Float[np.ndarray, "k k"], count: int
) -> Int[np.ndarray, "count k"]:
    """What each part is called after a move, of `count` moves: -1 where it is divided."""
    k = len(overlap)
    own = np.sqrt(np.maximum(np.diagonal(overlap), np.finfo(float).tiny))
    i, j = np.triu_indices(k, 1)
    pairs = rng.choice(len(i), size=count, p=_or_any((overlap / np.outer(own, own))[i, j]))
    heavy = np.sum(overlap, axis=1)
    kept = np.tile(np.arange(k, dtype=np.int32), (count, 1))
    for move, pair in enumerate(pairs):
        a, b = i[pair], j[pair]
        others = np.delete(np.arange(k), b)
        divided = rng.choice(others, p=_or_any(heavy[others]))
        kept[move, b] = a
        kept[move, kept[move] == divided] = -1
    return kept


def _or_any(odds: np.ndarray) -> np.ndarray:
    """Probabilities in proportion, half of the time."""
    odds = np.where(np.isfinite(odds), np.maximum(odds, 0), 0)
    if not np.sum(odds) > 0:
        odds = np.ones(len(odds))
    return 0.5 * odds / np.sum(odds) + 0.5 / len(odds)


@program("model", "block_size")
def _look(
    model: Model, params: Params, rows: Rows, block_size: int
) -> tuple[Int[Array, "*rows"], Float[Array, "k k"]]:
    labels = likeliest(model, params, rows, block_size)
    return labels, agreement(model, rows, params, params, block_size)
