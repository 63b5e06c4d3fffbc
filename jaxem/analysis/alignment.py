"""Which component of one fit is which of another: labels carry no meaning across fits.

The assignment that agrees on most rows (`fitting.agreement`) is exact (Kuhn 1955), by scipy.
"""

import jax
import numpy as np

from jaxem.core import parameters
from jaxem.core.contracts import Model, Params
from jaxem.models import HMM, transitions


def orders(model: Model, agreements: np.ndarray) -> np.ndarray:
    """`assignments`; of the states of a chain whose transitions tell which is which, none."""
    found = assignments(agreements)
    if not isinstance(model, HMM):
        return found
    possible = transitions.mask(model.transitions, model.n_states)
    free = [np.array_equal(possible[np.ix_(own, own)], possible) for own in found]
    return np.where(np.array(free)[:, None], found, np.arange(model.n_states))


def assignments(agreements: np.ndarray) -> np.ndarray:
    """For each matrix (b, k, k) the columns (b, k) that go to its rows, with the largest sum."""
    from scipy.optimize import linear_sum_assignment  # takes a while: not at the start

    finite = np.where(np.isfinite(agreements), agreements, 0)
    return np.array([linear_sum_assignment(one, maximize=True)[1] for one in finite])


def aligned(model: Model, params: Params, order: np.ndarray) -> Params:
    """Parameters (b, ...) with the parts of each at its own order (b, k). On the host."""
    host = jax.device_get(params)
    moved = np.flatnonzero((order != np.arange(order.shape[1])).any(axis=1))
    if not len(moved):
        return host
    out = jax.tree.map(np.array, host)
    for i in moved:
        own = jax.tree.map(lambda leaf: leaf[i], host)  # noqa: B023
        own = parameters.take(model.constraints, own, order[i])
        for leaf, part in zip(jax.tree.leaves(out), jax.tree.leaves(own), strict=True):
            leaf[i] = part
    return out
