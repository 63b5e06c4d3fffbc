"""Count vectors: each row is so many draws from the categories, and their number is given.

log p(x; p) = log (sum_j x[j])! - sum_j log x[j]! + sum_j x[j] log p[j],    p = sum r x / its sum
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int

from jaxem.core import checks
from jaxem.core import held as known
from jaxem.core.numerics import from_log_odds, log_odds, replace_probability
from jaxem.families.exponential_family import ExponentialFamily, cells, guarded_log, ratio


class MultinomialParams(NamedTuple):
    """probabilities (k, d), rows adding up to 1."""

    probabilities: Array


class MultinomialPrior(NamedTuple):
    """Dirichlet(concentration): that less 1 draws seen before."""

    concentration: Any = 1.0


@dataclass(frozen=True)
class Multinomial(ExponentialFamily):
    """Rows of counts, one column a category.

    n_trials: draws of a row that is sampled; the fit takes each row's own number.
    """

    n_trials: Any = 1

    params_type, prior_type = MultinomialParams, MultinomialPrior
    cells_are = "values that are not whole numbers from 0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_trials", checks.whole(self.n_trials, "n_trials", least=1))

    def wrong(self, x: np.ndarray) -> np.ndarray:
        return ~((x >= 0) & (x == np.floor(x)) & (x < np.inf))

    def domain(self, params: Any) -> None:
        if checks.is_concrete(params):
            for row in np.asarray(params.probabilities):
                checks.probabilities(row, "probabilities")

    def blank(self, x: Float[Array, "n d"], k: int) -> MultinomialParams:
        d = x.shape[1]
        return MultinomialParams(jnp.full((k, d), 1 / d, x.dtype))

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n p"]:
        """Square roots of the shares, whose variances differ little."""
        total = jnp.maximum(jnp.sum(x, axis=1, keepdims=True), 1)
        return jnp.sqrt(x / total)

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "d n"]:
        return cells(x)[0]

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        counts = cells(x)[0]
        return gammaln(jnp.sum(counts, axis=0) + 1) - jnp.sum(gammaln(counts + 1), axis=0)

    def natural(self, params: Any) -> Float[Array, "k d"]:
        return guarded_log(params.probabilities)

    def estimate(self, sums: Float[Array, "k d"], params: Any) -> MultinomialParams:
        total = jnp.broadcast_to(jnp.sum(sums, axis=1, keepdims=True), sums.shape)
        return MultinomialParams(ratio(sums, total, params.probabilities))

    def cells(self, data: Any) -> Any:
        raise ValueError(f"{self!r} observes its rows whole: there are no holes to fill")

    def conditional(self, params: Any, given: dict) -> Any:
        raise ValueError(f"{self!r} has no columns that could be given: they add up")

    def expected(self, params: Any) -> Float[Array, "k d"]:
        return params.probabilities

    def earlier_rows(self, prior: MultinomialPrior) -> Float[Array, "k d"]:
        return prior.concentration - 1

    def to_chart(self, params: Any) -> MultinomialParams:
        return MultinomialParams(log_odds(params.probabilities))

    def from_chart(self, chart: Any) -> MultinomialParams:
        return MultinomialParams(from_log_odds(chart.probabilities))

    def metric(self, params: Any, weights: Float[Array, " k"]) -> MultinomialParams:
        return MultinomialParams(weights[:, None] * params.probabilities)

    def on_boundary(self, params: Any) -> MultinomialParams:
        return MultinomialParams(params.probabilities < checks.BOUNDARY)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        p = params.probabilities[labels]
        return jax.random.multinomial(key, jnp.asarray(self.n_trials, p.dtype), p)

    def redrawn(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        counts = jax.random.multinomial(key, jnp.nansum(x, axis=1), params.probabilities[labels])
        return jnp.where(jnp.isnan(x), x, counts)

    def replace(self, params: Any, path: tuple, value: Array) -> MultinomialParams:
        _, component, level = path
        row = replace_probability(params.probabilities[component], level, value)
        return MultinomialParams(params.probabilities.at[component].set(row))

    def hold(self, params: Any, held: Any) -> Any:
        return jax.tree.map(known.hold_probabilities, params, held)

    def n_held(self, held: Any, live: Array) -> Array:
        counts = [known.count_probabilities(leaf, live) for leaf in jax.tree.leaves(held)]
        return sum(counts, jnp.int32(0))

    def n_free_parameters(self, params: Any, live: Array) -> Array:
        return jnp.sum(live, dtype=jnp.int32) * (params.probabilities.shape[1] - 1)
