"""The M-step of t components, from sums measured from the means of the E-step."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.families.gaussian import m_step as normal
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.m_step import GaussianStatistics
from jaxem.families.gaussian.params import GaussianParams
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.families.student_t.degrees_of_freedom import DegreesOfFreedom, Evidence
from jaxem.families.student_t.params import StudentTParams


class StudentTStatistics(NamedTuple):
    """weighted: the sums of Gaussian components with weights r u."""

    evidence: Evidence
    weighted: GaussianStatistics


def m_step(
    structure: Covariance,
    law: DegreesOfFreedom,
    params: StudentTParams,
    statistics: StudentTStatistics,
    prior: GaussianPrior | None,
    active: Bool[Array, " k"],
    fixed: StudentTParams | None,
) -> StudentTParams:
    """m and C as of normal components, from the sums with r u / c for r, and N = sum r; nu by its
    evidence.
    """
    evidence = Evidence(*(jnp.where(active, of, 0) for of in statistics.evidence))
    own = params.gaussian
    known = None if fixed is None else fixed.gaussian
    c = _expansion(structure, statistics, prior, known)
    weighted = _divided(structure, statistics.weighted, c)
    means, scales = normal.m_step(structure, own, weighted, prior, active, known, evidence.count)
    nu = law.estimate(evidence, params.degrees_of_freedom, params.means.shape[1])
    return StudentTParams(means, scales, nu)


def _expansion(
    structure: Covariance,
    statistics: StudentTStatistics,
    prior: GaussianPrior | None,
    known: GaussianParams | None,
) -> Float[Array, " k"]:
    """c, which is 1 where it cannot go into the volume of the component."""
    count, total = statistics.evidence.count, statistics.weighted.count
    free = count > 0
    if prior is not None or not structure.own_volume:
        free = jnp.zeros_like(free)
    elif known is not None:
        variances = structure.variances(known.covariances, *known.means.shape)
        free = free & jnp.all(jnp.isnan(variances), axis=1)
    return jnp.where(free, total / jnp.where(free, count, 1), 1)


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
