"""Counts: independent Poisson columns, of a common exposure where one is given.

log p(x; rate) = sum_j x[j] log(rate[j] e) - rate[j] e - log x[j]!,    rate = sum r x / sum r e

From a pivot q, in the saddle-point form of `log_poisson`, the terms of large counts are small:

log p(x; rate) = log p(x; q) + x log(rate / q) - e (rate - q)
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement, tables
from jaxem.core.capabilities import holes
from jaxem.core.constraints import NonNegative
from jaxem.core.parameters import tree
from jaxem.core.special import log_poisson
from jaxem.families.exponential_family import check_mode
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily, largest, relative


class PoissonParams(NamedTuple):
    """rates (k, d), per unit of exposure."""

    rates: Array


class PoissonPrior(NamedTuple):
    """Gamma(shape, rate) on the rates: shape - 1 events seen before in `rate` of exposure."""

    shape: Any = 1.0
    rate: Any = 0.0


@dataclass(frozen=True)
class Poisson(PivotFamily):
    """Columns of counts, (n, d); NaN is a missing cell.

    log p(x; rate) = sum_j x[j] log(rate[j] e) - rate[j] e - log x[j]!

    exposure: whether the data is (counts, exposure), with one exposure e (n,) a row; else e is 1.
    Errors: ValueError for what is no whole number from 0, and for exposures that are not above 0.
    """

    exposure: Any = False

    params_type, prior_type = PoissonParams, PoissonPrior
    constraints = tree(PoissonParams, NonNegative())
    cells_are = "values that are not whole numbers from 0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "exposure", checks.flag(self.exposure, "exposure"))

    def read(self, data: Any) -> Any:
        if not self.exposure:
            return tables.table(data)
        counts, exposure = tables.pair(data, "(counts, exposure)")
        return tables.table(counts, "counts"), tables.column(exposure, "exposure", len(counts))

    def check_imputable(self) -> None:
        if self.exposure:
            raise ValueError(
                "holes of counts with an exposure are not filled; take Poisson() if all are 1"
            )

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        counts, exposure = _parts(x)
        super().check(counts, weight, names)
        if exposure is not None:
            checks.require_cells(
                exposure[:, None], weight, ("exposure",), lambda e: ~((e > 0) & (e < math.inf)),
                "exposures that are missing or not above 0", "drop those rows",
            )  # fmt: skip

    def informative(self, x: Any) -> Any:
        return holes.any_number(_parts(x)[0])

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x >= 0) & placement.is_whole(x)))

    def as_params(self, params: Any, x: Any, k: int) -> PoissonParams:
        return super().as_params(params, _parts(x)[0], k)

    def like_x(self, params: Any) -> Any:
        counts = super().like_x(params)
        return (counts, jax.ShapeDtypeStruct((1,), counts.dtype)) if self.exposure else counts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        """Square roots, whose variances differ little."""
        counts, exposure = _parts(x)
        unit = 1.0 if exposure is None else exposure[:, None]
        return jnp.sqrt(with_column_means(counts) / unit)

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.rates

    def centre(self, x: Any) -> Float[Array, "1 d"]:
        return column_means(*jnp.split(self.features(x, jnp.ones((1, 1))), 2))

    def features(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        counts, exposure = _parts(x)
        known, seen = observed_cells(counts)
        return jnp.concatenate([known, seen if exposure is None else seen * exposure[None]])

    def log_base(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        events, exposure = jnp.split(self.features(x, pivot), 2)
        return jnp.sum(log_poisson(events, exposure * pivot.T), axis=0)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        return relative(params.rates, pivot)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        exposure = _parts(x)[1]
        longest = 1 if exposure is None else jnp.max(exposure)
        return longest * jnp.max(largest(params.rates, pivot))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        return sums

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> PoissonParams:
        events, exposure = jnp.split(sums, 2, axis=1)
        return PoissonParams(ratio(events, exposure, params.rates))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.rates

    def expected(self, params: Any) -> Float[Array, "k f"]:
        """Of a row; with exposures, which have a unit, of one in which an event is expected."""
        rates, one = params.rates, jnp.ones_like(params.rates)
        exposure = ratio(one, rates, one) if self.exposure else one
        return jnp.concatenate([rates * exposure, exposure], axis=1)

    def check_prior(self, prior: PoissonPrior) -> None:
        check_mode(self, prior, prior.shape - 1, prior.rate)

    def earlier_rows(self, prior: PoissonPrior) -> Earlier:
        events, exposure = prior.shape - 1, prior.rate
        rate = events / jnp.where(exposure > 0, exposure, 1)
        pivot = jnp.where((events > 0) & (exposure > 0), rate, 1)
        return Earlier(pivot, jnp.concatenate([events, exposure], axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> PoissonParams:
        return PoissonParams(share[:, None] * params.rates)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Any:
        rates = params.rates[labels]
        counts = jax.random.poisson(key, rates).astype(rates.dtype)
        return (counts, jnp.ones(labels.shape, rates.dtype)) if self.exposure else counts

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        old, exposure = _parts(x)
        rates = params.rates[labels]
        means = rates if exposure is None else rates * exposure[:, None]
        counts = jnp.where(jnp.isnan(old), old, jax.random.poisson(key, means).astype(old.dtype))
        return counts if exposure is None else (counts, exposure)


def _parts(x: Any) -> tuple[Any, Any]:
    return x if isinstance(x, tuple) else (x, None)
