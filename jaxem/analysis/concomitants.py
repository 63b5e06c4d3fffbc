"""What covariates tell of the components of a row before the row itself is seen."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxem.core import tables
from jaxem.core.contracts import Model, Params, Rows
from jaxem.core.inputs import waits
from jaxem.models.mixture import Mixture


@waits
def concomitant_weights(model: Model, params: Params, Z: Any) -> Array:
    """The weights of the components for rows of these covariates, (n, k), and with noise its share
    after them, (n, k + 1); rows sum to 1.

    w[k](z) = exp(b[k]' (1, z)) / sum_j exp(b[j]' (1, z))

    Z: (n, p), as in the data (x, Z) that the model was fitted to.
    Errors: ValueError for a model without concomitants, and where Z has other columns.
    """
    if not isinstance(model, Mixture) or not model.n_covariates:
        raise ValueError(f"model is {model!r}; give a mixture with concomitants")
    params = model.as_params(params, None)
    z = tables.table(Z, "Z")
    rows = Rows(None, jnp.ones(len(z), params.weights.dtype), None)
    rows = rows._replace(covariates=model.weighting.read(z, rows))
    prepared = model.weighting.prepare(params)
    return jnp.exp(model.weighting.log_weights(prepared, rows)).T
