"""Rows with holes in tiles of one pattern: one factorisation for each tile and component.

Within a tile the cells o are seen, and rows of them are those of a whole Gaussian; what they add up
to is carried over to all columns at once, with W = [I; C_ho inv(C_oo)]:

    sum r E[x - m]            = W sum r (x_o - m_o)
    sum r E[(x - m)(x - m)']  = W (sum r (x_o - m_o)(x_o - m_o)') W' + (sum r) cov(x_h | x_o)

(Little and Rubin 2002, section 11.2). A tile's work of its own is that of about 8 d rows.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum, transpose
from jaxem.families.gaussian import product_form, residual_form
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.product_form import ProductForm
from jaxem.families.gaussian.residual_form import ResidualForm

_LOG_2PI = math.log(2 * math.pi)


class Tile(NamedTuple):
    """x: 0 in the holes; seen: the law of what is not; carry: W; left: cov(x_h | x_o)."""

    x: Float[Array, "*g d t"]
    seen: ProductForm
    carry: Float[Array, "*g #k d d"]
    left: Float[Array, "*g #k d d"]


def evaluate(
    structure: Covariance, form: Any, values: Float[Array, "m s d"]
) -> tuple[Float[Array, "k n"], Tile]:
    """form: `holes.Dense`; values: NaN in the holes, the same ones in all rows of a tile."""

    def one(values: Float[Array, "t d"]) -> tuple[Array, Tile]:
        gone = jnp.isnan(values[0])
        seen, carry, left = _marginal(structure, form, gone)
        tile = Tile(jnp.where(gone[None], 0, values).T, seen, carry, left)

        def by_residuals() -> Array:
            return residual_form.evaluate(structure, seen.residuals, tile.x)[0]

        def by_products() -> Array:
            return product_form.evaluate(structure, seen, tile.x)[0]

        return _either(structure, form, by_residuals, by_products), tile

    if len(values) == 1:
        return one(values[0])
    log_density, tiles = jax.vmap(one)(values)
    return jnp.reshape(jnp.moveaxis(log_density, 1, 0), (log_density.shape[1], -1)), tiles


def sums(
    structure: Covariance, form: Any, tiles: Tile, weight: Float[Array, "k n"]
) -> tuple[Float[Array, "k d"], Array]:
    """-> (sum of weight E[r], the form of the sum of weight E[r r'])."""

    def one(tile: Tile, weight: Float[Array, "k t"]) -> tuple[Array, Array]:
        x, seen, carry, left = tile
        count = jnp.sum(weight, axis=1)

        def by_residuals() -> tuple[Array, Array]:
            _, residuals = residual_form.evaluate(structure, seen.residuals, x)
            return residual_form.sums(structure, residuals, weight)

        def by_products() -> tuple[Array, Array]:
            packed = product_form.sums(structure, product_form.features(structure, seen, x), weight)
            return product_form.centred(structure, seen, count, *packed)

        first, second = _either(structure, form, by_residuals, by_products)
        shape, k = second.shape, len(first)
        second = einsum("kij,kjl,kml->kim", carry, jnp.reshape(second, carry.shape), carry)
        rows = count if len(carry) == k else jnp.sum(count)[None]
        second = second + rows[:, None, None] * left
        whole = jnp.broadcast_to(carry, (k, *carry.shape[1:]))
        return einsum("kij,kj->ki", whole, first), jnp.reshape(second, shape)

    if tiles.x.ndim == 2:
        return one(tiles, weight)
    own = jnp.moveaxis(jnp.reshape(weight, (weight.shape[0], tiles.x.shape[0], -1)), 1, 0)
    first, second = jax.vmap(one)(tiles, own)
    return jnp.sum(first, axis=0), jnp.sum(second, axis=0)


def _either(
    structure: Covariance,
    form: Any,
    by_residuals: Callable[[], Any],
    by_products: Callable[[], Any],
) -> Any:
    """As rows without holes: by residuals where there are few columns, or digits to lose."""
    if form.means.shape[1] < structure.least_columns:
        return by_residuals()
    return lax.cond(form.loses_precision, by_residuals, by_products)


def _marginal(
    structure: Covariance, form: Any, gone: Bool[Array, " d"]
) -> tuple[ProductForm, Float[Array, "#k d d"], Float[Array, "#k d d"]]:
    """-> (what rows need of the cells that are seen, W, cov(x_h | x_o))."""
    k, d = form.means.shape
    whole, seen = jnp.reshape(form.covariances, (-1, d, d)), ~gone
    identity = jnp.eye(d, dtype=whole.dtype)[None]
    own = jnp.where((seen[:, None] & seen[None])[None], whole, identity)
    own = jnp.reshape(own, form.covariances.shape)
    root, log_det = structure.factor(own, k, d)
    factor = jnp.reshape(root, whole.shape)
    across = jnp.where((seen[:, None] & gone[None])[None], whole, 0)
    half = einsum("kij,kjl->kil", factor, across)
    left = jnp.where((gone[:, None] & gone[None])[None], whole, 0)
    left = left - einsum("kji,kjl->kil", half, half)
    carry = einsum("kij,kjl->kil", transpose(half), factor) + jnp.where(seen, identity, 0)
    holes = jnp.sum(gone).astype(whole.dtype)
    log_normaliser = form.log_normaliser + 0.5 * (holes * _LOG_2PI + form.log_det - log_det)
    means = jnp.where(gone[None], 0, form.means)
    residuals = ResidualForm(means, root, log_normaliser)
    return product_form.prepare(structure, residuals, own), carry, left
