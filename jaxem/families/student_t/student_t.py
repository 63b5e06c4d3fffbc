"""Multivariate t components: as normal ones, with rows far out weighing less.

log t(x; m, C, nu) = log Gamma((nu + d) / 2) - log Gamma(nu / 2) - d/2 log(nu pi)
                     - 1/2 log det C - (nu + d) / 2 log(1 + delta / nu),
delta = (x - m)' inv(C) (x - m)

A row is normal with covariance C / U, and U, hidden, of Gamma(nu / 2, nu / 2). Given the row

    u = E U = (nu + d) / (nu + delta),   E log U = log u + digamma(b) - log b,   b = (nu + d) / 2

(Liu and Rubin 1995, Statistica Sinica 5; Peel and McLachlan 2000, Statistics and Computing 10.)
The sums are those of Gaussian components with r u for r, and with them

    count[k] = sum_n r[k, n],    surplus[k] = sum_n r[k, n] (u - 1 - E log U),

every term of which is positive: nothing cancels, up to the normal limit.

With U of Gamma(nu / 2, nu / (2 c[k])), where c = 1 is the model, EM may estimate c too, which is
c = sum r u / sum r, and take C / c for C: it climbs no less, and faster (parameter expansion; Liu,
Rubin and Wu 1998). So it divides by the sum of the weights, as Kent, Tyler and Vardi (1994) do. It
is done where each component has a volume of its own that neither a prior nor fixed numbers hold.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters
from jaxem.core.capabilities.digits import prepared_for
from jaxem.core.contracts import Family, Params
from jaxem.core.special import log1p_excess, log_less_digamma, stirling
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.gaussian import Gaussian
from jaxem.families.gaussian.m_step import GaussianStatistics, m_step, recentred
from jaxem.families.gaussian.params import GaussianParams, like_x
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.gaussian.product_form import ProductForm
from jaxem.families.gaussian.residual_form import ResidualForm
from jaxem.families.student_t import degrees_of_freedom as laws
from jaxem.families.student_t.degrees_of_freedom import DegreesOfFreedom
from jaxem.families.student_t.params import StudentTParams, as_params

_NEAR = 0.3  # of u to 1: there log u is that of the difference


class Prepared(NamedTuple):
    """form: gives -delta / 2."""

    form: ResidualForm | ProductForm
    log_normaliser: Float[Array, " k"]
    degrees_of_freedom: Float[Array, " k"]


class Cache(NamedTuple):
    distance: Float[Array, "k n"]
    of_form: Any


class StudentTStatistics(NamedTuple):
    """weighted: the sums of Gaussian components with weights r u."""

    count: Float[Array, " k"]
    surplus: Float[Array, " k"]
    weighted: GaussianStatistics


@dataclass(frozen=True, repr=False)
class StudentT(Family):
    """Multivariate t components: clusters with heavy tails or among outliers.

    covariance: the structure of the scale matrices, any name that `Gaussian` takes.
    degrees_of_freedom: None: one is estimated for each component; "shared": one for all; a number.
    A prior is a `GaussianPrior`, of the means and scales. Numbers that are estimated stay from 0.01
    to 1e6, where a component is as good as normal.
    """

    covariance: Any = "full"
    degrees_of_freedom: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "covariance", Gaussian(self.covariance).covariance)
        object.__setattr__(self, "degrees_of_freedom", laws.plain(self.degrees_of_freedom))

    def __repr__(self) -> str:
        own = self.degrees_of_freedom
        more = "" if own is None else f", degrees_of_freedom={own!r}"
        return f"StudentT({self.covariance.name!r}{more})"

    # ---- host side

    @property
    def law(self) -> DegreesOfFreedom:
        """How the degrees of freedom are found."""
        return laws.law(self.degrees_of_freedom)

    @property
    def normal(self) -> Gaussian:
        """The family whose scales are mixed."""
        return Gaussian(self.covariance)

    @property
    def constraints(self) -> StudentTParams:
        parts = *self.normal.constraints, self.law.constraint
        return parameters.tree(StudentTParams, *parts)

    @property
    def regularised(self) -> bool:
        return True

    @property
    def unimodal(self) -> bool:
        """From 1 on there is one maximum (Kent, Tyler and Vardi 1994)."""
        own = self.degrees_of_freedom
        return isinstance(own, float) and own >= 1

    @property
    def reads_as(self) -> Any:
        return self.normal.reads_as

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        checks.finite(x, weight, names)

    def unbounded(
        self, x: Any, weight: Any, names: tuple[str, ...] | None, k: int
    ) -> tuple[str, ...]:
        return self.normal.unbounded(x, weight, names, k)

    def as_params(self, params: Params, x: Any, k: int) -> StudentTParams:
        return as_params(self.covariance, self.law, params, x, k, repr(self))

    def like_x(self, params: Params) -> Any:
        return like_x(params, StudentTParams)

    def as_prior(self, prior: Any, reg_covar: Any, x: Any, k: int) -> GaussianPrior:
        return self.normal.as_prior(prior, reg_covar, x, k)

    def default_min_count(self, x: Any) -> float:
        return self.normal.default_min_count(x)

    def numbers_per_row(self, x: Any, k: int) -> int:
        return self.normal.numbers_per_row(x, k) + 4 * k

    def stable_numbers_per_row(self, x: Any, k: int) -> int:
        return self.normal.stable_numbers_per_row(x, k) + 4 * k

    # ---- starts

    def fit_one_component(
        self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int
    ) -> StudentTParams:
        """Its moments: they are looked at from, no more."""
        means, scales = self.normal.fit_one_component(x, weight, k)
        return StudentTParams(means, scales, jnp.full((k,), self.law.first, means.dtype))

    def starting_prior(
        self, pooled: StudentTParams, counts: Float[Array, " k"], prior: GaussianPrior | None
    ) -> GaussianPrior:
        return self.normal.starting_prior(pooled.gaussian, counts, prior)

    def first(
        self, pooled: StudentTParams, x: Float[Array, "n d"], responsibilities: Float[Array, "k n"]
    ) -> StudentTParams:
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

    def prepare(self, params: StudentTParams, prior: GaussianPrior | None) -> Prepared:
        means, scales, nu = params
        k, d = means.shape
        factor = self.covariance.factor(scales, k, d)
        form = self.normal.rows.prepare(
            self.covariance, params.gaussian, factor, jnp.zeros_like(nu)
        )
        log_normaliser = self.normal.log_normaliser(factor, prior, d)
        return Prepared(form, log_normaliser + tail_normaliser(nu, d), nu)

    def stable_form(self, prepared: Prepared) -> tuple[Bool[Array, ""], Prepared] | None:
        stable = self.normal.stable_form(prepared.form)
        return None if stable is None else (stable[0], prepared._replace(form=stable[1]))

    def evaluate(
        self, prepared: Prepared, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "k n"], Cache]:
        half, of_form = self.normal.evaluate(prepared.form, x)
        distance = jnp.where(half > 0, 0, -2 * half)  # it may be rounded below 0
        nu = prepared.degrees_of_freedom[:, None]
        tail = 0.5 * (nu + x.shape[1]) * jnp.log1p(distance / nu)
        return prepared.log_normaliser[:, None] - tail, Cache(distance, of_form)

    def statistics(
        self,
        prepared: Prepared,
        x: Float[Array, "n d"],
        cache: Cache,
        responsibilities: Float[Array, "k n"],
    ) -> StudentTStatistics:
        weights = _weights(prepared, x, cache)
        some = responsibilities > 0
        surplus = jnp.where(some, responsibilities * _surplus(prepared, x, cache), 0)
        return StudentTStatistics(
            count=jnp.sum(responsibilities, axis=1),
            surplus=jnp.sum(surplus, axis=1),
            weighted=self.normal.statistics(
                prepared.form, x, cache.of_form, responsibilities * weights
            ),
        )

    def finalize_statistics(
        self, prepared: Prepared, statistics: StudentTStatistics
    ) -> StudentTStatistics:
        weighted = self.normal.finalize_statistics(prepared.form, statistics.weighted)
        return statistics._replace(weighted=weighted)

    def recentre(
        self, statistics: StudentTStatistics, old: StudentTParams, new: StudentTParams
    ) -> StudentTStatistics:
        weighted = recentred(self.covariance, statistics.weighted, new.means - old.means)
        return statistics._replace(weighted=weighted)

    def m_step(
        self,
        params: StudentTParams,
        statistics: StudentTStatistics,
        prior: GaussianPrior | None,
        active: Bool[Array, " k"],
        fixed: StudentTParams | None = None,
    ) -> StudentTParams:
        """m and C as of normal components, from the sums with r u / c for r, and N = sum r;

        nu from surplus + N (log c - c + 1), with c = sum r u / N or 1.
        """
        count, own = jnp.where(active, statistics.count, 0), params.gaussian
        known = None if fixed is None else fixed.gaussian
        c = self._expansion(statistics, prior, known)
        weighted = _divided(self.covariance, statistics.weighted, c)
        means, scales = m_step(self.covariance, own, weighted, prior, active, known, count)
        surplus = jnp.where(active, statistics.surplus + count * log1p_excess(c - 1), 0)
        nu = self.law.estimate(surplus, count, params.degrees_of_freedom)
        return StudentTParams(means, scales, nu)

    def _expansion(
        self, statistics: StudentTStatistics, prior: Any, known: GaussianParams | None
    ) -> Float[Array, " k"]:
        """c, which is 1 where it cannot go into the volume of the component."""
        count, total = statistics.count, statistics.weighted.count
        free = count > 0
        if prior is not None or not self.covariance.own_volume:
            free = jnp.zeros_like(free)
        elif known is not None:
            variances = self.covariance.variances(known.covariances, *known.means.shape)
            free = free & jnp.all(jnp.isnan(variances), axis=1)
        return jnp.where(free, total / jnp.where(free, count, 1), 1)

    def spread_fixed(self, fixed: StudentTParams) -> Bool[Array, " k"]:
        return self.normal.spread_fixed(fixed.gaussian)

    def log_prior(
        self, params: StudentTParams, prior: GaussianPrior, active: Bool[Array, " k"]
    ) -> Float[Array, ""]:
        return self.normal.log_prior(params.gaussian, prior, active)

    def fisher_diagonal(self, params: StudentTParams, share: Float[Array, " k"]) -> StudentTParams:
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        means, scales = self.normal.fisher_diagonal(params.gaussian, share)
        return StudentTParams(means, scales, rough.degrees_of_freedom)

    # ---- what is said of a result

    def row_weights(self, prepared: Prepared, x: Float[Array, "n d"]) -> Float[Array, "k n"]:
        """u, from 1 + d / nu in the centre to 0 far out."""
        return _weights(prepared, x, self.evaluate(prepared, x)[1])

    def variance_ratio(
        self, params: StudentTParams, weights: Float[Array, " k"], prior: GaussianPrior | None
    ) -> Float[Array, " k"]:
        """Of the scales."""
        return self.normal.variance_ratio(params.gaussian, weights, prior)

    def sample(
        self, key: Array, params: StudentTParams, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        key_normal, key_scale = jax.random.split(key)
        away = params.gaussian._replace(means=jnp.zeros_like(params.means))
        normal = self.normal.sample(key_normal, away, labels)
        a = 0.5 * params.degrees_of_freedom[labels]
        log_scale = jax.random.loggamma(key_scale, a, dtype=a.dtype) - jnp.log(a)
        return params.means[labels] + normal * jnp.exp(-0.5 * log_scale)[:, None]

    def moments(self, params: StudentTParams) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        """NaN where there is none: a mean up to nu = 1, a covariance up to nu = 2."""
        means, scales = self.normal.moments(params.gaussian)
        nu = params.degrees_of_freedom[:, None]
        times = jnp.where(nu > 2, nu / jnp.where(nu > 2, nu - 2, 1), jnp.nan)
        return jnp.where(nu > 1, means, jnp.nan), times[:, :, None] * scales

    def marginal(self, params: StudentTParams, columns: Any) -> tuple["StudentT", StudentTParams]:
        """Family and parameters of the same components of some columns only."""
        normal, own = self.normal.marginal(params.gaussian, columns)
        return replace(self, covariance=normal.covariance), params.of_normal(own)


def tail_normaliser(nu: Float[Array, " k"], d: int) -> Float[Array, " k"]:
    """log Gamma(b) - log Gamma(a) - d/2 log a,  a = nu / 2,  b = a + d / 2; 0 in the normal limit.

    By Stirling's formula and its remainder: the logarithms of Gamma are large, and cancel.
    """
    a, b = 0.5 * nu, 0.5 * (nu + d)
    return (b - 0.5) * jnp.log1p(d / nu) - 0.5 * d + stirling(b) - stirling(a)


def _weights(prepared: Prepared, x: Float[Array, "n d"], cache: Cache) -> Float[Array, "k n"]:
    nu, d = prepared.degrees_of_freedom[:, None], x.shape[1]
    return (nu + d) / (nu + cache.distance)


def _surplus(prepared: Prepared, x: Float[Array, "n d"], cache: Cache) -> Float[Array, "k n"]:
    """u - 1 - E log U, to the last digit where u is near 1."""
    nu, d = prepared.degrees_of_freedom[:, None], x.shape[1]
    away = (d - cache.distance) / (nu + cache.distance)  # u - 1
    near = jnp.abs(away) < _NEAR
    far = jnp.log(_weights(prepared, x, cache)) - away
    excess = jnp.where(near, log1p_excess(jnp.where(near, away, 0)), far)
    return log_less_digamma(0.5 * (nu + d)) - excess


def _divided(
    structure: Covariance, sums: GaussianStatistics, by: Float[Array, " k"]
) -> GaussianStatistics:
    """The sums of each component divided by a number, which is 1 where they are of all."""
    if not structure.own_volume:
        return sums
    count, first, second = sums
    return GaussianStatistics(
        count / by, first / by[:, None], second / structure.per_covariance(by)
    )
