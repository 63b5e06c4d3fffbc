"""An iterator whose values are made by a thread beside, ahead of who takes them."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from jaxem.fitting import threads

T = TypeVar("T")
AHEAD = 2  # parts that wait for the device


def read_ahead(reader: ThreadPoolExecutor, make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """The iterator's values in order, made by a thread that is up to AHEAD of them ahead."""
    made: queue.Queue = queue.Queue(AHEAD)
    left = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not left.is_set():
            try:
                made.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for value in make():
                if not put("value", value):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    working = reader.submit(threads.configured(work))
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        left.set()
        working.result()
