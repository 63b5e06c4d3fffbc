"""Where the coefficients of log odds may lie, and weights that follow from them."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks
from jaxem.core.constraints import Real, Shares
from jaxem.core.placement import numpy_of

_ROUGH = 0.05  # the information of the log odds of noise, per row


@dataclass(frozen=True)
class MeanShares(Shares):
    """Means over the rows of weights that follow from other parameters."""

    def check_fixed(self, fixed: Any, name: str) -> None:
        if not np.isnan(fixed).all():
            raise ValueError(f"{name} follow from the coefficients: fix those, and leave it None")

    def without_error(self, value: Array, active: Array) -> Bool[Array, " k"]:
        return jnp.ones(value.shape, bool)

    def determined(self, fixed: Array) -> Bool[Array, " k"]:
        return jnp.ones(fixed.shape, bool)

    def n_free(self, fixed: Array, active: Array) -> Int[Array, ""]:
        return jnp.int32(0)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        raise ValueError("weights follow from the coefficients of the covariates: change those")


@dataclass(frozen=True)
class FollowingShare(Real):
    """The mean over the rows of a share that follows from other parameters."""

    def check(self, value: Any, name: str) -> None:
        checks.between(value, name, 0, 1)

    def check_fixed(self, fixed: Any, name: str) -> None:
        if not np.isnan(fixed).all():
            raise ValueError(f"{name} follows from the coefficients: fix those, and leave it None")

    def without_error(self, value: Array, active: Array) -> Bool[Array, ""]:
        return jnp.ones_like(value, bool)

    def determined(self, fixed: Array) -> Bool[Array, ""]:
        return jnp.ones_like(fixed, bool)

    def n_free(self, fixed: Array, active: Array) -> Int[Array, ""]:
        return jnp.int32(0)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        raise ValueError("the share follows from the coefficients of the covariates: change those")


@dataclass(frozen=True)
class AgainstFirst(Real):
    """Coefficients of log odds against the first component, whose own are 0. n_beside: rows of what
    is beside the components, after those."""

    n_beside: int = 0

    def by_component(self, of: Any, value: Any) -> Any:
        return numpy_of(of).pad(of, (0, self.n_beside), constant_values=True)[:, None]

    def check(self, value: Any, name: str) -> None:
        if checks.is_concrete(value) and np.any(np.asarray(value)[0] != 0):
            raise ValueError(
                f"{name} of the first component are {np.asarray(value)[0]}; they are 0: subtract "
                "them from those of all components"
            )

    def check_fixed(self, fixed: Any, name: str) -> None:
        self.check(np.where(np.isnan(fixed), 0, fixed), name)

    def from_unconstrained(self, coordinate: Array) -> Array:
        return coordinate.at[0].set(0)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        known = jnp.pad(share * (1 - share), (0, self.n_beside), constant_values=_ROUGH)
        return jnp.broadcast_to(known[:, None], value.shape).at[0].set(0)

    def constant(self, value: Array, active: Array) -> Bool[Array, "k p"]:
        return self.inactive(value, active).at[0].set(True)

    def determined(self, fixed: Array) -> Bool[Array, "k p"]:
        return (~jnp.isnan(fixed)).at[0].set(True)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Int[Array, ""]:
        """Where the first is absent, another has the log odds of 0."""
        own = jnp.isnan(fixed[1:]) & self.by_component(active, fixed)[1:]
        each = jnp.sum(own, axis=0, dtype=jnp.int32)
        return jnp.sum(jnp.where(active[0], each, jnp.maximum(each - 1, 0)), dtype=jnp.int32)

    def take(self, value: Any, index: Any) -> Any:
        index = np.asarray(index)
        beside = np.arange(len(value) - self.n_beside, len(value))
        return value[np.concatenate([index, beside])] - value[index[:1]]

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        if index[0] == 0:
            raise ValueError("coefficients of the first component are 0: change those of others")
        return value.at[*index].set(number)
