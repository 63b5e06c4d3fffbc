"""Online EM: the parameters move with every batch of rows, before all rows have been seen.

    s <- (1 - g[t]) s + g[t] E[T(x, z) | batch t; theta],   theta <- argmax_theta' of s,
    g[t] = (t + offset)^-exponent

with T the sufficient statistics, per unit of weight (Cappé and Moulines 2009, J. R. Stat. Soc. B
71, 593-613). The last steps scatter about the optimum; the mean of s over the second half of the
batches does so far less, and is what the estimates are of.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Prior, Rows, Statistics
from jaxem.core.dataset import Dataset, with_rows
from jaxem.core.inputs import waits
from jaxem.core.rows import take_rows
from jaxem.core.source import Source
from jaxem.fitting import first_look, stream, streamed
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.driver import uncut
from jaxem.fitting.execution import Execution
from jaxem.fitting.first_look import Seen
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan, prepare, weighted
from jaxem.fitting.result import Result

EXPONENT, OFFSET = 0.6, 10.0  # of the pace, where none is given
_SHORT = 10  # iterations of the starts, on the pool


class Pace(NamedTuple):
    """How fast batches are forgotten. weight: of all rows; first: the batch from which on the mean
    is taken."""

    exponent: Float[Array, ""]
    offset: Float[Array, ""]
    weight: Float[Array, ""]
    first: Int[Array, ""]


class State(NamedTuple):
    """sums, mean: of the statistics per unit of weight, from the pivot of params; t: batches."""

    params: Params
    sums: Statistics
    mean: Statistics
    t: Int[Array, ""]


@waits
def fit_online(
    model: Model,
    source: Any,
    *,
    key: Any,
    n_init: int = 20,
    init: str | Params = "portfolio",
    prior: Prior | None = None,
    fixed: Any = None,
    reg_covar: Any = 0.0,
    batch_size: int = 256,
    n_passes: int = 1,
    exponent: float = EXPONENT,
    offset: float = OFFSET,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
) -> Result:
    """Fit a model by online EM: one step a batch of rows, most often in one pass over a source.

    g[t] = (t + offset)^-exponent is the weight of batch t in the running statistics; estimates are
    of their mean over the second half of the batches.

    source: of `jaxem.sources`; for rows in memory `sources.batches(lambda: [x])`. Their order must
        say nothing of them: rows of one kind together are forgotten before the next kind comes.
    init: parameters, or a method, of which n_init starts take 10 iterations on a sample of 65,536
        rows; the best of them goes on.
    batch_size: rows a step; smaller ones take more steps of more noise.
    exponent: from 0.5, exclusive, which forgets fast and goes far, to 1, which weighs all batches
        alike. offset: larger ones trust the start more.
    prior, fixed, reg_covar, min_count, min_variance_ratio: as `fit` takes them.

    The log-likelihood of the result takes one more pass. The status is never CONVERGED, but
    MAX_ITER, or says what is wrong; `em(model, result.params, source)` goes on from there.
    Errors: ValueError for bad input, and for families whose statistics are derivatives at the
    parameters, which say nothing of others.
    """
    _check(exponent, offset)
    n_passes = checks.whole(n_passes, "n_passes", least=1)
    options = Options(prior, fixed, reg_covar=reg_covar, block_size=batch_size,
                      min_count=min_count, min_variance_ratio=min_variance_ratio)  # fmt: skip
    begin = Starts(init, key, n_init)
    job, params, seen = begun_with(model, source, options, begin)
    n_batches = n_passes * -(-seen.n_rows // job.block_size)
    of = partial(checks.cast, dtype=job.rows.weight.dtype)
    first = checks.cast(n_batches // 2, np.int32)
    pace = Pace(of(exponent), of(offset), of(seen.total), first)
    state = begun(job.execution, params, _sample(job, seen.weight).for_fit, job.prior)
    for _ in range(n_passes):
        for part in job.stream.parts(job.execution):
            if part is not None:
                n = np.int32(part.n_blocks)
                before, state = state, _pass(job.execution, state, part.rows, n, job.prior, pace)
                jax.block_until_ready(before)  # more than one on its way would fill the memory
    found = _estimate(job.execution, state, job.prior, pace)
    return evaluated(job, found)


def _check(exponent: Any, offset: Any) -> None:
    checks.nonnegative(offset, "offset")
    if not 0.5 < exponent <= 1:
        raise ValueError(f"exponent is {exponent}; it must be over 0.5 and at most 1")


def begun_with(
    model: Model, source: Any, options: Options, begin: Starts
) -> tuple[FitPlan, Params, Seen]:
    """-> (a plan for the source, parameters that a short fit to some rows found, what was seen)."""
    if not isinstance(source, Source):
        raise ValueError(
            f"source is a {type(source).__name__}; give a source, such as "
            "jaxem.sources.npy(path), or jaxem.sources.batches(lambda: [x]) for rows in memory"
        )
    seen = first_look.look(model, source, streamed.seed_of(begin))
    if seen.lengths is not None:
        raise ValueError(
            "online and incremental EM are of rows that are independent; fit sequences by jaxem.fit"
        )
    job = streamed.planned(model, source, options, begin, seen=seen)
    return job, _start(job, _sample(job, seen.weight), options, begin), seen


def _sample(job: FitPlan, weight: np.ndarray) -> Dataset:
    """The pool of the source, its rows under what they stand for."""
    return with_rows(job.data, weighted(job.data.rows, weight))


def _start(job: FitPlan, sample: Dataset, options: Options, begin: Starts) -> Params:
    if job.params is not None:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), job.params)
    short = options._replace(block_size=None, max_iter=_SHORT)
    return uncut(prepare(sample, short, begin)._replace(range=job.range)).params


def evaluated(job: FitPlan, params: Params) -> Result:
    """The result of EM that takes no steps from the parameters, whatever they came to."""
    n = job.stream.n_rows
    block = stream.block_size_of(job.model, job.rows, n, None)
    part = stream.blocks_a_part(job.rows, block, n)
    return uncut(
        job._replace(
            execution=replace(job.execution, block_size=block, chunk=1),
            stream=job.stream._replace(part=part),
            params=jax.tree.map(lambda leaf: leaf[None], params),
            methods=job.methods[:1],
            n_starts=1,
            max_iter=np.int32(0),
        )
    )


@partial(jax.jit, static_argnames="execution")
def begun(execution: Execution, params: Params, rows: Rows, prior: Prior | None) -> State:
    """Before the first batch: the statistics are those of rows that the parameters are of."""
    sums = _per_weight(execution.model, params, rows, prior, execution.block_size)[0]
    return State(params, sums, sums, jnp.zeros((), jnp.int32))


def _per_weight(
    model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int
) -> tuple[Statistics, Array]:
    """-> (the statistics of rows per unit of their weight, whether there is any)."""
    sums, _ = accumulate(model, model.prepare(params, prior), rows, block_size)
    there = sums.total_weight > 0
    each = jnp.where(there, sums.total_weight, 1)
    return jax.tree.map(lambda leaf: leaf / each, sums), there


@partial(jax.jit, static_argnames="execution")
def _pass(
    execution: Execution,
    state: State,
    rows: Rows,
    n_batches: Int[Array, ""],
    prior: Prior | None,
    pace: Pace,
) -> State:
    """A step for each batch of the rows, which it has from all over them."""
    size = execution.block_size

    def of_batch(i: Array, state: State) -> State:
        batch = take_rows(rows, i + n_batches * jnp.arange(size, dtype=jnp.int32))
        return step(execution, state, batch, prior, pace)

    return lax.fori_loop(0, n_batches, of_batch, state)


@partial(jax.jit, static_argnames="execution")
def step(execution: Execution, state: State, batch: Rows, prior: Prior | None, pace: Pace) -> State:
    """One batch; where it has no rows, or leaves no parameters, nothing but t moves."""
    model, old = execution.model, state.params
    own, there = _per_weight(model, old, batch, prior, execution.block_size)
    t = state.t + 1
    gain = (t.astype(pace.offset.dtype) + pace.offset) ** -pace.exponent
    sums = _towards(state.sums, own, gain)
    new = _estimate_of(model, old, sums, prior, pace)
    sums, mean = (emissions.recentre(model, of, old, new) for of in (sums, state.mean))
    since = jnp.maximum(t - pace.first, 1).astype(gain.dtype)
    moved = State(new, sums, _towards(mean, sums, 1 / since), t)
    sound = there & jnp.all(jnp.stack([jnp.all(jnp.isfinite(p)) for p in jax.tree.leaves(new)]))
    return jax.tree.map(lambda a, b: jnp.where(sound, a, b), moved, state._replace(t=t))


def _towards(sums: Statistics, other: Statistics, share: Array) -> Statistics:
    return jax.tree.map(lambda a, b: a + share * (b - a), sums, other)


def _estimate_of(
    model: Model, params: Params, sums: Statistics, prior: Prior | None, pace: Pace
) -> Params:
    """The M-step, as if all rows had been seen: a prior counts as much as in the end."""
    return model.m_step(params, jax.tree.map(lambda leaf: leaf * pace.weight, sums), prior)


@partial(jax.jit, static_argnames="execution")
def _estimate(execution: Execution, state: State, prior: Prior | None, pace: Pace) -> Params:
    return _estimate_of(execution.model, state.params, state.mean, prior, pace)
