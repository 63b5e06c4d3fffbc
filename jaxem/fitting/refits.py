"""One model fitted to many data sets of one shape: each from its own starts, in one launch.

The sets come in groups, of which a CPU fits one in each thread; within a group it fits one set
after another, which is as fast as side by side and waits for no slowest (`python -m
benchmarks.chunks`). An accelerator fits all sets of a group at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core.contracts import Params, Prior, Rows
from jaxem.fitting import restarts, sizes, threads
from jaxem.fitting.effort import program
from jaxem.fitting.execution import Execution
from jaxem.fitting.in_turn import each
from jaxem.fitting.outcome import Outcome, Thresholds
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.restarts import Restarts


class Fits(NamedTuple):
    """Of each data set the best start, and all starts."""

    best: Outcome
    restarts: Restarts


Join = Callable[[Any, Any], Rows]  # (what the sets share, what is a set's own) -> its rows
Make = Callable[[np.ndarray], Any]  # indices of sets -> their own, with a leading axis
Keep = Callable[[Fits], Any]


def own_rows(shared: Any, own: Rows) -> Rows:
    """The sets share nothing."""
    return own


def own_weight(shared: Rows, own: Array) -> Rows:
    """The sets are the same rows with other weights."""
    return shared._replace(weight=own)


class Sets(NamedTuple):
    """Data sets, made group by group; make: those at some indices."""

    make: Make
    join: Join = own_rows
    shared: Any = None


class Begin(NamedTuple):
    """Where each set starts: from `warm` parameters (w, ...), and by methods from its key."""

    keys: Any  # `Keys`, or an array of them
    warm: Params | None
    methods: Any  # (r,) codes


class Settings(NamedTuple):
    prior: Prior | None
    n_active: Int[Array, ""]
    tol: Float[Array, ""]
    max_iter: Int[Array, ""]
    thresholds: Thresholds


def run(job: FitPlan, sets: Sets, begin: Begin, keep: Keep) -> Any:
    """`keep` of the fit of each data set, one for each key, on the host.

    Settings, prior and the size of a set are the job's.
    """
    n_sets = len(begin.keys)
    settings = Settings(job.prior, job.n_active, job.tol, job.max_iter, job.thresholds)
    warm = 0 if begin.warm is None else jax.tree.leaves(begin.warm)[0].shape[0]
    side_by_side = min(len(begin.methods) + warm, job.chunk)
    size = sizes.sets_a_group(job.model, job.rows, n_sets, side_by_side, job.block_size)
    lanes = sizes.lanes(job.rows, size)

    def group(own: np.ndarray, count: Any) -> Any:
        found = _fit(
            job.execution, sets.join, lanes, settings, sets.shared, sets.make(own),
            begin._replace(keys=begin.keys[own]), count if lanes == 1 else None,
        )  # fmt: skip
        return keep(found)

    n_threads = sizes.n_threads(job.model, job.rows, n_sets)
    return threads.in_groups(group, n_sets, size, n_threads)


@program("execution", "join", "lanes", often=True)
def _fit(
    execution: Execution,
    join: Join,
    lanes: int,
    settings: Settings,
    shared: Any,
    own: Any,
    starts: Begin,
    count: Int[Array, ""] | None,
) -> Fits:
    prior, n_active, tol, max_iter, thresholds = settings
    keys, warm, methods = starts

    def one(of: tuple[Any, Array]) -> Fits:
        own, key = of
        rows = join(shared, own)
        begun = []
        if warm is not None:
            begun.append(restarts.start_from(execution, rows, warm))
        if methods.size:
            index = jnp.arange(methods.size, dtype=jnp.int32)
            begin = restarts.Begin(index, methods, None)
            begun.append(restarts.start(execution, rows, prior, key, begin, None, n_active))
        states = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *begun)
        states = restarts.advance(execution, rows, prior, states, tol, max_iter)
        r = jax.tree.leaves(states)[0].shape[0]
        return Fits(*restarts.finish(execution, rows, prior, states, thresholds, r))

    return each(one, (own, keys), lanes, count)
