"""What components have in common that are normal with a hidden scale of each row: tails, outliers.

A row is normal with covariance C / U, and U, hidden, has a law of its own. The sums are those of
Gaussian components with r E U in the place of r (Andrews and Mallows 1974, JRSS B 36, 99-102).
"""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.capabilities.digits import prepared_for
from jaxem.core.contracts import Family
from jaxem.families.gaussian.gaussian import Gaussian
from jaxem.families.gaussian.prior import GaussianPrior


class NormalScaleMixture(Family):
    """Parameters have `gaussian`, those of the normal components, and `of_normal`, the same with
    others; what is prepared has `form`, that of the normal components."""

    covariance: Any

    @property
    def normal(self) -> Gaussian:
        """The family whose scales are mixed."""
        return Gaussian(self.covariance)

    @property
    def regularised(self) -> bool:
        return True

    @property
    def reads_as(self) -> Any:
        return self.normal.reads_as

    @property
    def expands(self) -> bool:
        return True

    # ---- host side

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        checks.finite(x, weight, names)

    def unbounded(
        self, x: Any, weight: Any, names: tuple[str, ...] | None, k: int
    ) -> tuple[str, ...]:
        return self.normal.unbounded(x, weight, names, k)

    def as_prior(self, prior: Any, reg_covar: Any, x: Any, k: int) -> GaussianPrior:
        return self.normal.as_prior(prior, reg_covar, x, k)

    @property
    def can_be_bounded(self) -> bool:
        return self.normal.can_be_bounded

    def bounded(self, prior: GaussianPrior | None, ratio: Any) -> GaussianPrior:
        return self.normal.bounded(prior, ratio)

    def smallest_eigenvalues(self, params: Any) -> Float[Array, " k"]:
        return self.normal.smallest_eigenvalues(params.gaussian)

    def within_bounds(self, params: Any, active: Bool[Array, " k"], prior: GaussianPrior) -> Any:
        return params.of_normal(self.normal.within_bounds(params.gaussian, active, prior))

    def default_min_count(self, x: Any) -> float:
        return self.normal.default_min_count(x)

    def numbers_per_row(self, x: Any, k: int) -> int:
        return self.normal.numbers_per_row(x, k) + 4 * k

    def stable_numbers_per_row(self, x: Any, k: int) -> int:
        return self.normal.stable_numbers_per_row(x, k) + 4 * k

    # ---- starts

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: GaussianPrior | None
    ) -> GaussianPrior:
        return self.normal.starting_prior(pooled.gaussian, counts, prior)

    def first(
        self, pooled: Any, x: Float[Array, "n d"], responsibilities: Float[Array, "k n"]
    ) -> Any:
        """The normal components of these shares: weights are by the distances from them."""
        normal, own = self.normal, pooled.gaussian
        counts = jnp.sum(responsibilities, axis=1)
        prepared = prepared_for(normal, normal.prepare(own, None), x.shape[0])
        _, cache = normal.evaluate(prepared, x)
        sums = normal.statistics(prepared, x, cache, responsibilities)
        sums = normal.finalize_statistics(prepared, sums)
        prior = normal.starting_prior(own, counts, None)
        return pooled.of_normal(normal.m_step(own, sums, prior, counts > 0))

    # ---- the two steps

    def stable_form(self, prepared: Any) -> tuple[Bool[Array, ""], Any] | None:
        stable = self.normal.stable_form(prepared.form)
        return None if stable is None else (stable[0], prepared._replace(form=stable[1]))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return self.normal.spread_fixed(fixed.gaussian)

    def log_prior(
        self, params: Any, prior: GaussianPrior, active: Bool[Array, " k"]
    ) -> Float[Array, ""]:
        return self.normal.log_prior(params.gaussian, prior, active)

    # ---- what is said of a result

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: GaussianPrior | None
    ) -> Float[Array, " k"]:
        """Of the scales."""
        return self.normal.variance_ratio(params.gaussian, weights, prior)

    def marginal(self, params: Any, columns: Any) -> tuple[Any, Any]:
        """Family and parameters of the same components of some columns only."""
        normal, own = self.normal.marginal(params.gaussian, columns)
        family: Any = self
        return replace(family, covariance=normal.covariance), params.of_normal(own)
