"""What a Gaussian mixture says of cells that were not observed, and of columns given others.

E[x_h | x_o] = sum_k P(k | x_o) (m_h + C_ho inv(C_oo) (x_o - m_o)),  a draw of component k is
x_h = z_h + C_ho inv(C_oo) (x_o - z_o) with z drawn from it whole: conditioning by kriging
(Chiles and Delfiner 2012, section 7.3).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core.factors import inverse_cholesky
from jaxem.core.numerics import einsum
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.holes import Dense, Holes, WithHoles
from jaxem.inference.conditional_gaussian import fill, places

_LOG_2PI = math.log(2 * math.pi)


class Conditional(NamedTuple):
    """Of the columns left, given the others; covariances in the structure's form."""

    means: Float[Array, "k r"]
    covariances: Array
    log_density: Float[Array, " k"]  # of what is given


def expected(
    structure: Covariance, form: Any, x: Holes, shares: Float[Array, "k n"]
) -> Float[Array, "n d"]:
    _, (residuals, *_) = WithHoles().evaluate(structure, form, x)
    total = einsum("kn,kdn->nd", shares, residuals + form.means[:, :, None])
    return jnp.where(jnp.isnan(x.values), total, x.values)


def impute_draw(
    form: Any, x: Holes, whole: Float[Array, "n d"], labels: Int[Array, " n"]
) -> Float[Array, "n d"]:
    """whole: rows drawn from the components labels[i]."""
    gone = jnp.isnan(x.values)
    away = jnp.where(gone, 0, x.values - whole).T
    if not isinstance(form, Dense):  # columns are independent
        return jnp.where(gone, whole, x.values)
    precisions, missing = form.precision, places(gone.T, x.most)

    def place(j: Array, shift: Array) -> Array:  # one component after another
        precision = lax.dynamic_slice_in_dim(precisions, j % precisions.shape[0], 1)
        own = fill(precision, away[None], missing).residuals[0]
        return jnp.where((labels == j)[None], own, shift)

    away = lax.fori_loop(0, form.means.shape[0], place, away)
    return jnp.where(gone, whole + away.T, x.values)


def conditional(
    structure: Covariance,
    means: Float[Array, "k d"],
    covariances: Array,
    values: Float[Array, " a"],
    own: Any,
    rest: Any,
) -> Conditional:
    """own, rest: the columns that are given, in the order of values, and those left."""
    residual = values[None] - means[:, own]
    a = len(own)
    if not structure.matrices:
        variance = structure.variances(covariances, *means.shape)[:, own]
        distance = jnp.sum(residual**2 / variance, axis=1)
        log_density = -0.5 * (a * _LOG_2PI + jnp.sum(jnp.log(variance), axis=1) + distance)
        return Conditional(means[:, rest], structure.marginal(covariances, rest), log_density)
    d = means.shape[1]
    whole = jnp.reshape(covariances, (-1, d, d))
    root, log_det = inverse_cholesky(whole[:, own][:, :, own])
    across = einsum("kij,kjr->kir", root, whole[:, own][:, :, rest])  # inv(L) C_or
    scaled = jnp.sum(root * residual[:, None], axis=2)  # inv(L) (x_o - m_o)
    left = whole[:, rest][:, :, rest] - einsum("kir,kis->krs", across, across)
    shape = (*covariances.shape[:-2], len(rest), len(rest))
    log_density = -0.5 * (a * _LOG_2PI + log_det + jnp.sum(scaled**2, axis=1))
    moved = means[:, rest] + jnp.sum(across * scaled[:, :, None], axis=1)
    return Conditional(moved, jnp.reshape(left, shape), log_density)


def sample(
    structure: Covariance,
    key: Array,
    means: Float[Array, "k d"],
    covariances: Array,
    labels: Int[Array, " n"],
) -> Float[Array, "n d"]:
    """Rows of the components labels[i]."""
    k, d = means.shape
    factor = structure.cholesky(covariances, k, d)
    noise = jax.random.normal(key, (labels.shape[0], d), means.dtype)

    def place(j: Array, x: Array) -> Array:  # one component after another: no n x d x d array
        own = (labels == j)[:, None]
        rows = einsum("ij,nj->ni", factor[j], noise) + means[j][None]
        return jnp.where(own, rows, x)

    return lax.fori_loop(0, k, place, noise)
