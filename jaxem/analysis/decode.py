"""What a fitted hidden Markov model says of sequences: their states, paths, and what comes next.

`smooth` is `predict_proba`: P(state | the whole sequence). All take one sequence, a batch or a
list, as `fit` does, and answer arranged in the same way.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.analysis.predict import smooth
from jaxem.core import checks, text_tables
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.inputs import waits
from jaxem.core.numerics import einsum
from jaxem.fitting import sizes
from jaxem.fitting.blocks import map_rows, with_stable_fallback
from jaxem.inference import forward_backward
from jaxem.models import HMM, transitions
from jaxem.models.packing import Layout


class HMMQuery(NamedTuple):
    """A checked query: what every verb of this module starts from."""

    model: HMM
    params: Params
    rows: Rows
    where: Layout
    block_size: int


@waits
def viterbi(model: Model, params: Params, x: Any, lengths: Any = None) -> tuple[Any, Array]:
    """argmax_z p(z, x) and its logarithm, of each sequence (Viterbi 1967).

    -> (the states (t,), or arranged as the sequences are; log p(z, x), (b,) or a number for one).
    Errors: ValueError for a model without a chain, when x and params disagree, and for a sequence
    that is impossible.
    """
    read = _read(model, params, x, lengths)
    path, terms = _by_lanes(read, _best_path)
    terms = jnp.where(read.rows.weight > 0, terms.T, 0)
    _check_possible(read, terms)
    return read.where.arrange(path.T), read.where.sums(terms)


@waits
def filter_states(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """P(z[t] | x[..t]), the state of each step given it and those before: (t, k), arranged as x is.

    Errors: as `viterbi`.
    """
    read, alphas = _filtered(model, params, x, lengths)
    return read.where.arrange(jnp.exp(alphas))


@waits
def forecast(model: Model, params: Params, x: Any, n_steps: int = 1, lengths: Any = None) -> Array:
    """P(z[t + h] | x[..t]) for the steps h = 1, 2, ... after the last of each sequence.

    alpha[t] A^h: (n_steps, k) for one sequence, else (b, n_steps, k). The mean of the next
    observation is that of the emissions weighted by it. Errors: as `viterbi`.
    """
    n_steps = checks.whole(n_steps, "n_steps", least=1)
    read, alphas = _filtered(model, params, x, lengths)
    where = read.where
    lanes = jnp.asarray(where.lane), jnp.asarray(where.offset + where.lengths - 1)
    law, found = jnp.exp(alphas[lanes]), []
    for _ in range(n_steps):
        law = einsum("bi,ij->bj", law, read.params.transition)
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
    read, alphas = _filtered(model, params, x, lengths)
    chain = read.model.prepare(read.params, None).chain
    paths = _draw(jax.random.split(key, n), chain, read.rows.x.first.T, jnp.moveaxis(alphas, 0, 2))
    found = read.where.arrange(jnp.moveaxis(paths, 0, 2).swapaxes(0, 1))
    if read.where.form == "list":
        return [np.moveaxis(own, -1, 0) for own in found]
    return jnp.moveaxis(jnp.asarray(found), -1, 0)


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
    read = _read(model, params, x, lengths)
    smoothed = smooth(model, params, x, lengths)
    parts = smoothed if read.where.form == "list" else [smoothed]
    k = read.model.n_states
    total = sum((jnp.sum(jnp.reshape(part, (-1, k)), axis=0) for part in parts), jnp.zeros(()))
    transition = read.params.transition
    leave = 1 - jnp.diagonal(transition)
    stays = jnp.where(leave > 0, 1 / jnp.where(leave > 0, leave, jnp.ones_like(leave)), jnp.inf)
    law = transitions.stationary(transition)
    if checks.is_concrete(transition) and transitions.n_closed(np.asarray(transition) > 0) > 1:
        law = jnp.full_like(law, jnp.nan)
    return Occupancy(total / jnp.sum(total), law, stays)


# ---- what they share


def _read(model: Model, params: Params, x: Any, lengths: Any) -> HMMQuery:
    if not isinstance(model, HMM):
        raise ValueError(f"model is {model!r}; states in time are of an HMM: predict_proba tells "
                         "the components of a mixture")  # fmt: skip
    rows = model.rows(x, None, None, lengths)
    block = sizes.block_size(model, rows)
    return HMMQuery(model, model.as_params(params, rows), rows, model.layout(x, lengths), block)


def _filtered(model: Model, params: Params, x: Any, lengths: Any) -> tuple[HMMQuery, Array]:
    """-> (what was read; log alpha (lanes, t, k))."""
    read = _read(model, params, x, lengths)
    terms, alphas = _by_lanes(read, _log_filter)
    _check_possible(read, terms.T)
    return read, jnp.moveaxis(alphas, -1, 0)


def _check_possible(read: HMMQuery, terms: Array) -> None:
    """terms: (lanes, t), log probabilities of each step given those before."""
    if checks.is_concrete(terms) and not np.all(np.isfinite(terms)):
        read.model.check_possible(read.params, read.rows, read.where)


def _best_path(model: HMM, prepared: Prepared, rows: Rows) -> Any:
    _, logs, _ = model.log_likelihoods(prepared, rows)
    return model.backend.viterbi(prepared.chain, logs, rows.x.first.T)


def _log_filter(model: HMM, prepared: Prepared, rows: Rows) -> Any:
    """-> (log c (t, lanes), log alpha (t, k, lanes))."""
    _, logs, _ = model.log_likelihoods(prepared, rows)
    return model.backend.log_filter(prepared.chain, logs, rows.x.first.T)


def _by_lanes(read: HMMQuery, what: Callable[..., Any]) -> Any:
    return _of_blocks(read.model, read.params, read.rows, read.block_size, what)


@partial(jax.jit, static_argnames=("model", "block_size", "what"))
def _of_blocks(
    model: HMM, params: Params, rows: Rows, block_size: int, what: Callable[..., Any]
) -> Any:
    """what(model, prepared, rows) over blocks of lanes, which are the last axis."""

    def by(prepared: Prepared) -> Any:
        return map_rows(lambda block: what(model, prepared, block), rows, block_size)

    return with_stable_fallback(model, model.prepare(params, None), by)


_draw = jax.jit(jax.vmap(forward_backward.sample_path, in_axes=(0, None, None, None)))
