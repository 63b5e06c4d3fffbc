"""Labels of rows by lines through few of them each, for starts of regressions.

Lines that cross are no clusters of rows. A line through p rows, as many as it has coefficients, is
near one of those looked for when all of them lie on it (elemental subsets: Rousseeuw 1984; Hawkins
1993). Lines are taken one after another, of `N_CANDIDATES` the one that explains the rows best
beside those taken before, as the greedy k-means++ takes centres (Arthur and Vassilvitskii 2007).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core.numerics import draw, einsum

N_CANDIDATES = 64


class Lines(NamedTuple):
    """What lines go through: b' u is near z, both from what the rows have in common."""

    u: Float[Array, "p n"]
    z: Float[Array, " n"]
    weight: Float[Array, " n"]


def labels(
    key: Array,
    rows: Lines,
    loss: Callable[[Float[Array, "m n"]], Float[Array, "m n"]],
    odds: Float[Array, "k n"],
) -> Int[Array, " n"]:
    """The line nearest to each row, by the loss of b' u there.

    odds: by which the rows that each line goes through are drawn; one without any is absent.
    """

    def next_line(nearest: Array, of: tuple[Array, Array]) -> tuple[Array, Array]:
        key, odds = of
        b = through(rows, draw(key, odds, (N_CANDIDATES, rows.u.shape[0])))
        losses = loss(einsum("mp,pn->mn", b, rows.u))
        gained = jnp.maximum(nearest[None] - losses, 0)
        own = losses[jnp.argmax(einsum("n,mn->m", rows.weight, gained))]
        own = jnp.where(jnp.sum(odds) > 0, own, jnp.inf)
        return jnp.minimum(nearest, own), own

    alone = loss(jnp.zeros_like(rows.z)[None])[0]
    each = jax.random.split(key, odds.shape[0]), odds
    losses = lax.scan(next_line, alone, each)[1]
    return jnp.argmin(losses, axis=0).astype(jnp.int32)


def through(rows: Lines, index: Int[Array, "m p"]) -> Float[Array, "m p"]:
    """The lines through some rows each; where those leave it open, a short one of them.

    By elimination in the normal equations with a little on their diagonal, of which a start needs
    few digits: LAPACK's kernels cost more for so small systems, and may wait for each other.
    """
    u, z = rows.u[:, index], rows.z[index]
    p = u.shape[0]
    matrix = einsum("pmr,qmr->mpq", u, u)
    ridge = jnp.finfo(z.dtype).eps ** 0.75 * jnp.trace(matrix, axis1=1, axis2=2)
    ridge = jnp.maximum(ridge, jnp.finfo(z.dtype).tiny)
    matrix = matrix + ridge[:, None, None] * jnp.eye(p, dtype=z.dtype)[None]
    system = jnp.concatenate([matrix, einsum("pmr,mr->mp", u, z)[:, :, None]], axis=2)

    def eliminate(j: Array, system: Float[Array, "m p q"]) -> Float[Array, "m p q"]:
        row = system[:, j] / system[:, j, j][:, None]
        rest = system - system[:, :, j][:, :, None] * row[:, None]
        return rest.at[:, j].set(row)

    return lax.fori_loop(0, p, eliminate, system)[:, :, p]
