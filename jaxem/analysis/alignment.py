"""Which component of one fit is which of another: labels carry no meaning across fits.

a[i, j] = sum_n weight[n] p(i | x[n]; theta) p(j | x[n]; theta')

is the number of rows that both fits give to i and j, on average over their own doubts. The
assignment that agrees on most rows is found exactly (Kuhn 1955; by shortest augmenting paths,
Jonker and Volgenant 1987).
"""

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

    def of(one: Prepared, other: Prepared) -> Float[Array, "k k"]:
        def of_block(rows: Rows) -> Float[Array, "k k"]:
            weight = rows.weight[None]
            shares = [model.posterior(prepared, rows)[1] for prepared in (one, other)]
            a, b = (jnp.where((weight > 0) & (s == s), s, jnp.zeros_like(s)) for s in shares)
            k = model.n_components
            return einsum("in,jn->ij", (a * weight).reshape(k, -1), b.reshape(k, -1))

        return sum_blocks(of_block, rows, block_size)

    def with_reference(one: Prepared) -> Float[Array, "k k"]:
        return with_stable_fallback(
            model, model.prepare(params, None), lambda other: of(one, other)
        )

    return with_stable_fallback(model, model.prepare(reference, None), with_reference)


def assignments(agreements: np.ndarray) -> np.ndarray:
    """For each matrix (b, k, k) the columns (b, k) that go to its rows, with the largest sum.

    Where the largest numbers of the rows are in columns of their own, they are the best; what is
    left is solved one by one.
    """
    best = np.argmax(agreements, axis=2)
    k = best.shape[1]
    shared = (np.sort(best, axis=1) != np.arange(k)).any(axis=1)
    for i in np.flatnonzero(shared):
        best[i] = assignment(agreements[i])
    return best


def assignment(agreement: np.ndarray) -> np.ndarray:
    """The column of each row, with the largest sum: k shortest augmenting paths of k^2 steps."""
    cost = np.max(agreement) - np.where(np.isfinite(agreement), agreement, 0)
    k = len(cost)
    of_rows, of_columns = np.zeros(k + 1), np.zeros(k + 1)  # the dual prices; place k is a source
    row_of = np.full(k + 1, -1)  # of each column
    for row in range(k):
        row_of[k] = row
        column = k
        shortest, before = np.full(k, np.inf), np.full(k, k)
        done = np.zeros(k + 1, bool)
        while row_of[column] >= 0:
            done[column] = True
            at = row_of[column]
            open_ = ~done[:k]
            reduced = cost[at] - of_rows[at] - of_columns[:k]
            nearer = open_ & (reduced < shortest)
            shortest[nearer], before[nearer] = reduced[nearer], column
            column = int(np.argmin(np.where(open_, shortest, np.inf)))
            step = shortest[column]
            of_rows[row_of[done]] += step
            of_columns[done] -= step
            shortest[open_] -= step
        while column != k:
            row_of[column] = row_of[before[column]]
            column = before[column]
    columns = np.empty(k, int)
    columns[row_of[:k]] = np.arange(k)
    return columns


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
