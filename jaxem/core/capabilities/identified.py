"""What the rows do not identify, and likelihoods without a maximum. Host side."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import PyTree

from jaxem.core.family import Family
from jaxem.core.rows import Rows
from jaxem.core.values import Params, Place, Prior, Statistics

SEEN = 0.5  # effective rows from which something counts as known

Names = tuple[str, ...] | None
Remarks = tuple[str, ...]


@runtime_checkable
class HasRemarks(Protocol):
    @property
    def remarks(self) -> Remarks:
        """What is legal in a model, but may not be meant; shown with a result."""
        ...


def remarks(model: Any) -> Remarks:
    return model.remarks if isinstance(model, HasRemarks) else ()


@runtime_checkable
class ChecksIdentified(Protocol):
    def check_identified(self, x: PyTree, weight: Any, names: Names) -> Remarks:
        """What the rows do not identify; ValueError for a column without any value."""
        ...


def check_identified(family: Family, x: PyTree, weight: Any, names: Names) -> Remarks:
    if not isinstance(family, ChecksIdentified):
        return ()
    return family.check_identified(x, weight, names)


@runtime_checkable
class HasWeights(Protocol):
    """A model with weights, which may depend on covariates of the rows."""

    def check_weights(self, rows: Rows, names: Names) -> Remarks:
        """What the rows do not identify of them; ValueError for rows that cannot be fitted."""
        ...

    def separated(self, statistics: Statistics, rows: Rows) -> Remarks:
        """The components whose likelihood rises for ever; statistics: at the end of the fit."""
        ...


def check_weights(model: Any, rows: Rows, names: Names) -> Remarks:
    return model.check_weights(rows, names) if isinstance(model, HasWeights) else ()


def separated(model: Any, statistics: Statistics, rows: Rows) -> Remarks:
    return model.separated(statistics, rows) if isinstance(model, HasWeights) else ()


@runtime_checkable
class MayBeUnbounded(Protocol):
    def unbounded(self, x: PyTree, weight: Any, names: Names, k: int) -> Remarks:
        """Why the likelihood of k components has no bound without a prior, although no single
        component collapses."""
        ...


def unbounded(family: Family, x: PyTree, weight: Any, names: Names, k: int) -> Remarks:
    return family.unbounded(x, weight, names, k) if isinstance(family, MayBeUnbounded) else ()


@runtime_checkable
class MayRunAway(Protocol):
    @property
    def runs_away(self) -> bool:
        """Whether the likelihood may have no maximum, and rise for ever as parameters diverge."""
        ...

    def run_away(self, statistics: Statistics, x: PyTree, weight: Any) -> Remarks:
        """The components whose likelihood does; statistics: at the end of the fit."""
        ...


def runs_away(family: Family) -> bool:
    return family.runs_away if isinstance(family, MayRunAway) else False


def run_away(family: Family, statistics: Statistics, x: PyTree, weight: Any) -> Remarks:
    return family.run_away(statistics, x, weight) if isinstance(family, MayRunAway) else ()


@runtime_checkable
class TellsOfFit(Protocol):
    def told_of(self, params: Params, active: np.ndarray, names: Names) -> Remarks:
        """What is to be known of these estimates; active: the components that are there."""
        ...


@runtime_checkable
class LeavesOpen(Protocol):
    @property
    def may_leave_open(self) -> bool:
        """Whether rows may have cells that were not observed, beside others that were."""
        ...

    def left_open(
        self, counts: np.ndarray, both: PyTree, prior: Prior | None, fixed: Any
    ) -> dict[Place, tuple[int, ...]]: ...


def may_leave_open(family: Family) -> bool:
    return family.may_leave_open if isinstance(family, LeavesOpen) else True


def left_open(
    family: Family, counts: np.ndarray, both: PyTree, prior: Prior | None, fixed: Any
) -> dict[Place, tuple[int, ...]]:
    """Columns of which nothing is known, and in which components.

    counts: rows of each component, (k,); both: how many of them have both columns, in the tree of
    x, (k, c, c). prior, fixed: of the components, None where there are none.
    """
    if isinstance(family, LeavesOpen):
        return family.left_open(counts, both, prior, fixed)
    there, alone = (counts >= SEEN) & ~informed(prior, counts), rows_with(both)
    d = alone.shape[1]
    marks = {
        ((), (j,)): there & (alone[:, j] < SEEN) & ~fixed_column(fixed, j, d) for j in range(d)
    }
    return some_of(marks)


def rows_with(both: PyTree) -> np.ndarray:
    """How many rows of each component have a column, (k, c); a response is the last column."""
    return np.concatenate([np.einsum("kii->ki", leaf) for leaf in jax.tree.leaves(both)], axis=1)


def some_of(marks: Mapping[Place, np.ndarray]) -> dict[Place, tuple[int, ...]]:
    """Which components are marked, where some is."""
    found = {place: tuple(map(int, np.flatnonzero(own))) for place, own in marks.items()}
    return {place: parts for place, parts in found.items() if parts}


def informed(prior: Prior | None, counts: np.ndarray) -> np.ndarray:
    """Which components a prior tells something of, (k,)."""
    leaves = [np.reshape(leaf, (len(counts), -1)) for leaf in jax.tree.leaves(prior)]
    return np.any([np.any(leaf != 0, axis=1) for leaf in leaves], axis=0) & (counts >= 0)


def fixed_column(fixed: Any, j: int, d: int) -> np.ndarray:
    """In which components the numbers of a column are all known, (k,)."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(fixed)]
    own = [~np.isnan(leaf[:, j]) for leaf in leaves if leaf.shape[1:] == (d,)]
    return np.all(own, axis=0) if own else np.array(False)
