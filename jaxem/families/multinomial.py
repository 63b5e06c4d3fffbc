"""Count vectors: each row is so many draws from the categories, and their number is given.

log p(x; p) = log N! - sum_j log x[j]! + sum_j x[j] log p[j],  N = sum_j x[j]
p = sum r x / its sum

As counts of Poisson distributions of means N p[j] whose sum is given, in the form of
`log_poisson`, and from a pivot q, the terms of large counts are small:

log p(x; p) = log p(x; q) + sum_j x[j] log(p[j] / q[j]) - N (p[j] - q[j])
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement
from jaxem.core.constraints import Simplex
from jaxem.core.parameters import tree
from jaxem.core.special import log_poisson
from jaxem.families.exponential_family import check_mode
from jaxem.families.independent_columns import column_means, observed_cells, ratio
from jaxem.families.pivot_form import Earlier, PivotFamily, largest, relative


class MultinomialParams(NamedTuple):
    """probabilities (k, d), rows adding up to 1."""

    probabilities: Array


class MultinomialPrior(NamedTuple):
    """Dirichlet(concentration): that less 1 draws seen before."""

    concentration: Any = 1.0


@dataclass(frozen=True)
class Multinomial(PivotFamily):
    """Rows of counts, (n, d), one column a category; their sums are taken as given.

    log p(x; p) = log N! - sum_j log x[j]! + sum_j x[j] log p[j],  N = sum_j x[j]

    n_trials: draws of a row that is sampled; the fit takes each row's own number.
    Errors: ValueError for NaN, and for what is no whole number from 0.
    """

    n_trials: Any = 1

    params_type, prior_type = MultinomialParams, MultinomialPrior
    constraints = tree(MultinomialParams, Simplex())
    crawls = True
    cells_are = "values that are not whole numbers from 0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_trials", checks.whole(self.n_trials, "n_trials", least=1))

    def wrong(self, x: Any) -> Any:
        return ~((x >= 0) & placement.is_whole(x))

    def blank(self, x: Float[Array, "n d"], k: int) -> MultinomialParams:
        d = x.shape[1]
        return MultinomialParams(jnp.full((k, d), 1 / d, x.dtype))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        """Square roots of the shares, whose variances differ little."""
        total = jnp.maximum(jnp.sum(x, axis=1, keepdims=True), 1)
        return jnp.sqrt(x / total)

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.probabilities

    def centre(self, x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
        counts, _ = observed_cells(x)
        return column_means(counts, jnp.broadcast_to(jnp.sum(counts, axis=0), counts.shape))

    def features(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        counts, _ = observed_cells(x)
        return jnp.concatenate([counts, jnp.sum(counts, axis=0, keepdims=True)])

    def log_base(self, x: Float[Array, "n d"], pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        counts, _ = observed_cells(x)
        total = jnp.sum(counts, axis=0)
        each = log_poisson(counts, total[None] * pivot.T)
        return jnp.sum(each, axis=0) - log_poisson(total, total)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        logs, less = jnp.split(relative(params.probabilities, pivot), 2, axis=1)
        return jnp.concatenate([logs, jnp.sum(less, axis=1, keepdims=True)], axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        total = jnp.max(jnp.sum(observed_cells(x)[0], axis=0))
        return total * jnp.max(largest(params.probabilities, pivot))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        return sums

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> MultinomialParams:
        counts = sums[:, :-1]
        total = jnp.broadcast_to(jnp.sum(counts, axis=1, keepdims=True), counts.shape)
        return MultinomialParams(ratio(counts, total, params.probabilities))

    def check_imputable(self) -> None:
        raise ValueError(f"{self!r} observes its rows whole: there are no holes to fill")

    def conditional(self, params: Any, given: dict) -> Any:
        raise ValueError(f"{self!r} has no columns that could be given: they add up")

    def expected(self, params: Any) -> Float[Array, "k f"]:
        p = params.probabilities
        return jnp.concatenate([p, jnp.sum(p, axis=1, keepdims=True)], axis=1)

    def check_prior(self, prior: MultinomialPrior) -> None:
        check_mode(self, prior, prior.concentration - 1)

    def earlier_rows(self, prior: MultinomialPrior) -> Earlier:
        counts = prior.concentration - 1
        total = jnp.sum(counts, axis=1, keepdims=True)
        pivot = jnp.where(counts > 0, counts / jnp.where(total > 0, total, 1), 1)
        return Earlier(pivot, jnp.concatenate([counts, total], axis=1))

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        p = params.probabilities[labels]
        return jax.random.multinomial(key, jnp.asarray(self.n_trials, p.dtype), p)

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        counts = jax.random.multinomial(key, jnp.nansum(x, axis=1), params.probabilities[labels])
        return jnp.where(jnp.isnan(x), x, counts)
