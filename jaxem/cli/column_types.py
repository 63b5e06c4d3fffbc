"""Kinds of columns: which family they are of, which cells it takes, and what stands for text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem import families
from jaxem.core.contracts import Family
from jaxem.sources import categories
from jaxem.sources.categories import Levels as Levels
from jaxem.sources.categories import is_numeric, is_opaque
from jaxem.sources.categories import levels as levels
from jaxem.sources.categories import numbers as numbers

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
GAUSSIAN, STUDENT_T, CONTAMINATED = "gaussian", "student-t", "contaminated-normal"
WITH_COVARIANCES = GAUSSIAN, STUDENT_T, CONTAMINATED
AUTO = "auto"
_LARGE = 100  # of whole numbers: those above are measured, not counted
_MANY_LEVELS = 10  # from which on text is taken for names or notes, where there are few rows


class Setup(NamedTuple):
    """What the family of some columns is made of.

    levels: how many each has. holes: whether cells are missing. options: `ColumnOptions`.
    """

    levels: Sequence[int]
    covariance: str
    holes: bool
    options: Any


@dataclass(frozen=True)
class Kind:
    """refuses: why a column cannot be of it, "" where it can; coded: its cells are categories.

    settings: the names of the `ColumnOptions` that are of it alone. beside: which columns stand
    beside its own in a row: one for the "row", one for each "cell", or none.
    """

    name: str
    refuses: Callable[[pa.ChunkedArray], str]
    family: Callable[[Setup], Family]
    coded: bool = False
    regression: Callable[[], Family] | None = None  # of a response of this kind
    settings: tuple[str, ...] = ()
    beside: str = ""


def _numbers(test: Callable[[pa.ChunkedArray], bool], why: str) -> Callable[[Any], str]:
    """Numbers that pass a test; `why` is said of others."""

    def refuses(column: pa.ChunkedArray) -> str:
        return "not numeric" if not is_numeric(column.type) else "" if test(column) else why

    return refuses


_NUMBERS = _numbers(lambda _: True, "")
_COUNTS = _numbers(lambda c: is_whole(c) and least(c) >= 0, "not whole numbers from 0")
_POSITIVE = _numbers(lambda c: least(c) > 0, "not above 0")
_SHARES = _numbers(lambda c: least(c) > 0 and most(c) < 1, "not between 0 and 1, both excluded")

_COORDINATES = _numbers(lambda c: least(c) > -1.01 and most(c) < 1.01, "not between -1 and 1")


def _not_two(column: pa.ChunkedArray) -> str:
    if is_opaque(column.type):
        return "neither numbers nor text in UTF-8"
    return "" if len(levels(column)) <= 2 else "of more than two values"


def _not_categories(column: pa.ChunkedArray) -> str:
    if is_opaque(column.type):
        return "neither numbers nor text in UTF-8"
    if is_numeric(column.type) and not is_whole(column):
        return "not whole numbers"
    n = len(column) - column.null_count
    every = n > 2 and pc.count_distinct(column).as_py() >= n
    return "of another value in every row" if every else ""


KINDS = {
    kind.name: kind
    for kind in (
        Kind(GAUSSIAN, _NUMBERS, lambda of: families.Gaussian(of.covariance, missing=of.holes),
             regression=families.LinearRegression),
        Kind(STUDENT_T, _NUMBERS, lambda of: families.StudentT(
            of.covariance, of.options.degrees_of_freedom), settings=("degrees_of_freedom",)),
        Kind(CONTAMINATED, _NUMBERS, lambda of: families.ContaminatedNormal(of.covariance)),
        Kind("factor-analyzer", _NUMBERS, lambda of: families.FactorAnalyzer(
            2 if of.options.factors is None else of.options.factors), settings=("factors",)),
        Kind("truncated-normal", _NUMBERS,
             lambda of: families.TruncatedNormal(*_limits(of.options)), settings=("low", "high")),
        Kind("truncated-exponential", _NUMBERS,
             lambda of: families.TruncatedExponential(*_limits(of.options)),
             settings=("low", "high")),
        Kind("binned-normal", _COUNTS, lambda of: families.BinnedNormal(of.options.edges),
             settings=("edges",)),
        Kind("censored-normal", _NUMBERS, lambda _: families.CensoredNormal(), settings=("side",),
             beside="cell"),
        Kind("censored-exponential", _POSITIVE, lambda _: families.CensoredExponential(),
             settings=("side",), beside="cell"),
        Kind("bernoulli", _not_two, lambda _: families.Bernoulli(), coded=True,
             regression=families.LogisticRegression),
        Kind("categorical", _not_categories, lambda of: families.Categorical(tuple(of.levels)),
             coded=True),
        Kind("binomial", _COUNTS, lambda of: families.Binomial(_of_all(of.options.trials)),
             settings=("trials",), beside="row"),
        Kind("poisson", _COUNTS, lambda _: families.Poisson(),
             regression=families.PoissonRegression),
        Kind("negative-binomial", _COUNTS, lambda _: families.NegativeBinomial()),
        Kind("zero-inflated-poisson", _COUNTS, lambda _: families.ZeroInflatedPoisson()),
        Kind("multinomial", _COUNTS, lambda _: families.Multinomial()),
        Kind("exponential", _POSITIVE, lambda _: families.Exponential()),
        Kind("gamma", _POSITIVE, lambda _: families.Gamma()),
        Kind("log-normal", _POSITIVE, lambda _: families.LogNormal()),
        Kind("weibull", _POSITIVE, lambda _: families.Weibull()),
        Kind("inverse-gaussian", _POSITIVE, lambda _: families.InverseGaussian()),
        Kind("beta", _SHARES, lambda _: families.Beta()),
        Kind("von-mises-fisher", _COORDINATES, lambda _: families.VonMisesFisher()),
    )
}  # fmt: skip


def _limits(options: Any) -> tuple[float, float]:
    """Of --low and --high; without one there is none."""
    low, high = options.low, options.high
    return -np.inf if low is None else low, np.inf if high is None else high


def _of_all(trials: Any) -> int | None:
    """The number of trials of every row; None where a column has them."""
    return trials if isinstance(trials, int) else None


def guess(column: pa.ChunkedArray) -> str:
    """The kind of a column by its type: text, yes or no, counts, other numbers."""
    if is_opaque(column.type):
        return GAUSSIAN  # which says that it is not numeric
    whole = pa.types.is_integer(column.type)
    if not is_numeric(column.type) or pa.types.is_boolean(column.type) or whole:
        if pc.count_distinct(column).as_py() <= 2:
            return "bernoulli"
        if not is_numeric(column.type):
            return "categorical"
    return "poisson" if whole and _are_counts(column) else GAUSSIAN


def _are_counts(column: pa.ChunkedArray) -> bool:
    """Whether whole numbers may be counts: from 0, and most values not so large as incomes are.

    A Poisson count of mean 100 varies by 10, what is measured in whole numbers by far more.
    """
    values = numbers(pc.unique(column))  # each once: of a table read block by block no more is kept
    return least(column) >= 0 and bool(np.nanmedian(values) <= _LARGE)


def guess_to_fill(column: pa.ChunkedArray) -> str:
    """The same where holes are to be filled from the other columns: numbers stay together.

    Columns of several families know nothing of each other within a component, so that whole numbers
    are Gaussian here (and filled whole), and text of nearly as many values as rows is no category.
    """
    if is_numeric(column.type):
        two = is_whole(column) and len(levels(column)) <= 2
        return "bernoulli" if two or pa.types.is_boolean(column.type) else GAUSSIAN
    many = not is_opaque(column.type) and len(levels(column)) > max(_MANY_LEVELS, len(column) // 20)
    return GAUSSIAN if many else guess(column)


# ---- cells


def missing(column: pa.ChunkedArray) -> np.ndarray:
    """Which cells are empty, (n,) bool."""
    return pc.is_null(column, nan_is_null=True).to_numpy()


def codes(column: pa.ChunkedArray, known: Sequence[str], name: str, unseen: str) -> np.ndarray:
    """The place of each cell among the levels; NaN for an empty one.

    unseen: what becomes of a value that is none of them, "error" or "missing".
    """
    found, others = categories.codes(column, known)
    if unseen == "error" and others:
        raise ValueError(
            f"has values in the column {name} that the model was not fitted on: "
            f"{categories.shown(others)}; it knows {', '.join(known)}: mend them, or give --unseen "
            "missing"
        )
    return found


_SIDES = {"<": -1, "=": 0, ">": 1, "-1": -1, "0": 0, "1": 1}


def sides(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """1 where a number is only known to be above a limit, -1 below; 0, also of an empty cell, where
    it is known."""
    text = categories.text(column)
    unknown = [of for of in pc.unique(text).drop_null().to_pylist() if of not in _SIDES]
    if unknown:
        raise ValueError(
            f"has {unknown[0]!r} in the column {name}, which tells limits: give = or 0 where the "
            "number is known, < or -1 where it is below that limit, > or 1 where above"
        )
    places = pc.index_in(text, value_set=pa.array(list(_SIDES)))
    found = np.array([*_SIDES.values(), 0], float)
    return found[pc.fill_null(places, len(_SIDES)).to_numpy()]


def is_whole(column: pa.ChunkedArray) -> bool:
    """Whether every value of a column of numbers is a whole one."""
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return True
    values = numbers(column)
    values = values[~np.isnan(values)]
    return bool(np.all(np.isfinite(values) & (values == np.floor(values))))


def most(column: pa.ChunkedArray) -> float:
    """Of a column of numbers, -infinite where it has none."""
    return -least(pc.negate(column))


def least(column: pa.ChunkedArray) -> float:
    """Of a column of numbers, infinite where it has none."""
    values = numbers(column)
    return float(np.nanmin(values)) if not np.isnan(values).all() else np.inf
