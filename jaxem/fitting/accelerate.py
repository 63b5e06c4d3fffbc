"""What an acceleration is: how the next parameters to try follow from the steps so far.

A trip of the loop evaluates one candidate. It is *plain*, the M-step from the parameters taken
last, or a proposal of the acceleration, which is taken only when the objective does not fall;
otherwise the plain step, which is at hand, is next. All that an acceleration remembers is in its
memory, so that the loop can be cut anywhere.
"""

import abc
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.contracts import Model, Params

Memory = Any


class Acceleration(abc.ABC):
    """A frozen spec, static under jit."""

    @abc.abstractmethod
    def begin(self, model: Model, params: Params) -> Memory:
        """The memory of a start at its starting parameters."""

    @abc.abstractmethod
    def candidate(
        self, model: Model, memory: Memory, successor: Params
    ) -> tuple[Params, Bool[Array, ""]]:
        """-> (what to evaluate next, whether it is the plain step, `successor`)."""

    @abc.abstractmethod
    def accept(
        self, model: Model, memory: Memory, params: Params, successor: Params, stay: Bool[Array, ""]
    ) -> Memory:
        """The candidate, `params`, was taken; `successor` is the M-step from it.

        stay: the next candidate must be plain.
        """

    @abc.abstractmethod
    def reject(self, memory: Memory) -> Memory:
        """The candidate was not taken: the next must be plain."""

    @abc.abstractmethod
    def redirect(self, model: Model, memory: Memory, successor: Params) -> Memory:
        """The next plain step goes to another `successor`."""

    @abc.abstractmethod
    def rate(self, memory: Memory) -> Float[Array, ""]:
        """The rate at which plain gains would shrink along the slowest direction met lately."""


@dataclass(frozen=True)
class Plain(Acceleration):
    """EM as it is."""

    def begin(self, model: Model, params: Params) -> tuple[()]:
        return ()

    def candidate(
        self, model: Model, memory: tuple[()], successor: Params
    ) -> tuple[Params, Bool[Array, ""]]:
        return successor, jnp.ones((), bool)

    def accept(
        self,
        model: Model,
        memory: tuple[()],
        params: Params,
        successor: Params,
        stay: Bool[Array, ""],
    ) -> tuple[()]:
        return ()

    def reject(self, memory: tuple[()]) -> tuple[()]:
        return ()

    def redirect(self, model: Model, memory: tuple[()], successor: Params) -> tuple[()]:
        return ()

    def rate(self, memory: tuple[()]) -> Float[Array, ""]:
        return jnp.zeros(())
