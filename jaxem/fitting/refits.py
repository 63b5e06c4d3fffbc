"""One model fitted to many data sets of one shape: each from its own starts, in one launch.

The sets come in groups, of which a CPU fits one in each thread; within a group it fits one set
after another, which is as fast as side by side and waits for no slowest (`python -m
benchmarks.chunks`). An accelerator fits all sets of a group at once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import emissions
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.fitting import restarts, sizes, starts, threads
from jaxem.fitting.accelerate import Acceleration
from jaxem.fitting.em import Outcome, Thresholds
from jaxem.fitting.fit import FitPlan
from jaxem.fitting.restarts import Restarts

_STATIC = ("model", "join", "block_size", "lanes", "chunk", "acceleration")


class Fits(NamedTuple):
    """Of each set its best start, all of them, and the free parameters of the best."""

    best: Outcome
    restarts: Restarts
    n_free_parameters: Int[Array, " b"]


Join = Callable[[Any, Any], Rows]  # (what the sets share, what is a set's own) -> its rows
Make = Callable[[np.ndarray], Any]  # indices of sets -> their own, with a leading axis
Keep = Callable[[Fits], Any]


def own_rows(shared: Any, own: Rows) -> Rows:
    """The sets share nothing."""
    return own


def own_weight(shared: Rows, own: Array) -> Rows:
    """The sets are the same rows with other weights."""
    return shared._replace(weight=own)


def run(job: FitPlan, keys: Array, warm: Params | None, n_init: int, init: str, join: Join,
        shared: Any, make: Make, keep: Keep) -> Any:  # fmt: skip
    """What is kept of the fit of each set, one for each key, on the host.

    warm: parameters (w, ...) that every set starts from; n_init: further starts by `init`, from the
    set's key. make: the sets at some indices. It is called group by group: the sets are never all
    there at once. Settings, prior and the size of a set are the job's.
    """
    methods = starts.methods(init, n_init)
    n_sets = keys.shape[0]
    columns = emissions.n_columns(job.model, job.rows)
    size = sizes.sets_a_group(job.model, job.rows, columns, n_sets)

    def group(index: np.ndarray) -> Any:
        own = np.minimum(index, n_sets - 1)
        found = _fit(
            job.model, join, shared, make(own), job.prior, warm,
            keys[own], methods, job.n_active, job.tol, job.max_iter,
            job.thresholds, job.block_size, sizes.lanes(job.rows, size), job.chunk,
            job.acceleration,
        )  # fmt: skip
        return keep(found)

    return threads.over(group, n_sets, size, sizes.n_threads(job.model, job.rows, n_sets))


@partial(jax.jit, static_argnames=_STATIC)
def _fit(
    model: Model,
    join: Join,
    shared: Any,
    own: Any,
    prior: Prior | None,
    warm: Params | None,
    keys: Array,
    methods: Int[Array, " r"],
    n_active: Int[Array, ""],
    tol: Float[Array, ""],
    max_iter: Int[Array, ""],
    thresholds: Thresholds,
    block_size: int,
    lanes: int,
    chunk: int,
    acceleration: Acceleration,
) -> Fits:
    def one(of: tuple[Any, Array]) -> Fits:
        own, key = of
        rows = join(shared, own)
        begun = []
        if warm is not None:
            begun.append(restarts.start_from(model, rows, warm, acceleration))
        if methods.size:
            index = jnp.arange(methods.size, dtype=jnp.int32)
            begun.append(
                restarts.start(
                    model, rows, prior, key, index, methods, n_active, None, chunk, acceleration
                )
            )
        state = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *begun)
        state = restarts.advance(
            model, rows, prior, state, tol, max_iter, block_size, chunk, acceleration
        )
        r = state.status.shape[0]
        return Fits(*restarts.finish(model, rows, prior, state, thresholds, r, block_size, chunk))

    return lax.map(one, (own, keys), batch_size=None if lanes == 1 else lanes)
