"""Weights that depend on covariates of each row, its concomitant variables, by a multinomial logit.

w[k](z) = exp(eta[k]) / sum_j exp(eta[j]),    eta[k] = b[k]' u,  u = (1, z),  b[0] = 0

(Dayton and Macready 1988, JASA 83, 173-178; Grün and Leisch 2008, J. Stat. Softw. 28(4)). The
M-step is a regression of the responsibilities r on the covariates. With v the weights of the rows,

g[k] = sum_n (r[k, n] - v[n] w[k](z[n])) u[n]
H[k, l] = sum_n v[n] w[k](z[n]) (1[k = l] - w[l](z[n])) u[n] u[n]'

it is the damped Newton step b + t inv(H) g, t = log(1 + h) / h, with h the mean change of the log
odds: as in `families/generalized_regression.py`, a generalized EM (Lange 1995), which the loop
halves where it is too long. Noise beside the components is one more class of the logit.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, emissions, parameters, tables
from jaxem.core.contracts import Prior, Rows
from jaxem.core.numerics import einsum, root, safe_divide, safe_log
from jaxem.core.rows import flat, informative_weight, replace_absent
from jaxem.inference import collinearity, pivot
from jaxem.inference.least_squares import solve_fixed
from jaxem.models.log_odds import AgainstFirst, MeanShares
from jaxem.models.noise import SHARE
from jaxem.models.weighting import Weighting


class ConcomitantMixtureParams(NamedTuple):
    """weights (k,): the mean of those of the fitted rows, which coefficients (k, 1 + p) tell one by
    one: log odds against the first component, whose own are 0, the intercept first; components: the
    family's."""

    weights: Array
    components: Any
    coefficients: Array


class NoisyConcomitantMixtureParams(NamedTuple):
    """weights (k,): those of the rows that are no noise, as in `ConcomitantMixtureParams`;
    components: the family's; coefficients (k + 1, 1 + p): the last are those of the noise; noise:
    `Noise`, its share the mean of those of the fitted rows."""

    weights: Array
    components: Any
    coefficients: Array
    noise: Any


class LogOdds(NamedTuple):
    coefficients: Float[Array, "m p"]
    active: Bool[Array, " m"]


class Slopes(NamedTuple):
    """g and H; pivot: that of the covariates, times the rows, whose number is `count`; spread: sum
    v (1 - sum_k w[k]^2) / 2."""

    gradient: Float[Array, "m p"]
    hessian: Float[Array, "m p m p"]
    pivot: Float[Array, " d"]
    count: Float[Array, ""]
    spread: Float[Array, ""]


