"""Yes and no: independent Bernoulli columns.

log p(x; p) = sum_j x[j] log p[j] + (1 - x[j]) log(1 - p[j]),    p = sum r x / sum r
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxem.core import placement
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Probability
from jaxem.core.numerics import einsum
from jaxem.core.parameters import tree
from jaxem.families.direct_form import DirectFamily
from jaxem.families.exponential_family import guarded_log
from jaxem.families.independent_columns import observed_cells, ratio


class BernoulliParams(NamedTuple):
    """probabilities (k, d) of a 1."""

    probabilities: Array


class BernoulliPrior(NamedTuple):
    """Beta(a, b) on the probabilities: a - 1 ones and b - 1 zeros seen before."""

    a: Any = 1.0
    b: Any = 1.0


@dataclass(frozen=True)
class Bernoulli(DirectFamily):
    """Columns of 0 and 1, (n, d); NaN is a missing cell.

    log p(x; p) = sum_j x[j] log p[j] + (1 - x[j]) log(1 - p[j])

    Errors: ValueError for other values.
    """

    params_type, prior_type = BernoulliParams, BernoulliPrior
    constraints = tree(BernoulliParams, Probability())
    crawls = True
    cells_are = "values that are not 0 or 1"

    def describe(self, params: BernoulliParams, columns: Any, levels: Any) -> list[Line]:
        """Of the second level."""
        each = zip(columns, params.probabilities.T, strict=True)
        return [Line(name, f"P({levels.get(name, '01')[-1]})", own) for name, own in each]

    def wrong(self, x: Any) -> Any:
        return ~((x == 0) | (x == 1) | placement.is_nan(x))

    def features(self, x: Float[Array, "n d"]) -> Float[Array, "f n"]:
        known, seen = observed_cells(x)
        return jnp.concatenate([known, seen - known])

    def log_base(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        return jnp.zeros(x.shape[0], x.dtype)

    def natural(self, params: Any) -> Float[Array, "k f"]:
        p = params.probabilities
        return jnp.concatenate([guarded_log(p), guarded_log(1 - p)], axis=1)

    def estimate(self, sums: Float[Array, "k f"], params: Any) -> BernoulliParams:
        ones, zeros = jnp.split(sums, 2, axis=1)
        return BernoulliParams(ratio(ones, ones + zeros, params.probabilities))

    def mean(self, params: Any) -> Float[Array, "k d"]:
        return params.probabilities

    def impute_mean(
        self, params: Any, x: Float[Array, "n d"], shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        """The likelier of 0 and 1."""
        likely = einsum("kn,kd->nd", shares, params.probabilities) > 0.5
        return jnp.where(jnp.isnan(x), likely.astype(x.dtype), x)

    def expected(self, params: Any) -> Float[Array, "k f"]:
        return jnp.concatenate([params.probabilities, 1 - params.probabilities], axis=1)

    def earlier_rows(self, prior: BernoulliPrior) -> Float[Array, "k f"]:
        return jnp.concatenate([prior.a - 1, prior.b - 1], axis=1)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        p = params.probabilities[labels]
        return (jax.random.uniform(key, p.shape, p.dtype) < p).astype(p.dtype)
