"""The multivariate normal family: means and their M-step; covariances by structure.

log N(x; m, C) = -1/2 [ d log 2 pi + log det C + (x - m)' inv(C) (x - m) ]

Statistics are measured from the means of the E-step, m_old, so that nothing cancels near a fixed
point and offsets of the data cost no digits:

    count[k]  = sum_n r[k, n]
    first[k]  = sum_n r[k, n] (x[n] - m_old[k])
    second[k] = sum_n r[k, n] (x[n] - m_old[k]) (x[n] - m_old[k])'     (in the structure's form)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, placement, tables, ties
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Real
from jaxem.core.contracts import Family, Params, Place, Prior
from jaxem.core.numerics import einsum, safe_divide
from jaxem.core.rows import flat
from jaxem.families.gaussian import (
    described,
    eigenvalue_bound,
    filling,
    holes,
    identified,
    product_form,
)
from jaxem.families.gaussian import prior as priors
from jaxem.families.gaussian.covariance import Covariance, Factor
from jaxem.families.gaussian.holes import Holes
from jaxem.families.gaussian.m_step import GaussianStatistics, m_step, recentred
from jaxem.families.gaussian.params import GaussianParams as GaussianParams
from jaxem.families.gaussian.params import as_params, like_x
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.gaussian.product_form import ProductForm
from jaxem.families.gaussian.residual_form import ResidualForm
from jaxem.families.gaussian.structures import STRUCTURES
from jaxem.families.gaussian.whole import Whole

_ROWS = {False: Whole(), True: holes.WithHoles()}


@dataclass(frozen=True, repr=False)
class Gaussian(Family):
    """Rows of numbers, (n, d), normal with a `covariance` of one of fourteen structures.

    log N(x; m, C) = -1/2 [ d log 2 pi + log det C + (x - m)' inv(C) (x - m) ]

    covariance: "full", "tied", "diag", "spherical", or a name of mclust's.
    These name volume, shape and orientation of C[k] = v[k] D[k] diag(a[k]) D[k]' by three letters:
    equal, E, of each component, V, or along the columns, I (Celeux and Govaert 1995; EVE and VVE
    Browne and McNicholas 2014). EII, VII = "spherical", EEI = "tied-diag", VEI, EVI, VVI = "diag",
    EEE = "tied", VEE, EVE, VVE, EEV, VEV, EVV, VVV = "full".

    missing: whether NaN is a hole, a cell that was not observed, rather than an error.
    Errors: ValueError for a name that is none of these.
    """

    covariance: Any = "full"
    missing: Any = False

    def __post_init__(self) -> None:
        structure = self.covariance
        if not isinstance(structure, Covariance):
            checks.one_of(structure, STRUCTURES, "covariance")
            structure = STRUCTURES[structure]
        object.__setattr__(self, "covariance", structure)
        object.__setattr__(self, "missing", checks.flag(self.missing, "missing"))

    def __repr__(self) -> str:
        return f"Gaussian({self.covariance.name!r}{', missing=True' if self.missing else ''})"

    # ---- host side

    @property
    def constraints(self) -> GaussianParams:
        means = Real(whole=self.covariance.matrices)
        return parameters.tree(GaussianParams, means, self.covariance.constraint)

    @property
    def regularised(self) -> bool:
        return True

    @property
    def unimodal(self) -> bool:
        return not self.missing

    @property
    def rows(self) -> Whole:
        """How rows are taken."""
        return _ROWS[self.missing]

    def read(self, data: Any) -> Any:
        return self.rows.read(tables.table(data))

    def joined(self, parts: Sequence[Any]) -> Any:
        return self.read(placement.end_to_end(*map(self.rows.values, parts)))

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        self.rows.check(x, weight, names)

    def missing_mask(self, x: Any) -> Any:
        return self.rows.missing_mask(x) if self.covariance.matrices else None

    def flatten_tiles(self, x: Any) -> Any:
        if self.missing and self.covariance.matrices:
            return x
        return flat(x, 2)

    @property
    def reads_as(self) -> Any:
        return Gaussian, self.missing

    def unbounded(
        self, x: Any, weight: Any, names: tuple[str, ...] | None, k: int
    ) -> tuple[str, ...]:
        values = self.rows.values(x)
        return ties.remarks(values, weight, names, k) if self.covariance.one_shape else ()

    def check_identified(
        self, x: Any, weight: Any, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        return self.rows.check_identified(self.covariance, x, weight, names)

    @property
    def may_leave_open(self) -> bool:
        return self.missing

    def left_open(
        self, counts: np.ndarray, both: Any, prior: Any, fixed: Any
    ) -> dict[Place, tuple[int, ...]]:
        return identified.left_open(self.covariance, counts, jax.tree.leaves(both)[0], prior, fixed)

    def as_params(self, params: Params, x: Any, k: int) -> GaussianParams:
        return as_params(self.covariance, params, x, k, repr(self))

    def like_x(self, params: Params) -> Any:
        return like_x(params)

    def bounded(self, prior: GaussianPrior | None, ratio: Any) -> GaussianPrior:
        return (prior or GaussianPrior())._replace(max_eigenvalue_ratio=ratio)

    @property
    def can_be_bounded(self) -> bool:
        return eigenvalue_bound.possible(self.covariance)

    def smallest_eigenvalues(self, params: GaussianParams) -> Float[Array, " k"]:
        return eigenvalue_bound.smallest(self.covariance, params.covariances, len(params.means))

    def within_bounds(
        self, params: GaussianParams, active: Bool[Array, " k"], prior: GaussianPrior
    ) -> GaussianParams:
        if prior.max_eigenvalue_ratio is None:
            return params
        rows = self.covariance.per_covariance(active.astype(params.means.dtype))
        inside = eigenvalue_bound.bounded(
            self.covariance, params.covariances, rows, prior.max_eigenvalue_ratio
        )
        own = eigenvalue_bound.settled(self.covariance, active, inside, params.covariances)
        return params._replace(covariances=own)

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> GaussianPrior:
        return priors.read(prior, reg_covar, self.covariance, x, k)

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def numbers_per_row(self, x: Any, k: int) -> int:
        return self.rows.numbers_per_row(self.covariance, x, k)

    def stable_numbers_per_row(self, x: Any, k: int) -> int:
        return self.rows.stable_numbers_per_row(self.covariance, x, k)

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n d"]:
        return self.rows.coordinates(x)

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> GaussianParams:
        mean, covariance = self.rows.moments(x, weight)
        means = jnp.broadcast_to(mean, (k, x.shape[1]))
        return GaussianParams(means, self.covariance.pooled(covariance, k))

    def starting_prior(
        self, pooled: GaussianParams, counts: Float[Array, " k"], prior: GaussianPrior | None
    ) -> GaussianPrior:
        """d + 1 pseudo-rows of pooled scatter; a scatter of N rows counts as N - 1.

        C = (S + (d + 1) C_pooled) / (N + d): the pooled covariance itself for one row. The fit's
        own prior on the covariances is kept, that on the means left out.
        """
        return priors.of_start(self.covariance, pooled, counts, prior)

    # ---- the two steps

    def prepare(
        self, params: GaussianParams, prior: GaussianPrior | None
    ) -> ResidualForm | ProductForm | holes.Form:
        means, covariances = params
        k, d = means.shape
        factor = self.covariance.factor(covariances, k, d)
        log_normaliser = self.log_normaliser(factor, prior, d)
        return self.rows.prepare(self.covariance, params, factor, log_normaliser)

    def log_normaliser(
        self, factor: Factor, prior: GaussianPrior | None, d: int
    ) -> Float[Array, " k"]:
        """The log density at the mean."""
        found = -0.5 * (d * math.log(2 * math.pi) + factor.log_det)
        if prior is None:
            return found
        form = self.covariance.identity(d, found.dtype)
        trace = self.covariance.total(self.covariance.trace(factor.root, form))
        return found - 0.5 * prior.reg_covar * trace

    def stable_form(self, prepared: Any) -> tuple[Bool[Array, ""], ResidualForm] | None:
        if not isinstance(prepared, ProductForm):
            return None
        return prepared.loses_precision, prepared.residuals

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        return self.rows.evaluate(self.covariance, prepared, x)

    def statistics(
        self,
        prepared: Any,
        x: Any,
        cache: Any,
        responsibilities: Float[Array, "k n"],
    ) -> GaussianStatistics:
        sums = self.rows.sums(self.covariance, prepared, cache, responsibilities)
        return GaussianStatistics(jnp.sum(responsibilities, axis=1), *sums)

    def finalize_statistics(
        self, prepared: Any, statistics: GaussianStatistics
    ) -> GaussianStatistics:
        if not isinstance(prepared, ProductForm):
            return statistics
        count, *sums = statistics
        return GaussianStatistics(
            count, *product_form.centred(self.covariance, prepared, count, *sums)
        )

    def recentre(
        self, statistics: GaussianStatistics, old: GaussianParams, new: GaussianParams
    ) -> GaussianStatistics:
        return recentred(self.covariance, statistics, new.means - old.means)

    def m_step(
        self,
        params: GaussianParams,
        statistics: GaussianStatistics,
        prior: GaussianPrior | None,
        active: Bool[Array, " k"],
        fixed: GaussianParams | None = None,
    ) -> GaussianParams:
        return m_step(self.covariance, params, statistics, prior, active, fixed, statistics.count)

    def spread_fixed(self, fixed: GaussianParams) -> Bool[Array, " k"]:
        variances = self.covariance.variances(fixed.covariances, *fixed.means.shape)
        return jnp.all(~jnp.isnan(variances), axis=1)

    def log_prior(
        self, params: GaussianParams, prior: GaussianPrior, active: Bool[Array, " k"]
    ) -> Float[Array, ""]:
        return priors.log_density(self.covariance, params, prior, active)

    def fisher_diagonal(self, params: GaussianParams, share: Float[Array, " k"]) -> GaussianParams:
        """Of means, share / variance."""
        k, d = params.means.shape
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        variances = self.covariance.variances(params.covariances, k, d)
        return rough._replace(means=safe_divide(rough.means, variances))

    # ---- what is said of a result

    def describe(self, params: GaussianParams, columns: Any, levels: Any) -> list[Line]:
        return described.lines(self.covariance, *params, columns, "std. deviation")

    def variance_ratio(
        self, params: GaussianParams, weights: Float[Array, " k"], prior: GaussianPrior | None
    ) -> Float[Array, " k"]:
        ratio = self.covariance.variance_ratio(params.covariances, weights)
        if prior is None:
            return ratio
        k, d = params.means.shape
        scaled = jnp.all(self.covariance.variances(prior.scale, k, d) > 0)
        proper = jnp.any(priors.exponent(prior, self.covariance, d) > 0) & scaled
        if prior.max_eigenvalue_ratio is not None:
            proper = proper | (prior.max_eigenvalue_ratio <= eigenvalue_bound.SAFE)
        return jnp.where(proper & (ratio > 0), jnp.inf, ratio)

    def sample(
        self, key: Array, params: GaussianParams, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        return filling.sample(self.covariance, key, *params, labels)

    def resample_like(
        self, key: Array, params: GaussianParams, x: Any, labels: Int[Array, " n"]
    ) -> Any:
        return self.rows.with_values(x, self.sample(key, params, labels))

    # ---- cells that were not observed

    def with_holes(self) -> "Gaussian":
        return replace(self, missing=True)

    def check_imputable(self) -> None:
        """Any cell may be missing."""

    def impute_mean(
        self, params: GaussianParams, x: Holes, shares: Float[Array, "k n"]
    ) -> Float[Array, "n d"]:
        return filling.expected(self.covariance, self.prepare(params, None), x, shares)

    def impute_draw(
        self, key: Array, params: GaussianParams, x: Holes, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        whole = self.sample(key, params, labels)
        return filling.impute_draw(self.prepare(params, None), x, whole, labels)

    def conditional(
        self, params: GaussianParams, given: dict
    ) -> tuple["Gaussian", GaussianParams, Float[Array, " k"]]:
        d, dtype = params.means.shape[1], params.means.dtype
        own, rest = np.array(list(given)), np.array([j for j in range(d) if j not in given])
        values = jnp.stack([jnp.asarray(value, dtype) for value in given.values()])
        left = filling.conditional(self.covariance, *params, values, own, rest)
        family = replace(self, covariance=self.covariance.of_columns())
        return family, GaussianParams(left.means, left.covariances), left.log_density

    def moments(self, params: GaussianParams) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        k, d = params.means.shape
        factor = self.covariance.cholesky(params.covariances, k, d)
        return params.means, einsum("kil,kjl->kij", factor, factor)

    def marginal(self, params: GaussianParams, columns: Any) -> tuple["Gaussian", GaussianParams]:
        """Family and parameters of the same components of some columns only."""
        covariances = self.covariance.marginal(params.covariances, columns)
        family = replace(self, covariance=self.covariance.of_columns())
        return family, GaussianParams(params.means[:, columns], covariances)
