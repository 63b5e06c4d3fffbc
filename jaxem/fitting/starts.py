"""Which method each start uses."""

from typing import Any

import numpy as np

from jaxem.core import checks
from jaxem.fitting.options import Starts
from jaxem.inference.kmeans import (
    NEAREST,
    PROJECTED,
    ROWS,
    SEGMENTS,
    STANDARDISED,
    WEIGHTED,
    WINDOWS,
)

ROUND = 20  # starts of a round of a search, and of a fit that says nothing else
FIRST = 5  # of the first round of a race, which has nothing to race against

# No single rule finds the best optimum everywhere (`benchmarks --suite starts`): the portfolio
# cycles through five, and for a chain through two more, which see time.
METHODS = {
    "portfolio": (STANDARDISED, PROJECTED, ROWS, WEIGHTED, NEAREST),
    "k-means++": (STANDARDISED,),
    "random_from_data": (ROWS,),
}
_OF_A_CHAIN = (STANDARDISED, WINDOWS, ROWS, SEGMENTS, PROJECTED, NEAREST, WEIGHTED)


def check(init: Any) -> None:
    """ValueError for what is no method, or a portfolio of them."""
    checks.one_of(init, METHODS, "init", ", or parameters")


def begin(init: Any, key: Any, n_init: Any, search: Any) -> Starts:
    """Where `fit` starts, of its arguments."""
    if search is not None:
        checks.one_of(search, ("race",), "search", ", or None")
    if not isinstance(init, str):
        if search is not None:
            raise ValueError("search is of many starts; init gives the parameters of one")
        return Starts(init, key)
    if isinstance(n_init, str):
        checks.one_of(n_init, ("auto",), "n_init", ", or a number of starts")
        return Starts(init, key, n_init, search=search or n_init)
    return Starts(init, key, n_init, search=search)


def in_one_round(begin: Starts) -> Starts:
    """Where all starts go side by side: through each reading of a source, and in a checkpoint."""
    if begin.search == "race":
        raise ValueError(
            "search='race' is for rows in memory; leave it out for a source, and with checkpoint="
        )
    return begin if begin.search is None else begin._replace(n_init=ROUND, search=None)


def methods(init: str, n_starts: int, in_time: bool = False) -> np.ndarray:
    """The method code of each start; in_time: of the rows of a chain."""
    cycle = _OF_A_CHAIN if in_time and init == "portfolio" else METHODS[init]
    return np.resize(np.array(cycle, np.int32), n_starts)
