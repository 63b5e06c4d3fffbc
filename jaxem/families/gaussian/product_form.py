"""Densities and sums as matrix products: fast, and good while the components are near each other.

With y = x - pivot, u[k] = m[k] - pivot and P = inv(C):

    -1/2 (x - m)' P (x - m) = -1/2 P . yy' + (P u)' y - 1/2 u' P u
    sum_n r (x - m)(x - m)' = sum r yy' - first u' - u first' + count u u',   first = sum r (x - m)

The products yy' are made once a block and used by all components, where residuals are made for
each. The terms are larger than what they add up to: the roundings that this costs have a root mean
square of about eps |S P S| (Frobenius), with s the reach of the components around the pivot and
S = diag(s). `loses_precision`, where |S P S| is above 128 d, calls for the residuals: up to there a
log density loses no more than the mean objective is rounded by anyway, and its mean over rows
less.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import any_lane, einsum
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.residual_form import ResidualForm

_MOST = 128.0  # times d: about 11 standard deviations between each mean and the pivot


class ProductForm(NamedTuple):
    pivot: Float[Array, " d"]
    offset: Float[Array, "k d"]  # of the means from the pivot
    precision: Array
    linear: Float[Array, "k d"]
    constant: Float[Array, " k"]
    loses_precision: Bool[Array, ""]
    residuals: ResidualForm  # what to take instead


class Features(NamedTuple):
    y: Float[Array, "d n"]  # rows from the pivot
    products: Float[Array, "p n"]  # of their columns


def prepare(structure: Covariance, residuals: ResidualForm, covariances: Array) -> ProductForm:
    means, root, log_normaliser = residuals
    pivot = lax.stop_gradient(jnp.mean(means, axis=0))  # no density depends on where it is
    offset = means - pivot[None]
    linear = structure.solve(root, offset)
    reach = jnp.max(offset**2 + structure.variances(covariances, *means.shape), axis=0)
    largest = jnp.max(structure.magnitude(root, jnp.sqrt(reach)))
    loses_precision = any_lane(~(largest <= _MOST * means.shape[1]))
    return ProductForm(
        pivot=pivot,
        offset=offset,
        precision=structure.precision(root),
        linear=linear,
        constant=log_normaliser - 0.5 * jnp.sum(linear * offset, axis=1),
        loses_precision=loses_precision,
        residuals=residuals,
    )


def evaluate(
    structure: Covariance, form: ProductForm, x: Float[Array, "d n"]
) -> tuple[Float[Array, "k n"], Features]:
    """-> (log densities, what the sums take of the rows)."""
    y, products = found = features(structure, form, x)
    distance = structure.squared_norm(form.precision, products)
    linear = einsum("kd,dn->kn", form.linear, y)
    return form.constant[:, None] + linear - 0.5 * distance, found


def features(structure: Covariance, form: ProductForm, x: Float[Array, "d n"]) -> Features:
    y = x - form.pivot[:, None]
    return Features(y, structure.products(y))


def sums(
    structure: Covariance, features: Features, weight: Float[Array, "k n"]
) -> tuple[Float[Array, "k d"], Array]:
    """-> (sum of weight y, the packed sum of weight yy')."""
    y, products = features
    return einsum("kn,dn->kd", weight, y), structure.sums(weight, products)


def around(
    structure: Covariance,
    count: Float[Array, " k"],
    first: Float[Array, "k d"],
    second: Array,
    shift: Float[Array, "k d"],
) -> tuple[Float[Array, "k d"], Array]:
    """The sums from the origin moved by `shift`."""
    moved, one = first - count[:, None] * shift, jnp.ones_like(count)
    second = second - structure.outer(one, first, shift) - structure.outer(one, shift, moved)
    return moved, second


def centred(
    structure: Covariance,
    form: ProductForm,
    count: Float[Array, " k"],
    first: Float[Array, "k d"],
    second: Array,
) -> tuple[Float[Array, "k d"], Array]:
    """The sums around the means, from the packed ones around the pivot."""
    offset = form.offset
    second = structure.unpack(second, offset.shape[1])
    first, second = around(structure, count, first, second, offset)
    return first, restored(second, rounding(structure, count, offset))


def rounding(
    structure: Covariance, count: Float[Array, " k"], offset: Float[Array, "k d"]
) -> Array:
    """What moving the sums by `offset` may cost, eps count u[i]^2, on the diagonal of the form."""
    form = structure.outer(count, offset, offset)
    diagonal = structure.identity(offset.shape[1], offset.dtype) > 0
    return jnp.where(diagonal, jnp.finfo(offset.dtype).eps * form, jnp.zeros_like(form))


def restored(second: Array, rounding: Array) -> Array:
    """The sums with what is lost in rounding given back.

    Covariances that shrink at once by a large factor, as after a wide start, are less than the
    rounding of sums that were made for the old ones. Too large they are harmless: the next trip
    sees that the products lose too much, and takes the residuals.
    """
    return second + jnp.where(second < 1024 * rounding, 64 * rounding, jnp.zeros_like(second))
