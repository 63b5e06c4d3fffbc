"""A start from hierarchical clusters: the same each time, with nothing drawn.

Ward's method, in columns that are uncorrelated and of unit variance, merges the two clusters whose
merge costs the classification likelihood of spherical components least: model-based hierarchical
clustering of equal volumes (Fraley 1998, SIAM J. Sci. Comput. 20, 270-281).
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import checks, emissions
from jaxem.core.capabilities import starts
from jaxem.core.contracts import Family, Model, Rows
from jaxem.fitting.effort import program
from jaxem.fitting.options import Starts
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.restarts import Moves
from jaxem.inference import kmeans

_MOST = 2000  # rows that are clustered; each other is of the cluster whose mean is nearest
_CHUNK = 1 << 14  # of those, at a time


def one_start(key: Any, n_init: Any, search: Any) -> Starts:
    """The start, which `begun` gives its labels; ValueError for more: they would be the same."""
    if search is not None or n_init not in ("auto", 1):
        raise ValueError("init='hierarchical' draws nothing: it has one start; leave n_init out")
    return Starts("k-means++", key)


def begun(job: FitPlan) -> FitPlan:
    """The plan of one start, which begins from the clusters of its rows."""
    rows = job.rows if job.start_rows is None else job.start_rows
    if not checks.is_concrete(rows):
        raise ValueError(
            "init='hierarchical' looks at the values of all rows: take another init under jit, "
            "vmap or grad"
        )
    parts, k = np.arange(job.model.n_components), job.provenance.model.n_components
    kept = np.where(parts < k, parts, -1).astype(np.int32)
    labels = jax.device_put(_labels(job.model, rows, k))
    return job._replace(moves=Moves(labels, np.tile(kept, (len(job.methods), 1))))


def _labels(model: Model, rows: Rows, k: int) -> Int[np.ndarray, "*rows"]:
    """The cluster of each row, from 0 to k - 1, and -1 for one of weight 0."""
    x, weight = emissions.family_rows(model, rows), rows.weight.reshape(-1)
    points = np.asarray(_points(model.family, x, weight), np.float64)
    there = np.flatnonzero(np.asarray(weight) > 0)
    found = np.full(len(points), -1, np.int32)
    found[there] = _clusters(points[there], k)
    return found.reshape(rows.weight.shape)


@program("family")
def _points(family: Family, x: Any, weight: Float[Array, " n"]) -> Float[Array, "n p"]:
    return kmeans.scaled(starts.coordinates(family, x), weight).sphered


def _clusters(points: np.ndarray, k: int) -> np.ndarray:
    from scipy.cluster.hierarchy import cut_tree, linkage  # takes a while: not at the start

    some = np.unique(np.linspace(0, len(points) - 1, min(_MOST, len(points))).astype(int))
    own = cut_tree(linkage(points[some], "ward"), n_clusters=k)[:, 0]
    if len(some) == len(points):
        return own
    means = np.stack([points[some][own == j].mean(axis=0) for j in range(k)])
    half = 0.5 * (means**2).sum(axis=1)
    parts = np.array_split(points, -(-len(points) // _CHUNK))
    return np.concatenate([np.argmin(half - part @ means.T, axis=1) for part in parts])
