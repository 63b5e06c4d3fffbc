"""What a t density has beyond a normal one: its normaliser, and the weights of rows."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.special import log1p_excess, log_less_digamma, stirling
from jaxem.families.gaussian.product_form import ProductForm
from jaxem.families.gaussian.residual_form import ResidualForm
from jaxem.families.student_t.degrees_of_freedom import Evidence

_NEAR = 0.3  # of u to 1: there log u is that of the difference


class Prepared(NamedTuple):
    """form: gives -delta / 2."""

    form: ResidualForm | ProductForm
    log_normaliser: Float[Array, " k"]
    degrees_of_freedom: Float[Array, " k"]

    @property
    def n_columns(self) -> int:
        form = self.form.residuals if isinstance(self.form, ProductForm) else self.form
        return form.means.shape[1]


class Cache(NamedTuple):
    distance: Float[Array, "k n"]
    of_form: Any


def tail_normaliser(nu: Float[Array, " k"], d: int) -> Float[Array, " k"]:
    """log Gamma(b) - log Gamma(a) - d/2 log a,  a = nu / 2,  b = a + d / 2; 0 in the normal limit.

    By Stirling's formula and its remainder: the logarithms of Gamma are large, and cancel.
    """
    a, b = 0.5 * nu, 0.5 * (nu + d)
    return (b - 0.5) * jnp.log1p(d / nu) - 0.5 * d + stirling(b) - stirling(a)


def weights(prepared: Prepared, cache: Cache) -> Float[Array, "k n"]:
    nu, d = prepared.degrees_of_freedom[:, None], prepared.n_columns
    return (nu + d) / (nu + cache.distance)


def evidence(prepared: Prepared, cache: Cache, responsibilities: Float[Array, "k n"]) -> Evidence:
    """Of the degrees of freedom: u - 1 - E log U to the last digit where u is near 1."""
    nu, d = prepared.degrees_of_freedom[:, None], prepared.n_columns
    away = (d - cache.distance) / (nu + cache.distance)  # u - 1
    near = jnp.abs(away) < _NEAR
    far = jnp.log(weights(prepared, cache)) - away
    excess = jnp.where(near, log1p_excess(jnp.where(near, away, 0)), far)
    surplus = log_less_digamma(0.5 * (nu + d)) - excess
    some = responsibilities > 0  # log 0 is none where they are 0
    return Evidence(
        count=jnp.sum(responsibilities, axis=1),
        surplus=jnp.sum(jnp.where(some, responsibilities * surplus, 0), axis=1),
        spread=jnp.sum(responsibilities * away**2, axis=1),
    )
