"""Which rows are outliers: how little they count in the components they are of."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxem.analysis.in_pieces import in_pieces
from jaxem.core import emissions
from jaxem.core.capabilities.weighing import weighing
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.framed import framed
from jaxem.core.inputs import waits
from jaxem.fitting import sizes
from jaxem.fitting.blocks import map_rows, with_stable_fallback
from jaxem.fitting.effort import program


@waits
@in_pieces
def outlier_weights(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """What each row counts for in the fit, (n,): about 1 for most, near 0 for outliers.

    u[n] = sum_k P(k | x[n]) (nu[k] + d) / (nu[k] + delta[k, n]),

    with delta the squared Mahalanobis distances, for components of `families.StudentT`; of
    `families.ContaminatedNormal` the probability that the row is a regular one. For an HMM with
    P(state | sequence), arranged as the sequences are; lengths: of those of a batch. Of a frame a
    series.
    Errors: ValueError for other families.
    Source: Peel and McLachlan (2000), Statistics and Computing 10, 339-348; Punzo and
        McNicholas (2016), Biometrical Journal 58, 1506-1537.
    """
    weighing(model.family)
    data = as_dataset(model, x, lengths=lengths)
    rows = data.filled
    size = sizes.block_size(model, rows)
    found = _weights(model, model.as_params(params, data.rows), rows, size)
    weights = data.arrange(sizes.beside(rows, data.unfilled(found)))
    return framed(data, weights, "outlier_weight")


@program("model", "block_size")
def _weights(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    def by(prepared: Prepared, size: int) -> Array:
        def of_block(rows: Rows) -> Array:
            shares = model.posterior(prepared, rows)[1]
            x = emissions.family_rows(model, rows)
            own = weighing(model.family).row_weights(model.of_family(prepared), x)
            return jnp.sum(shares * jnp.reshape(own, shares.shape), axis=0)

        return map_rows(of_block, rows, size)

    return with_stable_fallback(model, model.prepare(params, None), by, rows, block_size)
