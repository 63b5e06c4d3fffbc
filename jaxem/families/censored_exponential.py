"""Waiting times of which some had not ended: independent exponential columns, censored.

log p(x, side; rate) = [side = 0] log rate - rate x,    rate = sum r [side = 0] / sum r x
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core.constraints import NonNegative
from jaxem.core.parameters import tree
from jaxem.families.censoring import Censored
from jaxem.families.exponential import Exponential, ExponentialParams
from jaxem.families.exponential_family import guarded_log
from jaxem.families.independent_columns import observed_cells


@dataclass(frozen=True)
class CensoredExponential(Censored, Exponential):
    """Data (durations, side): 0 for one that ended, 1 for one that went on. Where none of a
    component ended its rate is 0."""

    constraints = tree(ExponentialParams, NonNegative())
    sides = (0, 1)

    def features(self, x: Any) -> Float[Array, "f n"]:
        length, seen = observed_cells(x[0])
        return jnp.concatenate([length, jnp.where(x[1].T == 0, seen, 0)])

    def log_base(self, x: Any) -> Float[Array, " n"]:
        return jnp.zeros_like(x[0][:, 0])

    def natural(self, params: Any) -> Float[Array, "k f"]:
        return jnp.concatenate([-params.rates, guarded_log(params.rates)], axis=1)

    def draw(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        return Exponential.sample(self, key, params, labels)
