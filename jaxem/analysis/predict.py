"""What fitted parameters say of rows, new or old: densities, components, samples."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.analysis.in_pieces import in_pieces
from jaxem.core import checks, emissions, names, placement, shards
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.dataset import Dataset, as_dataset
from jaxem.core.framed import framed
from jaxem.core.inputs import waits
from jaxem.fitting import impossible, sizes
from jaxem.fitting.blocks import map_rows, with_stable_fallback
from jaxem.fitting.effort import program
from jaxem.fitting.padded_components import with_absent


@waits
@in_pieces
def log_prob(model: Model, params: Params, x: Any, lengths: Any = None, mesh: Any = None) -> Any:
    """log p(x[n]) of each row, (n,): natural log with every constant.

    For an HMM of each sequence, (b,), or a number for one; lengths: of the sequences of a batch.
    mesh: as `fit` takes it. x may be a source, here and below: of its rows the numbers count alone,
    not the weights and labels that come with them. Of a frame the results are frames and series of
    the same library, here and below, with the index where it is of pandas: "log_density".
    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    data = as_dataset(model, x, lengths=lengths, mesh=mesh)
    values = log_density(data, model.as_params(params, data.rows))
    return values if data.layout is not None else framed(data, values, "log_density")


def log_density(data: Dataset, params: Params) -> Array:
    """`log_prob` of a Dataset and checked parameters, as an array."""
    values = _posterior(data, params, "log_density")
    return values if data.layout is None else data.layout.sums(values)


@waits
@in_pieces
def predict_proba(
    model: Model, params: Params, x: Any, lengths: Any = None, mesh: Any = None
) -> Any:
    """P(component | x[n]), (n, k): w[k] p_k(x[n]) / sum_j w[j] p_j(x[n]); rows sum to 1.

    Of a frame the columns are called by the model's `names`, or component_0, component_1, ...; that
    of noise "noise". NaN in a row whose density is 0 to the dtype under every component. For an HMM
    P(state | the sequence), (t, k), or arranged as the sequences are: `smooth`; ValueError for a
    sequence that is impossible.
    """
    data = as_dataset(model, x, lengths=lengths, mesh=mesh)
    shares = smoothed(data, model.as_params(params, data.rows))
    return framed(data, shares, names.of_parts(model))


def smoothed(data: Dataset, params: Params) -> Any:
    """`predict_proba` of a Dataset and checked parameters."""
    return data.arrange(posterior(data, params))


def posterior(data: Dataset, params: Params) -> Array:
    """The same with the axes of the rows' weight, then that of components."""
    values = _posterior(data, params, "probabilities")
    chain = data.layout is not None and checks.is_concrete(values)
    if chain and not np.all(np.sum(placement.in_place(values), axis=-1) > 0.5):
        impossible.check(data.model, params, data)
    return values


smooth = predict_proba


@waits
@in_pieces
def predict(model: Model, params: Params, x: Any, lengths: Any = None, mesh: Any = None) -> Any:
    """The most probable component of each row, (n,) int32; for an HMM the state of each step.

        labels = jaxem.predict(model, params, frame)  # a series, beside the rows of the frame
        frame.assign(group=labels)  # of pandas

    The states of an HMM are judged one by one: `viterbi` finds the most probable path.
    """
    data = as_dataset(model, x, lengths=lengths, mesh=mesh)
    params = model.as_params(params, data.rows)
    if data.layout is None:
        return framed(data, _posterior(data, params, "component"), model.part)
    found = smoothed(data, params)
    each = [_argmax(of) for of in found] if isinstance(found, list) else _argmax(found)
    return framed(data, each, model.part)


def _argmax(probabilities: Any) -> Array:
    return jnp.argmax(probabilities, axis=-1).astype(jnp.int32)


def likeliest(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    """`predict` for rows that are checked."""
    return _of_rows(model, params, rows, block_size, "component")


@waits
def sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    """n rows drawn from the model, and the component each came from: (x (n, d), labels (n,)).

    z ~ weights,  x ~ p_z; for an HMM one sequence of n steps, and its states.

    key: a `jax.random.key`; the same key gives the same rows.
    Errors: ValueError for n below 1, and for a family that cannot be drawn from.
    """
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
    return emissions.n_free_parameters(model, params, prior)


def _posterior(data: Dataset, params: Params, what: str) -> Array:
    model, rows = data.model, data.filled
    k, concrete = model.n_components, checks.is_concrete(params, rows)
    padded_k = sizes.padded_k(model, rows, search=True) if concrete else k
    padded = model.with_n_components(padded_k)
    if padded != model:
        params = with_absent(padded, params, k)
    found: Any = _of_rows(padded, params, rows, sizes.block_size(padded, rows), what)
    if padded != model and what != "log_density":
        found = _without_absent(shards.gathered(found), padded.n_components, k, what)
    return sizes.beside(rows, data.unfilled(found))


def _without_absent(found: Any, padded_k: int, k: int, what: str) -> Any:
    """Of k components; what is beside them comes after them."""
    found = found if not checks.is_concrete(found) else np.asarray(found)
    if what == "probabilities":
        return found[..., [*range(k), *range(padded_k, found.shape[-1])]]
    return placement.numpy_of(found).where(found < k, found, found - (padded_k - k))


@program("model", "block_size", "what")
def _of_rows(model: Model, params: Params, rows: Rows, block_size: int, what: str) -> Array:
    """One result of the posterior, block by block: no n x k array unless it is asked for.

    The axes of the rows' weight come first, then the components.
    """

    def by(prepared: Prepared, size: int) -> Array:
        def of_block(rows: Rows) -> Array:
            log_density, probabilities = model.posterior(prepared, rows)
            if what == "log_density":
                return log_density
            if model.n_beside:
                rest = 1 - jnp.sum(probabilities, axis=0, keepdims=True)
                probabilities = jnp.concatenate([probabilities, jnp.maximum(rest, 0)])
            if what == "component":
                return jnp.argmax(probabilities, axis=0).astype(jnp.int32)
            return probabilities

        return map_rows(of_block, rows, size)

    found = with_stable_fallback(model, model.prepare(params, None), by, rows, block_size)
    return jnp.moveaxis(found, 0, -1) if what == "probabilities" else found


@program("model", "n")
def _sample(model: Model, params: Params, key: Array, n: int) -> tuple[Any, Array]:
    return model.sample(key, params, n)
