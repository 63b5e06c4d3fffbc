"""Times of rows, in numbers or dates: how far they are apart, and how many steps that is."""

import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jaxem.cli import column_types

_SECONDS = {"W": 604800, "D": 86400, "h": 3600, "min": 60, "s": 1, "ms": 1e-3, "us": 1e-6,
            "ns": 1e-9}  # fmt: skip
_CLOSE = 1e-6  # of a step, by which a time may miss its place
_MORE = 1.5  # usual steps from which on something is taken to be missing


class Step(NamedTuple):
    """How far a step leads: a number, or so many of a unit of time, "" where there is none."""

    size: float
    unit: str

    def __str__(self) -> str:
        return f"{self.size:.10g}{self.unit}"


class Times(NamedTuple):
    """ticks: whole numbers, or floats; unit: what one is, of `_SECONDS`, "" for plain numbers."""

    ticks: np.ndarray
    unit: str

    def of(self, step: Step, column: str) -> float:
        """A step in ticks; ValueError where one is of time, and the other is not."""
        if bool(step.unit) == bool(self.unit):
            return step.size * (_SECONDS[step.unit] / _SECONDS[self.unit] if self.unit else 1)
        if self.unit:
            raise ValueError(
                f"has dates or times in the column {column}; give --step a unit, as in {step}D"
            )
        raise ValueError(
            f"has numbers in the column {column}; give --step a number, as in {step.size:g}"
        )

    def step(self, size: float) -> Step:
        """So many ticks as a person writes them: in the largest unit that they are whole in."""
        if not self.unit:
            return Step(size, "")
        seconds = size * _SECONDS[self.unit]
        whole = (u for u, s in _SECONDS.items() if u != "W" and _is_whole(seconds / s))
        unit = next(whole, self.unit)
        return Step(seconds / _SECONDS[unit], unit)


def read(text: str) -> Step:
    """ValueError for what is no step."""
    units = {name.lower(): name for name in _SECONDS}
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
    try:
        step = Step(float(found[1]), units[found[2].lower()] if found[2] else "") if found else None
    except (KeyError, ValueError):
        step = None
    if step is None or not 0 < step.size < np.inf:
        raise ValueError(
            f"{text!r}; give a number above 0, or of time with a unit, such as 15min or 1D, of "
            f"{', '.join(_SECONDS)}"
        )
    return step


def times(column: pa.ChunkedArray) -> Times:
    """Of a column without empty cells."""
    kind: Any = column.type
    types = pa.types
    if types.is_timestamp(kind) or types.is_duration(kind) or types.is_time(kind):
        whole = pa.int32() if types.is_time32(kind) else pa.int64()
        return Times(column.cast(whole).to_numpy().astype(np.int64), kind.unit)
    if types.is_date(kind):
        whole, unit = (pa.int32(), "D") if types.is_date32(kind) else (pa.int64(), "ms")
        return Times(column.cast(whole).to_numpy().astype(np.int64), unit)
    if types.is_integer(kind) and not types.is_uint64(kind):
        return Times(column.cast(pa.int64()).to_numpy(), "")
    return Times(column_types.numbers(column), "")


def steps_between(elapsed: np.ndarray, size: float) -> np.ndarray:
    """How many steps of so many ticks lie between rows, NaN where that is no whole number."""
    ratio = elapsed / size
    whole = np.rint(ratio)
    good = (np.abs(ratio - whole) <= _CLOSE * np.maximum(whole, 1)) & (whole >= 1)
    return np.where(good, whole, np.nan)


def usual(elapsed: np.ndarray) -> float:
    """The step that most rows are apart, to the digits that tell; where none is, their median."""
    digits = elapsed if elapsed.dtype.kind == "i" else _rounded(elapsed)
    values, counts = np.unique(digits, return_counts=True)
    most = int(np.argmax(counts))
    common = counts[most] >= max(2, 0.1 * len(elapsed))
    return float(values[most] if common else np.median(elapsed))


def longer(elapsed: np.ndarray, size: float) -> np.ndarray:
    """Which rows are more than one usual step after the row before."""
    return elapsed > _MORE * size


def _rounded(elapsed: np.ndarray) -> np.ndarray:
    unit = 10.0 ** (np.floor(np.log10(np.max(np.abs(elapsed)))) - 9)
    return np.rint(elapsed / unit) * unit


def _is_whole(value: float) -> bool:
    return bool(value >= 1 - _CLOSE and abs(value - np.rint(value)) < _CLOSE * value)
