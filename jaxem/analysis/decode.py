"""What a fitted hidden Markov model says of sequences: their states, paths, and what comes next.

`smooth` is `predict_proba`: P(state | the whole sequence). All take one sequence, a batch or a
list, as `fit` does, and answer arranged in the same way: what is told of each step of a frame is a
frame, or series, of the same library.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.analysis.in_pieces import in_pieces
from jaxem.analysis.predict import smoothed
from jaxem.core import checks, filled_rows, names, placement, text_tables
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.dataset import Dataset, as_dataset
from jaxem.core.framed import framed
from jaxem.core.inputs import waits
from jaxem.core.numerics import einsum
from jaxem.fitting import impossible, sizes
from jaxem.fitting.blocks import map_rows, with_stable_fallback
from jaxem.fitting.effort import program
from jaxem.inference.paths import sample_path
from jaxem.models import HMM, transitions


@waits
@in_pieces
def viterbi(model: Model, params: Params, x: Any, lengths: Any = None) -> tuple[Any, Array]:
    """argmax_z p(z, x) and its logarithm, of each sequence (Viterbi 1967).

    -> (the states (t,), or arranged as the sequences are; log p(z, x), (b,) or a number for one).
    Of a source, here and below, what is told of its steps lies end to end.
    Errors: ValueError for a model without a chain, when x and params disagree, and for a sequence
    that is impossible.
    """
    data, params = _read(model, params, x, lengths)
    path, terms = _by_lanes(data, params, _best_path)
    weight, terms = map(placement.in_place, (data.rows.weight, terms))
    terms = placement.numpy_of(terms).where(weight > 0, terms, 0)
    _check_possible(data, params, terms)
    return framed(data, data.arrange(path), model.part), data.layout.sums(terms)


@waits
@in_pieces
def filter_states(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """P(z[t] | x[..t]), the state of each step given it and those before: (t, k), arranged as x is.

    Errors: as `viterbi`.
    """
    data, params = _read(model, params, x, lengths)
    shares = data.arrange(jnp.exp(jnp.moveaxis(_filtered(data, params), 1, -1)))
    return framed(data, shares, names.of_parts(model))


@waits
@in_pieces
def forecast(model: Model, params: Params, x: Any, n_steps: int = 1, lengths: Any = None) -> Array:
    """P(z[t + h] | x[..t]) for the steps h = 1, 2, ... after the last of each sequence.

    alpha[t] A^h: (n_steps, k) for one sequence, else (b, n_steps, k). The mean of the next
    observation is that of the emissions weighted by it. Errors: as `viterbi`.
    """
    n_steps = checks.whole(n_steps, "n_steps", least=1)
    data, params = _read(model, params, x, lengths)
    where = data.layout
    last = jnp.asarray(where.offset + where.lengths - 1), slice(None), jnp.asarray(where.lane)
    law, found = jnp.exp(_filtered(data, params)[last]), []
    for _ in range(n_steps):
        law = einsum("bi,ij->bj", law, params.transition)
        found.append(law)
    ahead = jnp.stack(found, axis=1)
    return ahead[0] if where.form == "one" else ahead


@waits
def sample_paths(
    model: Model, params: Params, x: Any, *, key: Array, n: int = 1, lengths: Any = None
) -> Any:
    """n paths drawn from P(z | x): (n, t), arranged as x is behind the first axis.

    Where `viterbi` gives the one best path, these show what else is likely. A list has an array
    (n, t) for each of its sequences. Errors: as `viterbi`.
    """
    n = checks.whole(n, "n", least=1)
    checks.key(key)
    data, params = _read(model, params, x, lengths)
    found = data.arrange(jnp.moveaxis(draw_paths(data, params, key, n), 0, -1))
    if isinstance(found, list):
        return [np.moveaxis(own, -1, 0) for own in found]
    return jnp.moveaxis(jnp.asarray(found), -1, 0)


def draw_paths(data: Dataset, params: Params, key: Array, n: int) -> Int[Array, "n t b"]:
    """`sample_paths` of a Dataset."""
    chain = data.model.prepare(params, None).chain
    return _draw(jax.random.split(key, n), chain, data.rows.first, _filtered(data, params))


class Occupancy(NamedTuple):
    """shares: of the steps in each state; stationary: the law that the chain stays in,
    NaN where there is no single one; dwell_times: expected steps of a stay, 1 / (1 - A[k, k])."""

    shares: Array
    stationary: Array
    dwell_times: Array

    def __str__(self) -> str:
        if not checks.is_concrete(self):
            return "a traced occupancy"
        rows = [("state", "share", "stationary", "expected stay (steps)")]
        for i, values in enumerate(zip(*map(np.asarray, self), strict=True)):
            share, law, stay = map(float, values)
            rows.append((str(i), f"{share:.4f}", f"{law:.4f}", f"{stay:.4g}"))
        return "\n".join(text_tables.lines(rows))


@waits
def occupancy(model: Model, params: Params, x: Any, lengths: Any = None) -> Occupancy:
    """How much of the time is spent in each state, in these sequences and in the long run, and how
    long a stay lasts: geometric, with 1 / (1 - A[k, k]) expected steps.

    Errors: as `viterbi`.
    """
    data, params = _read(model, params, x, lengths)
    found = smoothed(data, params)
    parts = found if isinstance(found, list) else [found]
    k = data.model.n_components
    total = sum((jnp.sum(jnp.reshape(part, (-1, k)), axis=0) for part in parts), jnp.zeros(()))
    transition = params.transition
    leave = 1 - jnp.diagonal(transition)
    stays = jnp.where(leave > 0, 1 / jnp.where(leave > 0, leave, jnp.ones_like(leave)), jnp.inf)
    law = transitions.stationary(transition)
    if checks.is_concrete(transition) and transitions.n_closed(np.asarray(transition) > 0) > 1:
        law = jnp.full_like(law, jnp.nan)
    return Occupancy(total / jnp.sum(total), law, stays)


# ---- what they share


def _read(model: Model, params: Params, x: Any, lengths: Any) -> tuple[Dataset, Params]:
    if not isinstance(model, HMM):
        raise ValueError(f"model is {model!r}; states in time are of an HMM: predict_proba tells "
                         "the components of a mixture")  # fmt: skip
    data = as_dataset(model, x, lengths=lengths)
    return data, model.as_params(params, data.rows)


def _filtered(data: Dataset, params: Params) -> Float[Array, "t k b"]:
    """log alpha."""
    terms, alphas = _by_lanes(data, params, _log_filter)
    _check_possible(data, params, terms)
    return jnp.moveaxis(alphas, 0, 1)


def _check_possible(data: Dataset, params: Params, terms: Any) -> None:
    """terms: (t, b), log probabilities of each step given those before."""
    if checks.is_concrete(terms) and not np.all(np.isfinite(terms)):
        impossible.check(data.model, params, data)


def _best_path(model: HMM, prepared: Prepared, rows: Rows) -> Any:
    logs = model.log_likelihoods(prepared, rows)
    return model.through_time(rows).viterbi(prepared.chain, logs, rows.first)


def _log_filter(model: HMM, prepared: Prepared, rows: Rows) -> Any:
    """-> (log c (t, lanes), log alpha (k, t, lanes))."""
    logs = model.log_likelihoods(prepared, rows)
    terms, alphas = model.through_time(rows).log_filter(prepared.chain, logs, rows.first)
    return terms, jnp.moveaxis(alphas, 1, 0)


def _by_lanes(data: Dataset, params: Params, what: Callable[..., Any]) -> Any:
    rows = data.filled
    found = _of_blocks(data.model, params, rows, sizes.block_size(data.model, rows), what)
    own = jax.tree.map(lambda leaf: filled_rows.unfilled(leaf, data.rows, last=True), found)
    return sizes.beside(rows, own)


@program("model", "block_size", "what")
def _of_blocks(
    model: HMM, params: Params, rows: Rows, block_size: int, what: Callable[..., Any]
) -> Any:
    """what(model, prepared, rows) over blocks of lanes, which are the last axis."""

    def by(prepared: Prepared, size: int) -> Any:
        return map_rows(lambda block: what(model, prepared, block), rows, size)

    return with_stable_fallback(model, model.prepare(params, None), by, rows, block_size)


_draw = program()(jax.vmap(sample_path, in_axes=(0, None, None, None)))
