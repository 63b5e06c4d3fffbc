"""Trimmed likelihood: the least likely rows, or sequences, do not count.

    sum_n v[n] log p(x[n]),   0 <= v <= weight,   sum_n v[n] = (1 - trim) sum_n weight[n]

is maximised over the parameters and over which rows those are (Neykov, Filzmoser, Dimova and
Neytchev 2007; García-Escudero, Gordaliza, Matrán and Mayo-Iscar 2008 for groups). Of given
parameters the best v keeps the likeliest rows, and an EM step on them raises the sum: neither step
lowers it. The row at the border counts in part, so that weights are frequencies here too.

Of a chain the independent units are whole sequences s, of T[s] steps: a step left out would tear
one. The same sum, of log p(x[s]) under weights that add up to a share of the steps, is largest for
the sequences with the largest mean over their steps, log p(x[s]) / T[s] (Dantzig 1957, on knapsacks
filled with parts of things): a long sequence is not out for being long.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Prepared, Prior, Rows
from jaxem.core.numerics import safe_divide
from jaxem.core.rows import informative_weight
from jaxem.fitting.blocks import accumulate, map_rows, with_stable_fallback


def sums(
    model: Model, prepared: Prepared, prior: Prior | None, rows: Rows, block_size: int
) -> tuple[Any, Array]:
    """The E-step over the rows that count: all, where none are trimmed."""
    own = counting(model, prepared, prior, rows, block_size)
    return accumulate(model, prepared, own, block_size)


def counting(
    model: Model, prepared: Prepared, prior: Prior | None, rows: Rows, block_size: int
) -> Rows:
    """The rows, with the weight that each counts with."""
    trim = model.trim(prior)
    if trim is None:
        return rows

    def by(prepared: Prepared, size: int) -> Float[Array, "*n"]:
        return map_rows(lambda block: latent.log_density(model, prepared, block), rows, size)

    density = with_stable_fallback(model, prepared, by, rows, block_size)
    if rows.first is None:
        return rows._replace(weight=kept(density, rows.weight, trim))
    return rows._replace(weight=kept_sequences(density, rows, trim))


def kept(
    density: Float[Array, "*n"], weight: Float[Array, "*n"], trim: Float[Array, ""]
) -> Float[Array, "*n"]:
    """The weights, less those of the least likely rows, which add up to `trim` of all."""
    own = jnp.ravel(weight)
    order = jnp.argsort(jnp.where(own > 0, jnp.ravel(density), -jnp.inf))
    rising = own[order]
    reached = jnp.cumsum(rising)
    left = jnp.clip(reached - trim * reached[-1], 0, rising)
    return jnp.reshape(jnp.zeros_like(own).at[order].set(left, unique_indices=True), weight.shape)


def kept_sequences(
    density: Float[Array, "t b"], rows: Rows, trim: Float[Array, ""]
) -> Float[Array, "t b"]:
    """The weights of the steps, those of a sequence in one proportion. density: of each step given
    those before it."""
    known = informative_weight(rows)
    first: Any = rows.first
    owner = jnp.cumsum(jnp.ravel(first.T).astype(jnp.int32)) - 1  # of the steps, lane after lane

    def of_each(steps: Float[Array, "t b"]) -> Float[Array, " s"]:
        return jax.ops.segment_sum(jnp.ravel(steps.T), owner, owner.size, indices_are_sorted=True)

    weight = of_each(known)
    total = of_each(jnp.where(known > 0, known * density, 0))
    left = kept(safe_divide(total, weight), weight, trim)
    part = jnp.where(weight > 0, safe_divide(left, weight), 1)[owner]
    return rows.weight * jnp.reshape(part, rows.weight.T.shape).T


def check_sequences(model: Model, prior: Prior | None, n_sequences: int) -> None:
    """ValueError for one sequence, of which nothing can be left out."""
    if n_sequences < 2 and model.trim(prior) is not None:
        raise ValueError(
            "trim leaves whole sequences out, the least likely ones, and there is one: its steps "
            "depend on each other; cut it where it may be cut, or take emissions with heavy tails, "
            "such as families.StudentT"
        )


def refuse(model: Model, prior: Prior | None, what: str) -> None:
    """ValueError where rows are to be trimmed that are never seen together."""
    if model.trim(prior) is not None:
        raise ValueError(
            f"trim leaves out the least likely of all rows, which {what} never has together: an "
            "iteration would read them twice, for the border and for the sums; fit a sample that "
            "fits into memory, or take a family with heavy tails"
        )
