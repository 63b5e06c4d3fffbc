"""What fitted parameters say of rows, new or old: densities, components, samples."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.inputs import waits
from jaxem.fitting import sizes
from jaxem.fitting.blocks import map_rows, with_stable_fallback


@waits
def log_prob(model: Model, params: Params, x: Any, lengths: Any = None) -> Array:
    """log p(x[n]) of each row, (n,): natural log with every constant.

    For an HMM of each sequence, (b,), or a number for one; lengths: of the sequences of a batch.
    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    values = _posterior(model, *_checked(model, params, x, lengths), "log_density")
    where = model.layout(x, lengths)
    return values if where is None else where.sums(values)


@waits
def predict_proba(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """P(component | x[n]), (n, k): w[k] p_k(x[n]) / sum_j w[j] p_j(x[n]); rows sum to 1.

    NaN in a row whose density is 0 to the dtype under every component. For an HMM P(state | the
    sequence), (t, k), or arranged as the sequences are: `smooth`; ValueError for a sequence that is
    impossible.
    """
    params, rows, block = _checked(model, params, x, lengths)
    values = _posterior(model, params, rows, block, "probabilities")
    where = model.layout(x, lengths)
    if where is None:
        return values
    if checks.is_concrete(values) and not np.all(np.sum(values, axis=-1) > 0.5):
        model.check_possible(params, rows, where)
    return where.arrange(values)


smooth = predict_proba


@waits
def predict(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """The most probable component of each row, (n,) int32; for an HMM the state of each step.

    The states of an HMM are judged one by one: `viterbi` finds the most probable path.
    """
    if model.layout(x, lengths) is None:
        return likeliest(model, *_checked(model, params, x, lengths))
    smoothed = predict_proba(model, params, x, lengths)
    if isinstance(smoothed, list):
        return [_argmax(of) for of in smoothed]
    return _argmax(smoothed)


def _argmax(probabilities: Any) -> Array:
    return jnp.argmax(probabilities, axis=-1).astype(jnp.int32)


def likeliest(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    """`predict` for rows that are checked."""
    return _posterior(model, params, rows, block_size, "component")


@waits
def sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    """n rows drawn from the model, and the component each came from: (x (n, d), labels (n,))."""
    n = checks.whole(n, "n", least=1)
    checks.key(key)
    return _sample(model, model.as_params(params, None), key, n)


@waits
def n_free_parameters(model: Model, params: Params, fixed: Any = None) -> Array:
    """Free parameters, as AIC and BIC count them; components of zero weight have none.

    fixed: those that were known, as `fit` takes them.
    """
    params = model.as_params(params, None)
    prior = (
        None
        if fixed is None
        else model.as_prior(None, None, emissions.like_x(model, params), fixed)
    )
    return model.n_free_parameters(params, prior)


def _checked(model: Model, params: Params, x: Any, lengths: Any = None) -> tuple[Params, Rows, int]:
    rows = model.rows(x, None, None, lengths)
    block = sizes.block_size(model, rows)
    return model.as_params(params, rows), rows, block


@partial(jax.jit, static_argnames=("model", "block_size", "what"))
def _posterior(model: Model, params: Params, rows: Rows, block_size: int, what: str) -> Array:
    """One result of the posterior, block by block: no n x k array unless it is asked for.

    Rows first, then their steps where they are sequences, then the components.
    """

    def by(prepared: Prepared) -> Array:
        def of_block(rows: Rows) -> Array:
            log_density, probabilities = model.posterior(prepared, rows)
            if what == "log_density":
                return log_density
            if what == "component":
                return jnp.argmax(probabilities, axis=0).astype(jnp.int32)
            return probabilities

        return map_rows(of_block, rows, block_size)

    return jnp.transpose(with_stable_fallback(model, model.prepare(params, None), by))


@partial(jax.jit, static_argnames=("model", "n"))
def _sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    return model.sample(key, params, n)
