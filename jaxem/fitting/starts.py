"""Which method each start uses."""

from typing import Any

import numpy as np

from jaxem.core import checks
from jaxem.inference.kmeans import ROWS, SPHERED, STANDARDISED

# No single rule finds the best optimum everywhere: the portfolio cycles through three.
METHODS = {
    "portfolio": (STANDARDISED, SPHERED, ROWS),
    "k-means++": (STANDARDISED,),
    "random_from_data": (ROWS,),
}


def check(init: Any) -> None:
    """ValueError for what is no method, or a portfolio of them."""
    checks.one_of(init, METHODS, "init", ", or parameters")


def methods(init: str, n_starts: int) -> np.ndarray:
    """The method code of each start."""
    cycle = METHODS[init]
    return np.resize(np.array(cycle, np.int32), n_starts)
