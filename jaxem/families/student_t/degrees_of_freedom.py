"""The degrees of freedom of t components: one for each, one for all, or a number that is given.

With a = nu / 2, b = a + d / 2, psi the digamma function and u the weight that its distance gives a
row, the log-likelihood L of given shares has, as a function of nu, the slope and the curvature

    L'  = 1/2 sum r [ log a - psi(a) - (u - 1 - E log U) ]
    L'' = 1/2 sum r [ (u - 1)^2 / (nu + d) - 1/2 (T(a) - T(b)) ],    T(a) = psi'(a) - 1 / a

EM goes where the slope is 0 for the weights as they are (Peel and McLachlan 2000, section 4.2),
which lies uphill, but for large nu, of which a row tells little, nearly nowhere. So the step is
Newton's in log nu wherever L is concave in it: ECME (Liu and Rubin 1995) without a second look at
the rows. The loop halves steps that are too long. No step leads out of LEAST to MOST, where a t
distribution cannot be told from its limits.
"""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core import checks
from jaxem.core.constraints import Between, Constraint, Equal, Given
from jaxem.core.special import log_less_digamma, solve_shape

LEAST, MOST = 1e-2, 1e6
_FIRST = 8.0  # where starts set out from
_LONGEST = 1.5  # step of Newton, in log nu
_SHARED = "shared"


class Evidence(NamedTuple):
    """Sums over the rows: of 1, of u - 1 - E log U, and of (u - 1)^2."""

    count: Float[Array, " k"]
    surplus: Float[Array, " k"]
    spread: Float[Array, " k"]


class DegreesOfFreedom(abc.ABC):
    """A frozen spec; numbers are (k,), whichever it is."""

    constraint: Any
    first: float = _FIRST
    exact = False

    @abc.abstractmethod
    def estimate(self, evidence: Evidence, old: Float[Array, " k"], d: int) -> Float[Array, " k"]:
        """A component without rows keeps its own."""


@dataclass(frozen=True)
class Own(DegreesOfFreedom):
    constraint: ClassVar[Constraint] = Between(LEAST, MOST)

    def estimate(self, evidence: Evidence, old: Float[Array, " k"], d: int) -> Float[Array, " k"]:
        return _uphill(evidence, old, d)


@dataclass(frozen=True)
class Shared(DegreesOfFreedom):
    constraint: ClassVar[Constraint] = Equal(Between(LEAST, MOST))

    def estimate(self, evidence: Evidence, old: Float[Array, " k"], d: int) -> Float[Array, " k"]:
        return _uphill(
            Evidence(*(jnp.broadcast_to(jnp.sum(of), of.shape) for of in evidence)), old, d
        )


@dataclass(frozen=True)
class Known(DegreesOfFreedom):
    number: float
    exact = True

    @property
    def first(self) -> float:
        return self.number

    @property
    def constraint(self) -> Constraint:
        return Given(self.number)

    def estimate(self, evidence: Evidence, old: Float[Array, " k"], d: int) -> Float[Array, " k"]:
        return old


def _uphill(evidence: Evidence, old: Float[Array, " k"], d: int) -> Float[Array, " k"]:
    """Near a maximum always Newton's: derivatives of the M-step there are of one map."""
    some = evidence.count > 0
    count = jnp.where(some, evidence.count, 1)
    surplus, spread = (jnp.where(some, of / count, 1) for of in evidence[1:])
    (gap, narrower), (_, wider) = (_gap_and_slope(0.5 * of) for of in (old, old + d))
    slope = 0.5 * old * (gap - surplus)
    curvature = 0.5 * old**2 * (spread / (old + d) + 0.5 * (narrower - wider)) + slope
    concave = curvature < 0
    newton = jnp.clip(-slope / jnp.where(concave, curvature, -1), -_LONGEST, _LONGEST)
    em = jnp.log(2 * solve_shape(surplus) / old)
    found = old * jnp.exp(jnp.where(concave, newton, em))
    return jnp.where(some, jnp.clip(found, LEAST, MOST), old)


def _gap_and_slope(a: Float[Array, " k"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """log a - psi(a) and -T(a), its slope."""
    return jax.jvp(log_less_digamma, (a,), (jnp.ones_like(a),))


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
