"""What is legal, but may not be meant: a UserWarning at the line of the caller's that led to it."""

import sys
import warnings
from types import FrameType

_OWN = ("jaxem.", "jaxtyping.", "beartype.")  # the last two where calls are checked


def warn(remark: str) -> None:
    level, frame = 2, sys._getframe(1)
    while _is_own(frame) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(remark, stacklevel=level)


def _is_own(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").startswith(_OWN)
