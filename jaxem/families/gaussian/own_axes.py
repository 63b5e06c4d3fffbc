"""Covariances of one shape, each along axes of its own, (k, d, d): EEV and VEV.

    C[k] = v[k] D[k] diag(b) D[k]',    S[k] = D[k] diag(s[k]) D[k]',  s[k] in order of size

The axes are those of the scatter, whatever the rest. Along them EEV is EEI and VEV is VEI of the
sums of squares s (Celeux and Govaert 1995, models 10 and 11).
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.factors import eigh
from jaxem.families.gaussian import proportional
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.linked import LinkedAxes, composed


@dataclass(frozen=True)
class EEV(Full):
    name = "EEV"
    own_volume = False
    constraint = LinkedAxes("EEV")
    one_shape = True

    def estimate(
        self, rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Array
    ) -> Float[Array, "k d d"]:
        squares, axes = _along(rows, scatter, old)
        mean = jnp.sum(squares, axis=0) / jnp.sum(rows)
        return composed(jnp.broadcast_to(mean, squares.shape), axes)


@dataclass(frozen=True)
class VEV(Full):
    name = "VEV"
    constraint = LinkedAxes("VEV")
    one_shape = True

    def estimate(
        self, rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Array
    ) -> Float[Array, "k d d"]:
        squares, axes = _along(rows, scatter, old)
        start = self.factor(old, *old.shape[:2]).log_det / old.shape[-1]
        return composed(proportional.variances(rows[:, 0, 0], squares, start), axes)


def _along(
    rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Float[Array, "k d d"]
) -> tuple[Float[Array, "k d"], Float[Array, "k d d"]]:
    """-> (sums of squares along axes, the axes: those of `old` where there are no rows)."""
    told = rows > 0
    squares, axes = eigh(jnp.where(told, scatter, old))
    return jnp.where(told[:, 0], squares, 0), axes
