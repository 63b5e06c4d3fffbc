"""Which part a row is of, and on how many rows two fits agree about it.

a[i, j] = sum_n weight[n] p(i | x[n]; theta) p(j | x[n]; theta')

is the expected number of rows that the two fits give to i and to j; of one fit and itself, how much
its parts overlap.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.numerics import einsum
from jaxem.fitting.blocks import map_rows, sum_blocks, with_stable_fallback
from jaxem.fitting.effort import program


@program("model", "block_size", "noise")
def likeliest(
    model: Model, params: Params, rows: Rows, block_size: int, noise: bool = False
) -> Int[Array, "*rows"]:
    """The likeliest part of each row; noise: with that of noise, k, among them."""

    def by(prepared: Prepared, size: int) -> Array:
        def of_block(rows: Rows) -> Array:
            shares = model.posterior(prepared, rows)[1]
            if noise:
                rest = 1 - jnp.sum(shares, axis=0, keepdims=True)
                shares = jnp.concatenate([shares, rest])
            return jnp.argmax(shares, axis=0).astype(jnp.int32)

        return map_rows(of_block, rows, size)

    return with_stable_fallback(model, model.prepare(params, None), by, rows, block_size)


def agreement(
    model: Model, rows: Rows, reference: Params, params: Params, block_size: int
) -> Float[Array, "k k"]:
    """The rows that `reference` (rows of the matrix) and `params` (its columns) agree on."""

    def of(one: Prepared, other: Prepared, size: int) -> Float[Array, "k k"]:
        def of_block(rows: Rows) -> Float[Array, "k k"]:
            weight = rows.weight[None]
            shares = [model.posterior(prepared, rows)[1] for prepared in (one, other)]
            a, b = (jnp.where((weight > 0) & (s == s), s, jnp.zeros_like(s)) for s in shares)
            k = model.n_components
            return einsum("in,jn->ij", (a * weight).reshape(k, -1), b.reshape(k, -1))

        return sum_blocks(of_block, rows, size)

    def with_reference(one: Prepared, size: int) -> Float[Array, "k k"]:
        of_both = partial(of, one)
        return with_stable_fallback(model, model.prepare(params, None), of_both, rows, size)

    prepared = model.prepare(reference, None)
    return with_stable_fallback(model, prepared, with_reference, rows, block_size)
