"""What fitted parameters say of rows, new or old: densities, components, samples."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxem.core import checks
from jaxem.core.contracts import Model, Params, Rows
from jaxem.fitting.blocks import default_block_size, map_rows


def log_prob(model: Model, params: Params, x: Any) -> Array:
    """log p(x[n]) of each row, (n,): natural log with every constant.

    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    rows, params, block = _rows(model, params, x)
    return _posterior(model, params, rows, block)[0]


def predict_proba(model: Model, params: Params, x: Any) -> Array:
    """P(component | x[n]), (n, k): w[k] p_k(x[n]) / sum_j w[j] p_j(x[n]); rows sum to 1."""
    rows, params, block = _rows(model, params, x)
    return _posterior(model, params, rows, block)[1].T


def predict(model: Model, params: Params, x: Any) -> Array:
    """The most probable component of each row, (n,) int32."""
    return jnp.argmax(predict_proba(model, params, x), axis=1).astype(jnp.int32)


def sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    """n rows drawn from the model, and the component each came from: (x (n, d), labels (n,))."""
    n = checks.whole(n, "n", least=1)
    params = jax.tree.map(jnp.asarray, params)
    return _sample(model, params, key, n)


def n_free_parameters(model: Model, params: Params) -> Array:
    """Free parameters, as AIC and BIC count them; components of zero weight have none."""
    return model.n_free_parameters(jax.tree.map(jnp.asarray, params))


def _rows(model: Model, params: Params, x: Any) -> tuple[Rows, Params, int]:
    rows = model.rows(x, None, None)
    model.check_params(params, rows)
    params = jax.tree.map(lambda leaf: checks.cast(leaf, rows.weight.dtype), params)
    block = min(default_block_size(rows, model.n_parts), rows.weight.shape[0])
    return rows, params, block


@partial(jax.jit, static_argnames=("model", "block_size"))
def _posterior(model: Model, params: Params, rows: Rows, block_size: int) -> tuple[Array, Array]:
    prepared = model.prepare(params, None)
    return map_rows(partial(model.posterior, prepared), rows, block_size)


@partial(jax.jit, static_argnames=("model", "n"))
def _sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    return model.sample(key, params, n)
