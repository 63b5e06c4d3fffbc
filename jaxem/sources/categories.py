"""Columns of categories: their values as text, in order, and the place of each among them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Levels = Mapping[str, tuple[str, ...]]  # of columns of categories, in the order of their codes
MOST = 1 << 16  # levels of a column

_SHOWN = 3


def compute() -> Any:
    import pyarrow.compute

    return pyarrow.compute  # its functions are made when it is imported: no stub knows them


def is_numeric(kind: Any) -> bool:
    """Numbers, true and false, and columns without a single value."""
    from pyarrow import types

    tests = types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null
    return any(test(kind) for test in tests)


def is_opaque(kind: Any) -> bool:
    """Of lists and the like, or of text that is not UTF-8."""
    from pyarrow import types

    return any(test(kind) for test in (types.is_nested, types.is_binary, types.is_large_binary))


def numbers(column: Any) -> np.ndarray:
    """Of an Arrow array, or a chunked one, as float64, empty cells as NaN."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):  # arrow has no cast from these to floats
        column = column.cast(pa.int8())
    return np.asarray(compute().cast(column, pa.float64(), safe=False))


def text(column: Any) -> Any:
    """The values as text, of whole numbers without a point."""
    import pyarrow as pa

    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        values = numbers(column) + 0.0  # -0 is 0
        column = pa.array(values, from_pandas=True)
    return compute().cast(column, pa.string())


def levels(column: Any) -> tuple[str, ...]:
    """The values of a column as text, in their order; both of yes and no."""
    return in_order(compute().unique(text(column)).drop_null().to_pylist(), column.type)


def in_order(texts: Iterable[str], kind: Any) -> tuple[str, ...]:
    """Those of a column of this type: numbers by their value, text by its letters."""
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "false", "true"
    if not is_numeric(kind):
        return tuple(sorted(texts))
    return ("0", "1") if {"0", "1"}.issuperset(texts) else tuple(sorted(texts, key=float))


def codes(column: Any, known: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """-> (the place of each cell among the levels, NaN for an empty one and for what is none of
    them; what these are, some of them)."""
    import pyarrow as pa

    own, pc = text(column), compute()
    found = pc.index_in(own, value_set=pa.array(list(known), pa.string()))
    new = pc.and_(pc.is_null(found), pc.is_valid(own))
    others = pc.unique(pc.filter(own, new)).to_pylist() if pc.any(new).as_py() else []
    return numbers(found), others


def shown(others: Sequence[str]) -> str:
    """Some of these values, for a message."""
    told = ", ".join(map(repr, others[:_SHOWN]))
    return told + (" and more" if len(others) > _SHOWN else "")


def without(column: Any, words: Sequence[str]) -> Any:
    """Text with empty cells in the place of words, whatever space is around them."""
    import pyarrow as pa

    if not words or is_numeric(column.type):
        return column
    own, pc = text(column), compute()
    absent = pc.is_in(pc.utf8_trim_whitespace(own), value_set=pa.array(list(words), pa.string()))
    return pc.if_else(absent, pa.scalar(None, pa.string()), own)


def levels_of(batches: Iterator[Any], names: Sequence[str], words: Sequence[str]) -> Levels:
    """Of columns over all record batches; ValueError for one of too many."""
    import pyarrow as pa

    found: dict[str, dict[str, None]] = {name: {} for name in names}
    kinds: dict[str, Any] = {}
    for batch in batches:
        for name in names:
            column = without(batch.column(name), words)
            if name not in kinds or not pa.types.is_null(column.type):  # a file may have no value
                kinds[name] = column.type
            found[name] |= dict.fromkeys(compute().unique(text(column)).drop_null().to_pylist())
            if len(found[name]) > MOST:
                raise ValueError(
                    f"column {name} has over {MOST:,} values: too many for categories; leave it out"
                )
    return {name: in_order(found[name], kinds[name]) for name in names if name in kinds}
