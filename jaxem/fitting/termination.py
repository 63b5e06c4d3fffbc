"""SIGTERM while a checkpoint is kept: the fit ends at the next block, once that is saved.

What a process does with the signal by itself is left alone, and so is a fit in another thread: who
runs it there says `ask`.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STATUS = 128 + signal.SIGTERM  # of a process that ends so
_asked = threading.Event()


class Terminated(SystemExit):
    """The process is to end, and the fit is kept in the file `path`."""

    def __init__(self, path: str) -> None:
        super().__init__(STATUS)
        self.path = path


def ask(*_: Any) -> None:
    """To end at the next block; a handler of signals too."""
    _asked.set()


def asked() -> bool:
    return _asked.is_set()


def heed(path: str | os.PathLike) -> None:
    """Raise `Terminated` where that is asked; what is to be kept has been."""
    if asked():
        _asked.clear()
        raise Terminated(os.fspath(path))


@contextmanager
def awaited() -> Iterator[None]:
    """Inside, SIGTERM `ask`s, where it would end the process at once; what was not heeded does so
    at the end."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if asked():
            signal.raise_signal(signal.SIGTERM)
