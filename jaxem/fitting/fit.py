"""The public verbs that fit: plain doors over module-level jitted functions."""

from typing import Any

import jax
from jax import lax

from jaxem.core import checks, remarks
from jaxem.core.contracts import Model, Params, Prior
from jaxem.core.dataset import Dataset, as_dataset, refuse_beside
from jaxem.core.inputs import waits
from jaxem.core.source import Source
from jaxem.core.status import Status
from jaxem.fitting import (
    constrained,
    hierarchical,
    implicit,
    impossible,
    in_memory,
    sizes,
    starts,
    stream,
    streamed,
)
from jaxem.fitting.driver import noted, uncut
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.result import Result


@waits
def fit(
    model: Model,
    x: Any,
    *,
    key: Any,
    n_init: Any = "auto",
    init: str | Params = "portfolio",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    lengths: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    reg_covar: Any = 0.0,
    acceleration: Any = "squarem",
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
    max_eigenvalue_ratio: Any = None,
    trim: Any = None,
    progress: Any = False,
    checkpoint: Any = None,
    mesh: Any = None,
    search: str | None = None,
) -> Result:
    """Fit a model by EM from many starts and keep the best regular one.

    theta <- argmax_theta' E[log p(x, z; theta') | x; theta] + log p(theta'), from each start.

    x: (n, d) rows by columns, (n,) for one feature; arrays, lists, or pandas, polars, arrow frames.
        For an HMM one sequence (t, d) or (t,), a batch (b, t, d), or a list of sequences, which are
        arrays (a list of lists of numbers is one sequence).
    key: a `jax.random.key`; the same key gives the same fit.
    n_init: number of starts; "auto" makes rounds of 20 and more until few better optima are to be
        expected beside those seen (`result.restarts.unseen`, 0.06) and three came to the best: at
        most 240, fewer of large data, and 20 of a source, on several devices and under jit.
    search: "race" gives up starts whose projection stays under the best, and makes half of those
        after the first five moves from the best: two parts merge and one is divided. "auto" does
        so from its second round on.
    init: "portfolio" (in turn k-means++ on standardised columns, in a random projection, random
        rows, k-means++ of rows weighted at random, and the nearest of its seeds; for a chain also
        k-means++ on averages over windows, and segments of random lengths), "k-means++",
        "random_from_data", "hierarchical" (one start, from Ward's clusters of up to 2000 rows, with
        nothing drawn), or parameters (one start from them). Of random rows each part has one, and
        in a regression as many as a line goes through.
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
        singular. Where all starts of a search are, the status is CONSTRAINED and the result the
        best fit found with max_eigenvalue_ratio=1000.
    max_eigenvalue_ratio: a bound on the largest eigenvalue of all covariances over the smallest:
        shorthand for that field of the Gaussian's prior. With it no component collapses.
    trim: the share of the rows, by weight, that does not count: those least likely under the
        parameters, which are found beside them (trimmed likelihood); of a chain the share of the
        steps, in whole sequences, those least likely by the mean over their steps. Shorthand for
        that field of a `MixturePrior` or `HMMPrior`; `jaxem.trimmed_weights` tells which rows they
        are. `log_likelihood` and criteria are of the rows that count. Not of a source, nor of rows
        on several devices: the border would take a reading of its own.
    progress: show a bar, where values are concrete; Ctrl-C then ends the fit without a result.
    checkpoint: a file that the fit is kept in: called again with the same arguments, it goes on
        from there, with the same bits. SIGTERM then ends the process at the next block of a source,
        or within seconds, with status 143, once the file is written. n_init="auto" is 20 starts.

    mesh: a `jax.make_mesh`, over all devices of which the rows, or sequences, are spread: each
        iteration adds up its sums over them once. An x that lies over several devices stays there.
        Where they are of several processes, each reads its share of a source: the same call, in
        each of them, gives the same result. One whose peer is gone ends with status 1.

    x may be a source, of `jaxem.sources`: a table that does not fit into memory is read block by
    block, once an iteration for all starts.

        model = jaxem.Mixture(jaxem.families.Gaussian("full"), n_components=3)
        result = jaxem.fit(model, x, key=jax.random.key(0))
        labels = jaxem.predict(model, result.params, x)

    Errors: ValueError for bad input; numerical trouble is a status of the result.
    Source: Dempster, Laird and Rubin (1977), J. R. Stat. Soc. B 39, 1-38.
    """
    options = Options(prior, fixed, tol, max_iter, reg_covar, acceleration, block_size, min_count,
                      min_variance_ratio, max_eigenvalue_ratio, trim)  # fmt: skip
    clustered = isinstance(init, str) and init == "hierarchical"
    if clustered:
        begin = hierarchical.one_start(key, n_init, search)
    else:
        begin = starts.begin(init, key, n_init, search)
    if isinstance(x, Source) and (checkpoint is not None or not stream.read_whole(x, mesh)):
        refuse_beside((sample_weight, labels, lengths))
        begin = starts.in_one_round(begin)
        job = streamed.planned(model, x, options, begin, checkpoint, mesh=mesh)
        job = hierarchical.begun(job) if clustered else job
        return _run(job, checks.flag(progress, "progress"))
    begin = begin if checkpoint is None else starts.in_one_round(begin)
    data = as_dataset(model, x, sample_weight, labels, lengths, mesh)
    job = prepare(data, options, begin, _padded_k(data, options, begin))
    job = hierarchical.begun(job) if clustered else job
    job = job if checkpoint is None else in_memory.kept_in(job, checkpoint)
    result = _run(job, checks.flag(progress, "progress"))
    return result if job.search is None else constrained.instead(result, data, options, begin)


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
    acceleration: Any = "squarem",
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
    max_eigenvalue_ratio: Any = None,
    trim: Any = None,
    mesh: Any = None,
) -> Result:
    """Fit a model by EM from one start, the given parameters. The options are those of `fit`.

    Derivatives of both, with respect to data, weights and prior, are those of the fixed point that
    the fit came to, whatever it started from; NaN where there are none: see `jaxem.diagnose`.
    """
    options = Options(prior, fixed, tol, max_iter, reg_covar, acceleration, block_size, min_count,
                      min_variance_ratio, max_eigenvalue_ratio, trim)  # fmt: skip
    if isinstance(x, Source) and not stream.read_whole(x, mesh):
        refuse_beside((sample_weight, labels, lengths))
        return _run(streamed.planned(model, x, options, Starts(params), mesh=mesh))
    data = as_dataset(model, x, sample_weight, labels, lengths, mesh)
    return _run(prepare(data, options, Starts(params)))


