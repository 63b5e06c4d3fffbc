"""The optima that starts came to: which of them are one, how often, and how many are unseen."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxem.core.status import CONVERGED, Status

SAME = 1e-6  # relative to the log posterior
_NONE = np.nan


class Optima(NamedTuple):
    """Regular optima in falling order; starts within 1e-6 relative of the highest are at one.

    So are those within `tol` of it per unit of weight, where that is more: they ended before they
    could come closer, and a looser tol tells fewer optima apart.
    count: starts that came to each. first: the first of them.
    """

    log_likelihood: Float[np.ndarray, " m"]
    log_posterior: Float[np.ndarray, " m"]
    count: Int[np.ndarray, " m"]
    first: Int[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(np.asarray(self.count))


def regular(starts: Any) -> np.ndarray:
    """Which starts neither collapsed nor failed; starts: anything with a status and values."""
    status = np.asarray(starts.status)
    bad = (status == Status.DEGENERATE) | (status == Status.NONFINITE)
    return ~bad & np.isfinite(np.asarray(starts.log_posterior))


def of(starts: Any) -> Optima:
    """Those of starts that converged to something regular; else the highest of the regular ones."""
    values = np.asarray(starts.log_posterior, float)
    if values.ndim != 1:
        raise ValueError(f"these are the starts of {values.shape[:-1]} fits; take one, results[i]")
    own = regular(starts)
    ended = own & np.isin(np.asarray(starts.status), CONVERGED)
    highest = own & (values >= np.max(values, initial=-np.inf, where=own))
    places = np.flatnonzero(ended | highest)
    places = places[np.argsort(-values[places], kind="stable")]
    group = _groups(values[places], _resolution(starts))
    tops = np.flatnonzero(np.diff(group, prepend=-1))
    first = [int(np.min(places[group == g])) for g in range(len(tops))]
    likelihood = np.asarray(starts.log_likelihood)
    return Optima(
        likelihood[places[tops]], values[places[tops]], np.bincount(group, minlength=len(tops)),
        np.array(first, int),
    )  # fmt: skip


def _resolution(starts: Any) -> float:
    each = np.asarray(starts.resolution, float)
    return float(np.max(each, initial=0, where=np.isfinite(each)))


def _lowest(value: float, resolution: float) -> float:
    """Of the starts at an optimum, of which the highest has the value."""
    return value - max(SAME * abs(value), resolution)


def _groups(falling: np.ndarray, resolution: float) -> np.ndarray:
    """The number of the optimum of each value."""
    group, top, found = -1, np.inf, np.zeros(len(falling), int)
    for i, value in enumerate(falling):
        if group < 0 or value < _lowest(top, resolution):
            group, top = group + 1, value
        found[i] = group
    return found


def at(starts: Any, value: float) -> np.ndarray:
    """Which regular starts are at the optimum of a value."""
    return regular(starts) & (
        np.asarray(starts.log_posterior) >= _lowest(value, _resolution(starts))
    )


def unseen(starts: Any, fresh: np.ndarray) -> float:
    """How many optima better than the best are expected beside the w that were seen.

    Of n starts by chance w (n - 1) / (n - w - 2) optima are expected in all (Boender and Rinnooy
    Kan 1987, Mathematical Programming 37, 59-80), w (w + 1) / (n - w - 2) of them unseen; one of
    them is the best of all w + 1 as often as any other is: w / (n - w - 2). At most 1, which is
    also what few starts say.

    fresh: which starts were made by chance; starts that were given up found nothing better.
    """
    status = np.asarray(starts.status)
    told = regular(starts) & (np.isin(status, CONVERGED) | (status == Status.GIVEN_UP))
    n, w = int(np.sum(told & fresh)), len(of(starts))
    return min(1.0, w / (n - w - 2)) if n > w + 2 else 1.0
