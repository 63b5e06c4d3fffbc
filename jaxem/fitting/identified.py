"""What a fit does not identify: columns that no row of some component or state has.

    N[k, i, j] = sum_n weight[n] P(k | row n) [columns i and j of row n were observed]

Where N[k, j, j] is about 0 the likelihood does not depend on what column j is like in part k, and
where N[k, i, j] is, not on how i and j vary together there: EM leaves such parameters as the start
made them. Which component a row belongs to is known only after the fit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jaxem.core import emissions, placement
from jaxem.core.contracts import Model, Params, Place, Prepared, Prior, Rows
from jaxem.core.numerics import einsum
from jaxem.core.rows import observed_weight
from jaxem.fitting.blocks import sum_blocks, with_stable_fallback
from jaxem.fitting.effort import program

_SHOWN = 6  # columns, or pairs of them


Names = Sequence[str] | Mapping[str, Sequence[str]] | None


class Counted(NamedTuple):
    """Sums over rows: those of positive weight; the weight of each part, (k,); N in the tree of x,
    (k, c, c)."""

    n: np.ndarray
    counts: np.ndarray
    both: Any


class Open(NamedTuple):
    """counts: rows of each part, (k,); places: what nothing is known of, and in which parts."""

    counts: np.ndarray
    places: dict[Place, tuple[int, ...]]


def left_open(
    model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int
) -> Open:
    """Of concrete values; nothing where the rows have no holes."""
    x = jax.tree.leaves(rows.x) if emissions.may_leave_open(model) else []
    if not x or (rows.shards is None and not any(map(_holed, x))):
        return Open(np.zeros(model.n_components), {})
    return of_counts(model, counted(model, params, rows, block_size), prior)


def counted(model: Model, params: Params, rows: Rows, block_size: int) -> Counted:
    """Of some rows: what is left open by more of them is told by the sum."""
    return jax.device_get(_counts(model, params, rows, block_size))


def added(counts: Sequence[Counted]) -> Counted:
    """The sum over tables, whose trees may tell of holes of their own."""
    leaves = zip(*map(jax.tree.leaves, counts), strict=True)
    return jax.tree.unflatten(jax.tree.structure(counts[0]), map(sum, leaves))


def of_counts(model: Model, found: Counted, prior: Prior | None) -> Open:
    """What is left open by the rows that were counted."""
    unit = np.sum(found.counts) / found.n  # N in rows of mean weight
    counts, both = jax.tree.map(lambda leaf: leaf / unit, (found.counts, found.both))
    return Open(counts, emissions.left_open(model, counts, both, prior))


def remarks(found: Open, rows: Rows, names: Names) -> tuple[str, ...]:
    """The remarks; names: of the columns, or of those of each block."""
    part = "component" if rows.first is None else "state"
    by_parts: dict[tuple[int, ...], list[str]] = {}
    for place, parts in found.places.items():
        by_parts.setdefault(parts, []).append(_called(place, names))
    return tuple(_said(part, parts, whats) for parts, whats in by_parts.items())


def _called(place: Place, names: Names) -> str:
    path, at = place
    of = "".join(f" of block {name!r}" for name in reversed(path))
    own: Sequence[str] | None = None
    if isinstance(names, Mapping):
        own, of = names[path[0]], ""
    elif names is not None and not path:
        own = names
    called = " and ".join(f"column {own[j] if own and j < len(own) else j}" for j in at)
    return f"{'both ' if len(at) > 1 else ''}{called}{of}"


def _said(part: str, parts: Sequence[int], whats: Sequence[str]) -> str:
    more = f" and {len(whats) - _SHOWN} more" if len(whats) > _SHOWN else ""
    where = f"{part}{'s' if len(parts) > 1 else ''} {', '.join(map(str, parts))}"
    return (
        f"no row of {where} has {', '.join(whats[:_SHOWN])}{more}: what it is like there is not "
        "identified, and stays what the start made of it; give a prior, or leave it out"
    )


def _holed(leaf: Array) -> bool:
    """Where it lies, without a program of its own."""
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return floating and any(placement.is_nan(of).any() for of in placement.blocks(leaf))


@program("model", "block_size")
def _counts(model: Model, params: Params, rows: Rows, block_size: int) -> Counted:
    def by(prepared: Prepared, size: int) -> Any:
        def of_block(block: Rows) -> Any:
            _, shares = model.posterior(prepared, block)
            x, weight = block.x, observed_weight(block)
            own = jnp.where(weight[None] > 0, shares * weight[None], 0)
            own = jnp.reshape(own, (own.shape[0], -1))

            def both(leaf: Array) -> Array:
                seen = jnp.reshape(~jnp.isnan(leaf), (own.shape[1], -1)).astype(own.dtype)
                return lax.map(lambda r: einsum("ni,nj->ij", r[:, None] * seen, seen), own)

            return jnp.sum(weight > 0, dtype=own.dtype), jnp.sum(own, axis=1), jax.tree.map(both, x)

        return sum_blocks(of_block, rows, size)

    prepared = model.prepare(params, None)
    return Counted(*with_stable_fallback(model, prepared, by, rows, block_size))
