"""Waiting times: independent exponential columns.

log p(x; rate) = sum_j log rate[j] - rate[j] x[j],    rate = sum r / sum r x
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import Positive
from jaxem.core.parameters import tree
from jaxem.families.direct_form import DirectFamily
from jaxem.families.independent_columns import observed_cells, ratio, with_column_means


class ExponentialParams(NamedTuple):
    """rates (k, d), the inverses of the means."""

    rates: Array


class ExponentialPrior(NamedTuple):
    """Gamma(shape, rate) on the rates: shape - 1 waits seen before, `rate` long together."""

    shape: Any = 1.0
    rate: Any = 0.0


@dataclass(frozen=True)
class Exponential(DirectFamily):
    """Columns of durations above 0, (n, d); NaN is a missing cell.

    log p(x; rate) = sum_j log rate[j] - rate[j] x[j]

    Errors: ValueError for 0 and less: on zeros alone the likelihood is unbounded.
    """

    params_type, prior_type = ExponentialParams, ExponentialPrior
    constraints = tree(ExponentialParams, Positive())
    cells_are = "values that are not above 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < math.inf)))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x))

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        return jnp.concatenate(observed_cells(x))

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return jnp.zeros(x.shape[0], x.dtype)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        return jnp.concatenate([-params.rates, jnp.log(params.rates)], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> ExponentialParams:
        length, count = jnp.split(sums, 2, axis=1)
        return ExponentialParams(ratio(count, length, params.rates))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return 1 / params.rates

    def expected(self, params: Any) -> Float[Array, "k f"]:
        return jnp.concatenate([1 / params.rates, jnp.ones_like(params.rates)], axis=1)

    def earlier_rows(self, prior: ExponentialPrior) -> Float[Array, "k f"]:
        return jnp.concatenate([prior.rate, prior.shape - 1], axis=1)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        rates = params.rates[labels]
        return jax.random.exponential(key, rates.shape, rates.dtype) / rates
