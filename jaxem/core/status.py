"""How a fit ended: codes that travel through jit as int32, and what each means for a person."""

import enum
from typing import Any

import numpy as np


class Status(enum.IntEnum):
    """The state of one start. Only CONVERGED and PRECISION are success."""

    RUNNING = 0
    CONVERGED = 1
    PRECISION = 2
    MAX_ITER = 3
    DECREASED = 4
    DEGENERATE = 5
    NONFINITE = 6
    GIVEN_UP = 7
    CONSTRAINED = 8

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]

    @property
    def converged(self) -> bool:
        return self in (Status.CONVERGED, Status.PRECISION)


CONVERGED = (Status.CONVERGED, Status.PRECISION)


def tally(status: Any) -> str:
    """How many ended how, such as "3 CONVERGED, 1 DEGENERATE"."""
    kinds, counts = np.unique(np.asarray(status), return_counts=True)
    return ", ".join(f"{n} {Status(int(kind)).name}" for kind, n in zip(kinds, counts, strict=True))


class FitError(RuntimeError):
    """A fit did not end in success; the text says why and what to do."""


_MESSAGES = {
    Status.RUNNING: "the fit is not finished",
    Status.CONVERGED: "the projected remaining gain of the mean objective is under tol",
    Status.PRECISION: (
        "the gains of the last steps together are under the resolution of this dtype "
        "(float64 data with jax_enable_x64 may go further)"
    ),
    Status.MAX_ITER: (
        "ran out of iterations before the projected remaining gain was under tol; "
        "raise max_iter or tol, or start again from these parameters"
    ),
    Status.DECREASED: (
        "a step lowered the objective by more than rounding; the parameters before it are kept; "
        "rescale the columns or use float64"
    ),
    Status.DEGENERATE: (
        "a component collapsed onto a few rows or a singular covariance, where the likelihood is "
        "unbounded; use fewer components, a prior on the covariances, tied covariances, "
        "or drop duplicated and constant columns"
    ),
    Status.NONFINITE: (
        "a NaN or infinity appeared; the last good parameters are kept; look for NaN, infinite or "
        "extreme values in the data, weights, prior and starting parameters"
    ),
    Status.GIVEN_UP: (
        "a search gave this start up: its projected log-likelihood stays under that of another"
    ),
    Status.CONSTRAINED: (
        "every start collapsed onto a few rows; these are the best parameters found whose largest "
        "eigenvalue of the covariances is at most 1000 times the smallest; use fewer components, "
        "look at the rows of the components named, or set max_eigenvalue_ratio or a prior yourself"
    ),
}
