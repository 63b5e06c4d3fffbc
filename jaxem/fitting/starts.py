"""Which method each start uses."""

import numpy as np

from jaxem.inference.kmeans import ROWS, SPHERED, STANDARDISED

# No single rule finds the best optimum everywhere: the portfolio cycles through three.
METHODS = {
    "portfolio": (STANDARDISED, SPHERED, ROWS),
    "k-means++": (STANDARDISED,),
    "random_from_data": (ROWS,),
}


def methods(init: str, n_starts: int) -> np.ndarray:
    """The method code of each start."""
    cycle = METHODS[init]
    return np.resize(np.array(cycle, np.int32), n_starts)
