"""Shares: independent beta columns of numbers between 0 and 1.

log p(x; a, b) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b)

With the size n = a + b, the mean m = a / n, which has the digits of x, a pivot q, the excesses
e = log(x / q) - (x / q - 1) and f = log((1 - x) / (1 - q)) - ((1 - x) / (1 - q) - 1), which are of
second order, and S the remainder of Stirling's formula, nothing cancels:

log p = a e + b f + n (m - q) (x - q) / (q (1 - q)) + a (log(q / m) - (q / m - 1))
      + b (log((1 - q) / (1 - m)) - ((1 - q) / (1 - m) - 1))
      + 1/2 log(a b / (2 pi n)) - S(a) - S(b) + S(n) - log x - log(1 - x)

digamma(a) - digamma(n) = mean(log x),  digamma(b) - digamma(n) = mean(log(1 - x)): by scoring
steps in the logit of m and log n, of which one says little of the other.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, placement
from jaxem.core.constraints import Positive, Probability
from jaxem.core.parameters import tree
from jaxem.core.special import log1p_excess, log_excess, log_less_digamma, log_ratio, stirling
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    spread_ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily

_N_STEPS = 10  # from the start for many trials, n = 1 / (2 spread), to the last digit
_LONGEST = 1.5  # change of a logarithm in one step


class BetaParams(NamedTuple):
    """means (k, d) between 0 and 1; sizes (k, d): a = means sizes, b = (1 - means) sizes."""

    means: Array
    sizes: Array


class BetaPrior(NamedTuple):
    """`rows` rows seen before, of that mean and size."""

    rows: Any = 0.0
    mean: Any = 0.5
    size: Any = 2.0


class Means(NamedTuple):
    """Of a column, from its pivot: of e, f and x - q."""

    pivot: Float[Array, "k d"]
    low: Float[Array, "k d"]
    high: Float[Array, "k d"]
    away: Float[Array, "k d"]


@dataclass(frozen=True)
class Beta(PivotFamily):
    """Columns of numbers above 0 and below 1."""

    params_type, prior_type = BetaParams, BetaPrior
    constraints = tree(BetaParams, Probability(), Positive())
    cells_are = "values that are not between 0 and 1, both excluded"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < 1)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x) - jnp.log1p(-x))

    def location(self, params: Any) -> Float[Array, "k d"]:
        return _inside(params.means)

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return _inside(column_means(*observed_cells(x)))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """e, f, x - q, and whether the cell is observed."""
        _, seen = observed_cells(x)
        q = pivot.T
        known = jnp.where(seen > 0, x.T, q)
        e, f = log_excess(known, q), _rest_excess(known, q)
        return jnp.concatenate([e, f, known - q, seen])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        known = jnp.where(jnp.isnan(x), 0.5, x)
        each = jnp.log(known) + jnp.log1p(-known)
        return -jnp.sum(jnp.where(jnp.isnan(x), 0, each), axis=1)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        (m, n), q = params, pivot
        a, b = m * n, (1 - m) * n
        of_a, of_b, of_n = jnp.unstack(stirling(jnp.stack([a, b, n])))
        rest = 0.5 * jnp.log(a / (2 * math.pi) * (1 - m)) - of_a - of_b + of_n
        rest = rest + a * log_excess(q, m) + b * _rest_excess(q, m)
        return jnp.concatenate([a, b, n * ((m - q) / (q * (1 - q))), rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        away = params.means - pivot
        return jnp.max(params.sizes * (away / pivot) * (away / (1 - pivot)))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        e, f, away, count = jnp.split(sums, 4, axis=1)
        e = e + away / old * ((new - old) / new) + count * log_excess(old, new)
        f = f + away / (1 - old) * ((new - old) / (1 - new)) + count * _rest_excess(old, new)
        return jnp.concatenate([e, f, away - count * (new - old), count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> BetaParams:
        return self.fixed_estimate(sums, params, parameters.free(params))

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> BetaParams:
        e, f, away, count = jnp.split(sums, 4, axis=1)
        e, f, away = (ratio(of, count, jnp.zeros_like(of)) for of in (e, f, away))
        found = solve(Means(self.location(params), e, f, away), fixed)
        return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), found, params)

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.sizes), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.means

    def expected(self, params: Any) -> Float[Array, "k f"]:
        m, n = params
        gap, gap_rest, of_both = jnp.unstack(log_less_digamma(jnp.stack([m * n, (1 - m) * n, n])))
        one = jnp.ones_like(m)
        return jnp.concatenate([of_both - gap, of_both - gap_rest, 0 * one, one], axis=1)

    def check_prior(self, prior: BetaPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.between(prior.mean, "mean", 1e-6, 1 - 1e-6)
        checks.positive_array(prior.size, "size")

    def earlier_rows(self, prior: BetaPrior) -> Earlier:
        rows = jnp.tile(prior.rows, 4)
        return Earlier(prior.mean, rows * self.expected(BetaParams(prior.mean, prior.size)))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> BetaParams:
        found = _information(params)
        return BetaParams(share[:, None] * found.mean, share[:, None] * found.size)

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest variance in units of the squared mean, about, relative to the pooled one."""
        m, n = params
        rows = None if prior is None else jnp.split(prior.sums, 4, axis=1)[3]
        return spread_ratio((1 - m) / m / n, weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, n = (leaf[labels] for leaf in params)
        return _inside(jax.random.beta(key, m * n, (1 - m) * n, dtype=m.dtype))


def _inside(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x, which rounding may have put at 0 or 1."""
    info = jnp.finfo(x.dtype)
    return jnp.clip(x, info.tiny, 1 - info.epsneg)


def _rest_excess(x: Float[Array, "*#s"], m: Float[Array, "*#s"]) -> Float[Array, "*s"]:
    """log((1 - x) / (1 - m)) - ((1 - x) / (1 - m) - 1); near, 1 - x would lose digits of x."""
    u = (m - x) / (1 - m)
    near = jnp.abs(u) < 0.25
    return jnp.where(near, log1p_excess(jnp.where(near, u, 0)), log_excess(1 - x, 1 - m))


class Information(NamedTuple):
    """Of the logit of the mean and of the log of the size, in a row, and the gaps of both."""

    mean: Float[Array, "k d"]
    size: Float[Array, "k d"]
    both: Float[Array, "k d"]
    low: Float[Array, "k d"]  # log a - digamma(a)
    high: Float[Array, "k d"]  # the same of b
    whole: Float[Array, "k d"]  # the same of n


def _information(params: BetaParams) -> Information:
    m, n = params
    a, b = m * n, (1 - m) * n
    shapes = jnp.stack([a, b, n])
    gaps, slopes = jax.jvp(log_less_digamma, (shapes,), (jnp.ones_like(shapes),))
    (low, high, whole), (bend, bend_b, bend_n) = map(jnp.unstack, (gaps, slopes))
    mean = a * (1 - m) * (1 - a * (1 - m) * (bend + bend_b))
    size = n**2 * bend_n - a**2 * bend - b**2 * bend_b
    return Information(mean, size, a * (1 - m) * (b * bend_b - a * bend), low, high, whole)


def solve(means: Means, fixed: BetaParams) -> BetaParams:
    """The estimate from means of columns, with some numbers known."""
    q, away = means.pivot, means.away
    m_free, n_free, eps = jnp.isnan(fixed.means), jnp.isnan(fixed.sizes), jnp.finfo(q.dtype).eps
    # What rounding makes of the terms: a spread that this hides is found from the new mean.
    least = 64 * eps * away**2 / (q * (1 - q))

    def step(_: Array, at: BetaParams) -> BetaParams:
        m, n = at
        a, b = m * n, (1 - m) * n
        mean, size, both, low, high, whole = _information(at)
        odds = away / (q * (1 - q)) + means.low - means.high + log_ratio(q, m)
        odds = odds - _rest_excess(q, m) - (m - q) / (1 - m)
        of_mean = a * (1 - m) * (odds + low - high)
        of_size = a * low + b * high - n * whole - n * jnp.maximum(_spread(means, m), least)
        both = jnp.where(m_free & n_free, both, 0)
        down = size * mean - both**2
        by_mean = jnp.clip((size * of_mean - both * of_size) / down, -_LONGEST, _LONGEST)
        by_size = jnp.clip((mean * of_size - both * of_mean) / down, -_LONGEST, _LONGEST)
        new = _inside(1 / (1 + (1 - m) / m * jnp.exp(-by_mean)))
        most = (1 - new) / new / eps**2
        return BetaParams(
            jnp.where(m_free, new, m), jnp.where(n_free, jnp.minimum(n * jnp.exp(by_size), most), n)
        )

    m = jnp.where(m_free, _inside(q + away), fixed.means)
    n = 0.5 / jnp.maximum(jnp.maximum(_spread(means, m), least), m / (1 - m) * eps**2)
    start = BetaParams(m, jnp.where(n_free, n, fixed.sizes))
    return lax.fori_loop(0, _N_STEPS, step, start)


def _spread(means: Means, m: Float[Array, "k d"]) -> Float[Array, "k d"]:
    """-(m e + (1 - m) f), as they are from a pivot of m."""
    q, low, high, away = means
    from_m = m * (low + log_excess(q, m)) + (1 - m) * (high + _rest_excess(q, m))
    return -from_m - (m - q) * (away / (q * (1 - q)))
