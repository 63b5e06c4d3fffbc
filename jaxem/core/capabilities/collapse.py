"""Components that collapse onto a few rows, and covariances that are kept from it."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxem.core import checks
from jaxem.core.family import Family
from jaxem.core.values import Params, Prior


@runtime_checkable
class Collapses(Protocol):
    """A family with an unbounded likelihood."""

    def default_min_count(self, x: PyTree) -> float:
        """Effective rows under which a component counts as collapsed."""
        ...

    def spread_fixed(self, fixed: Params) -> Array:
        """Which components cannot collapse, (k,), since what would have to is fixed."""
        ...


def default_min_count(family: Family, x: PyTree) -> float:
    return family.default_min_count(x) if isinstance(family, Collapses) else 0.0


def spread_fixed(family: Family, fixed: Params) -> Array:
    if isinstance(family, Collapses):
        return family.spread_fixed(fixed)
    return jnp.ones(jax.tree.leaves(fixed)[0].shape[0], bool)


@runtime_checkable
class Regularised(Protocol):
    @property
    def regularised(self) -> bool:
        """Whether it has covariances, for `reg_covar`."""
        ...


def regularised(family: Family) -> bool:
    return family.regularised if isinstance(family, Regularised) else False


def regularised_by(family: Family, reg_covar: Any) -> bool:
    """Host side: whether `reg_covar` asks for anything; ValueError where it has no meaning."""
    if reg_covar is None:
        return False
    if checks.is_concrete(reg_covar):
        checks.nonnegative(reg_covar, "reg_covar")
        if float(reg_covar) == 0:
            return False
    if not regularised(family):
        raise ValueError(f"reg_covar is for covariances; {family!r} has none: give prior=")
    return True


@runtime_checkable
class Bounds(Protocol):
    """A family whose prior may bound the eigenvalues of covariances."""

    def bounded(self, prior: Prior | None, ratio: Any) -> Prior:
        """Host side: the prior as a person has it, with that bound."""
        ...

    @property
    def can_be_bounded(self) -> bool:
        """Whether its covariances are of a kind that has such a bound."""
        ...

    def smallest_eigenvalues(self, params: Params) -> Array:
        """Of each component, (k,)."""
        ...

    def within_bounds(self, params: Params, active: Array, prior: Prior) -> Params:
        """Parameters that the bound allows, near these; those that it allows as they are."""
        ...


def bounded(family: Family | None, prior: Prior | None, ratio: Any) -> Prior:
    if not isinstance(family, Bounds):
        raise ValueError(f"max_eigenvalue_ratio is for covariances; {family!r} has none")
    return family.bounded(prior, ratio)


def within_bounds(family: Family, params: Params, active: Array, prior: Prior | None) -> Params:
    if prior is None or not isinstance(family, Bounds):
        return params
    return family.within_bounds(params, active, prior)
