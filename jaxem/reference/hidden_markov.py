"""Hidden Markov chains by summing over all paths: plain loops, float64, for short sequences.

p(x, z) = p[z_1] f_1(z_1) prod_t A[z_{t-1}, z_t] f_t(z_t), over all k^t paths z. `densities` is
(t, k), f_t(j); 1 in every state where nothing was observed.
"""

from itertools import product
from typing import NamedTuple

import numpy as np


class Answer(NamedTuple):
    """log_likelihood; states (t, k) = P(z_t | x); pairs (k, k), expected numbers of transitions;
    path (t,), the most likely one, and its log_joint."""

    log_likelihood: float
    states: np.ndarray
    pairs: np.ndarray
    path: np.ndarray
    log_joint: float


def over_paths(initial: np.ndarray, transition: np.ndarray, densities: np.ndarray) -> Answer:
    t, k = densities.shape
    total, best, most = 0.0, (0,) * t, -1.0
    states, pairs = np.zeros((t, k)), np.zeros((k, k))
    for path in product(range(k), repeat=t):
        p = initial[path[0]] * densities[0, path[0]]
        for step in range(1, t):
            p *= transition[path[step - 1], path[step]] * densities[step, path[step]]
        total += p
        for step in range(t):
            states[step, path[step]] += p
        for step in range(1, t):
            pairs[path[step - 1], path[step]] += p
        if p > most:
            best, most = path, p
    with np.errstate(divide="ignore"):
        return Answer(
            float(np.log(total)), states / total, pairs / total, np.array(best), float(np.log(most))
        )
