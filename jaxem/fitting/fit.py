"""The public verbs that fit: plain doors over module-level jitted functions."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jaxtyping import Array

from jaxem.core import checks, emissions, remarks, tables
from jaxem.core.contracts import Model, Params, Prior, Rows, SortedRows
from jaxem.core.inputs import waits
from jaxem.core.status import Status
from jaxem.fitting import (
    frequencies,
    identified,
    implicit,
    padded_components,
    restarts,
    sizes,
    starts,
    threads,
)
from jaxem.fitting.accelerate import Acceleration, Plain
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.em import State, Thresholds
from jaxem.fitting.restarts import Splits
from jaxem.fitting.result import Provenance, Result, gathered
from jaxem.fitting.squarem import Squarem

ACCELERATIONS = {"squarem": Squarem(), None: Plain()}
DEFAULT = "squarem"


class FitPlan(NamedTuple):
    """A checked fit: what `start`, `advance` and `finish` need. Cut it where you like:

    state = start(job); state = advance(job, state, 50); ...; result = finish(job, state)
    """

    model: Model
    rows: Rows
    prior: Prior | None
    key: Array | None
    methods: Array  # (r,) codes, filled up to whole chunks
    params: Params | None  # (r, ...) starting parameters, in place of methods
    n_starts: int
    n_active: Array  # parts that a start from a method has; the others are absent
    splits: Splits | None  # for the last n_split of the starts
    n_split: int
    tol: Array
    max_iter: Array
    thresholds: Thresholds
    block_size: int
    chunk: int
    n_threads: int
    acceleration: Acceleration
    provenance: Provenance


@waits
def fit(
    model: Model,
    x: Any,
    *,
    key: Any,
    n_init: int = 20,
    init: str | Params = "portfolio",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    reg_covar: Any = 0.0,
    acceleration: Any = DEFAULT,
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
) -> Result:
    """Fit a model by EM from many starts and keep the best regular one.

    theta <- argmax_theta' E[log p(x, z; theta') | x; theta] + log p(theta'), from each start.

    x: (n, d) rows by columns, (n,) for one feature; arrays, lists, or pandas, polars, arrow frames.
        For an HMM one sequence (t, d) or (t,), a batch (b, t, d), or a list of sequences, which are
        arrays (a list of lists of numbers is one sequence).
    key: a `jax.random.key`; the same key gives the same fit.
    n_init: number of starts. init: "portfolio" (k-means++ on standardised columns, on sphered
        columns, and random rows, in turn), "k-means++", "random_from_data", or parameters (one
        start from them). Of random rows each part has one, and in a regression as many as a line
        goes through.
    sample_weight: (n,) frequencies, 3 means three equal rows; a row of weight 0 is absent. For an
        HMM (b,), of the sequences.
    prior: a `MixturePrior` or `HMMPrior`; reg_covar: shorthand for that field of the Gaussian's
        prior.
    fixed: parameters that are known, as `MixtureParams` with NaN for numbers and None for parts
        that are free: shorthand for that field of the prior. Starts, steps and counts of free
        parameters keep to them.
    labels: (n,) known components, -1 where unknown.
        For an HMM those of its steps, as x has them.
    lengths: (b,) of the sequences of a batch (b, t, d), for an HMM.
    tol: bound on the projected remaining gain of the mean objective per unit of weight (nats).
    max_iter: E-steps a start may take after the first.
    acceleration: "squarem" extrapolates along two plain steps, and takes what does not lower the
        objective; None is plain EM.
    block_size: rows a block; None chooses by shape and platform.
    min_count, min_variance_ratio: a start is DEGENERATE when a component has fewer effective rows
        than min_count (None: 2.5 for one column, else 2 (d + 1)) and a variance under a tenth of
        the pooled one, or under min_variance_ratio of it with fewer than 5 min_count rows, or is
        singular.

    Errors: ValueError for bad input; numerical trouble is a status of the result.
    Source: Dempster, Laird and Rubin (1977), J. R. Stat. Soc. B 39, 1-38.
    """
    job = prepare(
        model, x, key=key, n_init=n_init, init=init, sample_weight=sample_weight, prior=prior,
        fixed=fixed, labels=labels, lengths=lengths, tol=tol, max_iter=max_iter,
        reg_covar=reg_covar, acceleration=acceleration, block_size=block_size,
        min_count=min_count, min_variance_ratio=min_variance_ratio,
    )  # fmt: skip
    return _run(job, x, lengths)


@waits
def em(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    prior: Prior | None = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    *,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
    acceleration: Any = DEFAULT,
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
) -> Result:
    """Fit a model by EM from one start, the given parameters. The options are those of `fit`.

    Derivatives of both, with respect to data, weights and prior, are those of the fixed point that
    the fit came to, whatever it started from; NaN where there are none: see `jaxem.diagnose`.
    """
    job = prepare(
        model, x, init=params, sample_weight=sample_weight, prior=prior, fixed=fixed, labels=labels,
        lengths=lengths, tol=tol, max_iter=max_iter, reg_covar=reg_covar,
        acceleration=acceleration, block_size=block_size, min_count=min_count,
        min_variance_ratio=min_variance_ratio,
    )  # fmt: skip
    return _run(job, x, lengths)


def _run(job: FitPlan, x: Any, lengths: Any) -> Result:
    seen, inputs = _without_derivatives(job), (job.rows, job.prior, job.params)
    result = uncut(seen)
    if not checks.is_concrete(inputs):
        return implicit.differentiable(job.model, result, *inputs, job.block_size)
    result, found = noted(job, result)
    for remark in found:
        remarks.warn(remark)
    given = job.params is not None and checks.is_concrete(result)
    if given and int(result.status) == Status.NONFINITE:
        params = jax.tree.map(lambda leaf: leaf[0], job.params)
        job.model.check_possible(params, job.rows, job.model.layout(x, lengths))
    return result


def noted(
    job: FitPlan, result: Result, names: identified.Names = None
) -> tuple[Result, tuple[str, ...]]:
    """-> (the result with what its rows leave open among its remarks, those alone).

    names: of the columns, where the job does not have them.
    """
    if not checks.is_concrete(result, job.rows, job.prior) or np.ndim(result.status):
        return result, ()
    params = (
        result.params
        if job.model == result.provenance.model
        else padded_components.padded(job.model, result)
    )
    opened = identified.left_open(job.model, params, job.rows, job.prior, job.block_size)
    found = identified.remarks(job.model, opened, job.rows, names or job.provenance.columns)
    provenance = replace(result.provenance, remarks=(*result.provenance.remarks, *found))
    return result._replace(provenance=provenance), found


def uncut(job: FitPlan) -> Result:
    """The fit in one piece."""
    return finish(job, advance(job, start(job), job.max_iter))


def _without_derivatives(job: FitPlan) -> FitPlan:
    """For the loop: derivatives are of where it ends, and come after it."""

    def constant(leaf: Any) -> Any:
        return leaf if checks.is_concrete(leaf) else lax.stop_gradient(leaf)

    names = "rows", "prior", "params", "tol", "thresholds"
    inputs = (job.rows, job.prior, job.params, job.tol, job.thresholds)
    constants = zip(names, jax.tree.map(constant, inputs), strict=True)
    return job._replace(**dict(constants))


def prepare(
    model: Model,
    x: Any,
    *,
    key: Any = None,
    n_init: int = 1,
    init: str | Params,
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    reg_covar: Any = 0.0,
    acceleration: Any = DEFAULT,
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
    sorted_for_fit: SortedRows | None = None,
    padded_k: int | None = None,
    n_split: int = 0,
) -> FitPlan:
    """Check everything, and give all numbers their fixed dtypes: nothing retraces for a new tol.

    sorted_for_fit: the rows of x, where they were `read` before.
    room: parts to compile for, with those beyond the model's own absent (padded components): models
        that differ in their number of parts alone share one compilation when they are given the
        same room.
    n_split: further starts, for which `splits` of the job may be given.
    """
    if not isinstance(model, Model):
        raise ValueError(f"model is {model!r}; give one, such as jaxem.Mixture(family, k)")
    n_init = checks.whole(n_init, "n_init", least=1)
    checks.nonnegative(tol, "tol")
    if checks.is_concrete(max_iter):
        max_iter = checks.whole(max_iter, "max_iter", least=0)
    if sorted_for_fit is None:
        sorted_for_fit = read(model, x, sample_weight, labels, lengths)
    rows, n_rows, tile_size = sorted_for_fit
    names = tables.column_names(x)
    min_count = emissions.default_min_count(model, rows) if min_count is None else min_count
    checks.nonnegative(min_count, "min_count")
    checks.nonnegative(min_variance_ratio, "min_variance_ratio")
    dtype = rows.weight.dtype

    padded = model if padded_k is None else model.with_n_components(padded_k)
    prior = padded.as_prior(prior, reg_covar, rows.x, fixed)
    found = emissions.check_identified(model, rows, names)
    found = found if prior is not None else (*found, *emissions.unbounded(model, rows, names))
    for remark in found:
        remarks.warn(remark)
    k = padded.n_components
    n = rows.weight.shape[0]
    block = sizes.block_size(padded, rows) if block_size is None else block_size
    block = min(checks.whole(block, "block_size", least=1), n)
    block = tile_size * max(1, block // tile_size)
    if isinstance(init, str):
        starts.check(init)
        checks.key(key)
        model.check_enough(rows)
        params, n_starts = None, n_init + n_split
    else:
        params = jax.tree.map(lambda leaf: leaf[None], padded.as_params(init, rows))
        n_starts = 1
    chunk = sizes.chunk_size(rows, k, n_starts, block)
    filled = chunk * -(-n_starts // chunk)
    codes = starts.methods(init if isinstance(init, str) else "portfolio", filled)
    splits = None
    if n_split:
        unknown = (np.full(shape, -1, np.int32) for shape in (rows.weight.shape, filled))
        splits = Splits(*jax.device_put(tuple(unknown)))
    return FitPlan(
        model=padded,
        rows=rows,
        prior=prior,
        key=key,
        methods=jax.device_put(codes),
        params=params,
        n_starts=n_starts,
        n_active=checks.cast(model.n_components, np.int32),
        splits=splits,
        n_split=n_split,
        tol=checks.cast(tol, dtype),
        max_iter=checks.cast(max_iter, np.int32),
        thresholds=Thresholds(
            checks.cast(min_count, dtype), checks.cast(min_variance_ratio, dtype)
        ),
        block_size=block,
        chunk=chunk,
        n_threads=sizes.n_threads(padded, rows, n_starts),
        acceleration=_acceleration(acceleration),
        provenance=Provenance(
            model,
            n_rows,
            emissions.n_columns(padded, rows),
            names,
            tables.given_dtype(x, dtype),
            (*model.remarks, *found),
        ),
    )


def read(model: Model, x: Any, sample_weight: Any, labels: Any, lengths: Any) -> SortedRows:
    """The rows of x, checked, in the order in which they are fitted."""
    rows = model.rows(x, sample_weight, labels, lengths)
    if sample_weight is not None:
        frequencies.check(model, rows)
    return model.sorted_for_fit(rows)


def _acceleration(given: Any) -> Acceleration:
    if isinstance(given, Acceleration):
        return given
    if not (given is None or isinstance(given, str)) or given not in ACCELERATIONS:
        names = ", ".join(repr(name) for name in ACCELERATIONS)
        raise ValueError(f"acceleration is {given!r}; it must be one of {names}")
    return ACCELERATIONS[given]


def start(job: FitPlan) -> State:
    """All starts at their starting parameters."""
    if job.params is not None:
        return restarts.start_from(job.model, job.rows, job.params, job.acceleration)

    def run(index: Any) -> State:
        return restarts.start(
            job.model, job.rows, job.prior, job.key, index, job.methods, job.n_active, job.splits,
            job.chunk, job.acceleration,
        )  # fmt: skip

    n_starts = job.methods.shape[0]
    if _spreads(job, n_starts, (job.key, job.splits)):
        return threads.start(run, n_starts, job.n_threads)
    return run(np.arange(n_starts, dtype=np.int32))


def advance(job: FitPlan, state: State, until: Any) -> State:
    """Every running start, up to `until` iterations in all."""
    until = checks.cast(until, np.int32)

    def run(state: State) -> State:
        return restarts.advance(
            job.model, job.rows, job.prior, state, job.tol, until, job.block_size, job.chunk,
            job.acceleration,
        )  # fmt: skip

    if _spreads(job, state.status.shape[0], (job.tol, state)):
        return threads.advance(run, state, job.n_threads)
    return run(state)


def _spreads(job: FitPlan, n_starts: int, values: Any) -> bool:
    """Whether there are threads to spread over, and numbers to do it with."""
    leaves = jax.tree.leaves((job.rows, job.prior, values))
    return job.n_threads > 1 and n_starts > 1 and all(map(checks.is_concrete, leaves))


def finish(job: FitPlan, state: State) -> Result:
    """Judge every start on its final parameters and return the best with all of them."""
    state = sizes.beside(job.rows, state)  # threads leave it on the host
    best, all_starts, n_free = restarts.finish(
        job.model, job.rows, job.prior, state, job.thresholds, job.n_starts, job.block_size,
        job.chunk,
    )  # fmt: skip
    about = job.provenance
    if emissions.runs_away(job.model) and checks.is_concrete(best, job.rows, job.prior):
        about = replace(about, remarks=(*about.remarks, *_run_away(job, best.params)))
    result = gathered(best, all_starts, n_free, about)
    return result if job.model == job.provenance.model else padded_components.without(result)


def _run_away(job: FitPlan, params: Params) -> tuple[str, ...]:
    """Which parameters have diverged, so that the fit says nothing of them."""
    prepared = job.model.prepare(params, None)
    statistics, _ = _sums(job.model, prepared, job.rows, job.block_size)
    return emissions.run_away(job.model, jax.device_get(statistics), job.rows)


_sums = jax.jit(accumulate, static_argnames=("model", "block_size"))
