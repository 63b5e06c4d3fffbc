"""Sequences that parameters rule out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import emissions
from jaxem.core.capabilities import latent
from jaxem.core.contracts import Model, Params
from jaxem.core.dataset import Dataset


def check(model: Model, params: Params, data: Dataset) -> None:
    """Host side: ValueError that names the first step with a density of 0, where there is one."""
    if data.layout is None:
        return
    prepared, rows = model.prepare(jax.tree.map(jnp.asarray, params), None), data.rows
    terms = np.asarray(latent.log_density(model, prepared, rows))
    bad = ~np.isfinite(terms) & (np.asarray(rows.weight) > 0)
    where = data.layout
    for i, (lane, start, n) in enumerate(zip(where.lane, where.offset, where.lengths, strict=True)):
        steps = np.flatnonzero(bad[start : start + n, lane])
        if len(steps):
            never = _never(model, prepared, data, int(start + steps[0]), int(lane))
            states = "every state" if never else "every state that the chain can be in by then"
            raise ValueError(
                f"step {steps[0]} of sequence {i} is impossible: under these parameters its "
                f"density is 0 in {states}; look at it, or give other parameters (a prior keeps "
                "probabilities and rates from 0)"
            )


def _never(model: Model, prepared: Any, data: Dataset, step: int, lane: int) -> bool:
    """Whether no state has the numbers of the step."""
    x = emissions.family_rows(model, data.rows)
    logs = model.family.evaluate(model.of_family(prepared), x)[0]
    return not np.isfinite(np.asarray(logs)[:, step * data.rows.weight.shape[1] + lane]).any()
