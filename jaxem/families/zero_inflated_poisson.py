"""Counts with more zeros than Poisson's: independent zero-inflated Poisson columns.

p(0; w, m) = w + (1 - w) exp(-m),    p(x; w, m) = (1 - w) Poisson(x; m),  x > 0    (Lambert 1992)

A zero tells no more than that it is one: the numbers of zeros and of others, and the sum of these,
are all that a column says. With p the share of the others and a their mean,

m / (1 - exp(-m)) = a,  1 - w = p / (1 - exp(-m));    w = 0 and m = p a where that is below 0

so that no zero needs to be told from the others, and an M-step is exact.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import placement
from jaxem.core.constraints import NonNegative, Probability
from jaxem.core.numerics import safe_divide
from jaxem.core.parameters import tree
from jaxem.core.special import exp_excess, log_poisson
from jaxem.families.exponential_family import check_mode, guarded_log
from jaxem.families.independent_columns import (
    column_means,
    observed_cells,
    ratio,
    with_column_means,
)
from jaxem.families.pivot_form import Earlier, PivotFamily, largest, relative

_N_NEWTON = 8  # from a bound to the last digit
_N_HALVINGS = 50


class ZeroInflatedPoissonParams(NamedTuple):
    """inflations (k, d), shares of zeros that are no counts; rates (k, d) of the counts."""

    inflations: Array
    rates: Array


class ZeroInflatedPoissonPrior(NamedTuple):
    """Rows seen before: so many zeros and others, and `events`, the sum of these."""

    zeros: Any = 0.0
    others: Any = 0.0
    events: Any = 0.0


@dataclass(frozen=True)
class ZeroInflatedPoisson(PivotFamily):
    """Columns of counts."""

    params_type, prior_type = ZeroInflatedPoissonParams, ZeroInflatedPoissonPrior
    constraints = tree(ZeroInflatedPoissonParams, Probability(), NonNegative())
    cells_are = "values that are not whole numbers from 0"

    def wrong(self, x: Any) -> Any:
        return ~(placement.is_nan(x) | ((x >= 0) & placement.is_whole(x)))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Square roots, whose variances differ less."""
        return jnp.sqrt(with_column_means(x))

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.rates

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        known, _ = observed_cells(x)
        return column_means(known, (known > 0).astype(x.dtype))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """Whether a cell is a zero, whether it is another, and the count."""
        known, seen = observed_cells(x)
        other = (known > 0).astype(x.dtype)
        return jnp.concatenate([seen - other, other, known])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        known, _ = observed_cells(x)
        return jnp.sum(jnp.where(known > 0, log_poisson(known, pivot.T), 0), axis=0)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        w, m = params
        logs, less = jnp.split(relative(m, pivot), 2, axis=1)
        counted = guarded_log(1 - w)
        return jnp.concatenate(
            [jnp.logaddexp(guarded_log(w), counted - m), counted + less, logs], axis=1
        )

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        return jnp.max(largest(params.rates, pivot))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        return sums

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> ZeroInflatedPoissonParams:
        zeros, others, events = jnp.split(sums, 3, axis=1)
        rates = solve_truncated(safe_divide(events - others, others))
        inflations = _inflation(zeros, others, rates)
        plain = inflations <= 0
        rates = jnp.where(plain, safe_divide(events, zeros + others), rates)
        some = zeros + others > 0
        return ZeroInflatedPoissonParams(
            jnp.where(some, jnp.where(plain, 0, inflations), params.inflations),
            jnp.where(some & (others > 0), rates, params.rates),
        )

    def fixed_estimate(
        self, sums: Float[Array, "k f"], params: Any, fixed: Any
    ) -> ZeroInflatedPoissonParams:
        zeros, others, events = jnp.split(sums, 3, axis=1)
        free = self.estimate(sums, params)
        w_known, m_known = (~jnp.isnan(of) for of in (fixed.inflations, fixed.rates))
        w, m = (jnp.where(jnp.isnan(of), old, of) for of, old in zip(fixed, params, strict=True))
        some = zeros + others > 0
        of_known = jnp.where(some, jnp.maximum(_inflation(zeros, others, m), 0), params.inflations)
        rates = jnp.where(others > 0, solve_rate(zeros, others, events, w), 0)
        rates = jnp.where(some, rates, params.rates)
        return ZeroInflatedPoissonParams(
            jnp.where(w_known, w, jnp.where(m_known, of_known, free.inflations)),
            jnp.where(m_known, m, jnp.where(w_known, rates, free.rates)),
        )

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return (1 - params.inflations) * params.rates

    def expected(self, params: Any) -> Float[Array, "k f"]:
        w, m = params
        others = (1 - w) * -jnp.expm1(-m)
        return jnp.concatenate([1 - others, others, (1 - w) * m], axis=1)

    def check_prior(self, prior: ZeroInflatedPoissonPrior) -> None:
        check_mode(self, prior, *prior, prior.events - prior.others)

    def earlier_rows(self, prior: ZeroInflatedPoissonPrior) -> Earlier:
        zeros, others, events = prior
        pivot = ratio(events, others, jnp.ones_like(events))
        return Earlier(pivot, jnp.concatenate([zeros, others, events], axis=1))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> ZeroInflatedPoissonParams:
        w, m = params
        share = share[:, None]
        return ZeroInflatedPoissonParams(share * w * (1 - w), share * (1 - w) * m)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        key_zero, key_count = jax.random.split(key)
        w, m = (leaf[labels] for leaf in params)
        counts = jax.random.poisson(key_count, m).astype(m.dtype)
        return jnp.where(jax.random.uniform(key_zero, w.shape, w.dtype) < w, 0, counts)


