"""Which columns of an Arrow table are x, weights and labels, and their numbers as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxem.core.source import Piece
from jaxem.sources import categories, runs
from jaxem.sources.categories import Levels
from jaxem.sources.schema import OPAQUE, Schema, is_number, is_opaque, kept_as


@dataclass(frozen=True, eq=False)
class Columns:
    """tree: lists of names, in the form of x; kinds: the dtype of each column that is taken.

    levels: of columns of categories, which become codes; unknown: those whose levels are not known
    yet. absent: words in the place of a category that is missing. sequence: the column whose value
    tells of which sequence a row is.
    """

    tree: Any
    sample_weight: str | None
    labels: str | None
    kinds: dict[str, str]
    levels: Levels
    unknown: tuple[str, ...]
    absent: tuple[str, ...]
    sequence: str | None = None

    @property
    def read(self) -> list[str]:
        """The columns that are read."""
        own = list(self.kinds)
        return own if self.sequence in (None, *own) else [*own, self.sequence]

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns of a table."""
        return tuple(self.tree) if _is_names(self.tree) else None

    @property
    def leaf_names(self) -> tuple[str, ...]:
        """Of all columns of x, in the order of its leaves."""
        return tuple(n for names in jax.tree.leaves(self.tree, is_leaf=_is_names) for n in names)

    def check(self, schema: Schema, where: str) -> None:
        """ValueError where a column is gone, or is no longer of what it was."""
        lost = [
            name
            for name in self.kinds
            if name not in self.coded and not is_number(schema.get(name, OPAQUE))
        ]
        gone = [name for name in self.coded if is_opaque(schema.get(name, OPAQUE))]
        for names, what in ((lost, "numbers"), (gone, "categories")):
            if names:
                raise ValueError(
                    f"{where} has no {what} any more in the columns {', '.join(names)}: it must "
                    "stay as it is"
                )

    @property
    def coded(self) -> tuple[str, ...]:
        """Columns of categories."""
        return (*self.levels, *self.unknown)

    def known(self, batches: Iterator[Any]) -> "Columns":
        """With the levels of all rows. batches: of the columns whose levels are unknown."""
        found = {**self.levels, **categories.levels_of(batches, self.unknown, self.absent)}
        return replace(self, levels={n: found[n] for n in self.kinds if n in found}, unknown=())

    def _piece(self, batch: Any, where: str) -> Piece:
        """The rows of a record batch."""

        def column(name: str) -> np.ndarray:
            if name in self.levels:
                return self._codes(batch.column(name), name, where)
            values = batch.column(name).to_numpy(zero_copy_only=False)
            return values.astype(self.kinds[name], copy=False)

        def table(names: list[str]) -> np.ndarray:
            return _side_by_side([column(name) for name in names])

        x = jax.tree.map(table, self.tree, is_leaf=_is_names)
        weight = None if self.sample_weight is None else column(self.sample_weight)
        labels = None if self.labels is None else _as_labels(column(self.labels))
        return Piece(x, weight, labels, where)

    def pieces(self, batches: Iterator[tuple[Any, str]]) -> Iterator[Piece]:
        """Of record batches, and what is said of them in messages."""
        if self.sequence is None:
            return (self._piece(*own) for own in batches)
        name = self.sequence
        return runs.whole(
            (self._piece(own, where), runs.values(own.column(name), where))
            for own, where in batches
        )

    def _codes(self, column: Any, name: str, where: str) -> np.ndarray:
        known = self.levels[name]
        found, others = categories.codes(categories.without(column, self.absent), known)
        if others:
            raise ValueError(
                f"{where}: column {name} has values that are none of its levels: "
                f"{categories.shown(others)}; they are {', '.join(known)}: mend them, or give all "
                "in categories="
            )
        return found


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    """`np.stack(columns, axis=1)`, in a third of its time."""
    return np.stack(columns).T.copy()


def _as_labels(values: np.ndarray) -> np.ndarray:
    """Whole numbers as such, null as unknown; others as they are, to be refused."""
    known = np.where(np.isnan(values), -1, values)
    whole = known.astype(np.int64)
    return whole if np.array_equal(whole, known) else values


def chosen(
    schema: Schema,
    where: str,
    columns: Any,
    sample_weight: str | None,
    labels: str | None,
    given: Any = (),
    absent: Sequence[str] = (),
    sequence: str | None = None,
) -> Columns:
    """columns: as a person names them; None for all but those of weights and labels. given: which
    are of categories.

    Errors: ValueError for names that are not there, and for columns that are neither numbers nor
    categories.
    """
    beside = [name for name in (sample_weight, labels) if name is not None]
    if columns is None:
        columns = [name for name in schema if name not in (*beside, sequence)]
    tree = _lists(columns)
    of_x = [name for names in jax.tree.leaves(tree, is_leaf=_is_names) for name in names]
    wanted = [*of_x, *beside]
    named = wanted if sequence is None else [*wanted, sequence]
    missing = [name for name in named if name not in schema]
    if missing:
        raise ValueError(f"{where} has no column {', '.join(missing)}; it has {', '.join(schema)}")
    coded = _levels(given, of_x)
    odd = [name for name in wanted if not (name in coded or is_number(schema[name]))]
    if odd:
        raise ValueError(
            f"{where}: columns that are not numeric: {', '.join(odd)}; name the others in columns=,"
            " and those of categories in categories= too"
        )
    opaque = [name for name in coded if is_opaque(schema[name])]
    if opaque:
        raise ValueError(f"{where}: columns that are no categories: {', '.join(opaque)}")
    levels = {name: own for name, own in coded.items() if own is not None}
    unknown = tuple(name for name, own in coded.items() if own is None)
    kinds = {name: "float64" if name in coded else kept_as(schema[name]) for name in wanted}
    return Columns(tree, sample_weight, labels, kinds, levels, unknown, tuple(absent), sequence)


def _levels(given: Any, of_x: list[str]) -> dict[str, tuple[str, ...] | None]:
    """Of columns of categories, None where they are to be found; in the order of the columns."""
    pairs = given.items() if isinstance(given, Mapping) else ((n, None) for n in _names(given))
    own = {name: None if known is None else tuple(map(str, known)) for name, known in pairs}
    other = [name for name in own if name not in of_x]
    if other:
        raise ValueError(
            f"categories names {', '.join(map(str, other))}, and the columns are {', '.join(of_x)}"
        )
    return {name: own[name] for name in of_x if name in own}


def _names(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _is_names(value: Any) -> bool:
    return isinstance(value, list)


def _lists(columns: Any) -> Any:
    """The names of each table in a list."""
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, Mapping):
        return {name: _lists(part) for name, part in columns.items()}
    if isinstance(columns, tuple) and any(isinstance(part, list | tuple) for part in columns):
        return tuple(map(_lists, columns))
    names = list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"columns is {columns!r}; give names of columns")
    return names
