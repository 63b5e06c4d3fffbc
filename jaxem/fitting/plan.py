"""A checked fit: all that its compiled programs need, in fixed dtypes, so that nothing retraces."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from jaxem.core import checks, emissions, framed, placement, pool, remarks
from jaxem.core.capabilities import collapse, identified, ranges
from jaxem.core.capabilities.ranges import Range
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import Dataset
from jaxem.fitting import frequencies, padded_components, sizes, starts, trimming
from jaxem.fitting.execution import Execution
from jaxem.fitting.options import Options, Search, Starts, acceleration
from jaxem.fitting.outcome import Thresholds
from jaxem.fitting.restarts import Moves
from jaxem.fitting.result import Provenance


class FitPlan(NamedTuple):
    """A checked fit: what `driver` runs, whole or in pieces."""

    data: Dataset
    execution: Execution
    rows: Rows  # of the data, as they are fitted
    start_rows: Rows | None  # those that starts look at; None: all
    range: Range | None  # of all rows, where starts look at some and parameters follow from it
    prior: Prior | None
    key: Array | None
    methods: np.ndarray  # (r,) codes, filled up to whole chunks
    params: Params | None  # (r, ...) starting parameters, in place of methods
    n_starts: int
    n_active: Array  # parts that a start from a method has; the others are absent
    moves: Moves | None  # what starts keep of another fit; None where none of them may
    n_split: int
    tol: Array
    max_iter: Array
    thresholds: Thresholds
    n_threads: int
    group: int | None  # starts a group; None: all are one
    provenance: Provenance
    stream: Any = None  # a `Stream`; None where all rows are in memory
    search: Any = None  # a `Search`; None where all starts are one round
    first: int = 0  # the place of its first start, among those of a search
    checkpoint: Any = None  # the file that a fit of rows in memory is kept in

    @property
    def model(self) -> Model:
        return self.execution.model

    @property
    def block_size(self) -> int:
        return self.execution.block_size

    @property
    def chunk(self) -> int:
        return self.execution.chunk


def prepare(data: Dataset, options: Options, begin: Starts, padded_k: int | None = None) -> FitPlan:
    """Check everything, and give all numbers their fixed dtypes.

    padded_k: parts to compile for, with those beyond the model's own absent (padded components):
        models that differ in their number of parts alone share one compilation when they are given
        the same.
    """
    model, rows = data.model, data.for_fit
    checks.nonnegative(options.tol, "tol")
    max_iter = options.max_iter
    if checks.is_concrete(max_iter):
        max_iter = checks.whole(max_iter, "max_iter", least=0)
    dtype = rows.weight.dtype
    padded = model if padded_k is None else model.with_n_components(padded_k)
    x = emissions.like(padded, rows)
    prior = _prior(padded, options, x)
    if rows.shards is not None:
        trimming.refuse(padded, prior, "a device of several")
    if data.layout is not None:
        trimming.check_sequences(padded, prior, len(data.layout.lengths))
    searched = None
    if isinstance(begin.init, str):
        starts.check(begin.init)
        checks.key(begin.key)
        data.once(emissions.check_enough, model)
        searched = _searched(padded, rows, prior, begin)
        params, n_starts = None, _n_starts(begin)
    else:
        own, n_starts = model.as_params(begin.init, rows), 1
        if padded != model:
            own = padded_components.with_absent(padded, own, model.n_components)
        if sizes.on_cpu(rows) and checks.is_concrete(own):
            own = jax.device_get(own)  # where nothing compiles
        params = jax.tree.map(lambda leaf: leaf[None], own)
    block = sizes.block_size(padded, rows)
    if options.block_size is not None:
        block = sizes.block_units(rows, options.block_size)
    at_once = n_starts if searched is None else min(starts.ROUND, searched.n_most)
    chunk = sizes.chunk_size(padded, rows, at_once, block)
    group = sizes.starts_a_group(padded, rows, at_once)
    filled = chunk * -(-at_once // chunk)
    if searched is not None:
        n_starts, filled, group = searched.n_most, searched.n_first, group or chunk
    codes = starts.methods(
        begin.init if params is None else "portfolio", filled, rows.first is not None
    )
    found = _remarks(data, prior)
    few = _start_rows(data, begin)
    return FitPlan(
        data=data,
        execution=Execution(padded, block, chunk, acceleration(options.acceleration)),
        rows=rows,
        start_rows=few,
        range=None if few is None or not ranges.has_range(model) else data.once(_range),
        prior=prior,
        key=begin.key,
        methods=codes,
        params=params,
        n_starts=n_starts,
        n_active=checks.cast(model.n_components, np.int32),
        moves=_no_moves(data, begin, searched, filled, padded.n_components),
        n_split=begin.n_split,
        search=searched,
        tol=checks.cast(options.tol, dtype),
        max_iter=checks.cast(max_iter, np.int32),
        thresholds=_thresholds(model, rows, options),
        n_threads=sizes.n_threads(padded, rows, n_starts),
        group=group,
        provenance=Provenance(
            model,
            data.n_rows,
            emissions.n_columns(padded, rows),
            data.names,
            data.dtype,
            (*identified.remarks(model), *_trimmed(padded, prior, data.layout is not None), *found),
            framed.backend(data.given),
        ),
    )


def _prior(model: Model, options: Options, x: Any) -> Prior | None:
    """The prior as arrays, with what else the options ask of the parameters."""
    given, ratio = options.prior, options.max_eigenvalue_ratio
    if ratio is not None:
        given = emissions.bounded(model, given, ratio)
    if options.trim is not None:
        given = model.with_trim(given, options.trim)
    prior = model.as_prior(given, options.reg_covar, x, options.fixed)
    known = emissions.fixed(prior)
    if ratio is not None and known is not None:
        fixed = collapse.spread_fixed(model.family, model.of_family(known))
        if checks.is_concrete(fixed) and np.any(fixed):
            raise ValueError(
                "max_eigenvalue_ratio is a bound over the covariances of all components, some of "
                "which are fixed; leave one of the two out"
            )
    return prior


def _trimmed(model: Model, prior: Prior | None, chain: bool) -> tuple[str, ...]:
    trim = model.trim(prior)
    if trim is None or not checks.is_concrete(trim):
        return ()
    share = f"the {100 * float(trim):.4g} %"
    if chain:
        return (f"{share} of the steps in the least likely sequences do not count (trim)",)
    return (f"{share} least likely rows do not count (trim)",)


def _n_starts(begin: Starts) -> int:
    if begin.search is not None and begin.n_init == "auto":
        return starts.ROUND
    return checks.whole(begin.n_init, "n_init", least=1) + begin.n_split


def _searched(model: Model, rows: Rows, prior: Prior | None, begin: Starts) -> Search | None:
    """None where all starts are one round: for traced values, and on several devices."""
    if begin.search is None:
        return None
    if not checks.is_concrete(rows, prior, begin.key) or rows.shards is not None:
        if begin.search == "auto":
            return None
        raise ValueError(
            "search='race' decides on the way which starts go on: leave it out under jit, vmap or "
            "grad, and for rows on several devices"
        )
    if begin.n_init == "auto":
        most = starts.ROUND * sizes.rounds(model, rows)
        return Search(str(begin.init), starts.ROUND, most, auto=True)
    n_init = _n_starts(begin)
    return Search(str(begin.init), min(starts.FIRST, n_init), n_init, auto=False)


def _start_rows(data: Dataset, begin: Starts) -> Rows | None:
    """The pool of a table of many rows; of rows on several devices, those on one."""
    if not isinstance(begin.init, str):
        return None
    few = data.layout is not None or data.rows.weight.size <= pool.POOL
    if few or begin.n_split or not checks.is_concrete(data.rows, begin.key):
        return None if data.shards is None else data.for_starts
    return data.once(_pool_rows, pool.seed_of(begin.key))


def _pool_rows(data: Dataset, seed: int) -> Rows:
    rows = data.rows
    weight = placement.in_place(rows.weight) if data.weighted else None
    places, own = pool.drawn(rows.weight.size, weight, seed)
    return weighted(jax.tree.map(lambda leaf: placement.in_place(leaf)[places], rows), own)


def _range(data: Dataset) -> Range:
    return ranges.of_rows(data.rows)


def weighted(rows: Rows, weight: np.ndarray) -> Rows:
    """The rows of a pool under what they stand for."""
    return jax.device_put(rows._replace(weight=weight.astype(rows.weight.dtype)))


def _remarks(data: Dataset, prior: Prior | None) -> tuple[str, ...]:
    """Warnings about what the rows do not identify; ValueError where nothing could be fitted."""
    if data.weighted:
        frequencies.check(data)
    found = data.once(emissions.check_identified, data.model)
    if prior is None:
        found = (*found, *data.once(emissions.unbounded, data.model))
    for remark in found:
        remarks.warn(remark)
    return found


def _thresholds(model: Model, rows: Rows, options: Options) -> Thresholds:
    min_count, ratio = options.min_count, options.min_variance_ratio
    min_count = emissions.default_min_count(model, rows) if min_count is None else min_count
    checks.nonnegative(min_count, "min_count")
    checks.nonnegative(ratio, "min_variance_ratio")
    dtype = rows.weight.dtype
    return Thresholds(*(checks.cast(of, dtype) for of in (min_count, ratio, options.tol)))


def _no_moves(
    data: Dataset, begin: Starts, searched: Search | None, n_starts: int, k: int
) -> Moves | None:
    """Room for moves, where there are to be some."""
    if searched is None and not begin.n_split:
        return None
    pool_rows = None if searched is None else _start_rows(data, begin)
    rows = data.for_starts if pool_rows is None else pool_rows
    labels = np.full(rows.weight.shape, -1, np.int32)
    return Moves(jax.device_put(labels), np.full((n_starts, k), -1, np.int32))
