"""The two pure steps of EM as public verbs, each jitted."""

from typing import Any

from jaxtyping import Array

from jaxem.core import emissions
from jaxem.core.contracts import Model, Params, Prior, Rows, Statistics
from jaxem.core.inputs import waits
from jaxem.fitting import sizes, streamed_sums, trimming
from jaxem.fitting.effort import program
from jaxem.fitting.streamed_sums import StreamedRows


@waits
def e_step(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    prior: Prior | None = None,
    labels: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> tuple[Statistics, Array]:
    """Expected sufficient statistics and the log-likelihood of `params`, both sums over rows.

    statistics = E[T(x, z) | x; params],  log_likelihood = sum_n weight[n] log p(x[n]; params).
    Statistics of blocks of rows add up when their params are the same; those of regressors that lie
    further from 0 than eps^-1/4 of their spread (8000 in float64, 54 in float32) are measured from
    a pivot of the rows that are read together. With a prior that has a reg_covar term, that term is
    in the log-likelihood.
    x may be a source, whose rows bring their weights and labels.
    Errors: ValueError for shapes that disagree and for bad values. Source: Dempster et al. (1977).
    """
    data = streamed_sums.opened(model, x, sample_weight, labels, lengths, mesh)
    if isinstance(data, StreamedRows):
        params = model.as_params(params, data.some)
        given = model.as_prior(prior, None, emissions.like(model, data.some))
        trimming.refuse(model, given, "a source")
        return streamed_sums.e_step(data, params, given)
    rows = data.rows if data.shards is None else data.filled
    params = model.as_params(params, rows)
    prior = model.as_prior(prior, None, emissions.like(model, rows))
    if rows.shards is not None:
        trimming.refuse(model, prior, "a device of several")
    block = sizes.block_size(model, rows)
    return sizes.beside(rows, _e_step(model, params, rows, prior, block))


@waits
def m_step(
    model: Model, params: Params, statistics: Statistics, prior: Prior | None = None
) -> Params:
    """argmax_theta E[log p(x, z; theta) | x; params] + log prior, from the statistics alone.

    `params` are those that the statistics were computed with: they are the origin of the sums.
    A component of zero weight keeps its parameters.
    """
    params = model.as_params(params, None)
    prior = None if prior is None else model.as_prior(prior, None, emissions.like_x(model, params))
    return _m_step(model, params, statistics, prior)


@program("model", "block_size")
def _e_step(
    model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int
) -> tuple[Statistics, Array]:
    return trimming.sums(model, model.prepare(params, prior), prior, rows, block_size)


@program("model")
def _m_step(model: Model, params: Params, statistics: Statistics, prior: Prior | None) -> Params:
    return model.m_step(params, statistics, prior)
