"""Which component of one fit is which of another: labels carry no meaning across fits.

a[i, j] = sum_n weight[n] p(i | x[n]; theta) p(j | x[n]; theta')

is the expected number of rows that the two fits give to i and to j. The assignment that agrees on
most rows is found exactly (Kuhn 1955), by scipy.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxem.core import parameters
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.numerics import einsum
from jaxem.fitting.blocks import sum_blocks, with_stable_fallback


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


def assignments(agreements: np.ndarray) -> np.ndarray:
    """For each matrix (b, k, k) the columns (b, k) that go to its rows, with the largest sum."""
    from scipy.optimize import linear_sum_assignment  # takes a while: not at the start

    finite = np.where(np.isfinite(agreements), agreements, 0)
    return np.array([linear_sum_assignment(one, maximize=True)[1] for one in finite])


def aligned(model: Model, params: Params, order: np.ndarray) -> Params:
    """Parameters (b, ...) with the parts of each at its own order (b, k). On the host."""
    host = jax.device_get(params)
    moved = np.flatnonzero((order != np.arange(order.shape[1])).any(axis=1))
    if not len(moved):
        return host
    out = jax.tree.map(np.array, host)
    for i in moved:
        own = jax.tree.map(lambda leaf: leaf[i], host)  # noqa: B023
        own = parameters.take(model.constraints, own, order[i])
        for leaf, part in zip(jax.tree.leaves(out), jax.tree.leaves(own), strict=True):
            leaf[i] = part
    return out
