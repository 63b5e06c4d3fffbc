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

import jax.numpy as jnp
from jaxtyping import Array

from jaxem.core import emissions
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params, Prepared, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.fitting import em, sizes
from jaxem.fitting.blocks import accumulate, map_rows, with_stable_fallback
from jaxem.fitting.effort import program


@waits
def aic(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
) -> Array:
    """Akaike's information criterion, -2 log-likelihood + 2 p. Lower is better.

    fixed: parameters that were known, as `fit` takes them: they are not free. lengths: of the
    sequences of a batch.
    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    params, rows, prior, block = _checked(model, params, x, sample_weight, fixed, lengths)
    return _aic(model, params, rows, prior, block)


@waits
def bic(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
) -> Array:
    """Schwarz's information criterion, -2 log-likelihood + p log N. Lower is better.

    mclust prints the opposite sign. Errors: as for `aic`.
    """
    params, rows, prior, block = _checked(model, params, x, sample_weight, fixed, lengths)
    return _bic(model, params, rows, prior, block)


@waits
def icl(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    fixed: Any = None,
    lengths: Any = None,
) -> Array:
    """The integrated complete-data likelihood criterion, BIC + 2 entropy. Lower is better.

    The entropy of the responsibilities makes it prefer components that can be told apart; for an
    HMM it is that of the paths (Celeux and Durand 2008).
    mclust prints the opposite sign. Errors: as for `aic`.
    """
    params, rows, prior, block = _checked(model, params, x, sample_weight, fixed, lengths)
    return _bic(model, params, rows, prior, block) + 2 * entropy(model, params, rows, block)


def _checked(
    model: Model, params: Params, x: Any, sample_weight: Any, fixed: Any, lengths: Any
) -> tuple[Params, Rows, Prior | None, int]:
    rows = as_dataset(model, x, sample_weight, None, lengths).filled
    prior = model.as_prior(None, None, emissions.like(model, rows), fixed)
    return model.as_params(params, rows), rows, prior, sizes.block_size(model, rows)


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
    log_likelihood = em.log_likelihood(model, params, rows, block_size)
    p = emissions.n_free_parameters(model, params, prior).astype(log_likelihood.dtype)
    return -2 * log_likelihood + 2 * p


@program("model", "block_size")
def _bic(model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int) -> Array:
    prepared = model.prepare(params, None)
    statistics, log_likelihood = accumulate(model, prepared, rows, block_size)
    p = emissions.n_free_parameters(model, params, prior).astype(log_likelihood.dtype)
    return -2 * log_likelihood + p * jnp.log(statistics.total_weight)
