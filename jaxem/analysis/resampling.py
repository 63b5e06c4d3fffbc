"""Data sets like one that is given: its rows drawn again, or new ones from a fitted model.

Every function makes the sets at some of many keys, with a leading axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import filled_rows
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params, Rows
from jaxem.core.dataset import Dataset, with_rows
from jaxem.core.numerics import draw
from jaxem.fitting import frequencies
from jaxem.fitting.effort import program


class Units(NamedTuple):
    """What is drawn as a whole: rows, or sequences.

    odds: (units,), how often each is there; n: how many are drawn; owner: the unit of each step
    of the sequences, -1 in padding, None for rows.
    """

    odds: Array
    n: int
    owner: Array | None


def units(data: Dataset) -> Units:
    """The units of data; ValueError where there is one alone."""
    where, rows = data.layout, data.for_fit
    if where is None:
        total = float(np.sum(np.asarray(rows.weight, np.float64)))
        return Units(rows.weight, max(1, round(total)), None)
    b = len(where.lengths)
    if b == 1:
        raise ValueError(
            "x is one sequence, whose steps depend on each other: there is nothing to draw "
            "again; use parametric=True, or give independent sequences"
        )
    odds = np.asarray(rows.weight)[where.offset, where.lane]
    n = max(1, round(float(odds.sum(dtype=np.float64))))
    odds = np.pad(odds, (0, filled_rows.size(b, b) - b))
    owner = np.full(rows.weight.shape, -1, np.int32)
    owner[: where.shape[0], : where.shape[1]] = where.owner
    return Units(jax.device_put(odds), n, jax.device_put(owner))


def counts(keys: Array, units: Units) -> Array:
    """Weights of rows, or of steps: how often each unit is among n drawn with replacement."""
    most = filled_rows.size(units.n, units.n)
    return _counts(keys, units.odds, units.owner, np.int32(units.n), most)


@program("most")
def _counts(
    keys: Array,
    odds: Float[Array, "*units"],
    owner: Int[Array, "t lanes"] | None,
    n: Int[Array, ""],
    most: int,
) -> Array:
    def one(key: Array) -> Array:
        drawn = draw(key, jnp.reshape(odds, -1), (most,))
        real = (jnp.arange(most, dtype=jnp.int32) < n).astype(odds.dtype)
        count = jnp.zeros(odds.size, odds.dtype).at[drawn].add(real)
        if owner is None:
            return jnp.reshape(count, odds.shape)
        return jnp.where(owner >= 0, count[owner], 0)

    return jax.vmap(one)(keys)


def individuals(data: Dataset) -> Dataset:
    """One row per observation, where a weight says that a row stands for several.

    Weights that are no whole numbers are rounded so that their sum is kept to 1/2.
    """
    rows = data.rows
    if data.weighted:
        frequencies.check(data)
    weight = np.asarray(rows.weight, np.float64)
    if np.isin(weight, (0, 1)).all():
        return data
    if data.layout is not None:
        raise ValueError(
            "sample_weight has other numbers than 0 and 1; for a parametric bootstrap give each "
            "sequence as often as its weight says"
        )
    often = np.diff(np.round(np.cumsum(weight)), prepend=0).astype(int)
    index = np.repeat(np.arange(len(weight)), often)
    often = jax.tree.map(lambda leaf: leaf[index], rows)
    return with_rows(data, often._replace(weight=jnp.ones_like(often.weight), labels=None))


@program("model", often=True)
def simulated(model: Model, params: Params, rows: Rows, keys: Array) -> Rows:
    """Rows drawn from the model in the place of these."""
    return jax.vmap(lambda key: latent.resample_like(model, key, params, rows))(keys)
