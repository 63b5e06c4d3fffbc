"""Ctrl-C: stops what is under way at once, but a fit not before its best so far is kept."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class _Interrupt:
    """Whether Ctrl-C was pressed, and whether that raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.pressed = False
        self.raises = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        again, self.pressed = self.pressed, True
        if again or self.raises:
            raise KeyboardInterrupt


_interrupt = _Interrupt()


def pressed() -> bool:
    return _interrupt.pressed


@contextmanager
def watched() -> Iterator[None]:
    """The first Ctrl-C inside is remembered; a second one raises KeyboardInterrupt.

    Where nothing can be raised, as while garbage is collected, Python would print a traceback and
    go on: a Ctrl-C that comes there is remembered alone.
    """
    before, shown = signal.signal(signal.SIGINT, _interrupt.handle), sys.unraisablehook

    def show(lost: Any) -> None:
        if lost.exc_type is not KeyboardInterrupt:
            shown(lost)

    sys.unraisablehook = show
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = shown
        _interrupt.pressed = False


@contextmanager
def heeded() -> Iterator[None]:
    """Inside, the first Ctrl-C raises KeyboardInterrupt too; so does one that was remembered."""
    with _raising(True):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Within `heeded`, where the first Ctrl-C is only remembered."""
    with _raising(False):
        yield


@contextmanager
def _raising(raises: bool) -> Iterator[None]:
    if _interrupt.pressed:  # one that was remembered, or got lost in compiled code
        raise KeyboardInterrupt
    before, _interrupt.raises = _interrupt.raises, raises
    try:
        yield
    finally:
        _interrupt.raises = before
