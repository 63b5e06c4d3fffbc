"""The degrees of freedom of t components: one for each, one for all, or a number that is given.

With u the weight that a row's distance gives it, and its expected logarithm, EM maximises

    sum r [ a log a - log Gamma(a) + a (E log u - log c) - a u / c ],    a = nu / 2,

(Peel and McLachlan 2000, section 4.2), concave in a: log a - digamma(a) = gap, with the mean of
u / c - 1 - E log u + log c for the gap. No solution is sought outside of LEAST to MOST, where a t
distribution cannot be told from its limits.
"""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core import checks
from jaxem.core.constraints import Between, Constraint, Equal, Given
from jaxem.core.special import solve_shape

LEAST, MOST = 1e-2, 1e6
_FIRST = 8.0  # where starts set out from
_SHARED = "shared"


class DegreesOfFreedom(abc.ABC):
    """A frozen spec; numbers are (k,), whichever it is."""

    constraint: Any
    first: float = _FIRST

    @abc.abstractmethod
    def estimate(
        self, gap: Float[Array, " k"], count: Float[Array, " k"], old: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        """gap: summed over the rows; count: of rows; a component without rows keeps its own."""


@dataclass(frozen=True)
class Own(DegreesOfFreedom):
    constraint: ClassVar[Constraint] = Between(LEAST, MOST)

    def estimate(
        self, gap: Float[Array, " k"], count: Float[Array, " k"], old: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        return _solved(gap, count, old)


@dataclass(frozen=True)
class Shared(DegreesOfFreedom):
    constraint: ClassVar[Constraint] = Equal(Between(LEAST, MOST))

    def estimate(
        self, gap: Float[Array, " k"], count: Float[Array, " k"], old: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        gap, count = (jnp.broadcast_to(jnp.sum(of), of.shape) for of in (gap, count))
        return _solved(gap, count, old)


@dataclass(frozen=True)
class Known(DegreesOfFreedom):
    number: float

    @property
    def first(self) -> float:
        return self.number

    @property
    def constraint(self) -> Constraint:
        return Given(self.number)

    def estimate(
        self, gap: Float[Array, " k"], count: Float[Array, " k"], old: Float[Array, " k"]
    ) -> Float[Array, " k"]:
        return old


def _solved(
    gap: Float[Array, " k"], count: Float[Array, " k"], old: Float[Array, " k"]
) -> Float[Array, " k"]:
    some = count > 0
    mean = jnp.where(some, gap / jnp.where(some, count, 1), 1)
    return jnp.where(some, jnp.clip(2 * solve_shape(mean), LEAST, MOST), old)


def plain(value: Any) -> Any:
    """None, "shared" or a float, of what a person gives."""
    if value is None or value == _SHARED:
        return value
    if isinstance(value, str | bool) or not jnp.isscalar(value):
        raise ValueError(
            f"degrees_of_freedom is {value!r}; give None for one of each component, {_SHARED!r} "
            "for one of all, or a number"
        )
    checks.between(value, "degrees_of_freedom", LEAST, MOST)
    return float(value)


def law(value: Any) -> DegreesOfFreedom:
    """Of a plain value."""
    if value is None:
        return Own()
    return Shared() if value == _SHARED else Known(value)
