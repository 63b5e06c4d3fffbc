"""Multivariate t components: as normal ones, with rows far out weighing less.

log t(x; m, C, nu) = log Gamma((nu + d) / 2) - log Gamma(nu / 2) - d/2 log(nu pi)
                     - 1/2 log det C - (nu + d) / 2 log(1 + delta / nu),
delta = (x - m)' inv(C) (x - m)

A row is normal with covariance C / U, and U, hidden, of Gamma(nu / 2, nu / 2). Given the row

    u = E U = (nu + d) / (nu + delta),   E log U = log u + digamma(b) - log b,   b = (nu + d) / 2

(Liu and Rubin 1995, Statistica Sinica 5; Peel and McLachlan 2000, Statistics and Computing 10.)
The sums are those of Gaussian components with r u for r, and what `degrees_of_freedom` has.

With U of Gamma(nu / 2, nu / (2 c[k])), where c = 1 is the model, EM may estimate c too, which is
c = sum r u / sum r, and take C / c for C: it climbs no less, and faster (parameter expansion; Liu,
Rubin and Wu 1998). So it divides by the sum of the weights, as Kent, Tyler and Vardi (1994) do. It
is done where each component has a volume of its own that neither a prior nor fixed numbers hold.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import parameters
from jaxem.core.capabilities.describing import Line
from jaxem.core.contracts import Params
from jaxem.families.gaussian import described
from jaxem.families.gaussian.gaussian import Gaussian
from jaxem.families.gaussian.m_step import recentred
from jaxem.families.gaussian.params import like_x
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.scale_mixture import NormalScaleMixture
from jaxem.families.student_t import degrees_of_freedom as laws
from jaxem.families.student_t.degrees_of_freedom import DegreesOfFreedom
from jaxem.families.student_t.m_step import StudentTStatistics, m_step
from jaxem.families.student_t.params import StudentTParams, as_params
from jaxem.families.student_t.tails import Cache, Prepared, evidence, tail_normaliser, weights


@dataclass(frozen=True, repr=False)
class StudentT(NormalScaleMixture):
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
    def constraints(self) -> StudentTParams:
        parts = *self.normal.constraints, self.law.constraint
        return parameters.tree(StudentTParams, *parts)

    @property
    def exact_m_step(self) -> bool:
        return self.law.exact

    @property
    def unimodal(self) -> bool:
        """From 1 on there is one maximum (Kent, Tyler and Vardi 1994)."""
        own = self.degrees_of_freedom
        return isinstance(own, float) and own >= 1

    def as_params(self, params: Params, x: Any, k: int) -> StudentTParams:
        return as_params(self.covariance, self.law, params, x, k, repr(self))

    def like_x(self, params: Params) -> Any:
        return like_x(params, StudentTParams)

    def describe(self, params: StudentTParams, columns: Any, levels: Any) -> list[Line]:
        located = described.lines(self.covariance, *params.gaussian, columns, "scale")
        return [*located, Line("", "degrees of freedom", params.degrees_of_freedom)]

    # ---- starts

    def fit_one_component(
        self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int
    ) -> StudentTParams:
        """Its moments: they are looked at from, no more."""
        means, scales = self.normal.fit_one_component(x, weight, k)
        return StudentTParams(means, scales, jnp.full((k,), self.law.first, means.dtype))

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
        own = responsibilities * weights(prepared, cache)
        weighted = self.normal.statistics(prepared.form, x, cache.of_form, own)
        return StudentTStatistics(evidence(prepared, cache, responsibilities), weighted)

    def finalize_statistics(
        self, prepared: Prepared, statistics: StudentTStatistics
    ) -> StudentTStatistics:
        weighted = self.normal.finalize_statistics(prepared.form, statistics.weighted)
        return statistics._replace(weighted=weighted)

    def recentre(
        self, statistics: StudentTStatistics, old: StudentTParams, new: StudentTParams
    ) -> StudentTStatistics:
        """Weights and evidence are those of the old parameters: of the degrees of freedom such a
        sum tells where EM goes, but no curvature by which to go further.
        """
        weighted = recentred(self.covariance, statistics.weighted, new.means - old.means)
        convex = jnp.full_like(new.degrees_of_freedom, jnp.finfo(new.means.dtype).max ** 0.25)
        return StudentTStatistics(statistics.evidence._replace(spread=convex), weighted)

    def m_step(
        self,
        params: StudentTParams,
        statistics: StudentTStatistics,
        prior: GaussianPrior | None,
        active: Bool[Array, " k"],
        fixed: StudentTParams | None = None,
    ) -> StudentTParams:
        return m_step(self.covariance, self.law, params, statistics, prior, active, fixed)

    def fisher_diagonal(self, params: StudentTParams, share: Float[Array, " k"]) -> StudentTParams:
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        means, scales = self.normal.fisher_diagonal(params.gaussian, share)
        return StudentTParams(means, scales, rough.degrees_of_freedom)

    # ---- what is said of a result

    def row_weights(self, prepared: Prepared, x: Float[Array, "n d"]) -> Float[Array, "k n"]:
        """u, from 1 + d / nu in the centre to 0 far out."""
        return weights(prepared, self.evaluate(prepared, x)[1])

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
