"""Which rows a trimmed fit leaves out."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxem.analysis.predict import log_density
from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.framed import framed
from jaxem.core.inputs import waits
from jaxem.fitting import sizes, trimming
from jaxem.fitting.effort import program


@waits
def trimmed_weights(
    model: Model,
    params: Params,
    x: Any,
    trim: Any,
    sample_weight: Any = None,
    lengths: Any = None,
) -> Any:
    """The weight that each row counts with in a fit with that `trim`, (n,).

    0 for the least likely rows, whose weights add up to `trim` of all; a part of its own for the
    row at the border; for the others their own (see `fit`). Of a chain that of each sequence, (b,).
    Of a frame a series. Errors: ValueError for a trim outside of 0 to 1, and for what `log_prob`
    refuses.
    """
    model.with_trim(None, trim)  # or ValueError
    trim = checks.share(trim, "trim")
    data = as_dataset(model, x, sample_weight, lengths=lengths)
    if data is x and data.weighted:
        raise ValueError("x was read with weights: give the rows themselves, and sample_weight=")
    if data.layout is not None:
        return _of_sequences(data, params, trim)
    density = log_density(data, model.as_params(params, data.rows))
    weight = checks.weights(sample_weight, len(density))
    weight = jnp.ones_like(density) if weight is None else checks.cast(weight, density.dtype)
    kept = _kept(density, weight, checks.cast(trim, density.dtype))
    return framed(data, kept, "trimmed_weight")


_kept = jax.jit(trimming.kept)


def _of_sequences(data: Any, params: Params, trim: Any) -> Array:
    """The weight of each, those that are kept in part too."""
    layout, model, rows = data.layout, data.model, data.rows
    like = emissions.like(model, rows)
    prior = model.as_prior(model.with_trim(None, trim), None, like)
    trimming.check_sequences(model, prior, len(layout.lengths))
    params = model.as_params(params, rows)
    weight = _counting(model, params, rows, prior, sizes.block_size(model, rows))
    return jnp.reshape(weight, -1)[layout.offset * layout.shape[1] + layout.lane]


@program("model", "block_size")
def _counting(model: Model, params: Params, rows: Rows, prior: Prior, block_size: int) -> Array:
    return trimming.counting(model, model.prepare(params, None), prior, rows, block_size).weight