@dataclass(frozen=True)
class Concomitants(Weighting):
    """Data (x, Z), with Z (n, n_covariates). n_beside: classes after the components: 1 of noise."""

    n_covariates: int
    n_beside: int = 0

    @property
    def constraints(self) -> tuple[Any, Any]:
        return MeanShares(), AgainstFirst(n_beside=self.n_beside)

    # ---- host side

    def split(self, data: Any) -> tuple[Any, Any]:
        return tables.pair(data, "(x, Z), Z of the covariates that the weights depend on")

    def joined(self, x: Any, covariates: Any) -> Any:
        return x, covariates

    def read(self, covariates: Any, rows: Rows) -> Any:
        z = tables.table(covariates, "Z")
        if z.shape != (rows.n_units, self.n_covariates):
            raise ValueError(
                f"Z has shape {z.shape}, expected {(rows.n_units, self.n_covariates)}: a row for "
                "each of x, and as many columns as the mixture has concomitants"
            )
        checks.finite(z, rows.weight, tables.column_names(covariates))
        measured = pivot.measured((z, None), rows.weight)
        own = jax.tree.map(lambda leaf: checks.cast(leaf, rows.weight.dtype), measured)
        return replace_absent(own, rows.weight)

    def like(self, k: int, dtype: Any) -> tuple[Any]:
        return (jax.ShapeDtypeStruct((k + self.n_beside, 1 + self.n_covariates), dtype),)

    def as_params(self, params: Any, k: int, dtype: Any) -> tuple[Array]:
        shape = k + self.n_beside, 1 + self.n_covariates
        made_for = f"{k} components{' and noise' * self.n_beside} and {self.n_covariates}"
        own = checks.parameter(
            params.coefficients, shape, dtype, "coefficients", f"{made_for} covariates"
        )
        parameters.check(self.constraints[1], own, "coefficients")
        return (own,)

    def as_prior(self, prior: Any, dtype: Any) -> Array:
        if checks.is_concrete(prior.weights) and np.any(np.asarray(prior.weights) != 1):
            raise ValueError(
                "the prior's weights are of weights that all rows have in common; for those that "
                "depend on covariates give precision="
            )
        precision = 0.0 if prior.precision is None else prior.precision
        checks.nonnegative(precision, "the prior's precision")
        return checks.cast(precision, dtype)

    def check_identified(self, rows: Rows) -> tuple[str, ...]:
        """What the rows do not identify of the coefficients."""
        return collinearity.remarks(*_regressors(rows), intercept=True, called="Z")

    def separated(self, statistics: Slopes, rows: Rows) -> tuple[str, ...]:
        """Components that are told from the others without error along some of the covariates."""
        own, count = np.asarray(statistics.hessian, float), float(statistics.count)
        curvature = np.stack([own[k, :, k] for k in range(len(own))])
        there = np.full(len(own), count) * (np.trace(curvature, axis1=1, axis2=2) > 0)
        found = collinearity.flat_along(curvature, there, *_regressors(rows), True, "Z")
        return tuple(
            f"{self._called(k, len(own))} is separated: {called} tell its rows without error, so "
            "that the likelihood rises for ever, and its coefficients have no meaning; give them a "
            "prior precision, such as jaxem.MixturePrior(precision=1.0)"
            for k, called in found.items()
        )

    def _called(self, k: int, n_classes: int) -> str:
        return f"component {k}" if k < n_classes - self.n_beside else "the noise"

    # ---- steps

    def start(self, weights: Float[Array, " k"], rows: Rows) -> tuple[Array, Array]:
        """The same for every row."""
        logs = jnp.where(weights > 0, safe_log(jnp.where(weights > 0, weights, 1)), 0)
        logs = jnp.pad(logs, (0, self.n_beside), constant_values=math.log(SHARE / (1 - SHARE)))
        slopes = jnp.zeros((logs.shape[0], self.n_covariates), weights.dtype)
        return weights, jnp.concatenate([(logs - logs[0])[:, None], slopes], axis=1)

    def _active(self, params: Any) -> Bool[Array, " m"]:
        return jnp.pad(params.weights > 0, (0, self.n_beside), constant_values=True)

    def prepare(self, params: Any) -> LogOdds:
        return LogOdds(params.coefficients, self._active(params))

    def log_weights(self, prepared: LogOdds, rows: Rows) -> Float[Array, "m n"]:
        return _log_weights(prepared, _covariates(rows))[0]

    def statistics(
        self, prepared: LogOdds, rows: Rows, responsibilities: Float[Array, "m n"]
    ) -> Slopes:
        z = _covariates(rows)
        logs, u = _log_weights(prepared, z)
        w, weight = jnp.exp(logs), jnp.reshape(rows.weight, -1)
        known = jnp.reshape(informative_weight(rows), -1)
        count = jnp.sum(known)
        return Slopes(
            einsum("kn,pn->kp", responsibilities - weight[None] * w, u),
            _hessian(w, known, u),
            count * pivot.pivot_of(z),
            count,
            0.5 * jnp.sum(known * (1 - jnp.sum(w**2, axis=0))),
        )

    def update(self, params: Any, statistics: Any, prior: Prior | None) -> tuple[Array, Array]:
        counts, b = statistics.counts, params.coefficients
        weights = safe_divide(counts, jnp.broadcast_to(jnp.sum(counts), counts.shape))
        fixed = emissions.fixed(prior)
        known = jnp.full_like(b, jnp.nan) if fixed is None else fixed.coefficients
        precision = jnp.zeros((), b.dtype) if prior is None else prior.precision
        at = self.prepare(params)
        return weights, _stepped(at, statistics.weighting, known, precision)

    def log_prior(self, params: Any, prior: Prior) -> Float[Array, ""]:
        return -0.5 * prior.precision * jnp.sum(params.coefficients[:, 1:] ** 2)

    def sample(self, key: Array, params: Any, n: int) -> tuple[Int[Array, " n"], Array]:
        """Covariates from a standard normal distribution: the model says nothing of them."""
        key_labels, key_z = jax.random.split(key)
        b = params.coefficients
        z = jax.random.normal(key_z, (n, self.n_covariates), b.dtype)
        logs = _log_weights(self.prepare(params), (z, None))[0]
        return jax.random.categorical(key_labels, logs, axis=0).astype(jnp.int32), z

    def labels(self, key: Array, params: Any, rows: Rows) -> Int[Array, "*n"]:
        logs = self.log_weights(self.prepare(params), rows)
        found = jax.random.categorical(key, logs, axis=0).astype(jnp.int32)
        return jnp.reshape(found, rows.weight.shape)


