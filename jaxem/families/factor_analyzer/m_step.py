"""The M-step of factor analysers, from sums measured from the means of the E-step.

y = x - m_old, z the scores, which are hidden. Each column is regressed on them:

    y[j] = shift[j] + loadings[j] z + e[j]        (Ghahramani and Hinton 1996)

Where neither means nor loadings are fixed the scores may have any mean and covariance in that,
which then go into m and the loadings: parameter expansion (Liu, Rubin and Wu 1998), by which EM
climbs no less, and faster. With sums around the means, S[y, z] and S[z, z] = F F':

    m = mean of x,  T = S[y, z] inv(F)',  loadings = T / sqrt(N),  N psi[j] = S[y, y] - sum T[j]^2
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.factors import inverse_cholesky
from jaxem.core.numerics import diagonal_mask, einsum
from jaxem.families.factor_analyzer.params import FactorAnalyzerParams
from jaxem.families.factor_analyzer.uniquenesses import LEAST, Uniquenesses


class FactorStatistics(NamedTuple):
    """Sums over rows: of 1, y, y^2, y E z', E z, and E z z'."""

    count: Float[Array, " k"]
    first: Float[Array, "k d"]
    squares: Float[Array, "k d"]
    cross: Float[Array, "k d q"]
    scores: Float[Array, "k q"]
    scatter: Float[Array, "k q q"]


class EarlierRows(NamedTuple):
    """`rows` rows of each component seen before, around its mean wherever that is."""

    rows: Float[Array, " k"]
    loadings: Float[Array, "k d q"]
    uniquenesses: Float[Array, "k d"]


def recentred(sums: FactorStatistics, shift: Float[Array, "k d"]) -> FactorStatistics:
    """The sums from means that are `shift` away."""
    count = sums.count[:, None]
    return sums._replace(
        first=sums.first - count * shift,
        squares=sums.squares - 2 * shift * sums.first + count * shift**2,
        cross=sums.cross - shift[:, :, None] * sums.scores[:, None],
    )


def m_step(
    kind: Uniquenesses,
    params: FactorAnalyzerParams,
    sums: FactorStatistics,
    prior: EarlierRows | None,
    active: Bool[Array, " k"],
    fixed: FactorAnalyzerParams | None,
) -> FactorAnalyzerParams:
    """Absent components keep their parameters."""
    some = active & (sums.count > 0)
    sums = sums._replace(count=jnp.where(some, sums.count, 1))
    told = recentred(sums, sums.first / sums.count[:, None]).squares
    sums, rows = (sums, sums.count) if prior is None else with_earlier(sums, prior)
    shift, loadings, left = _expanded(sums, rows)
    if fixed is not None:
        known = _any_known(fixed)
        plain = _regressed(sums, fixed, params.means)
        shift = jnp.where(known[:, None], plain[0], shift)
        loadings = jnp.where(known[:, None, None], plain[1], loadings)
        left = jnp.where(known[:, None], plain[2], left)
    least = LEAST * told / sums.count[:, None]
    each = jnp.maximum(left / rows[:, None], least)
    own = FactorAnalyzerParams(
        params.means + shift, loadings, kind.stored(each, jnp.where(some, rows, 0))
    )
    return FactorAnalyzerParams(
        jnp.where(some[:, None], own.means, params.means),
        jnp.where(some[:, None, None], own.loadings, params.loadings),
        kind.select(some, own.uniquenesses, params.uniquenesses),
    )


def with_earlier(
    sums: FactorStatistics, prior: EarlierRows
) -> tuple[FactorStatistics, Float[Array, " k"]]:
    """-> (the sums with the earlier rows, which tell nothing of the mean; how many rows there are).

    Of them E z = 0 and E z z' = I.
    """
    rows = prior.rows[:, None]
    one = jnp.asarray(diagonal_mask(sums.scatter.shape[1]), rows.dtype)
    variance = prior.uniquenesses + jnp.sum(prior.loadings**2, axis=2)
    more = sums._replace(
        squares=sums.squares + rows * variance,
        cross=sums.cross + rows[:, :, None] * prior.loadings,
        scatter=sums.scatter + rows[:, :, None] * one[None],
    )
    return more, sums.count + prior.rows


Found = tuple[Float[Array, "k d"], Float[Array, "k d q"], Float[Array, "k d"]]


def _expanded(sums: FactorStatistics, rows: Float[Array, " k"]) -> Found:
    """-> (shift of the means, loadings, the squares that are left)."""
    count = sums.count[:, None]
    shift, mean = sums.first / count, sums.scores / count
    around = recentred(sums, shift)
    scatter = sums.scatter - count[:, :, None] * mean[:, :, None] * mean[:, None]
    root, _ = inverse_cholesky(scatter)
    turned = einsum("kdq,kpq->kdp", around.cross, root)
    left = around.squares - jnp.sum(turned**2, axis=2)
    return shift, turned / jnp.sqrt(rows)[:, None, None], left


def _regressed(
    sums: FactorStatistics, fixed: FactorAnalyzerParams, means: Float[Array, "k d"]
) -> Found:
    """The same by the normal equations of each column, of those of its numbers that are free."""
    corner = jnp.concatenate([sums.scores, sums.count[:, None]], axis=1)
    above = jnp.concatenate([sums.scatter, sums.scores[:, :, None]], axis=2)
    normal = jnp.concatenate([above, corner[:, None]], axis=1)[:, None]
    right = jnp.concatenate([sums.cross, sums.first[:, :, None]], axis=2)
    known = jnp.concatenate([fixed.loadings, (fixed.means - means)[:, :, None]], axis=2)
    free = jnp.isnan(known)
    known = jnp.where(free, 0, known)
    both = free[:, :, :, None] & free[:, :, None]
    one = jnp.asarray(diagonal_mask(free.shape[2]), known.dtype)
    own = jnp.where(both, normal, jnp.where(free, 0, 1)[:, :, None] * one[None, None])
    root, _ = inverse_cholesky(own)
    rest = jnp.where(free, right - _times(normal, known), known)
    found = einsum("kdji,kdjl,kdl->kdi", root, root, rest)
    left = sums.squares + jnp.sum(found * (_times(normal, found) - 2 * right), axis=2)
    return found[:, :, -1], found[:, :, :-1], left


def _any_known(fixed: FactorAnalyzerParams) -> Bool[Array, " k"]:
    """Where scores cannot have any mean and covariance: uniquenesses ask nothing of them."""
    means = jnp.any(~jnp.isnan(fixed.means), axis=1)
    return means | jnp.any(~jnp.isnan(fixed.loadings), axis=(1, 2))


def _times(normal: Float[Array, "k 1 p p"], vectors: Float[Array, "k d p"]) -> Array:
    return einsum("kpr,kdr->kdp", normal[:, 0], vectors)
