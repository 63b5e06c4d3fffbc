"""Which method each start uses."""

from typing import Any

import numpy as np

from jaxem.inference.kmeans import ROWS, SPHERED, STANDARDISED

# No single rule finds the best optimum everywhere: the portfolio cycles through three.
METHODS = {
    "portfolio": (STANDARDISED, SPHERED, ROWS),
    "k-means++": (STANDARDISED,),
    "random_from_data": (ROWS,),
}


def check(init: Any) -> None:
    """ValueError for what is no method, or a portfolio of them."""
    if not isinstance(init, str) or init not in METHODS:
        names = ", ".join(repr(name) for name in METHODS)
        raise ValueError(f"init is {init!r}; it must be one of {names}, or parameters")


def methods(init: str, n_starts: int) -> np.ndarray:
    """The method code of each start."""
    cycle = METHODS[init]
    return np.resize(np.array(cycle, np.int32), n_starts)