def _padded_k(data: Dataset, options: Options, begin: Starts) -> int | None:
    """Parts to compile for; None where something given says how many, or values are traced."""
    told = not isinstance(begin.init, str) or options.prior is not None or options.fixed is not None
    if told or not checks.is_concrete(data.rows, *options, *begin):
        return None
    return sizes.padded_k(data.model, data.for_fit)


def _run(job: FitPlan, progress: bool = False) -> Result:
    seen, inputs = _without_derivatives(job), (job.rows, job.prior, job.params)
    if progress and checks.is_concrete(inputs, job.tol, job.max_iter):
        from jaxem.progress import shown  # a face: late, since it prints

        result = shown(job)
    else:
        result = uncut(seen)
    if not checks.is_concrete(inputs):
        return implicit.differentiable(job.model, result, *inputs, job.block_size)
    result, found = noted(job, result)
    for remark in found:
        remarks.warn(remark)
    given = job.params is not None and checks.is_concrete(result)
    if given and int(result.status) == Status.NONFINITE:
        impossible.check(job.model, jax.tree.map(lambda leaf: leaf[0], job.params), job.data)
    return result


def _without_derivatives(job: FitPlan) -> FitPlan:
    """For the loop: derivatives are of where it ends, and come after it."""

    def constant(leaf: Any) -> Any:
        return leaf if checks.is_concrete(leaf) else lax.stop_gradient(leaf)

    names = "rows", "prior", "params", "tol", "thresholds"
    inputs = (job.rows, job.prior, job.params, job.tol, job.thresholds)
    constants = zip(names, jax.tree.map(constant, inputs), strict=True)
    return job._replace(**dict(constants))
