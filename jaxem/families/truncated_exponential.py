"""Numbers between two limits, the likelier the nearer to one: truncated exponential columns.

log p(x; r) = log(t / (1 - exp(-t))) - log(high - low) - t u,    u = (x - low) / (high - low),
t = r (high - low);    mean u = 1 / t - 1 / (exp(t) - 1)

(Johnson, Kotz and Balakrishnan 1994, section 19.9). A rate below 0 is of numbers that are the
likelier the nearer to `high`: with |t| for t the same holds of 1 - u.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement
from jaxem.core.constraints import Real
from jaxem.core.parameters import tree
from jaxem.core.special import exp_excess
from jaxem.families.direct_form import DirectFamily
from jaxem.families.independent_columns import ratio

_N_HALVINGS = 40
_NEAR = 1.0  # up to there the difference of two reciprocals cancels


class TruncatedExponentialParams(NamedTuple):
    """rates (k, d), of any sign; 0 is a uniform distribution."""

    rates: Array


class TruncatedExponentialPrior(NamedTuple):
    """`rows` rows seen before, of that mean, which is between the limits."""

    rows: Any = 0.0
    mean: Any = 0.0


@dataclass(frozen=True)
class TruncatedExponential(DirectFamily):
    """Columns of numbers between `low` and `high`.

    p(x; rate) proportional to exp(-rate x), low <= x <= high

    low, high: finite numbers. NaN is a missing cell. Without an upper limit it is `Exponential`, of
    x - low. Errors: ValueError for cells beyond the limits, and for limits that are none.
    """

    low: Any = 0.0
    high: Any = 1.0

    params_type, prior_type = TruncatedExponentialParams, TruncatedExponentialPrior
    constraints = tree(TruncatedExponentialParams, Real())
    cells_are = "values beyond the limits"

    def __post_init__(self) -> None:
        low, high = checks.limits(self.low, self.high)
        if math.isinf(low) or math.isinf(high):
            raise ValueError(
                f"low is {low:g} and high {high:g}; give finite limits, or take families."
                "Exponential, of x - low"
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def width(self) -> float:
        return self.high - self.low

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x >= self.low) & (x <= self.high)))

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        """u, 1 - u and 1."""
        seen = ~jnp.isnan(x.T)
        below, above = (x.T - self.low) / self.width, (self.high - x.T) / self.width
        return jnp.concatenate(
            [jnp.where(seen, of, 0) for of in (below, above, jnp.ones_like(below))]
        )

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return -math.log(self.width) * jnp.sum(~jnp.isnan(x), axis=1, dtype=x.dtype)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        t = params.rates * self.width
        return jnp.concatenate(
            [-jnp.maximum(t, 0), jnp.minimum(t, 0), -_log_mean(jnp.abs(t))], axis=1
        )

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> TruncatedExponentialParams:
        below, above, count = jnp.split(sums, 3, axis=1)
        mean = ratio(jnp.minimum(below, above), count, jnp.full_like(count, 0.5))
        t = solve_mean(mean) / self.width
        rates = jnp.where(below < above, t, -t)
        return TruncatedExponentialParams(jnp.where(count > 0, rates, params.rates))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        t = params.rates * self.width
        near = _mean(jnp.abs(t))
        return self.low + self.width * jnp.where(t > 0, near, 1 - near)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        t = params.rates * self.width
        near = _mean(jnp.abs(t))
        below, above = jnp.where(t > 0, near, 1 - near), jnp.where(t > 0, 1 - near, near)
        return jnp.concatenate([below, above, jnp.ones_like(t)], axis=1)

    def earlier_rows(self, prior: TruncatedExponentialPrior) -> Float[Array, "k f"]:
        rows = prior.rows
        below, above = (prior.mean - self.low) / self.width, (self.high - prior.mean) / self.width
        return jnp.concatenate([rows * below, rows * above, rows], axis=1)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        t = params.rates[labels] * self.width
        u = jax.random.uniform(key, t.shape, t.dtype)
        size = jnp.abs(t)
        some = size > jnp.finfo(t.dtype).eps
        safe = jnp.where(some, size, 1)
        near = jnp.where(some, -jnp.log1p(u * jnp.expm1(-safe)) / safe, u)
        return self.low + self.width * jnp.where(t > 0, near, 1 - near)


def _log_mean(t: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log((1 - exp(-t)) / t), the log of the mean of exp(-t u), of t from 0."""
    some = t > 0
    safe = jnp.where(some, t, 1)
    return jnp.where(some, jnp.log(-jnp.expm1(-safe) / safe), 0)


def _mean(t: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """1 / t - 1 / (exp(t) - 1), from 1/2 at 0 down; t from 0."""
    near = t < _NEAR
    small, large = jnp.where(near & (t != 0), t, _NEAR), jnp.where(near, _NEAR, t)
    ratio = exp_excess(small) / (small * jnp.expm1(small))
    far = 1 / large + jnp.exp(-large) / jnp.expm1(-large)
    return jnp.where(t == 0, 0.5, jnp.where(near, ratio, far))


def solve_mean(mean: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The t from 0 of 1 / t - 1 / (exp(t) - 1) = mean, up to 1/2."""
    least = jnp.finfo(mean.dtype).eps
    mean = jnp.clip(mean, least, 0.5)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        above = _mean(middle) > mean
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    ends = jnp.zeros_like(mean), 1 / mean
    t = lax.stop_gradient(lax.fori_loop(0, _N_HALVINGS, halve, ends)[0])
    for _ in range(2):  # of Newton, from half of the digits to all, and for derivatives
        value, slope = jax.jvp(_mean, (t,), (jnp.ones_like(t),))
        t = t - (value - mean) / slope
    return t