def _inflation(
    zeros: Float[Array, "k d"], others: Float[Array, "k d"], rates: Float[Array, "k d"]
) -> Float[Array, "k d"]:
    """The w of 1 - w = p / (1 - exp(-m)): below 0 where Poisson's zeros are more than there are,
    and 1 where there is nothing else."""
    share = ratio(others, zeros + others, jnp.zeros_like(others))
    counted = ratio(share, -jnp.expm1(-rates), jnp.full_like(share, 2))
    return 1 - jnp.where(others > 0, counted, 0)


def solve_truncated(above: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The m of m / (1 - exp(-m)) = 1 + above, the mean of a Poisson count that is not 0.

    The left side is convex, and Newton steps come down from a bound.
    """

    def step(_: Array, m: Array) -> Array:
        share, excess = -jnp.expm1(-m), exp_excess(-m)
        slope = 1 - excess / share * (1 - share) / share
        return m - (excess / share - above) / slope

    some = above > 0
    bound = jnp.where(some, jnp.minimum(1 + above, 2 * above), 1)
    return jnp.where(some, lax.fori_loop(0, _N_NEWTON, step, bound), 0)


def solve_rate(
    zeros: Float[Array, "*shape"],
    others: Float[Array, "*shape"],
    events: Float[Array, "*shape"],
    inflation: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The m of m (others + zeros v) = events, v the share of zeros that are counts.

    v = (1 - w) exp(-m) / (w + (1 - w) exp(-m)) is between 0 and 1, and m between two means.
    """
    odds = guarded_log(1 - inflation) - guarded_log(inflation)

    def beyond(m: Array) -> Array:
        return m * (others + zeros * jax.nn.sigmoid(odds - m)) - events

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        above = beyond(middle) > 0
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    ends = safe_divide(events, zeros + others), safe_divide(events, others)
    m = lax.stop_gradient(lax.fori_loop(0, _N_HALVINGS, halve, ends)[0])
    value, slope = jax.jvp(beyond, (m,), (jnp.ones_like(m),))
    return m - safe_divide(value, slope)
