"""Normal components of which a share of the rows is spread wider: clusters with mild outliers.

p(x; m, C, a, h) = a N(x; m, C) + (1 - a) N(x; m, h C),    h > 1

Whether a row is a regular one is hidden (Punzo and McNicholas 2016, Biometrical Journal 58,
1506-1537). With v = P(regular | x, component), g = r v and b = r (1 - v), an M-step is two
conditional ones, which climb as EM does (Meng and Rubin 1993):

a = sum g / sum r,   h = sum b delta / (d sum b),   delta = (x - m)' inv(C) (x - m)
m = sum w x / sum w,   C = sum w (x - m)(x - m)' / sum r,   w = g + b / h
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Between
from jaxem.core.contracts import Params
from jaxem.core.numerics import safe_log
from jaxem.families.gaussian import described
from jaxem.families.gaussian import m_step as normal_step
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.gaussian import Gaussian
from jaxem.families.gaussian.m_step import GaussianStatistics
from jaxem.families.gaussian.params import GaussianParams, like_x, located
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.scale_mixture import NormalScaleMixture

_FIRST = 0.95, 10.0  # share and inflation in a start
_SHARE, _INFLATION = Between(0.5, 1.0), Between(1.001, 1e6)


class ContaminatedNormalParams(NamedTuple):
    """means (k, d); covariances in the shape of a Gaussian's, those of regular rows; shares (k,) of
    these in the component, from 0.5; inflations (k,), what multiplies the covariance of others."""

    means: Array
    covariances: Array
    shares: Array
    inflations: Array

    @property
    def gaussian(self) -> GaussianParams:
        """Those of the regular rows."""
        return GaussianParams(self.means, self.covariances)

    def of_normal(self, normal: GaussianParams) -> "ContaminatedNormalParams":
        """With other means and covariances."""
        return self._replace(means=normal.means, covariances=normal.covariances)


class Prepared(NamedTuple):
    form: Any
    log_normaliser: Float[Array, " k"]
    shares: Float[Array, " k"]
    inflations: Float[Array, " k"]


class Cache(NamedTuple):
    distance: Float[Array, "k n"]
    regular: Float[Array, "k n"]  # v
    of_form: Any


class ContaminatedStatistics(NamedTuple):
    """count: sum r; outlying: sum b; far: sum b delta; regular, others: the sums of Gaussian
    components with weights g and b."""

    count: Float[Array, " k"]
    outlying: Float[Array, " k"]
    far: Float[Array, " k"]
    regular: GaussianStatistics
    others: GaussianStatistics


@dataclass(frozen=True, repr=False)
class ContaminatedNormal(NormalScaleMixture):
    """Normal components, each with a share of rows that are spread wider around the same mean.

    covariance: the structure of the covariances, any name that `Gaussian` takes in which each
        component has a volume of its own. A prior is a `GaussianPrior`, of means and covariances.
    A row is an outlier where `outlier_weights`, the probability that it is regular, is below 1/2.
    Shares are from 0.5, and inflations from 1.001 to 1e6.
    Source: Punzo and McNicholas (2016), Biometrical Journal 58, 1506-1537.
    """

    covariance: Any = "full"

    def __post_init__(self) -> None:
        structure = Gaussian(self.covariance).covariance
        if not structure.own_volume:
            raise ValueError(
                f"covariance is {structure.name!r}, whose volume components share; give one in "
                "which each has its own, such as 'full', 'diag' or 'spherical'"
            )
        object.__setattr__(self, "covariance", structure)

    def __repr__(self) -> str:
        return f"ContaminatedNormal({self.covariance.name!r})"

    @property
    def constraints(self) -> ContaminatedNormalParams:
        return parameters.tree(
            ContaminatedNormalParams, *self.normal.constraints, _SHARE, _INFLATION
        )

    @property
    def unimodal(self) -> bool:
        return False

    # ---- host side

    def as_params(self, params: Params, x: Any, k: int) -> ContaminatedNormalParams:
        checks.fields(params, ContaminatedNormalParams, "components")
        means, covariances = located(self.covariance, params.gaussian, x, k, repr(self))
        shares, inflations = (
            checks.parameter(value, (k,), means.dtype, name, f"{k} components of {self!r}")
            for name, value in (("shares", params.shares), ("inflations", params.inflations))
        )
        found = ContaminatedNormalParams(means, covariances, shares, inflations)
        parameters.check(self.constraints, found)
        return found

    def like_x(self, params: Params) -> Any:
        return like_x(params, ContaminatedNormalParams)

    def describe(self, params: ContaminatedNormalParams, columns: Any, levels: Any) -> list[Line]:
        located = described.lines(self.covariance, *params.gaussian, columns, "std. deviation")
        share = Line("", "regular share", params.shares)
        return [*located, share, Line("", "inflation", params.inflations)]

    # ---- starts

    def fit_one_component(
        self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int
    ) -> ContaminatedNormalParams:
        """Its moments: they are looked at from, no more."""
        means, covariances = self.normal.fit_one_component(x, weight, k)
        share, inflation = (jnp.full((k,), number, means.dtype) for number in _FIRST)
        return ContaminatedNormalParams(means, covariances, share, inflation)

    # ---- the two steps

    def prepare(self, params: ContaminatedNormalParams, prior: GaussianPrior | None) -> Prepared:
        means, covariances, shares, inflations = params
        k, d = means.shape
        factor = self.covariance.factor(covariances, k, d)
        form = self.normal.rows.prepare(
            self.covariance, params.gaussian, factor, jnp.zeros_like(shares)
        )
        return Prepared(form, self.normal.log_normaliser(factor, prior, d), shares, inflations)

    def evaluate(
        self, prepared: Prepared, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "k n"], Cache]:
        half, of_form = self.normal.evaluate(prepared.form, x)
        distance = jnp.where(half > 0, 0, -2 * half)  # it may be rounded below 0
        share, inflation = prepared.shares[:, None], prepared.inflations[:, None]
        regular = safe_log(share) - 0.5 * distance
        wide = 0.5 * (x.shape[1] * jnp.log(inflation) + distance / inflation)
        other = safe_log(1 - share) - wide
        log_density = prepared.log_normaliser[:, None] + jnp.logaddexp(regular, other)
        return log_density, Cache(distance, jax.nn.sigmoid(regular - other), of_form)

    def statistics(
        self,
        prepared: Prepared,
        x: Float[Array, "n d"],
        cache: Cache,
        responsibilities: Float[Array, "k n"],
    ) -> ContaminatedStatistics:
        regular = responsibilities * cache.regular
        others = responsibilities * (1 - cache.regular)
        return ContaminatedStatistics(
            jnp.sum(responsibilities, axis=1),
            jnp.sum(others, axis=1),
            jnp.sum(others * cache.distance, axis=1),
            *(
                self.normal.statistics(prepared.form, x, cache.of_form, own)
                for own in (regular, others)
            ),
        )

    def finalize_statistics(
        self, prepared: Prepared, statistics: ContaminatedStatistics
    ) -> ContaminatedStatistics:
        both = (
            self.normal.finalize_statistics(prepared.form, own)
            for own in (statistics.regular, statistics.others)
        )
        return ContaminatedStatistics(*statistics[:3], *both)

    def recentre(self, statistics: Any, old: Any, new: Any) -> Any:
        raise ValueError(
            f"{self!r} keeps distances from the parameters of the E-step, which tell nothing of "
            "those from others: collect them anew"
        )

    def m_step(
        self,
        params: ContaminatedNormalParams,
        statistics: ContaminatedStatistics,
        prior: GaussianPrior | None,
        active: Bool[Array, " k"],
        fixed: ContaminatedNormalParams | None = None,
    ) -> ContaminatedNormalParams:
        count, outlying, far = (jnp.where(active, of, 0) for of in statistics[:3])
        some, outliers = count > 0, outlying > 0
        d = params.means.shape[1]
        found = far / (d * jnp.where(outliers, outlying, 1))
        inflations = jnp.where(outliers, _bounded(_INFLATION, found), params.inflations)
        shares = 1 - outlying / jnp.where(some, count, 1)
        shares = jnp.where(some, _bounded(_SHARE, shares), params.shares)
        if fixed is not None:
            inflations = jnp.where(jnp.isnan(fixed.inflations), inflations, fixed.inflations)
        known = None if fixed is None else fixed.gaussian
        sums = _weighted(self.covariance, statistics, inflations)
        given = self.covariance, params.gaussian, sums, prior, active, known, count
        means, covariances = normal_step.m_step(*given)
        return ContaminatedNormalParams(means, covariances, shares, inflations)

    def fisher_diagonal(
        self, params: ContaminatedNormalParams, share: Float[Array, " k"]
    ) -> ContaminatedNormalParams:
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        means, covariances = self.normal.fisher_diagonal(params.gaussian, share)
        return rough._replace(means=means, covariances=covariances)

    # ---- what is said of a result

    def row_weights(self, prepared: Prepared, x: Float[Array, "n d"]) -> Float[Array, "k n"]:
        """v, the probability of a regular row."""
        return self.evaluate(prepared, x)[1].regular

    def sample(
        self, key: Array, params: ContaminatedNormalParams, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        key_normal, key_which = jax.random.split(key)
        away = params.gaussian._replace(means=jnp.zeros_like(params.means))
        normal = self.normal.sample(key_normal, away, labels)
        u = jax.random.uniform(key_which, labels.shape, normal.dtype)
        wide = jnp.where(u < params.shares[labels], 1, jnp.sqrt(params.inflations[labels]))
        return params.means[labels] + normal * wide[:, None]

    def moments(
        self, params: ContaminatedNormalParams
    ) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        means, covariances = self.normal.moments(params.gaussian)
        times = params.shares + (1 - params.shares) * params.inflations
        return means, times[:, None, None] * covariances


def _bounded(within: Between, value: Float[Array, " k"]) -> Float[Array, " k"]:
    return jnp.clip(value, within.least, within.most)


def _weighted(
    structure: Covariance, statistics: ContaminatedStatistics, inflations: Float[Array, " k"]
) -> GaussianStatistics:
    """The sums with weights g + b / h."""
    (count, first, second), by = statistics.others, inflations
    regular = statistics.regular
    return GaussianStatistics(
        regular.count + count / by,
        regular.first + first / by[:, None],
        regular.second + second / structure.per_covariance(by),
    )
