"""Histograms: independent normal columns of which the bin alone is known.

log p(j; m, s) = log(Phi(b[j + 1]) - Phi(b[j])) - log(Phi(b[-1]) - Phi(b[0])),
b = (edges - m) / s                                   (McLachlan and Peel 2000, section 9.3)

The numbers in the bins are hidden: an E-step takes their moments within each bin; so are, where
the outer edges are finite, the rows beyond them: see `normal_columns.py`.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement
from jaxem.core.constraints import Positive, Real
from jaxem.core.parameters import tree
from jaxem.families.independent_columns import with_column_means
from jaxem.families.normal_columns import NormalColumns
from jaxem.inference import truncated_normal
from jaxem.inference.truncated_normal import Between, standardized


class BinnedNormalParams(NamedTuple):
    """means (k, d) and scales (k, d), standard deviations, of the numbers in the bins."""

    means: Array
    scales: Array


@dataclass(frozen=True)
class BinnedNormal(NormalColumns):
    """Columns of numbers of bins, from 0, of a histogram with these edges.

    log p(j; m, s) = log P(edges[j] < number < edges[j + 1] | edges[0] < number < edges[-1])

    edges: increasing numbers, at least three; the first and the last may be infinite, and where
    they are finite no row is seen beyond them. A histogram is one row for each bin, with its counts
    as weights: x = arange(len(counts)), sample_weight = counts. NaN is a missing cell.
    Errors: ValueError for edges that do not increase, and for numbers that are of no bin.
    """

    edges: Any

    params_type = BinnedNormalParams
    constraints = tree(BinnedNormalParams, Real(), Positive())
    cells_are = "values that are no number of a bin"

    def __post_init__(self) -> None:
        checks.numbers(self.edges, "edges")
        edges = () if self.edges is None else tuple(map(float, np.ravel(self.edges)))
        if len(edges) < 3 or not np.all(np.diff(edges) > 0):
            raise ValueError(f"edges is {self.edges!r}; give three numbers or more that increase")
        object.__setattr__(self, "edges", edges)

    @property
    def limits(self) -> tuple[float, float]:
        return self.edges[0], self.edges[-1]

    def wrong(self, x: Any) -> Any:
        there = (x >= 0) & placement.is_whole(x) & (x < len(self.edges) - 1)
        return ~(placement.is_nan(x) | there)

    def check_imputable(self) -> None:
        raise ValueError(f"{self!r} fills no holes: a bin is no number")

    def coordinates(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return with_column_means(jnp.where(jnp.isnan(x), jnp.nan, self._middles(x)))

    def _middles(self, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Of an open bin, as far beyond its edge as that is from the next one."""
        edges = np.array(self.edges)
        if math.isinf(edges[0]):
            edges[0] = edges[1] - (edges[2] - edges[1] if len(edges) > 3 else 1)
        if math.isinf(edges[-1]):
            edges[-1] = edges[-2] + (edges[-2] - edges[-3] if len(edges) > 3 else 1)
        return jnp.asarray(0.5 * (edges[1:] + edges[:-1]), x.dtype)[_whole(x)]

    def _within(self, params: Any, x: Float[Array, "1 d n"]) -> Between:
        """Of the standard normal numbers in the bins."""
        (m, s), edges = params, jnp.asarray(self.edges, x.dtype)
        return truncated_normal.between(
            standardized(edges[_whole(x)], m, s), standardized(edges[_whole(x) + 1], m, s)
        )

    def cells(self, params: Any, x: Any) -> Float[Array, "k d n"]:
        return self._within(params, x).log_mass - self.seen(params).log_mass

    def terms(self, params: Any, x: Any) -> list[Float[Array, "k d n"]]:
        """1, and the moments of number - m."""
        s, (_, first, second) = params.scales, self._within(params, x)
        return [jnp.ones_like(first), s * first, s**2 * second]

    def rough(self, x: Any, share: Float[Array, "d n"]) -> BinnedNormalParams:
        """As if the numbers were in the middle of their bins."""
        return self.moments_of(self._middles(x), share)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        m, s = (leaf[labels] for leaf in params)
        a, b = (standardized(jnp.full_like(m, limit), m, s) for limit in self.limits)
        numbers = m + s * truncated_normal.draw(key, a, b)
        inner = jnp.asarray(self.edges[1:-1], m.dtype)
        return jnp.searchsorted(inner, numbers, side="right").astype(m.dtype)


def _whole(x: Float[Array, "*s"]) -> Int[Array, "*s"]:
    return jnp.where(jnp.isnan(x), 0, x).astype(jnp.int32)
