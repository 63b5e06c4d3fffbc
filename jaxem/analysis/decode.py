"""The most likely path through the states of a hidden Markov model."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxem.core.contracts import Params, Prepared, Rows
from jaxem.fitting.blocks import by_either, default_block_size, map_rows
from jaxem.inference import viterbi as inference
from jaxem.models import HMM


def viterbi(model: HMM, params: Params, x: Any, lengths: Any = None) -> tuple[Any, Array]:
    """argmax_z p(z, x) and its logarithm, of each sequence (Viterbi 1967).

    -> (the states (t,), or arranged as the sequences are; log p(z, x), (b,) or a number for one).
    Errors: ValueError for a model without a chain, and when x and params disagree.
    """
    if not isinstance(model, HMM):
        raise ValueError(f"model is {model!r}; a path is of an HMM: predict tells components")
    rows = model.rows(x, None, None, lengths)
    block = min(default_block_size(model, rows), rows.weight.shape[0])
    path, terms = _viterbi(model, model.as_params(params, rows), rows, block)
    where = model.layout(x, lengths)
    return where.arrange(path), where.sums(jnp.where(rows.weight > 0, terms, 0))


@partial(jax.jit, static_argnames=("model", "block_size"))
def _viterbi(model: HMM, params: Params, rows: Rows, block_size: int) -> tuple[Array, Array]:
    """-> (states, terms of the log joint probability), (lanes, t)."""

    def by(prepared: Prepared) -> tuple[Array, Array]:
        def of_block(block: Rows) -> tuple[Array, Array]:
            _, logs, _ = model.log_likelihoods(prepared, block)
            return inference.viterbi(prepared.chain, logs, block.x.first.T)

        return map_rows(of_block, rows, block_size)

    path, terms = by_either(model, model.prepare(params, None), by)
    return path.T, terms.T
