"""Densities and sums from the residuals x - m[k] of every component: right wherever the means are.

log N(x; m, C) = log_normaliser - 1/2 |root (x - m)|^2,    inv(C) = root' root
"""

from typing import NamedTuple

from jaxtyping import Array, Float

from jaxem.core.numerics import einsum
from jaxem.families.gaussian.covariance import Covariance


class ResidualForm(NamedTuple):
    means: Float[Array, "k d"]
    root: Array
    log_normaliser: Float[Array, " k"]


def evaluate(
    structure: Covariance, form: ResidualForm, x: Float[Array, "d n"]
) -> tuple[Float[Array, "k n"], Float[Array, "k d n"]]:
    """-> (log densities, residuals)."""
    residuals = x[None] - form.means[:, :, None]
    distance = structure.squared_distance(form.root, residuals)
    return form.log_normaliser[:, None] - 0.5 * distance, residuals


def sums(
    structure: Covariance, residuals: Float[Array, "k d n"], weight: Float[Array, "k n"]
) -> tuple[Float[Array, "k d"], Array]:
    """-> (sum of weight r, the form of the sum of weight r r')."""
    first = einsum("kn,kdn->kd", weight, residuals)
    return first, structure.scatter(weight, residuals)
