"""Counts more varied than Poisson's: independent negative binomial columns.

log p(x; m, s) = log Gamma(s + x) - log Gamma(s) - log x! + s log(s / (s + m)) + x log(m / (s + m))

the Poisson distribution of mean m as the size s grows: the variance is m + m^2 / s. In the
saddle-point form (Loader 2000), with u = (x - m) / (s + m) and the remainder S of Stirling's
formula, large counts and sizes do not cancel:

log p = s (log(1 + u) - u) - deviance(x, x - s u) - S(x) - 1/2 log 2 pi x
        + S(s + x) - S(s) - 1/2 log(1 + x / s)

m = mean(x), whatever s. log s takes a Newton step, with L(a) = log a - digamma(a):

slope of log s:  sum r s [L(s) - L(s + x) + log(1 + u) - u]      (Lawless 1987)
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import NonNegative, Positive
from jaxem.core.parameters import tree
from jaxem.core.special import log1p_excess, log_less_digamma, log_poisson, stirling
from jaxem.families.independent_columns import ratio, with_column_means
from jaxem.families.newton_form import NewtonFamily, log_step


class NegativeBinomialParams(NamedTuple):
    """means (k, d); sizes (k, d): the variances are means + means^2 / sizes."""

    means: Array
    sizes: Array


@dataclass(frozen=True)
class NegativeBinomial(NewtonFamily):
    """Columns of counts. Where they vary no more than Poisson's, a size ends as large as `tol`
    sees: some 1e6 times the mean is no other distribution than Poisson's."""

    params_type = NegativeBinomialParams
    constraints = tree(NegativeBinomialParams, NonNegative(), Positive())
    cells_are = "values that are not whole numbers from 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x >= 0) & placement.is_whole(x)))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Square roots, whose variances differ less."""
        return jnp.sqrt(with_column_means(x))

    def cells(self, params: Any, x: Float[Array, "1 d n"]) -> Float[Array, "k d n"]:
        m, s = params
        u, safe = (x - m) / (s + m), jnp.where(x > 0, x, 1)
        overdispersed = stirling(s + x) - stirling(s) - 0.5 * jnp.log1p(x / s)
        away = -(s / (s + m)) * (x - m) / safe  # of x - s u from x, which rounding would hide
        near = jnp.abs(away) < 0.25
        poisson = log_poisson(x, jnp.where(near, x, m * ((s + x) / (s + m))))
        poisson = poisson + x * log1p_excess(jnp.where(near, away, 0))
        found = overdispersed + poisson + s * log1p_excess(u)
        return jnp.where(x > 0, found, -s * jnp.log1p(m / s))

    def terms(self, params: Any, x: Float[Array, "1 d n"]) -> list[Float[Array, "k d n"]]:
        """1, x - m, and the slope and the curvature of log s."""
        m, s = params
        u, more = (x - m) / (s + m), s + x
        gap, bend = jax.jvp(log_less_digamma, (s,), (jnp.ones_like(s),))
        gap_more, bend_more = jax.jvp(log_less_digamma, (more,), (jnp.ones_like(more),))
        slope = s * (gap - gap_more + log1p_excess(u))
        curvature = slope + s * (s * (bend - bend_more) + s * (u**2 / more))
        return [jnp.ones_like(u), x - m, slope, curvature]

    def expected(self, params: Any) -> Float[Array, "k t d"]:
        m, s = params
        zero = jnp.zeros_like(m)
        return jnp.stack([jnp.ones_like(m), zero, zero, -_information(m, s)], axis=1)

    def stepped(self, sums: Float[Array, "k t d"], params: Any, fixed: Any) -> Any:
        count, away, slope, curvature = jnp.unstack(sums, axis=1)
        m, s = params
        free = jnp.isnan(fixed.means)
        known = jnp.where(free, m, fixed.means)
        means = jnp.where(free, m + ratio(away, count, jnp.zeros_like(m)), known)
        means = jnp.maximum(means, 0)
        slope = slope + moved_slope(count, away, params, means)
        size = s * jnp.exp(log_step(slope, curvature, count))
        return NegativeBinomialParams(means, jnp.where(jnp.isnan(fixed.sizes), size, fixed.sizes))

    def rough(self, x: Float[Array, "d n"], share: Float[Array, "d n"]) -> NegativeBinomialParams:
        mean = jnp.sum(share * x, axis=1)[None]
        variance = jnp.sum(share * (x - mean.T) ** 2, axis=1)[None]
        size = ratio(mean**2, variance - mean, 100 * (mean + 1))
        return NegativeBinomialParams(mean, jnp.clip(size, 1e-3, 100 * (mean + 1)))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.means

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> NegativeBinomialParams:
        m, s = params
        share = share[:, None]
        return NegativeBinomialParams(share * m * s / (s + m), share * _information(m, s))

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        """Poisson, of a rate that is gamma."""
        key_rate, key_count = jax.random.split(key)
        m, s = (leaf[labels] for leaf in params)
        rate = m * (jax.random.gamma(key_rate, s, dtype=s.dtype) / s)
        return jax.random.poisson(key_count, rate).astype(m.dtype)


def moved_slope(
    count: Float[Array, "k d"], away: Float[Array, "k d"], params: Any, means: Float[Array, "k d"]
) -> Float[Array, "k d"]:
    """By how much the slope of log s differs where the means are others."""
    m, s = params
    change = (means - m) / (s + m)
    rest = away / (s + m) - count * change
    return s * (change / (1 + change) * rest - count * log1p_excess(change))


def _information(m: Float[Array, "*shape"], s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """That of log s in a row, as if counts were normal of that variance."""
    return 0.5 * (m / (s + m)) ** 2
