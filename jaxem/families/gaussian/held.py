"""Gaussian parameters that are known: whole matrices, and with matrices whole means."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from jaxem.core import checks
from jaxem.core import held as known
from jaxem.families.gaussian.covariance import Covariance


def check(held: Any, structure: Covariance) -> None:
    """Host side: ValueError for what has no closed form, and for variances that are none."""
    if not checks.is_concrete(held):
        return
    means, covariances = map(np.asarray, held)
    own = np.diagonal(covariances, axis1=-2, axis2=-1) if structure.matrices else covariances
    if (own <= 0).any():
        raise ValueError("held.components.covariances has variances that are not above 0")
    if not structure.matrices:
        return
    for array, what, axes in (
        (means, "means: the mean of a component", -1),
        (covariances, "covariances: a matrix", (-2, -1)),
    ):
        free = np.isnan(array)
        if (free.any(axes) != free.all(axes)).any():
            raise ValueError(
                f"held.components.{what} is held as a whole or not at all, where covariances are "
                "matrices; NaN marks what is free"
            )
    if not np.isnan(covariances).all():
        checks.symmetric(np.where(np.isnan(covariances), 0, covariances), "held covariances")


def count(held: Any, structure: Covariance, live: Bool[Array, " k"]) -> Array:
    means, covariances = held
    marks = known.marks(covariances)
    marks = structure.select(live, marks, jnp.zeros_like(marks))
    if structure.matrices:
        marks = jnp.tril(marks)
    return known.count(means, live) + jnp.sum(marks, dtype=jnp.int32)


def spread(held: Any, structure: Covariance) -> Bool[Array, " k"]:
    """Of which components the covariance is known."""
    means, covariances = held
    k, d = means.shape
    return jnp.all(~jnp.isnan(structure.variances(covariances, k, d)), axis=1)
