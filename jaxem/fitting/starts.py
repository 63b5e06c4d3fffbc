"""Where the starts begin: which method each uses, and the rows it looks at."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.numerics import draw
from jaxem.inference.kmeans import ROWS, SPHERED, STANDARDISED

# No single rule finds the best optimum everywhere: the portfolio cycles through three.
METHODS = {
    "portfolio": (STANDARDISED, SPHERED, ROWS),
    "k-means++": (STANDARDISED,),
    "random_from_data": (ROWS,),
}
SAMPLE = 8192  # rows one start looks at


def methods(init: str, n_starts: int) -> np.ndarray:
    """The method code of each start."""
    cycle = METHODS[init]
    return np.resize(np.array(cycle, np.int32), n_starts)


def survey(model: Model, rows: Rows) -> Any:
    """What the starts share where they all look at all rows; else each has a sample of its own."""
    return None if rows.weight.shape[0] > SAMPLE else model.survey(rows)


def start(
    model: Model,
    key: Array,
    rows: Rows,
    survey: Any,
    method: Int[Array, ""],
    n_live: Int[Array, ""],
    prior: Prior | None,
) -> Params:
    """Starting parameters from all rows of a small table, else from a sample."""
    if survey is None:
        key_sample, key = jax.random.split(key)
        rows = sample(key_sample, rows)
        survey = model.survey(rows)
    return model.start(key, rows, survey, method, n_live, prior)


def sample(key: Array, rows: Rows) -> Rows:
    """SAMPLE rows drawn by weight with replacement, half of them labelled where labels are."""
    odds = jnp.sum(rows.weight, axis=tuple(range(1, rows.weight.ndim)))
    if rows.labels is not None:
        odds = _balanced(odds, rows.labels >= 0)
    index = draw(key, odds, (SAMPLE,))
    chosen: Any = jax.tree.map(lambda leaf: leaf[index], rows)
    return chosen._replace(weight=jnp.ones_like(chosen.weight))


def _balanced(odds: Array, labelled: Array) -> Array:
    """Odds under which labelled rows, where there are any, come up half of the time."""
    zero = jnp.zeros_like(odds)
    known = jnp.sum(jnp.where(labelled, odds, zero))
    unknown = jnp.sum(jnp.where(labelled, zero, odds))
    ratio = jnp.where((known > 0) & (unknown > 0), unknown / jnp.maximum(known, 1e-30), 1)
    return jnp.where(labelled, odds * jnp.maximum(ratio, 1), odds)
