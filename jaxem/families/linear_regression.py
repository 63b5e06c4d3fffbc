"""Responses: a linear regression of y on X within each component.

log p(y | X; b, s) = -1/2 [ log 2 pi + 2 log s + (y - b' u)^2 / s^2 ],    u = (1, X)

Sums are measured from the coefficients of the E-step, b_old, whose residuals are e:

    S = sum r u u',  g = sum r u e,  q = sum r e^2
    b = b_old + inv(S) g,  N s^2 = q - g' inv(S) g

so that nothing cancels near a fixed point (DeSarbo and Cron 1988).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, tables, ties
from jaxem.core.capabilities import describing, holes
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Equal, Positive, Real
from jaxem.core.contracts import Family, Params, Prior
from jaxem.core.numerics import safe_divide
from jaxem.inference import collinearity, elemental, pivot
from jaxem.inference.least_squares import Normal, moved, normal, recentred, solve_step
from jaxem.inference.pivot import predictor

_NEAR = 1e-3  # of the pooled variance: a row so near to a line is on it


class LinearRegressionParams(NamedTuple):
    """coefficients (k, p), the intercept first where there is one; scales (k,) of the errors."""

    coefficients: Array
    scales: Array


class LinearRegressionPrior(NamedTuple):
    """Normal coefficients around `mean` with variances s^2 / precision, each a number or (k, p);

    one number leaves the intercept free. Inverse gamma on the error variance s^2: `rows` rows seen
    before, of that `variance`; numbers or (k,).
    """

    mean: Any = 0.0
    precision: Any = 0.0
    rows: Any = 0.0
    variance: Any = 1.0


class RegressionSums(NamedTuple):
    count: Float[Array, " k"]
    normal: Normal
    squares: Float[Array, " k"]


@dataclass(frozen=True)
class LinearRegression(Family):
    """Responses y (n,) that depend on regressors X (n, p): data (X, y).

    log p(y | X; b, s) = -1/2 [ log 2 pi + 2 log s + (y - b' u)^2 / s^2 ],    u = (1, X)

    intercept: whether u has the 1. common_scale: one error variance for all components.
    A row whose y is missing (NaN) carries no information.
    Errors: ValueError for NaN in X. Source: DeSarbo and Cron (1988), J. Classif. 5, 249-282.
    """

    intercept: Any = True
    common_scale: Any = False

    def __post_init__(self) -> None:
        for name in ("intercept", "common_scale"):
            object.__setattr__(self, name, checks.flag(getattr(self, name), name))

    @property
    def constraints(self) -> LinearRegressionParams:
        scale = Equal(Positive()) if self.common_scale else Positive()
        return parameters.tree(LinearRegressionParams, Real(), scale)

    # ---- host side

    def read(self, data: Any) -> Any:
        return tables.regression(data)

    def measured(self, x: Any, weight: Any) -> Any:
        return pivot.measured(x, weight) if self.intercept else x

    def given(self, x: Any) -> Any:
        return pivot.given(x)

    def check(self, x: Any, weight: Any, names: Any) -> None:
        checks.regression(x, weight)

    def informative(self, x: Any) -> Any:
        return holes.any_number(x[1])

    def unbounded(self, x: Any, weight: Any, names: Any, k: int) -> tuple[str, ...]:
        if not (self.common_scale and self.intercept):
            return ()
        return ties.remarks(x[1][:, None], weight, ("y",), k, of="scale")

    def check_identified(self, x: Any, weight: Any, names: Any) -> tuple[str, ...]:
        return collinearity.remarks(x, weight, self.intercept)

    def as_params(self, params: Params, x: Any, k: int) -> LinearRegressionParams:
        checks.fields(params, LinearRegressionParams, "components")
        p, dtype = x[0].shape[1] + self.intercept, x[0].dtype
        made_for = f"{k} components, {x[0].shape[1]} columns and {self!r}"
        b = checks.parameter(params.coefficients, (k, p), dtype, "coefficients", made_for)
        scales = checks.parameter(params.scales, (k,), dtype, "scales", made_for)
        checks.positive_array(params.scales, "scales")
        return LinearRegressionParams(b, scales)

    def like_x(self, params: Params) -> Any:
        checks.fields(params, LinearRegressionParams, "components")
        dtype = tables.float_dtype(params.coefficients)
        d = np.shape(params.coefficients)[1] - self.intercept
        return jax.ShapeDtypeStruct((1, d), dtype), jax.ShapeDtypeStruct((1,), dtype)

    def given_names(self, data: Any) -> tuple[str, ...] | None:
        return describing.of_regression(data)

    def describe(self, params: Any, columns: Any, levels: Any) -> list[Line]:
        return describing.regression(params, columns)

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> LinearRegressionPrior:
        checks.fields(prior, LinearRegressionPrior, "the prior's components")
        p, dtype = x[0].shape[1] + self.intercept, x[0].dtype
        for name, value in zip(prior._fields, prior, strict=True):
            checks.numbers(value, name)
            if name != "mean":
                checks.positive_array(value, name, zero_allowed=True)
        mean, precision = (
            checks.broadcast(value, (k, p), dtype, "the prior") for value in prior[:2]
        )
        if self.intercept and np.ndim(prior.precision) == 0:
            precision = precision.at[:, 0].set(0)
        rows, variance = (checks.broadcast(value, (k,), dtype, "the prior") for value in prior[2:])
        return LinearRegressionPrior(mean, precision, rows, variance)

    def default_min_count(self, x: Any) -> float:
        return x[0].shape[1] + self.intercept + 1.5

    def numbers_per_row(self, x: Any, k: int) -> int:
        p = x[0].shape[1] + 1
        return p * p + p + 5 * k

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        X, y, *_ = x
        return jnp.concatenate([X, jnp.where(jnp.isnan(y), jnp.nanmean(y), y)[:, None]], axis=1)

    def fit_one_component(
        self, x: Any, weight: Float[Array, " n"], k: int
    ) -> LinearRegressionParams:
        p, dtype = x[0].shape[1] + self.intercept, x[0].dtype
        blank = LinearRegressionParams(jnp.zeros((k, p), dtype), jnp.ones(k, dtype))
        prepared = self.prepare(blank, None)
        _, cache = self.evaluate(prepared, x)
        r = jnp.broadcast_to(weight[None], (k, weight.shape[0]))
        sums = self.statistics(prepared, x, cache, r)
        return self.m_step(blank, sums, None, jnp.ones(k, bool))

    def labelled(
        self, key: Array, pooled: Any, x: Any, weight: Array, odds: Float[Array, "k n"]
    ) -> Int[Array, " n"]:
        """By their distances to lines; those that are far from all tell little of any."""
        one = jax.tree.map(lambda leaf: leaf[:1], pooled)
        _, (u, residual) = self.evaluate(one, x)
        seen = ~jnp.isnan(x[1])
        floor = _NEAR * one.scales[0] ** 2

        def loss(z: Float[Array, "m n"]) -> Float[Array, "m n"]:
            return jnp.log((residual - z) ** 2 + jnp.maximum(floor, jnp.finfo(z.dtype).tiny))

        rows = elemental.Lines(u, residual[0], jnp.where(seen, weight, 0))
        return elemental.labels(key, rows, loss, jnp.where(seen[None], odds, 0))

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: LinearRegressionPrior | None
    ) -> LinearRegressionPrior:
        """p + 1 rows of the pooled error; coefficients stay at the pooled ones, unless rows ask."""
        b, scales = pooled
        zero = jnp.zeros_like(b)
        own = _flat(pooled) if prior is None else prior
        rows = jnp.full_like(scales, b.shape[1] + 1.0)
        squares = own.rows * own.variance + rows * scales**2
        return LinearRegressionPrior(zero, zero, own.rows + rows, squares / (own.rows + rows))

    # ---- the two steps

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        y = x[1]
        line, u = predictor(prepared.coefficients, x, self.intercept)
        seen = ~jnp.isnan(y)
        residual = jnp.where(seen, y, 0)[None] - line
        scales = prepared.scales[:, None]
        log_density = -0.5 * (math.log(2 * math.pi) + (residual / scales) ** 2) - jnp.log(scales)
        return jnp.where(seen[None], log_density, 0), (u, residual)

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> RegressionSums:
        u, residual = cache
        r = jnp.where(jnp.isnan(x[1])[None], 0, responsibilities)
        weighted, count = r * residual, jnp.sum(r, axis=1)
        squares = jnp.sum(weighted * residual, axis=1)
        return RegressionSums(count, normal(r, weighted, count, u, x), squares)

    def recentre(self, statistics: RegressionSums, old: Any, new: Any) -> RegressionSums:
        count, sums, squares = statistics
        change = new.coefficients - old.coefficients
        sums, lost = recentred(sums, count, change)
        return RegressionSums(count, sums, squares - lost)

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Bool[Array, " k"], fixed: Any = None
    ) -> LinearRegressionParams:
        fixed = parameters.free(params) if fixed is None else fixed
        count, sums, squares = statistics
        b, scales = params
        prior = _flat(params) if prior is None else prior
        step = solve_step(sums, count, b, fixed.coefficients, prior.mean, prior.precision)
        new = moved(b, step, 1, fixed.coefficients)
        residual = squares - step.gain
        penalty = jnp.sum(prior.precision * (new - prior.mean) ** 2, axis=1)
        total = count + prior.rows + jnp.sum(prior.precision > 0, axis=1, dtype=b.dtype)
        squares = jnp.maximum(residual, 0) + penalty + prior.rows * prior.variance
        if self.common_scale:
            squares, total = (
                jnp.broadcast_to(jnp.sum(jnp.where(active, a, 0)), a.shape)
                for a in (squares, total)
            )
        variance = safe_divide(squares, total)
        spread = jnp.where(total > 0, jnp.sqrt(variance), scales)
        return LinearRegressionParams(
            jnp.where(active[:, None], new, b), jnp.where(active, spread, scales)
        )

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return ~jnp.isnan(fixed.scales)

    def log_prior(self, params: Any, prior: Any, active: Bool[Array, " k"]) -> Float[Array, ""]:
        b, scales = params
        penalty = jnp.sum(prior.precision * (b - prior.mean) ** 2, axis=1)
        exponent = prior.rows + jnp.sum(prior.precision > 0, axis=1, dtype=b.dtype)
        squares = (penalty + prior.rows * prior.variance) / scales**2
        return jnp.sum(jnp.where(active, -exponent * jnp.log(scales) - 0.5 * squares, 0))

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> LinearRegressionParams:
        """share / scale^2 times the columns' second moments, which are taken as 1."""
        b, scales = params
        return LinearRegressionParams(
            jnp.broadcast_to((share / scales**2)[:, None], b.shape), 2 * share
        )

    # ---- what is said of a result

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: Any
    ) -> Float[Array, " k"]:
        variance = params.scales**2
        ratio = variance / jnp.broadcast_to(jnp.sum(weights * variance), variance.shape)
        ratio = jnp.where(ratio > jnp.finfo(ratio.dtype).eps, ratio, jnp.zeros_like(ratio))
        ratio = jnp.where(jnp.isnan(variance), jnp.nan, ratio)
        safe = jnp.array(self.common_scale) if prior is None else jnp.all(prior.rows > 0)
        return jnp.where(safe & (ratio > 0), jnp.inf, ratio)

    def at_pivot(self, params: Any, x: Any) -> Any:
        return params._replace(coefficients=pivot.there(params.coefficients, x))

    def from_pivot(self, params: Any, x: Any) -> Any:
        return params._replace(coefficients=pivot.back(params.coefficients, x))

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Any:
        """Regressors from a standard normal distribution: the model says nothing of them."""
        key_x, key_y = jax.random.split(key)
        b, _ = params
        X = jax.random.normal(key_x, (labels.shape[0], b.shape[1] - self.intercept), b.dtype)
        return X, self._responses(key_y, params, (X, labels), labels)

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        y = jnp.where(jnp.isnan(x[1]), x[1], self._responses(key, params, x, labels))
        return pivot.with_responses(x, y)

    def _responses(self, key: Array, params: Any, x: Any, labels: Array) -> Array:
        b, scales = params
        noise = scales[labels] * jax.random.normal(key, labels.shape, b.dtype)
        return pivot.predicted(b[labels], x, self.intercept) + noise


def _flat(params: LinearRegressionParams) -> LinearRegressionPrior:
    b, scales = (jnp.zeros_like(leaf) for leaf in params)
    return LinearRegressionPrior(b, b, scales, scales)
