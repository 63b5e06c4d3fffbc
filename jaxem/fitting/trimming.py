"""Trimmed likelihood: the least likely rows do not count.

    sum_n v[n] log p(x[n]),   0 <= v <= weight,   sum_n v[n] = (1 - trim) sum_n weight[n]

is maximised over the parameters and over which rows those are (Neykov, Filzmoser, Dimova and
Neytchev 2007; García-Escudero, Gordaliza, Matrán and Mayo-Iscar 2008 for groups). Of given
parameters the best v keeps the likeliest rows, and an EM step on them raises the sum: neither step
lowers it. The row at the border counts in part, so that weights are frequencies here too.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Prepared, Prior, Rows
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
    return rows._replace(weight=kept(density, rows.weight, trim))


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


def refuse(model: Model, prior: Prior | None, what: str) -> None:
    """ValueError where rows are to be trimmed that are never seen together."""
    if model.trim(prior) is not None:
        raise ValueError(
            f"trim leaves out the least likely of all rows, which {what} never has together; fit "
            "a sample that fits into memory, or take a family with heavy tails"
        )
