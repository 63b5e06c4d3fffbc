"""Data sets like one that is given: its rows drawn again, or new ones from a fitted model.

Every function makes the sets at some of many keys, with a leading axis.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import checks
from jaxem.core.contracts import Model, Params, Rows, SortedRows
from jaxem.core.numerics import draw
from jaxem.fitting import frequencies


class Units(NamedTuple):
    """What is drawn as a whole: rows, or sequences.

    odds: (units,), how often each is there; n: how many are drawn; owner: the unit of each step
    of the sequences, -1 in padding, None for rows.
    """

    odds: Array
    n: int
    owner: Array | None


def units(model: Model, x: Any, sample_weight: Any, lengths: Any, rows: Rows) -> Units:
    """The units of data that is checked; ValueError where there is one alone."""
    where = model.layout(x, lengths)
    if where is None:
        total = float(np.sum(np.asarray(rows.weight, np.float64)))
        return Units(rows.weight, max(1, round(total)), None)
    b = len(where.lengths)
    if b == 1:
        raise ValueError(
            "x is one sequence, whose steps depend on each other: there is nothing to draw "
            "again; use parametric=True, or give independent sequences"
        )
    odds = _odds(sample_weight, b)
    owner = where.owner.astype(np.int32)
    dtype = rows.weight.dtype
    return Units(checks.cast(odds, dtype), max(1, round(float(odds.sum()))), jax.device_put(owner))


def _odds(sample_weight: Any, b: int) -> np.ndarray:
    weight = checks.weights(sample_weight, b)
    return np.ones(b) if weight is None else np.asarray(weight, np.float64)


@partial(jax.jit, static_argnames="n")
def counts(
    keys: Array, odds: Float[Array, " units"], owner: Int[Array, "lanes t"] | None, n: int
) -> Array:
    """Weights of rows, or of steps: how often each unit is among n drawn with replacement."""

    def one(key: Array) -> Array:
        drawn = draw(key, odds, (n,))
        count = jnp.zeros_like(odds).at[drawn].add(1)
        return count if owner is None else jnp.where(owner >= 0, count[owner], 0)

    return jax.vmap(one)(keys)


def individuals(model: Model, x: Any, sample_weight: Any, lengths: Any) -> SortedRows:
    """One row per observation, where a weight says that a row stands for several.

    Weights that are no whole numbers are rounded so that their sum is kept to 1/2.
    """
    rows = model.rows(x, sample_weight, None, lengths)
    if sample_weight is not None:
        frequencies.check(model, rows)
    weight = np.asarray(rows.weight, np.float64)
    if np.isin(weight, (0, 1)).all():
        return model.sorted_for_fit(rows)
    if model.layout(x, lengths) is not None:
        raise ValueError(
            "sample_weight has other numbers than 0 and 1; for a parametric bootstrap give each "
            "sequence as often as its weight says"
        )
    often = np.diff(np.round(np.cumsum(weight)), prepend=0).astype(int)
    index = np.repeat(np.arange(len(weight)), often)
    x = jax.tree.map(lambda leaf: leaf[index], rows.x)
    return model.sorted_for_fit(Rows(x, checks.cast(np.ones(len(index)), rows.weight.dtype), None))


@partial(jax.jit, static_argnames="model")
def simulated(model: Model, params: Params, rows: Rows, keys: Array) -> Rows:
    """Rows drawn from the model in the place of these."""
    return jax.vmap(lambda key: model.resample_like(key, params, rows))(keys)
