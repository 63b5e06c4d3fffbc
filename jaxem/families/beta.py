"""Shares: independent beta columns of numbers between 0 and 1.

log p(x; a, b) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b)

With n = a + b, m = a / n, a pivot q, the excesses e = log(x / q) - (x / q - 1) and
f = log((1 - x) / (1 - q)) - ((1 - x) / (1 - q) - 1), which are of second order, and S the remainder
of Stirling's formula, nothing cancels:

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
from jax.scipy.special import digamma, polygamma
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, placement
from jaxem.core.constraints import Positive
from jaxem.core.parameters import tree
from jaxem.core.special import log_excess, log_less_digamma, log_ratio, stirling
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    spread_ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily

_N_STEPS = 10  # from the start for many trials, n = 1 / (2 spread), to the last digit
_N_OTHER = 20  # from the parameters of the E-step
_LONGEST = 1.5  # change of a logarithm in one step


class BetaParams(NamedTuple):
    """a (k, d) and b (k, d), above 0; the means are a / (a + b)."""

    a: Array
    b: Array


class BetaPrior(NamedTuple):
    """`rows` rows seen before, of a beta distribution of that a and b."""

    rows: Any = 0.0
    a: Any = 1.0
    b: Any = 1.0


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
    constraints = tree(BetaParams, Positive(), Positive())
    cells_are = "values that are not between 0 and 1, both excluded"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x > 0) & (x < 1)))

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.log(x) - jnp.log1p(-x))

    def location(self, params: Any) -> Float[Array, "k d"]:
        a, b = params
        return _inside(a / (a + b))

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        return _inside(column_means(*observed_cells(x)))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """e, f, x - q, and whether the cell is observed."""
        _, seen = observed_cells(x)
        q = pivot.T
        known = jnp.where(seen > 0, x.T, q)
        e, f = log_excess(known, q), log_excess(1 - known, 1 - q)
        return jnp.concatenate([e, f, known - q, seen])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        known = jnp.where(jnp.isnan(x), 0.5, x)
        each = jnp.log(known) + jnp.log1p(-known)
        return -jnp.sum(jnp.where(jnp.isnan(x), 0, each), axis=1)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        a, b = params
        n = a + b
        m, q = a / n, pivot
        slope = n * (m - q) / (q * (1 - q))
        of_a, of_b, of_n = jnp.unstack(stirling(jnp.stack([a, b, n])))
        rest = 0.5 * jnp.log(a / (2 * math.pi) * (b / n)) - of_a - of_b + of_n
        rest = rest + a * log_excess(q, m) + b * log_excess(1 - q, b / n)
        a, b = (jnp.broadcast_to(of, rest.shape) for of in params)
        return jnp.concatenate([a, b, slope, rest], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        a, b = params
        away = a / (a + b) - pivot
        return jnp.max((a + b) * (away / pivot) * (away / (1 - pivot)))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        e, f, away, count = jnp.split(sums, 4, axis=1)
        e = e + away / old * ((new - old) / new) + count * log_excess(old, new)
        f = f + away / (1 - old) * ((new - old) / (1 - new)) + count * log_excess(1 - old, 1 - new)
        return jnp.concatenate([e, f, away - count * (new - old), count], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> BetaParams:
        e, f, away, count = jnp.split(sums, 4, axis=1)
        known, q = count > 0, self.location(params)
        e, f, away = (ratio(of, count, jnp.zeros_like(of)) for of in (e, f, away))
        a, b = solve_shapes(Means(q, e, f, away))
        return BetaParams(jnp.where(known, a, params.a), jnp.where(known, b, params.b))

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> BetaParams:
        free = self.estimate(sums, params)
        e, f, away, count = jnp.split(sums, 4, axis=1)
        q, zero = self.location(params), jnp.zeros_like(count)
        log_x = jnp.log(q) + ratio(e + away / q, count, zero)
        log_rest = jnp.log1p(-q) + ratio(f - away / (1 - q), count, zero)
        a_known, b_known = ~jnp.isnan(fixed.a), ~jnp.isnan(fixed.b)
        a, b = (jnp.where(jnp.isnan(of), old, of) for of, old in zip(fixed, params, strict=True))
        of_b, of_a = solve_other(b, log_x, params.a), solve_other(a, log_rest, params.b)
        other_a, other_b = (
            jnp.where(count > 0, of_b, params.a),
            jnp.where(count > 0, of_a, params.b),
        )
        return BetaParams(
            jnp.where(a_known, a, jnp.where(b_known, other_a, free.a)),
            jnp.where(b_known, b, jnp.where(a_known, other_b, free.b)),
        )

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.a) | ~jnp.isnan(fixed.b), axis=1)

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.a / (params.a + params.b)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        both = jnp.stack([*params, params.a + params.b])
        gap, gap_rest, of_both = jnp.unstack(log_less_digamma(both))
        one = jnp.ones_like(gap)
        return jnp.concatenate([of_both - gap, of_both - gap_rest, 0 * one, one], axis=1)

    def check_prior(self, prior: BetaPrior) -> None:
        checks.positive_array(prior.rows, "rows", zero_allowed=True)
        checks.positive_array(prior.a, "a")
        checks.positive_array(prior.b, "b")

    def earlier_rows(self, prior: BetaPrior) -> Earlier:
        params = BetaParams(prior.a, prior.b)
        return Earlier(self.location(params), jnp.tile(prior.rows, 4) * self.expected(params))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> BetaParams:
        a, b = params
        of_a, of_b, of_n = jnp.unstack(polygamma(1, jnp.stack([a, b, a + b])))
        share = share[:, None]
        return BetaParams(share * a**2 * (of_a - of_n), share * b**2 * (of_b - of_n))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Smallest variance in units of the squared mean, b / (a n), relative to the pooled one."""
        a, b = params
        rows = None if prior is None else jnp.split(prior.sums, 4, axis=1)[3]
        return spread_ratio(b / a / (a + b), weights, rows)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        a, b = (leaf[labels] for leaf in params)
        return _inside(jax.random.beta(key, a, b, dtype=a.dtype))


