"""Successes out of trials: independent binomial columns.

log p(x; p) = log N! - log x! - log (N - x)! + x log p + (N - x) log(1 - p),  p = sum r x / sum r N

As counts of Poisson distributions of means N p and N (1 - p) whose sum is given, in the form of
`log_poisson`, and from a pivot q, the terms of many trials are small:

log p(x; p) = log p(x; q) + x log(p / q) + (N - x) log((1 - p) / (1 - q))
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement, tables
from jaxem.core.capabilities import holes
from jaxem.core.constraints import Probability
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


class BinomialParams(NamedTuple):
    """probabilities (k, d) of a success."""

    probabilities: Array


class BinomialPrior(NamedTuple):
    """Beta(a, b) on the probabilities: a - 1 successes and b - 1 failures seen before."""

    a: Any = 1.0
    b: Any = 1.0


@dataclass(frozen=True)
class Binomial(PivotFamily):
    """Columns of successes. n_trials: of every cell; None: the data is (successes, trials), with
    one number of trials (n,) a row."""

    n_trials: Any = None

    params_type, prior_type = BinomialParams, BinomialPrior
    constraints = tree(BinomialParams, Probability())
    crawls = True
    cells_are = "values that are not whole numbers from 0 to the number of trials"

    def __post_init__(self) -> None:
        if self.n_trials is not None:
            object.__setattr__(self, "n_trials", checks.whole(self.n_trials, "n_trials", least=1))

    # ---- host side

    def read(self, data: Any) -> Any:
        if self.n_trials is not None:
            return tables.table(data)
        successes, trials = tables.pair(data, "(successes, trials); or give n_trials")
        successes = tables.table(successes, "successes")
        return successes, tables.column(trials, "trials", len(successes)).astype(successes.dtype)

    def check_imputable(self) -> None:
        if self.n_trials is None:
            raise ValueError(
                "holes of successes with trials of their own are not filled; give n_trials"
            )

    def wrong(self, x: Any) -> Any:
        return self._wrong(x, self.n_trials)

    def _wrong(self, x: Any, most: Any) -> Any:
        return ~(placement.is_nan(x) | ((x >= 0) & (x <= most) & placement.is_whole(x)))

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        if self.n_trials is not None:
            return super().check(x, weight, names)
        successes, trials = x
        checks.require_cells(
            trials[:, None], weight, ("trials",), lambda t: ~((t >= 0) & placement.is_whole(t)),
            "trials that are not whole numbers from 0", "drop or mend those rows",
        )  # fmt: skip
        both = placement.end_to_end(successes.T, trials[None]).T

        def wrong(block: Any) -> Any:
            marks = self._wrong(block, block[:, -1:])
            return marks & (placement.numpy_of(block).arange(block.shape[1]) < block.shape[1] - 1)

        checks.require_cells(both, weight, names, wrong, self.cells_are, "drop or mend those rows")

    def informative(self, x: Any) -> Any:
        return holes.any_number(x if self.n_trials is not None else x[0])

    def as_params(self, params: Any, x: Any, k: int) -> BinomialParams:
        return super().as_params(params, x if self.n_trials is not None else x[0], k)

    def like_x(self, params: Any) -> Any:
        successes = super().like_x(params)
        if self.n_trials is not None:
            return successes
        return successes, jax.ShapeDtypeStruct((1,), successes.dtype)

    def _parts(self, x: Any) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        if self.n_trials is None:
            return x
        return x, jnp.full(x.shape[0], self.n_trials, x.dtype)

    # ---- the two steps

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        """Angles, whose variances differ little."""
        successes, trials = self._parts(x)
        share = with_column_means(successes / jnp.maximum(trials, 1)[:, None])
        return jnp.arcsin(jnp.sqrt(share))

    def location(self, params: Any) -> Float[Array, "k d"]:
        return params.probabilities

    def centre(self, x: Any) -> Float[Array, "1 d"]:
        successes, failures = jnp.split(self.features(x, jnp.ones((1, 1))), 2)
        most = 1 - jnp.finfo(successes.dtype).eps
        return jnp.minimum(column_means(successes, successes + failures), most)

    def features(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        successes, trials = self._parts(x)
        known, seen = observed_cells(successes)
        return jnp.concatenate([known, seen * trials[None] - known])

    def log_base(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        successes, failures = jnp.split(self.features(x, pivot), 2)
        n, q = successes + failures, pivot.T
        parts = log_poisson(successes, n * q) + log_poisson(failures, n * (1 - q))
        return jnp.sum(parts - log_poisson(n, n), axis=0)

    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        p = params.probabilities
        logs = (
            jnp.split(relative(a, b), 2, axis=1)[0] for a, b in ((p, pivot), (1 - p, 1 - pivot))
        )
        return jnp.concatenate(list(logs), axis=1)

    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        p, most = params.probabilities, jnp.max(self._parts(x)[1])
        return most * jnp.max(largest(p, pivot) + largest(1 - p, 1 - pivot))

    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        return sums

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> BinomialParams:
        successes, failures = jnp.split(sums, 2, axis=1)
        return BinomialParams(ratio(successes, successes + failures, params.probabilities))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return self.n_trials * params.probabilities

    def expected(self, params: Any) -> Float[Array, "k f"]:
        """Of a row of one trial."""
        return jnp.concatenate([params.probabilities, 1 - params.probabilities], axis=1)

    def check_prior(self, prior: BinomialPrior) -> None:
        check_mode(self, prior, prior.a - 1, prior.b - 1)

    def earlier_rows(self, prior: BinomialPrior) -> Earlier:
        successes, failures = prior.a - 1, prior.b - 1
        both = (successes > 0) & (failures > 0)
        share = successes / jnp.where(both, successes + failures, 1)
        pivot = jnp.where(both, share, 0.5)
        return Earlier(pivot, jnp.concatenate([successes, failures], axis=1))

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Any:
        """Of one trial where each row has a number of its own."""
        p = params.probabilities[labels]
        successes = jax.random.binomial(key, jnp.asarray(self.n_trials or 1, p.dtype), p)
        if self.n_trials is not None:
            return successes
        return successes, jnp.ones(labels.shape, p.dtype)

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        old, trials = self._parts(x)
        p = params.probabilities[labels]
        successes = jnp.where(jnp.isnan(old), old, jax.random.binomial(key, trials[:, None], p))
        return successes if self.n_trials is not None else (successes, trials)
