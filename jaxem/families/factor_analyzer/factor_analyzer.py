"""Factor analysers: x = m + loadings z + e, with z ~ N(0, I) of q factors and e ~ N(0, diag(psi)).

log N(x; m, C) = -1/2 [ d log 2 pi + log det C + delta ],   C = loadings loadings' + diag(psi)

By Woodbury's identity a row takes O(d q), and nothing of d x d is made: with A = I + L' inv(psi) L,

    log det C = sum log psi + log det A,    E z = inv(A) L' inv(psi) y,    cov z = inv(A),
    delta = sum (y - L E z)^2 / psi + |E z|^2,    y = x - m,

in which nothing cancels. (Ghahramani and Hinton 1996, Technical report CRG-TR-96-1; McLachlan and
Peel 2000, chapter 8.)
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Real
from jaxem.core.contracts import Family, Params
from jaxem.core.factors import cholesky, inverse_cholesky
from jaxem.core.family import like_params
from jaxem.core.numerics import diagonal_mask, einsum
from jaxem.families.factor_analyzer.m_step import (
    EarlierRows,
    FactorStatistics,
    m_step,
    recentred,
)
from jaxem.families.factor_analyzer.params import FactorAnalyzerParams, Loadings
from jaxem.families.factor_analyzer.uniquenesses import KINDS, LEAST, Uniquenesses
from jaxem.families.gaussian.params import like_x

_TURNS = 8  # of the search for the largest components of all rows
_HEYWOOD = 10 * LEAST  # of a column's variance: a uniqueness that is as good as none


class Prepared(NamedTuple):
    """scores (k, q, d): what makes E z of y; spread: cov z."""

    means: Float[Array, "k d"]
    loadings: Float[Array, "k d q"]
    precisions: Float[Array, "k d"]
    scores: Float[Array, "k q d"]
    spread: Float[Array, "k q q"]
    log_normaliser: Float[Array, " k"]


@dataclass(frozen=True)
class FactorAnalyzer(Family):
    """Normal components whose covariance is that of `n_factors` factors and independent errors.

    uniquenesses: the variances of the errors: "free", "shared" by all components, or "isotropic",
    one of each component, which makes of a single one probabilistic principal components.
    Loadings are told up to a rotation. An error variance that goes to 0, a Heywood case, stops at
    1e-8 of the variance of its column, and the result has a note of it.
    """

    n_factors: Any = 2
    uniquenesses: Any = "free"

    def __post_init__(self) -> None:
        n = checks.whole(self.n_factors, "n_factors", least=1)
        checks.one_of(self.uniquenesses, KINDS, "uniquenesses")
        object.__setattr__(self, "n_factors", n)

    # ---- host side

    @property
    def kind(self) -> Uniquenesses:
        return KINDS[self.uniquenesses]

    @property
    def constraints(self) -> FactorAnalyzerParams:
        return parameters.tree(FactorAnalyzerParams, Real(), Loadings(), self.kind.constraint)

    @property
    def expands(self) -> bool:
        return True

    @property
    def unimodal(self) -> bool:
        """Principal components have one maximum."""
        return self.uniquenesses == "isotropic"

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        checks.finite(x, weight, names)
        if x.shape[1] <= self.n_factors:
            raise ValueError(
                f"x has {x.shape[1]} columns, too few for {self.n_factors} factors; give a smaller "
                "n_factors, or take families.Gaussian"
            )

    def as_params(self, params: Params, x: Any, k: int) -> FactorAnalyzerParams:
        checks.fields(params, FactorAnalyzerParams, "components")
        x = self.like_x(params) if x is None else x
        made_for = f"{k} components of {self!r} and {x.shape[1]} columns"
        found = checks.parameters(params, like_params(self, x, k), "components", made_for)
        parameters.check(self.constraints, found)
        return found

    def like_x(self, params: Params) -> Any:
        return like_x(params, FactorAnalyzerParams)

    def describe(self, params: FactorAnalyzerParams, columns: Any, levels: Any) -> list[Line]:
        stored = jax.device_put(params.uniquenesses)
        errors = np.asarray(self.kind.each(stored, *params.means.shape))
        found = []
        for j, name in enumerate(columns):
            loadings = enumerate(params.loadings[:, j].T)
            found += [
                Line(name, "mean", params.means[:, j]),
                *(Line(name, f"loading {q}", values) for q, values in loadings),
                Line(name, "uniqueness", errors[:, j]),
            ]
        return found

    def default_min_count(self, x: Any) -> float:
        """Twice the numbers that a column is regressed on, and one more."""
        return 2.0 * (self.n_factors + 2)

    def numbers_per_row(self, x: Any, k: int) -> int:
        """Components come one after another."""
        return 3 * x.shape[1] + k * (self.n_factors + 3)

    # ---- starts

    def fit_one_component(
        self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int
    ) -> FactorAnalyzerParams:
        """Half of the variance along the largest principal components of the correlations."""
        share = weight / jnp.sum(weight)
        away = x - x[:1]
        mean = einsum("n,nd->d", share, away)
        away = away - mean[None]
        variance = einsum("n,nd->d", share, away**2)
        scale = jnp.sqrt(jnp.where(variance > 0, variance, 1))
        loadings = scale[:, None] * _largest(away / scale[None], share, self.n_factors)
        each = jnp.maximum(variance - jnp.sum(loadings**2, axis=1), 0.1 * variance)
        d, q = loadings.shape
        stored = self.kind.stored(jnp.broadcast_to(each, (k, d)), jnp.ones(k, x.dtype))
        means = jnp.broadcast_to(x[0] + mean, (k, d))
        return FactorAnalyzerParams(means, jnp.broadcast_to(loadings, (k, d, q)), stored)

    def starting_prior(
        self, pooled: FactorAnalyzerParams, counts: Float[Array, " k"], prior: None
    ) -> EarlierRows:
        """q + 2 rows of the pooled fit, around the mean of the component."""
        rows = jnp.full_like(counts, self.n_factors + 2)
        each = self.kind.each(pooled.uniquenesses, *pooled.means.shape)
        return EarlierRows(rows, pooled.loadings, each)

    # ---- the two steps

    def prepare(self, params: FactorAnalyzerParams, prior: Any) -> Prepared:
        means, loadings, stored = params
        k, d = means.shape
        each = self.kind.each(stored, k, d)
        each = jnp.where(each > 0, each, jnp.nan)
        scaled = loadings / each[:, :, None]
        inner = einsum("kdq,kdp->kqp", loadings, scaled)
        inner = inner + jnp.asarray(diagonal_mask(self.n_factors), inner.dtype)[None]
        root, log_det = inverse_cholesky(inner)
        spread = einsum("kji,kjl->kil", root, root)
        log_det = log_det + jnp.sum(jnp.log(each), axis=1)
        return Prepared(
            means=means,
            loadings=loadings,
            precisions=1 / each,
            scores=einsum("kqp,kdp->kqd", spread, scaled),
            spread=spread,
            log_normaliser=-0.5 * (d * math.log(2 * math.pi) + log_det),
        )

    def evaluate(
        self, prepared: Prepared, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "k n"], Float[Array, "k q n"]]:
        """The cache is E z."""

        def one(of: Prepared) -> tuple[Float[Array, " n"], Float[Array, "q n"]]:
            y = x - of.means[None]
            scores = einsum("qd,nd->qn", of.scores, y)
            left = y - einsum("dq,qn->nd", of.loadings, scores)
            distance = einsum("nd,d->n", left**2, of.precisions) + jnp.sum(scores**2, axis=0)
            return of.log_normaliser - 0.5 * distance, scores

        return lax.map(one, prepared)  # one after another: no k x n x d array

    def statistics(
        self,
        prepared: Prepared,
        x: Float[Array, "n d"],
        cache: Float[Array, "k q n"],
        responsibilities: Float[Array, "k n"],
    ) -> FactorStatistics:
        def one(of: tuple[Array, Array, Array, Array]) -> FactorStatistics:
            mean, spread, scores, r = of
            y, weighted, count = x - mean[None], r[None] * scores, jnp.sum(r)
            return FactorStatistics(
                count=count,
                first=einsum("n,nd->d", r, y),
                squares=einsum("n,nd->d", r, y**2),
                cross=einsum("nd,qn->dq", y, weighted),
                scores=jnp.sum(weighted, axis=1),
                scatter=einsum("qn,pn->qp", weighted, scores) + count * spread,
            )

        return lax.map(one, (prepared.means, prepared.spread, cache, responsibilities))

    def recentre(
        self, statistics: FactorStatistics, old: FactorAnalyzerParams, new: FactorAnalyzerParams
    ) -> FactorStatistics:
        return recentred(statistics, new.means - old.means)

    def m_step(
        self,
        params: FactorAnalyzerParams,
        statistics: FactorStatistics,
        prior: EarlierRows | None,
        active: Bool[Array, " k"],
        fixed: FactorAnalyzerParams | None = None,
    ) -> FactorAnalyzerParams:
        return m_step(self.kind, params, statistics, prior, active, fixed)

    def spread_fixed(self, fixed: FactorAnalyzerParams) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(self.kind.each(fixed.uniquenesses, *fixed.means.shape)), axis=1)

    def fisher_diagonal(
        self, params: FactorAnalyzerParams, share: Float[Array, " k"]
    ) -> FactorAnalyzerParams:
        """Of means and loadings, share / uniqueness."""
        rough = parameters.fisher_diagonal(self.constraints, params, share)
        each = self.kind.each(params.uniquenesses, *params.means.shape)
        safe = jnp.where(each > 0, each, jnp.inf)
        return FactorAnalyzerParams(
            rough.means / safe, rough.loadings / safe[:, :, None], rough.uniquenesses
        )

    # ---- what is said of a result

    def variance_ratio(
        self, params: FactorAnalyzerParams, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        """Largest uniqueness relative to the pooled one: of few rows all go to 0 together, of a
        Heywood case one alone. 0 where a column has no variance."""
        each = self.kind.each(params.uniquenesses, *params.means.shape)
        pooled = einsum("k,kd->d", weights, each)[None]
        ratio = jnp.max(each / jnp.where(pooled > 0, pooled, 1), axis=1)
        return jnp.where(jnp.any(each == 0, axis=1), 0, ratio)

    def told_of(
        self, params: FactorAnalyzerParams, active: np.ndarray, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        """Columns of which the factors explain all: Heywood cases."""
        each = np.asarray(self.kind.each(jnp.asarray(params.uniquenesses), *params.means.shape))
        variance = each + np.sum(np.asarray(params.loadings) ** 2, axis=2)
        places = np.argwhere((each <= _HEYWOOD * variance) & active[:, None])
        return tuple(
            f"component {k} has a Heywood case: the factors explain all of column "
            f"{j if names is None else names[j]}, whose uniqueness is at its lower bound; take "
            'fewer factors, or uniquenesses="shared" or "isotropic"'
            for k, j in places
        )

    def sample(
        self, key: Array, params: FactorAnalyzerParams, labels: Int[Array, " n"]
    ) -> Float[Array, "n d"]:
        key_scores, key_errors = jax.random.split(key)
        means, loadings, stored = params
        k, d = means.shape
        scores = jax.random.normal(key_scores, (labels.shape[0], self.n_factors), means.dtype)
        errors = jax.random.normal(key_errors, (labels.shape[0], d), means.dtype)
        deviations = jnp.sqrt(self.kind.each(stored, k, d))

        def place(j: Array, x: Array) -> Array:  # one component after another: no n x d x q array
            rows = means[j][None] + einsum("nq,dq->nd", scores, loadings[j])
            return jnp.where((labels == j)[:, None], rows + errors * deviations[j][None], x)

        return lax.fori_loop(0, k, place, errors)

    def moments(
        self, params: FactorAnalyzerParams
    ) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
        each = self.kind.each(params.uniquenesses, *params.means.shape)
        own = each[:, :, None] * jnp.asarray(diagonal_mask(each.shape[1]), each.dtype)[None]
        return params.means, einsum("kdq,keq->kde", params.loadings, params.loadings) + own


def _largest(x: Float[Array, "n d"], share: Float[Array, " n"], q: int) -> Float[Array, "d q"]:
    """Half of the variance along the q largest principal components, by subspace iteration."""
    start = jax.random.normal(jax.random.key(0), (x.shape[1], q), x.dtype)

    def covariance_times(vectors: Float[Array, "d q"]) -> Float[Array, "d q"]:
        along = einsum("nd,dq->nq", x, vectors)
        return einsum("nd,nq->dq", x, share[:, None] * along)

    def turn(_: Array, vectors: Float[Array, "d q"]) -> Float[Array, "d q"]:
        return _orthonormal(covariance_times(vectors))

    vectors = lax.fori_loop(0, _TURNS, turn, _orthonormal(start))
    inner = einsum("dq,dp->qp", vectors, covariance_times(vectors))
    size = jnp.finfo(x.dtype).eps * (1 + jnp.trace(inner))
    inner = 0.5 * inner + size * jnp.asarray(diagonal_mask(q), x.dtype)
    return einsum("dq,qp->dp", vectors, cholesky(inner))


def _orthonormal(vectors: Float[Array, "d q"]) -> Float[Array, "d q"]:
    gram = einsum("dq,dp->qp", vectors, vectors)
    least = 64 * jnp.finfo(gram.dtype).eps * (1 + jnp.trace(gram))
    root, _ = inverse_cholesky(gram + least * jnp.asarray(diagonal_mask(gram.shape[0]), gram.dtype))
    return einsum("dq,pq->dp", vectors, root)