def _inside(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x, which rounding may have put at 0 or 1."""
    info = jnp.finfo(x.dtype)
    return jnp.clip(x, info.tiny, 1 - info.epsneg)


def solve_shapes(means: Means) -> BetaParams:
    """The estimate from means of columns."""
    q, away = means.pivot, means.away
    eps = jnp.finfo(q.dtype).eps
    # What rounding makes of the terms: a spread that this hides is found from the new mean.
    least = 64 * eps * away**2 / (q * (1 - q))

    def step(_: Array, at: BetaParams) -> BetaParams:
        a, b = at
        n = a + b
        m, rest = a / n, b / n
        gaps, slopes = _with_slope(jnp.stack([a, b, n]))
        (gap, gap_b, gap_n), (bend, bend_b, bend_n) = map(jnp.unstack, (gaps, slopes))
        of_size = a * gap + b * gap_b - n * gap_n - n * jnp.maximum(_spread(means, m, rest), least)
        odds = away / (q * (1 - q)) + means.low - means.high + log_ratio(q, m)
        of_mean = n * m * rest * (odds - log_ratio(1 - q, rest) + gap - gap_b)
        size = -(a**2) * bend - b**2 * bend_b + n**2 * bend_n
        mean = n * m * rest * (1 - n * m * rest * (bend + bend_b))
        both = n * m * rest * (b * bend_b - a * bend)
        down = size * mean - both**2
        by_mean = jnp.clip((size * of_mean - both * of_size) / down, -_LONGEST, _LONGEST)
        by_size = jnp.clip((mean * of_size - both * of_mean) / down, -_LONGEST, _LONGEST)
        m, rest = 1 / (1 + rest / m * jnp.exp(-by_mean)), 1 / (1 + m / rest * jnp.exp(by_mean))
        n = jnp.minimum(n * jnp.exp(by_size), rest / m / eps**2)
        return BetaParams(n * m, n * rest)

    m = _inside(q + away)
    n = 0.5 / jnp.maximum(jnp.maximum(_spread(means, m, 1 - m), least), m / (1 - m) * eps**2)
    return lax.fori_loop(0, _N_STEPS, step, BetaParams(n * m, n * (1 - m)))


def _spread(means: Means, m: Float[Array, "k d"], rest: Float[Array, "k d"]) -> Float[Array, "k d"]:
    """-(m e + (1 - m) f), as they are from a pivot of m; rest = 1 - m."""
    q, low, high, away = means
    from_m = m * (low + log_excess(q, m)) + rest * (high + log_excess(1 - q, rest))
    return -from_m - (m - q) * (away / (q * (1 - q)))


def _with_slope(a: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """log a - digamma(a) and its derivative."""
    return jax.jvp(log_less_digamma, (a,), (jnp.ones_like(a),))


def solve_other(
    known: Float[Array, "*shape"], mean_log: Float[Array, "*shape"], start: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The a of digamma(a) - digamma(a + known) = mean_log, by Newton steps in log a."""

    def step(_: Array, a: Array) -> Array:
        both = jnp.stack([a, a + known])
        (first, first_both), (bend, bend_both) = map(
            jnp.unstack, (digamma(both), polygamma(1, both))
        )
        slope, bend = mean_log + first_both - first, a * (bend - bend_both)
        return a * jnp.exp(jnp.clip(slope / bend, -_LONGEST, _LONGEST))

    return lax.fori_loop(0, _N_STEPS, step, start)
