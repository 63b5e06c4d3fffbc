"""The strategy for rows without missing cells; `holes` has the other.

A strategy says how rows are read and checked, where starts look at them, and how densities and sums
are taken of them. x: as `read` gives it.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core import checks
from jaxem.core.numerics import einsum
from jaxem.families.gaussian import fused, product_form, residual_form
from jaxem.families.gaussian.covariance import Covariance, Factor
from jaxem.families.gaussian.residual_form import ResidualForm


class Whole:
    """Stateless: the structure of the covariances comes with each call."""

    def read(self, table: Any) -> Any:
        return table

    def values(self, x: Any) -> Any:
        """(n, d)"""
        return x

    def with_values(self, x: Any, rows: Float[Array, "n d"]) -> Any:
        """x with other rows in the place of its own, where a cell was observed."""
        return rows

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        remedy = (
            "take Gaussian(..., missing=True), for which NaN is a hole, or drop those rows (of a "
            "sequence make all cells of the step NaN: dropping it would close the gap)"
        )
        checks.finite(x, weight, names, remedy=remedy)

    def check_identified(
        self, structure: Covariance, x: Any, weight: Any, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        return ()

    def missing_mask(self, x: Any) -> Any:
        return None

    def numbers_per_row(self, structure: Covariance, x: Any, k: int) -> int:
        d = x.shape[1]
        if d < structure.least_columns:
            return 4 * k * (d + 1)
        return fused.suited(structure, x, k).n_products(d) + d + 3 * k

    def stable_numbers_per_row(self, structure: Covariance, x: Any, k: int) -> int:
        """The residuals, what they are rotated to, and weighted."""
        return 3 * k * (x.shape[1] + 1)

    def coordinates(self, x: Any) -> Float[Array, "n d"]:
        return x

    def moments(
        self, x: Any, weight: Float[Array, " n"]
    ) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        return weighted_moments(x, weight)

    def prepare(
        self, structure: Covariance, params: Any, factor: Factor, log_normaliser: Float[Array, " k"]
    ) -> Any:
        residuals = ResidualForm(params.means, factor.root, log_normaliser)
        if params.means.shape[1] < structure.least_columns:
            return residuals
        return product_form.prepare(structure, residuals, params.covariances)

    def evaluate(self, structure: Covariance, form: Any, x: Any) -> tuple[Array, Any]:
        if isinstance(form, ResidualForm):
            return residual_form.evaluate(structure, form, x.T)
        own = fused.suited(structure, x, len(form.offset))
        return product_form.evaluate(own, form, structure.columns(x))

    def sums(
        self, structure: Covariance, form: Any, cache: Any, weight: Float[Array, "k n"]
    ) -> tuple[Float[Array, "k d"], Array]:
        if isinstance(form, ResidualForm):
            return residual_form.sums(structure, cache, weight)
        own = fused.suited(structure, cache.y.T, len(form.offset))
        return product_form.sums(own, cache, weight)


def weighted_moments(
    x: Float[Array, "n d"], weight: Float[Array, " n"]
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and maximum-likelihood covariance, from a row of the data as origin."""
    share = weight / jnp.sum(weight)
    residuals = x - x[:1]
    shift = einsum("n,nd->d", share, residuals)
    residuals = residuals - shift[None]
    return x[0] + shift, einsum("ni,nj->ij", share[:, None] * residuals, residuals)
