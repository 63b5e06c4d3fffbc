"""What rows with holes do not identify in Gaussian components."""

from typing import Any

import numpy as np

from jaxem.core import checks, placement
from jaxem.core.capabilities.identified import SEEN, rows_with, some_of
from jaxem.core.missing_patterns import never_together, seen_together
from jaxem.core.values import Place
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.prior import exponent


def check_identified(
    structure: Covariance, x: Any, weight: Any, names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """ValueError for a column without any value; -> remarks on pairs never observed together."""
    if not checks.is_concrete(x, weight):
        return ()
    both = np.zeros((x.shape[1], x.shape[1]))
    for block, own in placement.blocks((x.values, weight)):
        gone = placement.is_nan(block) | (own <= 0)[:, None]
        both += np.asarray(seen_together(gone))
    called = names or tuple(map(str, range(x.shape[1])))
    never = [called[i] for i in np.flatnonzero(np.diag(both) == 0)]
    if never:
        raise ValueError(
            f"column{'s' if len(never) > 1 else ''} {', '.join(never)} "
            f"{'were' if len(never) > 1 else 'was'} never observed; leave it out"
        )
    if not structure.matrices:
        return ()
    return tuple(
        f"columns {called[i]} and {called[j]} were never observed together: their covariance is "
        "not identified, and stays what the start made of it"
        for i, j in never_together(both)
    )


def left_open(
    structure: Covariance,
    counts: np.ndarray,
    both: np.ndarray,
    prior: Any,
    fixed: Any,
) -> dict[Place, tuple[int, ...]]:
    """As that of the family; of covariances of their own also columns without a row that has both.

    Pairs that no row at all has both of are told by `check_identified`.
    """
    k, d, _ = both.shape
    alone = rows_with(both)
    there, seen = (counts >= SEEN)[:, None], alone >= SEEN
    told = False if prior is None else np.asarray(prior.mean_precision)[:, None] > 0
    known = False if fixed is None else ~np.isnan(np.asarray(fixed.means))
    gone = there & ~seen & ~np.broadcast_to(told | known, seen.shape)
    found: dict[Place, np.ndarray] = {((), (j,)): gone[:, j] for j in range(d)}
    if len(structure.shape(k, d)) < 3 or _spread_is_told(structure, prior, d):
        return some_of(found)
    apart = seen[:, :, None] & seen[:, None] & (both < SEEN) & (both.sum(axis=0) >= SEEN)
    if fixed is not None:
        apart &= np.isnan(np.asarray(fixed.covariances))
    for i, j in zip(*np.triu_indices(d, 1), strict=True):
        found[(), (int(i), int(j))] = apart[:, i, j]
    return some_of(found)


def _spread_is_told(structure: Covariance, prior: Any, d: int) -> bool:
    """Whether the prior on the covariances is proper."""
    return prior is not None and bool(np.any(np.asarray(exponent(prior, structure, d)) > 0))
