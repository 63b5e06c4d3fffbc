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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, tables, ties
from jaxem.core.constraints import Real
from jaxem.core.contracts import Family, Params, Place, Prior
from jaxem.core.numerics import einsum, safe_divide
from jaxem.families.gaussian import filling, holes, product_form, residual_form
from jaxem.families.gaussian import prior as priors
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.holes import Holes
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.gaussian.product_form import ProductForm
from jaxem.families.gaussian.residual_form import ResidualForm
from jaxem.families.gaussian.spherical import Spherical
from jaxem.families.gaussian.tied import Tied

STRUCTURES = {structure.name: structure() for structure in (Full, Tied, Diag, Spherical)}


class GaussianParams(NamedTuple):
    """means (k, d); covariances full (k, d, d), tied (d, d), diag (k, d), spherical (k,)."""

    means: Array
    covariances: Array


class GaussianStatistics(NamedTuple):
    """Sums over rows, from the pivot of the E-step's means."""

    count: Float[Array, " k"]
    first: Float[Array, "k d"]
    second: Array


@dataclass(frozen=True, repr=False)
class Gaussian(Family):
    """Normal components with `covariance` "full", "tied", "diag" or "spherical".

    missing: whether NaN is a hole, a cell that was not observed, rather than an error.
    """

    covariance: Any = "full"
    missing: Any = False

    def __post_init__(self) -> None:
        structure = self.covariance
        if not isinstance(structure, Covariance):
            structure = STRUCTURES.get(structure) if isinstance(structure, str) else None
        if structure is None:
            raise ValueError(
                f"covariance is {self.covariance!r}; it must be one of {', '.join(STRUCTURES)}"
            )
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

    def read(self, data: Any) -> Any:
        table = tables.table(data)
        return holes.read(table) if self.missing else table

    def joined(self, parts: Sequence[Any]) -> Any:
        each = [part.values if self.missing else part for part in parts]
        return self.read(checks.end_to_end(*each))

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        if self.missing:
            holes.check(x, weight, names)
        else:
            remedy = (
                "take Gaussian(..., missing=True), for which NaN is a hole, or drop those rows (of "
                "a sequence make all cells of the step NaN: dropping it would close the gap)"
            )
            checks.finite(x, weight, names, remedy=remedy)

    def missing_mask(self, x: Any) -> np.ndarray | None:
        if not self.missing or not self.covariance.matrices:
            return None
        return np.isnan(np.asarray(x.values))

    def with_tile_size(self, x: Any, tile_size: int) -> Any:
        return replace(x, tile_size=tile_size) if self.missing else x

    def unbounded(
        self, x: Any, weight: Any, names: tuple[str, ...] | None, k: int
    ) -> tuple[str, ...]:
        values = x.values if self.missing else x
        return ties.remarks(values, weight, names, k) if self.covariance.common else ()

    def check_identified(
        self, x: Any, weight: Any, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        return holes.check_identified(self.covariance, x, weight, names) if self.missing else ()

    def left_open(
        self, counts: np.ndarray, both: Any, prior: Any, fixed: Any
    ) -> dict[Place, tuple[int, ...]]:
        seen = both.values if self.missing else both
        return holes.left_open(self.covariance, counts, seen, prior, fixed)

    def as_params(self, params: Params, x: Any, k: int) -> GaussianParams:
        d, structure = x.shape[1], self.covariance
        checks.fields(params, GaussianParams, "components")
        columns = np.shape(params.means)[-1:] or (0,)
        if columns != (d,):
            raise ValueError(f"x has {d} columns, params were made for {columns[0]}")
        made_for = f"{k} components, {d} columns and {self!r}"
        means = checks.parameter(params.means, (k, d), x.dtype, "means", made_for)
        shape = structure.shape(k, d)
        covariances = checks.parameter(params.covariances, shape, x.dtype, "covariances", made_for)
        structure.constraint.check(params.covariances, "covariances")
        return GaussianParams(means, covariances)

    def like_x(self, params: Params) -> Any:
        checks.fields(params, GaussianParams, "components")
        means = params.means if isinstance(params.means, jax.Array) else np.asarray(params.means)
        if means.ndim != 2:
            raise ValueError(f"means has shape {means.shape}; it must be (k, d)")
        dtype = jax.dtypes.canonicalize_dtype(means.dtype)
        dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
        return jax.ShapeDtypeStruct((1, means.shape[1]), dtype)

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> GaussianPrior:
        return priors.read(prior, reg_covar, self.covariance, x, k)

    def default_min_count(self, x: Any) -> float:
        d = x.shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def numbers_per_row(self, x: Any, k: int) -> int:
        d = x.shape[1]
        if isinstance(x, Holes):
            m = x.most if self.covariance.matrices and x.tile_size == 1 else 0
            return k * (4 * d + 3 * m * m)
        if d < self.covariance.least_columns:
            return 4 * k * (d + 1)
        return self.covariance.n_products(d) + d + 3 * k

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n d"]:
        return holes.coordinates(x) if self.missing else x

    def pooled(self, x: Any, weight: Float[Array, " n"], k: int) -> GaussianParams:
        mean, covariance = (holes.moments if self.missing else weighted_moments)(x, weight)
        means = jnp.broadcast_to(mean, (k, x.shape[1]))
        return GaussianParams(means, self.covariance.pooled(covariance, k))

    def starting_prior(
        self, pooled: GaussianParams, counts: Float[Array, " k"], prior: GaussianPrior | None
    ) -> GaussianPrior:
        """d + 1 pseudo-rows of pooled scatter; a scatter of N rows counts as N - 1.

        C = (S + (d + 1) C_pooled) / (N + d): the pooled covariance itself for one row. The fit's
        own prior on the covariances is kept, that on the means left out.
        """
        structure = self.covariance
        d = pooled.means.shape[1]
        own = priors.flat(structure, *pooled) if prior is None else prior
        pseudo, entries = d + 1.0, structure.entries(d)
        n_active = structure.per_covariance((counts > 0).astype(pooled.means.dtype))
        # Groups far apart correlate all columns, beyond what is regular in float32.
        apart = (structure.identity(d, pooled.means.dtype) > 0) | (not structure.matrices)
        less = 1 - jnp.finfo(pooled.means.dtype).eps ** 0.5
        scatter = jnp.where(apart, pooled.covariances, less * pooled.covariances)
        return own._replace(
            mean_precision=jnp.zeros_like(own.mean_precision),
            degrees_of_freedom=own.degrees_of_freedom + entries * (pseudo - n_active),
            scale=own.scale + pseudo * entries * scatter,
        )

    # ---- the two steps

    def prepare(
        self, params: GaussianParams, prior: GaussianPrior | None
    ) -> ResidualForm | ProductForm | holes.Form:
        means, covariances = params
        k, d = means.shape
        factor = self.covariance.factor(covariances, k, d)
        log_normaliser = -0.5 * (d * math.log(2 * math.pi) + factor.log_det)
        if prior is not None:
            form = self.covariance.identity(d, means.dtype)
            trace = self.covariance.trace(factor.root, form)
            trace = jnp.sum(trace, axis=tuple(range(1, trace.ndim)))
            log_normaliser = log_normaliser - 0.5 * prior.reg_covar * trace
        if self.missing:
            return holes.prepare(self.covariance, means, covariances, factor, log_normaliser)
        residuals = ResidualForm(means, factor.root, log_normaliser)
        if d < self.covariance.least_columns:
            return residuals
        return product_form.prepare(self.covariance, residuals, covariances)

    def stable_form(self, prepared: Any) -> tuple[Bool[Array, ""], ResidualForm] | None:
        if not isinstance(prepared, ProductForm):
            return None
        return prepared.loses_precision, prepared.residuals

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        if self.missing:
            return holes.evaluate(self.covariance, prepared, x)
        return _form(prepared).evaluate(self.covariance, prepared, x.T)

    def statistics(
        self,
        prepared: Any,
        x: Any,
        cache: Any,
        responsibilities: Float[Array, "k n"],
    ) -> GaussianStatistics:
        if self.missing:
            sums = holes.sums(self.covariance, prepared, cache, responsibilities)
        else:
            sums = _form(prepared).sums(self.covariance, cache, responsibilities)
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

    def m_step(
        self,
        params: GaussianParams,
        statistics: GaussianStatistics,
        prior: GaussianPrior | None,
        active: Bool[Array, " k"],
        fixed: GaussianParams | None = None,
    ) -> GaussianParams:
        """m = (first + p (prior_mean - m_old)) / (N + p) + m_old, with p = mean_precision;

        C = (scatter around m + p (m - prior_mean)(m - prior_mean)' + scale + N reg I)
            / (N + [p > 0] + dof + d + 1)      (full; the structure's own counts otherwise)

        with m as it is fixed where it is.
        """
        if prior is None:
            prior = priors.flat(self.covariance, *params)
        structure = self.covariance
        k, d = params.means.shape
        count, first, _ = statistics
        precision = jnp.where(active, prior.mean_precision, jnp.zeros_like(count))

        pull = precision[:, None] * (prior.mean - params.means)
        shift = safe_divide(first + pull, jnp.broadcast_to((count + precision)[:, None], (k, d)))
        if fixed is not None:
            shift = jnp.where(jnp.isnan(fixed.means), shift, fixed.means - params.means)
        means = params.means + shift

        _, scatter = product_form.around(structure, *statistics, shift)
        to_prior = means - prior.mean
        scatter = scatter + structure.outer(precision, to_prior, to_prior) + prior.scale
        rows = structure.per_covariance(count)
        scatter = scatter + prior.reg_covar * rows * structure.identity(d, count.dtype)
        total = structure.entries(d) * (
            rows + structure.per_covariance((precision > 0).astype(count.dtype))
        )
        total = total + priors.exponent(prior, self.covariance, d)
        # Nothing says anything of a component without rows and prior: it stays as it is.
        told = total > 0
        covariances = scatter / jnp.where(told, total, jnp.ones_like(total))
        covariances = jnp.where(told, covariances, params.covariances)
        covariances = structure.select(active, covariances, params.covariances)
        return GaussianParams(jnp.where(active[:, None], means, params.means), covariances)

    def spread_fixed(self, fixed: GaussianParams) -> Bool[Array, " k"]:
        variances = self.covariance.variances(fixed.covariances, *fixed.means.shape)
        return jnp.all(~jnp.isnan(variances), axis=1)

    def log_prior(
        self, params: GaussianParams, prior: GaussianPrior, active: Bool[Array, " k"]
    ) -> Float[Array, ""]:
        structure = self.covariance
        k, d = params.means.shape
        factor = structure.factor(params.covariances, k, d)
        precision = jnp.where(active, prior.mean_precision, jnp.zeros_like(prior.mean_precision))
        has_mean = structure.per_covariance((precision > 0).astype(precision.dtype))
        exponent = priors.exponent(prior, self.covariance, d) + structure.entries(d) * has_mean
        spread = exponent * structure.log_scale(params.covariances, factor)
        spread = spread + structure.trace(factor.root, prior.scale)
        spread = structure.select(active, spread, jnp.zeros_like(spread))
        residual = (params.means - prior.mean)[:, :, None]
        distance = structure.squared_distance(factor.root, residual)[:, 0]
        distance = jnp.where(precision > 0, precision * distance, jnp.zeros_like(distance))
        return -0.5 * (jnp.sum(spread) + jnp.sum(distance))

    def fisher_diagonal(self, params: GaussianParams, share: Float[Array, " k"]) -> GaussianParams:
        """Of means, share / variance."""
        k, d = params.means.shape
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        variances = self.covariance.variances(params.covariances, k, d)
        return rough._replace(means=safe_divide(rough.means, variances))

    # ---- what is said of a result

    def variance_ratio(
        self, params: GaussianParams, weights: Float[Array, " k"], prior: GaussianPrior | None
    ) -> Float[Array, " k"]:
        ratio = self.covariance.variance_ratio(params.covariances, weights)
        if prior is None:
            return ratio
        k, d = params.means.shape
        scaled = jnp.all(self.covariance.variances(prior.scale, k, d) > 0)
        proper = jnp.any(priors.exponent(prior, self.covariance, d) > 0) & scaled
        return jnp.where(proper & (ratio > 0), jnp.inf, ratio)

    def sample(
        self, key: Array, params: GaussianParams, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        k, d = params.means.shape
        factor = self.covariance.cholesky(params.covariances, k, d)
        noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)

        def place(j: Array, x: Array) -> Array:  # one component after another: no n x d x d array
            own = (labels == j)[:, None]
            rows = einsum("ij,nj->ni", factor[j], noise) + params.means[j][None]
            return jnp.where(own, rows, x)

        return lax.fori_loop(0, k, place, noise)

    def resample_like(
        self, key: Array, params: GaussianParams, x: Any, labels: Int[Array, " n"]
    ) -> Any:
        rows = self.sample(key, params, labels)
        if not self.missing:
            return rows
        return replace(x, values=jnp.where(jnp.isnan(x.values), x.values, rows))

    # ---- cells that were not observed

    def with_holes(self) -> "Gaussian":
        return replace(self, missing=True)

    def read_incomplete(self, data: Any) -> Any:
        return tables.table(data)

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
        return self, GaussianParams(left.means, left.covariances), left.log_density

    def moments(self, params: GaussianParams) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        k, d = params.means.shape
        factor = self.covariance.cholesky(params.covariances, k, d)
        return params.means, einsum("kil,kjl->kij", factor, factor)

    def marginal(self, params: GaussianParams, columns: Any) -> GaussianParams:
        """The parameters of the same components of some columns only."""
        covariances = self.covariance.marginal(params.covariances, columns)
        return GaussianParams(params.means[:, columns], covariances)


def _form(prepared: Any) -> Any:
    return residual_form if isinstance(prepared, ResidualForm) else product_form


def weighted_moments(
    x: Float[Array, "n d"], weight: Float[Array, " n"]
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean and maximum-likelihood covariance, from a row of the data as origin."""
    share = weight / jnp.sum(weight)
    residuals = x - x[:1]
    shift = einsum("n,nd->d", share, residuals)
    residuals = residuals - shift[None]
    return x[0] + shift, einsum("ni,nj->ij", share[:, None] * residuals, residuals)
