"""Of what kind the columns of an Arrow table are: numbers, text, or neither."""

from typing import Any

import numpy as np

from jaxem.sources import categories

TEXT = "text"  # and dates, which are told as text
EMPTY = "empty cells"  # alone
OPAQUE = "lists, bytes or the like"
Schema = dict[str, Any]  # of each column the dtype of its numbers, or one of these


def schema_of(fields: Any) -> Schema:
    """Of an Arrow schema."""
    return {field.name: _kind(field.type) for field in fields}


def _kind(kind: Any) -> Any:
    from pyarrow import types

    if types.is_null(kind):
        return EMPTY
    if types.is_boolean(kind):
        return np.dtype(bool)
    if types.is_floating(kind):
        return np.dtype(np.float64 if kind.bit_width > 32 else np.float32)
    if categories.is_numeric(kind):
        return np.dtype(np.float64)
    return OPAQUE if categories.is_opaque(kind) else TEXT


def is_number(kind: Any) -> bool:
    return not isinstance(kind, str) or kind == EMPTY


def is_opaque(kind: Any) -> bool:
    return isinstance(kind, str) and kind == OPAQUE


def kept_as(kind: Any) -> str:
    """The dtype of numbers in arrays."""
    return "float64" if isinstance(kind, str) or kind.kind != "f" else str(kind)


def together(kind: Any, other: Any) -> Any:
    """What two columns are as one; None where they are none."""
    if isinstance(kind, str) or isinstance(other, str):
        kinds = {str(of): of for of in (kind, other) if str(of) != EMPTY}
        return None if len(kinds) > 1 else next(iter(kinds.values()), EMPTY)
    same = (kind.kind == "b") == (other.kind == "b")
    return np.result_type(kind, other) if same else None


def called(kind: Any) -> str:
    """In words."""
    return kind if isinstance(kind, str) else "yes and no" if kind.kind == "b" else "numbers"
