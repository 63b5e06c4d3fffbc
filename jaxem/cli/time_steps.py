"""Steps of sequences: a number, or so many of a unit of time; how many lie between two rows."""

import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from jaxem.cli import column_types

pc: Any = pyarrow.compute  # its functions are made when it is imported: no stub knows them
_SECONDS = {"W": 604800, "D": 86400, "h": 3600, "min": 60, "s": 1, "ms": 1e-3, "us": 1e-6,
            "ns": 1e-9}  # fmt: skip
_CLOSE = 1e-6  # of a step, by which a row may miss its place


class Step(NamedTuple):
    """How far a step leads: a number, or so many of a unit of time, "" where there is none."""

    size: float
    unit: str

    def __str__(self) -> str:
        return f"{self.size:.10g}{self.unit}"


class Elapsed(NamedTuple):
    """From each row to the next: seconds where the column holds dates or times, else numbers."""

    values: np.ndarray
    timed: bool

    def in_step(self, step: Step, column: str) -> np.ndarray:
        """Steps from each row to the next; NaN where that is no whole number of them."""
        if self.timed and not step.unit:
            raise ValueError(
                f"has dates or times in the column {column}; give --step a unit, as in {step}D"
            )
        if step.unit and not self.timed:
            raise ValueError(
                f"has numbers in the column {column}; give --step a number, as in {step.size:g}"
            )
        return self.steps(step.size * _SECONDS.get(step.unit, 1))

    def steps(self, size: float) -> np.ndarray:
        ratio = self.values / size
        whole = np.rint(ratio)
        good = (np.abs(ratio - whole) <= _CLOSE * np.maximum(whole, 1)) & (whole >= 1)
        return np.where(good, whole, np.nan)

    def as_step(self, size: float) -> Step:
        """As a person writes it: in the largest unit that it is whole in."""
        if not self.timed:
            return Step(size, "")
        each = [Step(size / seconds, unit) for unit, seconds in _SECONDS.items() if unit != "W"]
        whole = (s for s in each if s.size >= 1 and abs(s.size - np.rint(s.size)) < _CLOSE * s.size)
        return next(whole, Step(size, "s"))


def parse(text: str) -> Step:
    """ValueError for what is no step."""
    units = {name.lower(): name for name in _SECONDS} | {"": ""}
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
    try:
        step = Step(float(found[1]), units[found[2].lower()]) if found else Step(0, "")
    except (KeyError, ValueError):
        step = Step(0, "")
    if not 0 < step.size < np.inf:
        raise ValueError(
            f"{text!r}; give a number above 0, or of time with a unit, such as 15min or 1D, of "
            f"{', '.join(_SECONDS)}"
        )
    return step


def elapsed(column: pa.ChunkedArray) -> Elapsed:
    """Of a column without empty cells."""
    timed = pa.types.is_temporal(column.type)
    if not timed and not pa.types.is_integer(column.type):
        return Elapsed(np.diff(column_types.numbers(column)), False)
    spans = pc.subtract(column[1:], column[:-1])  # without a loss of digits
    if timed:
        return Elapsed(spans.to_numpy() / np.timedelta64(1, "s"), True)
    return Elapsed(column_types.numbers(spans), False)
