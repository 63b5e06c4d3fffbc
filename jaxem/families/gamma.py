"""Positive, skewed sizes: independent gamma columns.

log p(x; a, b) = a log b - log Gamma(a) + (a - 1) log x - b x,    b = a / mean(x)
log a - digamma(a) = log mean(x) - mean(log x)
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks
from jaxem.core import held as known_numbers
from jaxem.core.numerics import from_log, to_log
from jaxem.families.exponential_family import ExponentialFamily, cells, filled, ratio, spread_ratio

_N_NEWTON = 6  # from Minka's start to the last digit


class GammaParams(NamedTuple):
    """shapes (k, d) and rates (k, d); the means are shapes / rates."""

    shapes: Array
    rates: Array


class GammaPrior(NamedTuple):
    """`rows` rows seen before, of that mean and mean logarithm."""

    rows: Any = 0.0
    mean: Any = 1.0
    mean_log: Any = -0.5


@dataclass(frozen=True)
class Gamma(ExponentialFamily):
    """Columns of positive numbers."""

    params_type, prior_type = GammaParams, GammaPrior
    cells_are = "values that are not above 0"

    def wrong(self, x: np.ndarray) -> np.ndarray:
        return ~(np.isnan(x) | ((x > 0) & (x < np.inf)))

    def domain(self, params: Any) -> None:
        checks.positive_array(params.shapes, "shapes")
        checks.positive_array(params.rates, "rates")

    def default_min_count(self, x: Float[Array, "n d"]) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return filled(jnp.log(x))

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        known, seen = cells(x)
        logs = jnp.where(seen > 0, jnp.log(jnp.where(seen > 0, known, 1)), 0)
        return jnp.concatenate([logs, known, seen])

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        d = x.shape[1]
        return -jnp.sum(self.features(x)[:d], axis=0)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        a, b = params
        return jnp.concatenate([a, -b, a * jnp.log(b) - gammaln(a)], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> GammaParams:
        logs, total, count = jnp.split(sums, 3, axis=1)
        one = jnp.ones_like(count)
        mean = ratio(total, count, one)
        gap = jnp.log(mean) - ratio(logs, count, one - 1.5)
        shape = solve_shape(jnp.where(count > 0, gap, one))
        shape = jnp.where(count > 0, shape, params.shapes)
        return GammaParams(shape, jnp.where(count > 0, shape / mean, params.rates))

    def held_m_step(
        self, params: Any, statistics: Any, prior: Any, live: Bool[Array, " k"], held: Any
    ) -> GammaParams:
        """a / mean(x) for a shape that is known; digamma(a) = mean(log x) + log b for a rate."""
        sums = statistics if prior is None else statistics + prior
        logs, total, count = jnp.split(sums, 3, axis=1)
        new, rate_known = self.m_step(params, statistics, prior, live), ~jnp.isnan(held.rates)
        one = jnp.ones_like(count)
        rates = jnp.where(rate_known, held.rates, one)
        shapes = inverse_digamma(ratio(logs, count, one - 1) + jnp.log(rates))
        shapes = jnp.where(rate_known & (count > 0) & live[:, None], shapes, new.shapes)
        shapes = known_numbers.hold(shapes, held.shapes)
        rates = jnp.where(live[:, None], ratio(shapes * count, total, new.rates), params.rates)
        return GammaParams(shapes, known_numbers.hold(rates, held.rates))

    def spread_held(self, held: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(held.shapes), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.shapes / params.rates

    def expected(self, params: Any) -> Float[Array, "k f"]:
        a, b = params
        return jnp.concatenate([digamma(a) - jnp.log(b), a / b, jnp.ones_like(a)], axis=1)

    def check_prior(self, prior: GammaPrior) -> None:
        if not checks.is_concrete(prior):
            return
        rows, mean, logs = map(np.asarray, prior)
        if not (np.all(rows >= 0) and np.all(mean > 0) and np.all(np.log(mean) > logs)):
            raise ValueError(
                "the prior's rows must be from 0, its mean above 0, and its mean_log below "
                "log(mean), as the mean logarithm of any rows is"
            )

    def earlier_rows(self, prior: GammaPrior) -> Float[Array, "k f"]:
        return jnp.concatenate(
            [prior.rows * prior.mean_log, prior.rows * prior.mean, prior.rows], axis=1
        )

    def to_chart(self, params: Any) -> GammaParams:
        return GammaParams(to_log(params.shapes), to_log(params.rates))

    def from_chart(self, chart: Any) -> GammaParams:
        return GammaParams(from_log(chart.shapes), from_log(chart.rates))

    def metric(self, params: Any, weights: Float[Array, " k"]) -> GammaParams:
        a = params.shapes
        share = weights[:, None]
        return GammaParams(share * a**2 * polygamma(1, a), share * a)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest variance of the logarithms, digamma'(shape), relative to the pooled one."""
        rows = None if prior is None else jnp.split(prior, 3, axis=1)[2]
        return spread_ratio(polygamma(1, params.shapes), weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        a, b = (leaf[labels] for leaf in params)
        return jax.random.gamma(key, a, dtype=a.dtype) / b


def solve_shape(gap: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The a of log a - digamma(a) = gap > 0, by Newton steps in 1 / a (Minka 2002).

    1 / a changes by less than a factor in each step: the safeguard against a step across 0.
    """
    inverse = 12 * gap / (3 - gap + jnp.sqrt((gap - 3) ** 2 + 24 * gap))

    def step(_: Array, inverse: Array) -> Array:
        a = 1 / inverse
        slope = a - a**2 * polygamma(1, a)
        return jnp.clip(
            inverse + (jnp.log(a) - digamma(a) - gap) / slope, 0.25 * inverse, 4 * inverse
        )

    return 1 / lax.fori_loop(0, _N_NEWTON, step, inverse)


def inverse_digamma(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The a of digamma(a) = y, by Newton steps from Minka's start (2000, appendix C)."""
    far = -1 / (y - digamma(jnp.ones_like(y)))
    a = jnp.where(y >= -2.22, jnp.exp(y) + 0.5, far)

    def step(_: Array, a: Array) -> Array:
        return a - (digamma(a) - y) / polygamma(1, a)

    return lax.fori_loop(0, _N_NEWTON, step, a)
