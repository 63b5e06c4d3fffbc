"""Covariances of one volume, each of its own shape: EVI, (k, d), and EVV, (k, d, d).

    C[k] = v S[k] / det(S[k])^(1/d),    v = sum_k det(S[k])^(1/d) / sum_k N[k]

(Celeux and Govaert 1995, models 4 and 8).
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.factors import inverse_cholesky
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.linked import LinkedFactors, LinkedVariances


@dataclass(frozen=True)
class EVI(Diag):
    name = "EVI"
    own_volume = False
    constraint = LinkedVariances("EVI")

    def estimate(
        self, rows: Float[Array, "k 1"], scatter: Float[Array, "k d"], old: Float[Array, "k d"]
    ) -> Float[Array, "k d"]:
        return variances(rows[:, 0], scatter, old)


@dataclass(frozen=True)
class EVV(Full):
    name = "EVV"
    own_volume = False
    constraint = LinkedFactors("EVV")

    def estimate(
        self, rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Array
    ) -> Float[Array, "k d d"]:
        shapes = jnp.where(rows > 0, scatter, old)
        log_size = inverse_cholesky(shapes)[1] / scatter.shape[-1]
        return scales(rows[:, 0, 0], log_size)[:, None, None] * shapes


def variances(
    rows: Float[Array, " k"], scatter: Float[Array, "k d"], old: Float[Array, "k d"]
) -> Float[Array, "k d"]:
    """The same of sums of squares along axes."""
    shapes = jnp.where(rows[:, None] > 0, scatter, old)
    return scales(rows, jnp.mean(jnp.log(shapes), axis=1))[:, None] * shapes


def scales(rows: Float[Array, " k"], log_size: Float[Array, " k"]) -> Float[Array, " k"]:
    """What brings shapes of these sizes, log det(S)^(1/d), to the common volume."""
    size = jnp.where(rows > 0, jnp.exp(log_size), 0)
    return jnp.sum(size) / jnp.sum(rows) * jnp.exp(-log_size)
