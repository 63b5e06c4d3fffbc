"""Options of a fit: where it starts, and how it iterates."""

from typing import Any, NamedTuple, TypedDict

from jaxem.core import checks
from jaxem.core.contracts import Params, Prior
from jaxem.fitting.accelerate import Acceleration, Plain
from jaxem.fitting.squarem import Squarem

ACCELERATIONS = {"squarem": Squarem(), None: Plain()}


class Options(NamedTuple):
    """How a fit iterates, whatever it starts from; documented by `fit`."""

    prior: Prior | None = None
    fixed: Any = None
    tol: Any = 1e-6
    max_iter: Any = 1000
    reg_covar: Any = 0.0
    acceleration: Any = "squarem"
    block_size: int | None = None
    min_count: Any = None
    min_variance_ratio: Any = 1e-3
    max_eigenvalue_ratio: Any = None
    trim: Any = None


class FitOptions(TypedDict, total=False):
    """The fields of `Options`, as keyword arguments."""

    prior: Prior | None
    fixed: Any
    tol: Any
    max_iter: Any
    reg_covar: Any
    acceleration: Any
    block_size: int | None
    min_count: Any
    min_variance_ratio: Any
    max_eigenvalue_ratio: Any
    trim: Any


class Search(NamedTuple):
    """Starts by `init`, n_most at most. n_first: those of the first round, all to their end.

    auto: whether the search may end before.
    """

    init: str
    n_first: int
    n_most: int
    auto: bool


class Starts(NamedTuple):
    """Where a fit starts. init: a method, or parameters; n_init: starts by a method, or "auto".

    search: None, "race" or "auto". n_split: further starts, for which `Moves` may be given.
    """

    init: str | Params
    key: Any = None
    n_init: Any = 1
    n_split: int = 0
    search: Any = None


def acceleration(given: Any) -> Acceleration:
    if isinstance(given, Acceleration):
        return given
    checks.one_of(given, ACCELERATIONS, "acceleration")
    return ACCELERATIONS[given]