def _regressors(rows: Rows) -> tuple[Any, Array]:
    """-> (covariates and responses, of which none is missing; weights), as `collinearity` takes
    them."""
    z, _, *far = _covariates(rows)
    known = informative_weight(rows).reshape(-1)
    return (pivot.Far(z, known, *far) if far else (z, known)), known


def _covariates(rows: Rows) -> Any:
    """With one leading axis."""
    return flat(rows.covariates, rows.weight.ndim)


def _log_weights(prepared: LogOdds, z: Any) -> tuple[Float[Array, "m n"], Float[Array, "p n"]]:
    """-> (log w, the regressors from their pivot)."""
    eta, u = pivot.predictor(prepared.coefficients, z, True)
    return jax.nn.log_softmax(jnp.where(prepared.active[:, None], eta, -jnp.inf), axis=0), u


def _hessian(
    w: Float[Array, "m n"], weight: Float[Array, " n"], u: Float[Array, "p n"]
) -> Float[Array, "m p m p"]:
    (k, n), p = w.shape, u.shape[0]
    each = jnp.reshape(w[:, None] * u[None], (k * p, n))
    crossed = jnp.reshape(einsum("an,bn->ab", weight[None] * each, each), (k, p, k, p))
    squares = jnp.reshape(u[:, None] * u[None], (p * p, n))
    own = jnp.reshape(einsum("kn,fn->kf", weight[None] * w, squares), (k, p, p))
    return jnp.eye(k, dtype=w.dtype)[:, None, :, None] * own[:, :, None] - crossed


def _stepped(
    at: LogOdds, sums: Slopes, fixed: Float[Array, "m p"], precision: Float[Array, ""]
) -> Float[Array, "m p"]:
    """The step is of the values at the pivot and of the slopes; where an intercept is fixed, of
    itself."""
    b, active = at
    k, p = b.shape
    pivot_itself = safe_divide(sums.pivot, jnp.broadcast_to(sums.count, sums.pivot.shape))[None]
    about = jnp.where(jnp.isnan(fixed[:, :1]), 0, pivot_itself)
    gradient, hessian = _about(sums, about)
    ridge = jnp.broadcast_to(precision, (k, p)).at[:, 0].set(0)
    matrix = jnp.reshape(hessian, (k * p, k * p)) + jnp.diag(jnp.reshape(ridge, -1))
    # Against the first, unless it is absent: then the shortest of the steps that differ by it.
    still = (~active | (active[0] & (jnp.arange(k) == 0)))[:, None]
    known = jnp.reshape(jnp.where(still, 0, fixed - b), (1, -1))
    step = solve_fixed(matrix[None], jnp.reshape(gradient - ridge * b, (1, -1)), known)[0]
    change = root(safe_divide(einsum("i,ij,j->", step, matrix, step), sums.spread))
    share = jnp.where(change > 0, jnp.log1p(change) / jnp.where(change > 0, change, 1), 1)
    new = jnp.where(jnp.isnan(fixed), b + share * jnp.reshape(step, (k, p)), fixed)
    back = jnp.sum((pivot_itself - about) * (new - b)[:, 1:], axis=1)
    return jnp.where(still, b, new.at[:, 0].add(-back))


def _about(
    sums: Slopes, origin: Float[Array, "m d"]
) -> tuple[Float[Array, "m p"], Float[Array, "m p m p"]]:
    """g and H with the covariates of each component measured from that far below their pivot."""
    k, p = sums.gradient.shape
    turn = jnp.broadcast_to(jnp.eye(p, dtype=origin.dtype), (k, p, p)).at[:, 1:, 0].add(origin)
    gradient = einsum("kij,kj->ki", turn, sums.gradient)
    return gradient, einsum("kia,kalb,ljb->kilj", turn, sums.hessian, turn)
