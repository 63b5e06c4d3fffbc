"""Numbers that are seen between limits alone: independent normal columns, truncated.

log p(x; m, s) = -1/2 log 2 pi - log s - z^2 / 2 - log(Phi(b) - Phi(a)),    z = (x - m) / s

with a and b the limits in the place of x (Johnson, Kotz and Balakrishnan 1994, section 13.10.1).
How many rows are never seen, and what they are, is hidden: see `normal_columns.py`. The sums of
number - m and of its square are all that the rows tell, so that an M-step takes several such steps.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement
from jaxem.core.constraints import Positive, Real
from jaxem.core.parameters import tree
from jaxem.families.normal_columns import NormalColumns
from jaxem.inference import truncated_normal
from jaxem.inference.truncated_normal import standardized

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class TruncatedNormalParams(NamedTuple):
    """means (k, d) and scales (k, d), standard deviations, as if there were no limits."""

    means: Array
    scales: Array


@dataclass(frozen=True)
class TruncatedNormal(NormalColumns):
    """Columns of numbers from `low` to `high`, outside of which no row is seen.

    log p(x; m, s) = log N(x; m, s^2) - log(Phi((high - m) / s) - Phi((low - m) / s))

    low, high: numbers, one of which may be infinite. NaN is a missing cell. Where rows are spread
    as evenly as a uniform or an exponential distribution is, m and s grow until the likelihood
    gains nothing more: their size then means nothing.
    Errors: ValueError for cells beyond the limits, and for limits that are none.
    """

    low: Any = 0.0
    high: Any = math.inf

    params_type = TruncatedNormalParams
    constraints = tree(TruncatedNormalParams, Real(), Positive())
    cells_are = "values beyond the limits"
    n_steps: ClassVar[int] = 25

    def __post_init__(self) -> None:
        low, high = checks.limits(self.low, self.high)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def limits(self) -> tuple[float, float]:
        return self.low, self.high

    def wrong(self, x: Any) -> Any:
        beyond = ~((x >= self.low) & (x <= self.high)) | placement.is_infinite(x)
        return beyond & ~placement.is_nan(x)

    def cells(self, params: Any, x: Any) -> Float[Array, "k d n"]:
        m, s = params
        normaliser = jnp.log(s) + _HALF_LOG_2_PI + self.seen(params).log_mass
        return -0.5 * ((x - m) / s) ** 2 - normaliser

    def terms(self, params: Any, x: Any) -> list[Float[Array, "k d n"]]:
        """1, number - m, and its square."""
        away = x - params.means
        return [jnp.ones_like(away), away, away**2]

    def rough(self, x: Any, share: Float[Array, "d n"]) -> TruncatedNormalParams:
        """As if there were no limits."""
        return self.moments_of(x, share)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.means + params.scales * self.seen(params).first

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, s = (leaf[labels] for leaf in params)
        a, b = (standardized(jnp.full_like(m, limit), m, s) for limit in self.limits)
        return jnp.clip(m + s * truncated_normal.draw(key, a, b), self.low, self.high)
