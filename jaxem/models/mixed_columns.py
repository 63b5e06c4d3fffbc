"""Frames of numbers, counts and categories: which family each column is of, and text as codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxem.core import frames
from jaxem.core.contracts import Family
from jaxem.core.framed import table
from jaxem.families.categorical import Categorical
from jaxem.families.gaussian import Gaussian
from jaxem.families.poisson import Poisson
from jaxem.families.product import Product

_SHOWN = 3  # unknown values
_FEW = 20  # rows, all of which may differ in a category


@dataclass(frozen=True)
class MixedColumns:
    """How the columns of a frame are taken, by `jaxem.mixed_columns`.

    numbers: columns of a `Gaussian`; counts: of a `Poisson`; categories: pairs of a column of a
    `Categorical` and its values, in the order of their codes.
    """

    numbers: tuple[str, ...]
    counts: tuple[str, ...]
    categories: tuple[tuple[str, tuple[Any, ...]], ...]
    covariance: str

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """What the categories of each column are called, for `result.summary(levels=)`."""
        return {column: tuple(map(str, known)) for column, known in self.categories}

    @property
    def family(self) -> Family:
        """A `Product` of the blocks "numbers", "counts" and "categories"; of one block, its own."""
        blocks: dict[str, Family] = {}
        if self.numbers:
            blocks["numbers"] = Gaussian(self.covariance, missing=True)
        if self.counts:
            blocks["counts"] = Poisson()
        if self.categories:
            blocks["categories"] = Categorical(tuple(len(known) for _, known in self.categories))
        return Product(blocks) if len(blocks) > 1 else next(iter(blocks.values()))

    def read(self, frame: Any, unseen: str = "error") -> Any:
        """The same columns of a frame as the family takes them: a frame for each of its blocks.

        unseen: what becomes of a value that is none of the known ones, an "error" or "missing".
        Errors: ValueError for columns that are not there, and for values that are not known.
        """
        if unseen not in ("error", "missing"):
            raise ValueError(f"unseen is {unseen!r}; it must be one of 'error', 'missing'")
        opened = _opened(frame)
        _check_there(opened, [*self.numbers, *self.counts, *self.levels])
        blocks = {
            name: opened.select(list(of)).to_native()
            for name, of in (("numbers", self.numbers), ("counts", self.counts))
            if of
        }
        if self.categories:
            coded = {
                column: _codes(opened.get_column(column), known, unseen)
                for column, known in self.categories
            }
            blocks["categories"] = table(opened, coded).to_native()
        return blocks if len(blocks) > 1 else next(iter(blocks.values()))


def mixed_columns(
    frame: Any,
    *,
    counts: Sequence[str] = (),
    categories: Sequence[str] = (),
    covariance: str = "full",
) -> MixedColumns:
    """How to cluster a frame with columns of text: its family, and its rows as that takes them.

        columns = jaxem.mixed_columns(frame)
        model = jaxem.Mixture(columns.family, 3)
        result = jaxem.fit(model, columns.read(frame), key=key)

    Text, truth values and categorical columns are categories, and all others numbers, unless
    counts, whole numbers from 0, or categories name them. Cells may be missing. Within a component
    numbers have a covariance of this structure, and all else is independent.
    frame: of pandas, polars or arrow.
    Errors: ValueError for columns that are not there, that are named twice, that hold nothing, that
    are dates, or whose text is another in every row.
    """
    opened = _opened(frame)
    _check_there(opened, [*counts, *categories])
    twice = sorted(set(counts) & set(categories))
    if twice:
        raise ValueError(f"columns both in counts and in categories: {', '.join(twice)}")
    known = {
        name: _levels(opened.get_column(name))
        for name in opened.columns
        if name in categories or (name not in counts and _is_text(opened.get_column(name)))
    }
    numbers = tuple(name for name in opened.columns if name not in known and name not in counts)
    _check_telling(opened, known, numbers)
    return MixedColumns(numbers, tuple(counts), tuple(known.items()), covariance)


def _opened(frame: Any) -> Any:
    opened = frames.opened(frame, "frame")
    if opened is None or not frames.names(opened):
        raise ValueError(f"frame is a {type(frame).__name__}; give one of pandas, polars or arrow")
    return opened


def _check_there(opened: Any, wanted: Sequence[str]) -> None:
    gone = [name for name in wanted if name not in opened.columns]
    if gone:
        have = ", ".join(opened.columns)
        raise ValueError(f"the frame has no column {', '.join(gone)}; it has {have}")


def _check_telling(opened: Any, known: Mapping[str, Sequence[Any]], numbers: Sequence[str]) -> None:
    """ValueError for what says nothing of groups of rows."""
    dates = [name for name in numbers if opened.get_column(name).dtype.is_temporal()]
    if dates:
        raise ValueError(
            f"columns of dates or times: {', '.join(dates)}; leave them out, or give numbers made "
            "of them, such as days since the first"
        )
    names = [name for name, values in known.items() if len(values) == len(opened) > _FEW]
    if names:
        raise ValueError(
            f"columns with another value in every row: {', '.join(names)}; leave them out: they "
            "tell rows apart, not groups of rows"
        )


def _is_text(series: Any) -> bool:
    import narwhals as nw

    return series.dtype in (nw.String, nw.Boolean, nw.Categorical, nw.Enum)


def _levels(series: Any) -> tuple[Any, ...]:
    """The values in their order: that of an ordered categorical column, else sorted."""
    import narwhals as nw

    seen = set(_values(series)) - {None}
    if not seen:
        raise ValueError(f"column {series.name} holds nothing; leave it out")
    if series.dtype == nw.Enum:
        return tuple(own for own in series.dtype.categories if own in seen)
    if series.dtype == nw.Boolean:
        return False, True
    return tuple(sorted(seen))


def _values(series: Any) -> list[Any]:
    """As Python has them; None where there is none, and whole numbers without a fraction."""

    def plain(value: Any) -> Any:
        if value is None or value != value:
            return None
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return [plain(value) for value in series.to_list()]


def _codes(series: Any, known: Sequence[Any], unseen: str) -> np.ndarray:
    """The place of each value among the known ones, -1 where there is none."""
    place: Mapping[Any, int] = {value: code for code, value in enumerate(known)} | {None: -1}
    values = _values(series)
    new = sorted({str(value) for value in values if value not in place})
    if new and unseen == "error":
        more = " and more" if len(new) > _SHOWN else ""
        raise ValueError(
            f"column {series.name} has values that are not known: {', '.join(new[:_SHOWN])}{more}; "
            f'it has {", ".join(map(str, known))}: mend them, or give unseen="missing"'
        )
    return np.array([place.get(value, -1) for value in values], np.int32)
