"""Where the numbers of one array of parameters may lie: one object a kind.

Arrays are (k, ...), a row a component, unless they are `shared`. `active` marks the components that
are there, (k,); `fixed` has the numbers that are known, and NaN where they are free.
`core/parameters.py` is about trees of them.
"""

import abc
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.factors import cholesky
from jaxem.core.numerics import (
    clip_log,
    diagonal_mask,
    einsum,
    from_log,
    from_log_odds,
    from_logit,
    log_odds,
    logit,
    lower_mask,
    replace_probability,
    to_log,
)
from jaxem.core.placement import numpy_of


@dataclass(frozen=True)
class Constraint(abc.ABC):
    """The constraint of one array; these defaults hold where each number is free by itself.

    shared: whether the components have the array in common.
    """

    shared: bool = field(default=False, kw_only=True)

    @abc.abstractmethod
    def check(self, value: Any, name: str) -> None:
        """Host side: ValueError for concrete numbers that lie elsewhere."""

    def check_fixed(self, fixed: Any, name: str) -> None:
        """Host side: the same of fixed numbers, NaN where they are free."""
        self.check(fixed[~np.isnan(fixed)], name)

    @abc.abstractmethod
    def to_unconstrained(self, value: Array) -> Array:
        """Unconstrained coordinates: any real numbers."""

    @abc.abstractmethod
    def from_unconstrained(self, coordinate: Array) -> Array:
        """The numbers at finite coordinates: never NaN, never outside."""

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        """Complete-data Fisher information of each coordinate per row, roughly.

        share: of the rows, by component.
        """
        return jnp.broadcast_to(self.by_component(share, value), value.shape)

    def by_component(self, of: Any, value: Any) -> Any:
        """A number for each component, (k,), shaped for arithmetic with the array."""
        if self.shared:
            return of.any() if of.dtype == bool else of.sum()
        return of.reshape((-1,) + (1,) * (value.ndim - 1))

    def ends(self, value: Any) -> Bool[Any, "*shape"]:
        """Which numbers are at the end of their range."""
        return numpy_of(value).zeros(value.shape, bool)

    def at_boundary(self, value: Any, active: Bool[Any, " k"]) -> Bool[Any, "*shape"]:
        """Which of them belong to active components: legal optima, but not interior ones."""
        return self.ends(value) & ~self.inactive(value, active)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, "*shape"]:
        """Which numbers have no standard error: at the end of their range, or absent."""
        return self.at_boundary(value, active) | self.inactive(value, active)

    def constant(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, "*shape"]:
        """Which numbers no M-step changes."""
        return self.inactive(value, active)

    def fix(self, value: Array, fixed: Array) -> Array:
        return jnp.where(jnp.isnan(fixed), value, fixed)

    def determined(self, fixed: Array) -> Bool[Array, "*shape"]:
        """Which numbers follow from the fixed ones."""
        return ~jnp.isnan(fixed)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        """How many numbers of active components are free."""
        free = jnp.isnan(fixed) & self.by_component(active, fixed)
        return jnp.sum(free, dtype=jnp.int32)

    def inactive(self, value: Any, active: Bool[Any, " k"]) -> Bool[Any, "*shape"]:
        """Which numbers belong to absent components."""
        return numpy_of(value).broadcast_to(~self.by_component(active, value), value.shape)

    def take(self, value: Any, index: Any) -> Any:
        """The components at `index`, (m,), in that order."""
        return value if self.shared else value[index]

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        """The value with one number replaced, and with it those that follow from it."""
        return value.at[*index].set(number)

    def unwrap(self, value: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Host side: equivalent numbers nearest to the reference, (b, ...)."""
        return value


@dataclass(frozen=True)
class Real(Constraint):
    """Any finite numbers. whole: those of a component are fixed together or not at all."""

    whole: bool = False

    def check(self, value: Any, name: str) -> None:
        pass

    def check_fixed(self, fixed: Any, name: str) -> None:
        if self.whole:
            require_whole(np.isnan(fixed), -1, name)

    def to_unconstrained(self, value: Array) -> Array:
        return value

    def from_unconstrained(self, coordinate: Array) -> Array:
        return coordinate


@dataclass(frozen=True)
class Positive(Constraint):
    """x > 0; coordinate log x."""

    def check(self, value: Any, name: str) -> None:
        checks.positive_array(value, name)

    def check_fixed(self, fixed: Any, name: str) -> None:
        self.check(np.where(np.isnan(fixed), 1, fixed), name)

    def to_unconstrained(self, value: Array) -> Array:
        return to_log(value)

    def from_unconstrained(self, coordinate: Array) -> Array:
        return from_log(coordinate)


@dataclass(frozen=True)
class Between(Positive):
    """least <= x <= most, both positive; coordinate log x."""

    least: float
    most: float

    def check(self, value: Any, name: str) -> None:
        checks.between(value, name, self.least, self.most)

    def check_fixed(self, fixed: Any, name: str) -> None:
        self.check(fixed[~np.isnan(fixed)], name)

    def from_unconstrained(self, coordinate: Array) -> Array:
        return jnp.clip(from_log(coordinate), self.least, self.most)

    def ends(self, value: Any) -> Bool[Any, "*shape"]:
        return (value <= self.least) | (value >= self.most)


@dataclass(frozen=True)
class Given(Constraint):
    """The one number that the specification gives."""

    number: float

    def check(self, value: Any, name: str) -> None:
        if checks.is_concrete(value) and np.any(np.asarray(value) != self.number):
            raise ValueError(f"{name} is {value}, but the model has it fixed at {self.number:g}")

    def to_unconstrained(self, value: Array) -> Array:
        return jnp.zeros_like(value)

    def from_unconstrained(self, coordinate: Array) -> Array:
        """It has no direction to move in."""
        return jnp.full_like(coordinate, self.number)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        return jnp.zeros_like(value)

    def constant(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, "*shape"]:
        return jnp.ones(value.shape, bool)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, "*shape"]:
        return jnp.zeros(value.shape, bool)

    def determined(self, fixed: Array) -> Bool[Array, "*shape"]:
        return jnp.ones(fixed.shape, bool)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        return jnp.int32(0)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        raise ValueError(f"the model has this number fixed at {self.number:g}")


@dataclass(frozen=True)
class NonNegative(Positive):
    """x >= 0; coordinate log x, and a finite number that stands for log 0."""

    def check(self, value: Any, name: str) -> None:
        checks.positive_array(value, name, zero_allowed=True)

    def ends(self, value: Any) -> Bool[Any, "*shape"]:
        return value < checks.BOUNDARY


@dataclass(frozen=True)
class Probability(Constraint):
    """0 <= p <= 1; coordinate log p / (1 - p)."""

    def check(self, value: Any, name: str) -> None:
        checks.between(value, name, 0, 1)

    def to_unconstrained(self, value: Array) -> Array:
        return logit(value)

    def from_unconstrained(self, coordinate: Array) -> Array:
        return from_logit(coordinate)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        return self.by_component(share, value) * value * (1 - value)

    def ends(self, value: Any) -> Bool[Any, "*shape"]:
        return (value < checks.BOUNDARY) | (value > 1 - checks.BOUNDARY)


@dataclass(frozen=True)
class Simplex(Constraint):
    """Probabilities that add up to 1 along the last axis; coordinates log p + any number."""

    def check(self, value: Any, name: str) -> None:
        if checks.is_concrete(value):
            for row in np.reshape(np.asarray(value), (-1, np.shape(value)[-1])):
                checks.probabilities(row, name)

    def check_fixed(self, fixed: Any, name: str) -> None:
        for row in np.reshape(fixed, (-1, fixed.shape[-1])):
            some = row[~np.isnan(row)]
            total, all_of_them = some.sum(), len(some) == len(row)
            if (some < 0).any() or total > 1 + 1e-3 or (all_of_them and total < 1 - 1e-3):
                raise ValueError(f"{name} is {row}; probabilities are from 0 and add up to 1")

    def to_unconstrained(self, value: Array) -> Array:
        return log_odds(value)

    def from_unconstrained(self, coordinate: Array) -> Array:
        return from_log_odds(coordinate)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        return self.by_component(share, value) * value

    def ends(self, value: Any) -> Bool[Any, "*shape"]:
        several = value.shape[-1] > 1
        return several & ((value < checks.BOUNDARY) | (value > 1 - checks.BOUNDARY))

    def fix(self, value: Array, fixed: Array) -> Array:
        """The free probabilities share what the fixed ones leave."""
        free = jnp.isnan(fixed)
        known = jnp.where(free, 0, fixed)
        rest = 1 - jnp.sum(known, axis=-1, keepdims=True)
        own = jnp.where(free, value, 0)
        own = jnp.where(jnp.sum(own, axis=-1, keepdims=True) > 0, own, free.astype(value.dtype))
        total = jnp.sum(own, axis=-1, keepdims=True)
        return jnp.where(free, own * rest / jnp.where(total > 0, total, 1), known)

    def determined(self, fixed: Array) -> Bool[Array, "*shape"]:
        free = jnp.isnan(fixed)
        return ~free | (jnp.sum(free, axis=-1, keepdims=True) == 1)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        """Of each distribution one number follows from the others."""
        free = jnp.sum(jnp.isnan(fixed), axis=-1, dtype=jnp.int32)
        rest = jnp.where(self.by_component(active, free), jnp.maximum(free - 1, 0), 0)
        return jnp.sum(rest, dtype=jnp.int32)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        """The other probabilities keep their ratios."""
        *row, at = index
        if not row:
            return replace_probability(value, at, number)
        return value.at[*row].set(replace_probability(value[*row], at, number))


@dataclass(frozen=True)
class Shares(Simplex):
    """Probabilities of the components themselves, (k,); 0 is that of an absent one."""

    def fisher_diagonal(self, value: Float[Array, " k"], share: Float[Array, " k"]) -> Array:
        return value

    def ends(self, value: Float[Any, " k"]) -> Bool[Any, " k"]:
        return value < checks.BOUNDARY

    def n_free(self, fixed: Float[Array, " k"], active: Bool[Array, " k"]) -> Array:
        return jnp.maximum(jnp.sum(jnp.isnan(fixed) & active, dtype=jnp.int32) - 1, 0)

    def without_error(self, value: Array, active: Bool[Array, " k"]) -> Bool[Array, " k"]:
        """The weight of an absent component cannot move: its error is 0."""
        return self.at_boundary(value, active)

    def take(self, value: Any, index: Any) -> Any:
        """Host side: -1 is an absent component."""
        found = np.asarray(value)[index]
        found[np.asarray(index) < 0] = 0
        return found


@dataclass(frozen=True)
class Angle(Real):
    """Radians; multiples of 2 pi do not matter."""

    def unwrap(self, value: np.ndarray, reference: np.ndarray) -> np.ndarray:
        turns = np.round((reference - value) / (2 * np.pi))
        return (value + 2 * np.pi * turns).astype(value.dtype)


@dataclass(frozen=True)
class Covariance(Constraint):
    """Symmetric positive definite matrices (k, d, d), or one that is shared, (d, d).

    C = L L'; coordinates: the logs of L's diagonal, and L's rows in units of the diagonal, so that
    they are free of the columns' scales.
    """

    def check(self, value: Any, name: str) -> None:
        checks.symmetric(value, name)
        checks.semidefinite(value, name)

    def check_fixed(self, fixed: Any, name: str) -> None:
        require_whole(np.isnan(fixed), (-2, -1), name)
        if (np.diagonal(fixed, axis1=-2, axis2=-1) <= 0).any():
            raise ValueError(f"{name} has variances that are not above 0")
        if not np.isnan(fixed).all():
            checks.symmetric(np.where(np.isnan(fixed), 0, fixed), name)

    def to_unconstrained(self, value: Float[Array, "*k d d"]) -> Float[Array, "*k d d"]:
        d = value.shape[-1]
        if d == 1:
            return 0.5 * jnp.log(jnp.where(value > 0, value, jnp.nan))
        factor = cholesky(value)
        scale = jnp.diagonal(factor, axis1=-2, axis2=-1)
        rows = factor / scale[..., :, None]
        return jnp.where(diagonal_mask(d), jnp.log(scale)[..., :, None], rows)

    def from_unconstrained(self, coordinate: Float[Array, "*k d d"]) -> Float[Array, "*k d d"]:
        d = coordinate.shape[-1]
        scale = jnp.exp(clip_log(jnp.diagonal(coordinate, axis1=-2, axis2=-1)))
        if d == 1:
            return (scale**2)[..., None]
        unit = jnp.where(diagonal_mask(d), 1, jnp.where(lower_mask(d), coordinate, 0))
        factor = unit * scale[..., :, None]
        return einsum("...ij,...kj->...ik", factor, factor)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        """2 for logs of scales, and about that beside them."""
        return jnp.broadcast_to(2 * self.by_component(share, value), value.shape)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        """Those of one triangle."""
        lower = jnp.where(lower_mask(fixed.shape[-1]), fixed, 0)
        return super().n_free(lower, active)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        *component, i, j = index
        return value.at[*component, i, j].set(number).at[*component, j, i].set(number)


@dataclass(frozen=True)
class Variance(Positive):
    """Variances; coordinates the logs of standard deviations."""

    def check(self, value: Any, name: str) -> None:
        checks.positive_array(value, name, zero_allowed=True)

    def check_fixed(self, fixed: Any, name: str) -> None:
        checks.positive_array(np.where(np.isnan(fixed), 1, fixed), name)

    def to_unconstrained(self, value: Array) -> Array:
        return 0.5 * jnp.log(jnp.where(value > 0, value, jnp.nan))

    def from_unconstrained(self, coordinate: Array) -> Array:
        return jnp.exp(2 * clip_log(coordinate))

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        return jnp.broadcast_to(2 * self.by_component(share, value), value.shape)


@dataclass(frozen=True)
class Equal(Constraint):
    """One number for all components, which each has, (k,)."""

    of: Constraint

    def check(self, value: Any, name: str) -> None:
        self.of.check(value, name)

    def check_fixed(self, fixed: Any, name: str) -> None:
        self.of.check_fixed(fixed, name)
        some = fixed[~np.isnan(fixed)]
        if len(some) and (len(some) < len(fixed) or np.ptp(some) > 0):
            raise ValueError(f"{name} is one common number: fix it for all")

    def to_unconstrained(self, value: Float[Array, " k"]) -> Float[Array, " k"]:
        return self.of.to_unconstrained(value)

    def from_unconstrained(self, coordinate: Float[Array, " k"]) -> Float[Array, " k"]:
        """As they are given, but each moves with the mean of all."""
        still = lax.stop_gradient(coordinate)
        moved = still + jnp.broadcast_to(jnp.mean(coordinate - still), coordinate.shape)
        return self.of.from_unconstrained(moved)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        return self.of.fisher_diagonal(value, share)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        return jnp.minimum(self.of.n_free(fixed, active), 1)

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        return jnp.full_like(value, number)


def require_whole(free: np.ndarray, axes: Any, name: str) -> None:
    """ValueError where some numbers of a component are fixed, and others are not."""
    if (free.any(axes) != free.all(axes)).any():
        raise ValueError(
            f"{name}: that of a component is fixed as a whole or not at all, where its numbers "
            "depend on each other; NaN marks what is free"
        )
