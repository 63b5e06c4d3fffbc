"""The M-step of Gaussian components, from sums measured from the means of the E-step."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import safe_divide
from jaxem.families.gaussian import eigenvalue_bound, product_form
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.params import GaussianParams
from jaxem.families.gaussian.prior import GaussianPrior, exponent, flat


class GaussianStatistics(NamedTuple):
    """Sums over rows, from the pivot of the E-step's means."""

    count: Float[Array, " k"]
    first: Float[Array, "k d"]
    second: Array


def recentred(
    structure: Covariance, statistics: GaussianStatistics, shift: Float[Array, "k d"]
) -> GaussianStatistics:
    """The sums from means that are `shift` away."""
    count, first, second = statistics
    return GaussianStatistics(count, *product_form.around(structure, count, first, second, shift))


def m_step(
    structure: Covariance,
    params: GaussianParams,
    statistics: GaussianStatistics,
    prior: GaussianPrior | None,
    active: Bool[Array, " k"],
    fixed: GaussianParams | None,
    rows: Float[Array, " k"],
) -> GaussianParams:
    """m = (first + p (prior_mean - m_old)) / (N + p) + m_old, with p = mean_precision;

    C = (scatter around m + p (m - prior_mean)(m - prior_mean)' + scale + N reg I)
        / (N + [p > 0] + dof + d + 1)      (full; the structure's own counts otherwise)

    with m as it is fixed where it is. rows: N in the second line, for sums that are weighted, whose
    count is N in the first. Where the structure links the components, these scatters and numbers of
    rows are what it is estimated from. Where the prior bounds eigenvalues, the covariances are the
    maximiser within the bound. A component without rows and without a prior
    keeps its parameters.
    """
    if prior is None:
        prior = flat(structure, *params)
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
    rows = structure.per_covariance(rows)
    scatter = scatter + prior.reg_covar * rows * structure.identity(d, count.dtype)
    total = structure.entries(d) * (
        rows + structure.per_covariance((precision > 0).astype(count.dtype))
    )
    total = structure.select(active, total + exponent(prior, structure, d), jnp.zeros_like(total))
    scatter = structure.select(active, scatter, jnp.zeros_like(scatter))
    covariances = structure.estimate(total, scatter, params.covariances)
    if prior.max_eigenvalue_ratio is not None:
        inside = eigenvalue_bound.bounded(structure, covariances, total, prior.max_eigenvalue_ratio)
        covariances = eigenvalue_bound.settled(structure, active, inside, params.covariances)
    return GaussianParams(jnp.where(active[:, None], means, params.means), covariances)
