"""What regressions of the exponential family share: a Newton step as the M-step.

log p(y | X; b) = y eta - A(eta) + c(y),    eta = b' u,  u = (1, X)      (canonical link)

With g = sum r (y - A'(eta)) u and S = sum r A''(eta) u u', the M-step is the damped Newton step

    b = b_old + t inv(S) g,    t = log(1 + h) / h,  h^2 = g' inv(S) g / sum r A''(eta)

with h the mean change of eta, which is in the units of A's own bends (Bach 2010, section 2.2),
less where a prior has a share in the step: a generalized EM (Lange 1995), as fast as EM near a
fixed point, in one pass over the data. Where a step is too long all the same, the loop halves it.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters, tables
from jaxem.core.capabilities import describing, holes
from jaxem.core.capabilities.describing import Line
from jaxem.core.constraints import Real
from jaxem.core.contracts import Family, Params, Prior
from jaxem.core.numerics import root, safe_divide
from jaxem.inference import collinearity, elemental, pivot
from jaxem.inference.least_squares import Normal, moved, normal, solve_step
from jaxem.inference.pivot import predictor

_N_POOLED = 25  # Newton steps of the fit of one component, and of one row
_WEAK = 0.05  # precision of the normal prior on the eta of one row


class RegressionPrior(NamedTuple):
    """Normal coefficients around `mean` with variances 1 / precision, each a number or (k, p);

    one number leaves the intercept free.
    """

    mean: Any = 0.0
    precision: Any = 0.0


class Derivatives(NamedTuple):
    count: Float[Array, " k"]
    curvature: Float[Array, " k"]
    normal: Normal


class GeneralizedRegression(Family):
    """Data (X, y). A row whose y is missing (NaN) carries no information."""

    params_type: ClassVar[Any]  # of one field, coefficients (k, p)
    responses_are: ClassVar[str]  # what is wrong with those that cannot be
    intercept: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "intercept", checks.flag(self.intercept, "intercept"))

    @abc.abstractmethod
    def wrong(self, y: Any) -> Any:
        """Which responses, `placement.in_place`, cannot be; NaN is missing."""

    @abc.abstractmethod
    def log_density(self, eta: Array, y: Array) -> Array:
        """y eta - A(eta) + c(y)."""

    @abc.abstractmethod
    def mean_and_variance(self, eta: Array) -> tuple[Array, Array]:
        """-> (A'(eta), A''(eta)): mean and variance of y."""

    @abc.abstractmethod
    def draw(self, key: Array, eta: Float[Array, " n"]) -> Float[Array, " n"]:
        """A response for each eta."""

    @property
    def constraints(self) -> Any:
        return self.params_type(Real())

    @property
    def exact_m_step(self) -> bool:
        return False

    # ---- host side

    def read(self, data: Any) -> Any:
        return tables.regression(data)

    def measured(self, x: Any, weight: Any) -> Any:
        return pivot.measured(x, weight) if self.intercept else x

    def given(self, x: Any) -> Any:
        return pivot.given(x)

    def check(self, x: Any, weight: Any, names: Any) -> None:
        checks.regression(x, weight)
        remedy = "drop or mend those rows; NaN is a missing response"
        checks.require_cells(x[1][:, None], weight, ("y",), self.wrong, self.responses_are, remedy)

    def _shape(self, x: Any, k: int) -> tuple[int, int]:
        return k, x[0].shape[1] + self.intercept

    def informative(self, x: Any) -> Any:
        return holes.any_number(x[1])

    def check_identified(self, x: Any, weight: Any, names: Any) -> tuple[str, ...]:
        return collinearity.remarks(x, weight, self.intercept)

    def as_params(self, params: Params, x: Any, k: int) -> Any:
        checks.fields(params, self.params_type, "components")
        made_for = f"{k} components, {x[0].shape[1]} columns and {self!r}"
        shape, dtype = self._shape(x, k), x[0].dtype
        return self.params_type(
            checks.parameter(params.coefficients, shape, dtype, "coefficients", made_for)
        )

    def like_x(self, params: Params) -> Any:
        checks.fields(params, self.params_type, "components")
        dtype = tables.float_dtype(params.coefficients)
        d = np.shape(params.coefficients)[1] - self.intercept
        return jax.ShapeDtypeStruct((1, d), dtype), jax.ShapeDtypeStruct((1,), dtype)

    def given_names(self, data: Any) -> tuple[str, ...] | None:
        return describing.of_regression(data)

    def describe(self, params: Any, columns: Any, levels: Any) -> list[Line]:
        return describing.regression(params, columns)

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> RegressionPrior:
        checks.fields(prior, RegressionPrior, "the prior's components")
        for name, value in zip(prior._fields, prior, strict=True):
            checks.numbers(value, name)
        checks.positive_array(prior.precision, "precision", zero_allowed=True)
        shape, dtype = self._shape(x, k), x[0].dtype
        mean, precision = (checks.broadcast(value, shape, dtype, "the prior") for value in prior)
        if self.intercept and np.ndim(prior.precision) == 0:
            precision = precision.at[:, 0].set(0)
        return RegressionPrior(mean, precision)

    def numbers_per_row(self, x: Any, k: int) -> int:
        p = x[0].shape[1] + 1
        return p * p + p + 6 * k

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        X, y, *_ = x
        return jnp.concatenate([X, jnp.where(jnp.isnan(y), jnp.nanmean(y), y)[:, None]], axis=1)

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> Any:
        blank = self.params_type(jnp.zeros(self._shape(x, 1), x[0].dtype))
        active = jnp.ones(1, bool)

        def step(_: Array, params: Any) -> Any:
            _, cache = self.evaluate(params, x)
            return self.m_step(
                params, self.statistics(params, x, cache, weight[None]), None, active
            )

        one = lax.fori_loop(0, _N_POOLED, step, blank)
        return jax.tree.map(lambda b: jnp.broadcast_to(b, (k, b.shape[1])), one)

    def labelled(
        self, key: Array, pooled: Any, x: Any, weight: Array, odds: Float[Array, "k n"]
    ) -> Int[Array, " n"]:
        """By the deviances of lines: those of rows far from all tell little of any."""
        one = jax.tree.map(lambda b: b[:1], pooled)
        _, (u, eta, responses) = self.evaluate(one, x)
        seen = ~jnp.isnan(x[1])
        own = self._alone(eta[0], responses)
        most = self.log_density(own, responses)

        def loss(z: Float[Array, "m n"]) -> Float[Array, "m n"]:
            deviance = most[None] - self.log_density(eta + z, responses[None])
            return jnp.log1p(2 * jnp.clip(deviance, 0, jnp.finfo(z.dtype).max ** 0.5))

        rows = elemental.Lines(u, own - eta[0], jnp.where(seen, weight, 0))
        return elemental.labels(key, rows, loss, jnp.where(seen[None], odds, 0))

    def _alone(self, eta: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        """The eta of each row by itself, finite by a weak normal prior; from some eta, in steps."""

        def step(_: Array, eta: Array) -> Array:
            mean, variance = self.mean_and_variance(eta)
            way = (y - mean - _WEAK * eta) / (variance + _WEAK)
            return eta + jnp.clip(way, -1, 1)

        return lax.fori_loop(0, _N_POOLED, step, eta)

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: RegressionPrior | None
    ) -> RegressionPrior:
        """None of its own: a step starts at the pooled fit, and goes no further than rows ask."""
        return _flat(pooled) if prior is None else prior

    # ---- the two steps

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        y = x[1]
        eta, u = predictor(prepared.coefficients, x, self.intercept)
        responses = jnp.where(jnp.isnan(y), jnp.zeros_like(y), y)
        log_density = self.log_density(eta, responses[None])
        return jnp.where(jnp.isnan(y)[None], 0, log_density), (u, eta, responses)

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Derivatives:
        u, eta, responses = cache
        r = jnp.where(jnp.isnan(x[1])[None], 0, responsibilities)
        mean, variance = self.mean_and_variance(eta)
        count, weight = jnp.sum(r, axis=1), r * variance
        sums = normal(weight, r * (responses[None] - mean), count, u, x)
        return Derivatives(count, jnp.sum(weight, axis=1), sums)

    def recentre(self, statistics: Any, old: Any, new: Any) -> Any:
        raise ValueError(
            f"{self!r} keeps derivatives at the parameters of the E-step, which tell nothing of "
            "those at others: collect them anew"
        )

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Bool[Array, " k"], fixed: Any = None
    ) -> Any:
        fixed = parameters.free(params) if fixed is None else fixed
        count, curvature, sums = statistics
        b = params.coefficients
        prior = _flat(params) if prior is None else prior
        step = solve_step(sums, count, b, fixed.coefficients, prior.mean, prior.precision)
        change = root(safe_divide(step.bend, curvature) * safe_divide(step.bend, step.slope))
        share = jnp.where(change > 0, jnp.log1p(change) / jnp.where(change > 0, change, 1), 1)
        new = moved(b, step, share[:, None], fixed.coefficients)
        return self.params_type(jnp.where(active[:, None], new, b))

    def log_prior(self, params: Any, prior: Any, active: Bool[Array, " k"]) -> Float[Array, ""]:
        penalty = prior.precision * (params.coefficients - prior.mean) ** 2
        return -0.5 * jnp.sum(jnp.where(active[:, None], penalty, 0))

    @property
    def runs_away(self) -> bool:
        return True

    def run_away(self, statistics: Any, x: Any, weight: Any) -> tuple[str, ...]:
        curvature, count = statistics.normal.second, statistics.count
        return collinearity.separated(
            np.asarray(curvature, float), np.asarray(count), x, weight, self.intercept
        )

    def at_pivot(self, params: Any, x: Any) -> Any:
        return params._replace(coefficients=pivot.there(params.coefficients, x))

    def from_pivot(self, params: Any, x: Any) -> Any:
        return params._replace(coefficients=pivot.back(params.coefficients, x))

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Any:
        """Regressors from a standard normal distribution: the model says nothing of them."""
        key_x, key_y = jax.random.split(key)
        b = params.coefficients
        X = jax.random.normal(key_x, (labels.shape[0], b.shape[1] - self.intercept), b.dtype)
        return X, self._responses(key_y, params, (X, labels), labels)

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        y = jnp.where(jnp.isnan(x[1]), x[1], self._responses(key, params, x, labels))
        return pivot.with_responses(x, y)

    def _responses(self, key: Array, params: Any, x: Any, labels: Array) -> Array:
        return self.draw(key, pivot.predicted(params.coefficients[labels], x, self.intercept))


def _flat(params: Any) -> RegressionPrior:
    zero = jnp.zeros_like(params.coefficients)
    return RegressionPrior(zero, zero)
