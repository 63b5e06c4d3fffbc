"""Information criteria: what a fit costs in parameters, for comparing models. Lower is better.

With N = sum_n weight[n] of the rows that tell anything (those of nothing but NaN do not), p free
parameters and l the log-likelihood of the parameters given:

    AIC = -2 l + 2 p                                     (Akaike 1974)
    BIC = -2 l + p log N                                 (Schwarz 1978)
    ICL = BIC + 2 E,  E = -sum_n weight[n] sum_k r[k, n] log r[k, n]
                                                         (Biernacki, Celeux and Govaert 2000)

mclust prints -BIC and -ICL, and takes E with each row wholly in its likeliest component, where here
E is the entropy of the responsibilities.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import emissions
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params, Prepared, Prior, Rows
from jaxem.core.dataset import Dataset
from jaxem.core.inputs import waits
from jaxem.fitting import em, sizes, streamed_sums
from jaxem.fitting.blocks import accumulate, map_rows, with_stable_fallback
from jaxem.fitting.effort import program
from jaxem.fitting.streamed_sums import StreamedRows


@waits
def aic(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Array:
    """Akaike's information criterion, -2 log-likelihood + 2 p. Lower is better.

    fixed: parameters that were known, as `fit` takes them: they are not free. lengths: of the
    sequences of a batch. x may be a source, whose rows bring their weights and labels. mesh: as
    `fit` takes it.
    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    data, params, prior = _checked(model, params, x, sample_weight, fixed, lengths, mesh)
    if isinstance(data, StreamedRows):
        log_likelihood, _, p = _of_source(data, params, prior)
        return jnp.asarray(-2 * log_likelihood + 2 * p)
    return _aic(model, params, data.filled, prior, sizes.block_size(model, data.filled))


@waits
def bic(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Array:
    """Schwarz's information criterion, -2 log-likelihood + p log N. Lower is better.

    mclust prints the opposite sign. Errors: as for `aic`.
    """
    return _bic_of(*_checked(model, params, x, sample_weight, fixed, lengths, mesh))


@waits
def icl(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Array:
    """The integrated complete-data likelihood criterion, BIC + 2 entropy. Lower is better.

    The entropy of the responsibilities makes it prefer components that can be told apart; for an
    HMM it is that of the paths (Celeux and Durand 2008).
    mclust prints the opposite sign. Errors: as for `aic`.
    """
    data, params, prior = _checked(model, params, x, sample_weight, fixed, lengths, mesh)
    return _bic_of(data, params, prior) + 2 * _entropy_of(data, params)


def _checked(
    model: Model, params: Params, x: Any, sample_weight: Any, fixed: Any, lengths: Any, mesh: Any
) -> tuple[Dataset | StreamedRows, Params, Prior | None]:
    data = streamed_sums.opened(model, x, sample_weight, None, lengths, mesh)
    rows = streamed_sums.some(data)
    prior = model.as_prior(None, None, emissions.like(model, rows), fixed)
    return data, model.as_params(params, rows), prior


def _bic_of(data: Dataset | StreamedRows, params: Params, prior: Prior | None) -> Array:
    if isinstance(data, StreamedRows):
        log_likelihood, total_weight, p = _of_source(data, params, prior)
        return jnp.asarray(-2 * log_likelihood + p * np.log(total_weight))
    return _bic(data.model, params, data.filled, prior, sizes.block_size(data.model, data.filled))


def _entropy_of(data: Dataset | StreamedRows, params: Params) -> Array:
    model, some = data.model, streamed_sums.some(data)
    if isinstance(data, Dataset):
        return entropy(model, params, some, sizes.block_size(model, some))
    size = data.execution.block_size
    return streamed_sums.summed(lambda rows, _: entropy(model, params, rows, size), data)


def _of_source(rows: StreamedRows, params: Params, prior: Prior | None) -> tuple[Any, Any, Any]:
    """-> (log-likelihood, total weight, free parameters), by one reading."""
    statistics, log_likelihood = streamed_sums.e_step(rows, params, None)
    p = emissions.n_free_parameters(rows.model, params, prior)
    found = jax.device_get((log_likelihood, statistics.total_weight, p))
    return found[0], found[1], found[2].astype(found[0].dtype)


@program("model", "block_size")
def entropy(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    """-sum_n weight[n] sum_k r[k, n] log r[k, n] of the responsibilities, in nats.

    For an HMM that of the paths, -sum_b weight[b] sum_z P(z | x[b]) log P(z | x[b]).
    """

    def by(prepared: Prepared, size: int) -> Array:
        return map_rows(lambda block: latent.entropy(model, prepared, block), rows, size)

    each = with_stable_fallback(model, model.prepare(params, None), by, rows, block_size)
    return jnp.sum(jnp.where(rows.weight > 0, rows.weight * each, 0.0))


@program("model", "block_size")
def _aic(model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int) -> Array:
    log_likelihood = em.log_likelihood(model, params, None, rows, block_size)
    p = emissions.n_free_parameters(model, params, prior).astype(log_likelihood.dtype)
    return -2 * log_likelihood + 2 * p


@program("model", "block_size")
def _bic(model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int) -> Array:
    prepared = model.prepare(params, None)
    statistics, log_likelihood = accumulate(model, prepared, rows, block_size)
    p = emissions.n_free_parameters(model, params, prior).astype(log_likelihood.dtype)
    return -2 * log_likelihood + p * jnp.log(statistics.total_weight)
