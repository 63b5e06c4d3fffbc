"""A watch over the processes of a fit: one that waits for another that is gone would never end.

Process 0 hears from all others, and they from it, each second. Where a process was killed, or is
silent for half a minute, those that are in a fit end with status 1 and one line: nothing can call
them back from the addition of sums that they wait in.
"""

import atexit
import hmac
import os
import re
import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

_TICK = 1.0  # seconds between two signs of life
_SILENT = 30  # ticks without one: the process is stopped
_GRACE = 5  # ticks that a fit may still take after a process has left in order
_PATIENCE = 60.0  # seconds that connections may take
_ANSWER = 20.0  # of those, for one
_TOKEN = 16
_ALIVE, _LEFT, _BROKEN = b".", b"q", b"x%d;"  # the last: which is out of a fit of others


class Gone(RuntimeError):
    """What processes do together failed: one of them is gone."""


class Address(NamedTuple):
    """Where process 0 listens. token: what tells its own from whoever else calls there."""

    hosts: tuple[str, ...]
    port: int
    token: bytes


class Watch:
    """From the process `index` over those that it is connected with."""

    def __init__(self, index: int, connections: dict[int, socket.socket]) -> None:
        self.index, self._connections = index, connections
        self._silent = dict.fromkeys(connections, 0)
        self._in_order: set[int] = set()
        self._lost = ""  # what to say of a process that is
        self._fits = self._waited = 0
        self._looking = selectors.DefaultSelector()
        for i, connection in connections.items():
            connection.setblocking(False)
            self._looking.register(connection, selectors.EVENT_READ, i)
        threading.Thread(target=self._run, name="process watchdog", daemon=True).start()

    @contextmanager
    def over_fit(self, alike: tuple[type[BaseException], ...]) -> Iterator[None]:
        """Inside, the process ends where another is gone. alike: what all processes raise."""
        self._fits += 1
        try:
            yield
        except alike:
            raise
        except Gone:
            time.sleep(2 * _TICK)  # by then the watch may know which
            self._end("a process was killed")
        except BaseException:  # in the middle of what the others go on with
            self._send(_BROKEN % self.index)
            raise
        finally:
            self._fits -= 1

    def leave(self) -> None:
        """Before the process ends in order."""
        self._send(_LEFT)

    def _end(self, why: str) -> None:
        said = f"jaxem: {self._lost or why}: the fit of the other processes ends here\n"
        with suppress(OSError):
            os.write(2, said.encode())
        os._exit(1)

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            self._send(_ALIVE)
            for i in self._silent:
                self._silent[i] += 1
            while (left := began + _TICK - time.monotonic()) > 0:
                for key, _ in self._looking.select(left):
                    self._hear(key.data, key.fileobj)
            self._judge()

    def _hear(self, i: int, connection: Any) -> None:
        try:
            heard = connection.recv(1 << 10)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        self._silent[i] = 0
        if _LEFT in heard:
            self._in_order.add(i)
        for other in re.findall(rb"x(\d+);", heard) if self._fits else ():
            self._lose(int(other), "is out of the fit")
        if not heard:
            self._looking.unregister(connection)
            del self._silent[i]
            if i not in self._in_order:
                self._lose(i, "was killed")

    def _lose(self, i: int, what: str) -> None:
        self._lost = self._lost or f"process {i} {what}"
        if self.index == 0:
            self._send(_BROKEN % i)
        self._judge()

    def _judge(self) -> None:
        """Once a tick, and where a process is lost."""
        silent = [i for i, ticks in self._silent.items() if ticks > _SILENT]
        if silent and self._fits and not self._lost:
            self._lose(silent[0], "has stopped")
        self._waited = self._waited + bool(self._in_order) if self._fits else 0
        if self._fits and (self._lost or self._waited > _GRACE):
            self._end(f"process {min(self._in_order, default=0)} has ended")

    def _send(self, what: bytes) -> None:
        for connection in self._connections.values():
            with suppress(OSError):  # it is found where it is listened to
                connection.send(what)


def begun(index: int, n: int, told: Callable[[Any], list[Any]]) -> Watch:
    """told: of a value of each process those of all. Errors: OSError where the network forbids
    it."""
    if index == 0:
        with socket.create_server(("", 0), backlog=n) as server:
            address = Address(_hosts(), server.getsockname()[1], secrets.token_bytes(_TOKEN))
            told(address)
            connections = _accepted(server, n, address.token)
    else:
        connections = {0: _called(told(None)[0], index)}
    watch = Watch(index, connections)
    atexit.register(watch.leave)
    return watch


def _hosts() -> tuple[str, ...]:
    """Where this machine may be called, the likeliest first."""
    found = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("10.255.255.255", 1))  # sends nothing: asks which address it would be from
        found.append(way.getsockname()[0])
    with suppress(OSError):
        found.append(socket.gethostbyname(socket.gethostname()))
    return tuple(dict.fromkeys([*found, "127.0.0.1"]))


def _accepted(server: socket.socket, n: int, token: bytes) -> dict[int, socket.socket]:
    found: dict[int, socket.socket] = {}
    until = time.monotonic() + _PATIENCE
    while len(found) < n - 1:
        server.settimeout(max(0.01, until - time.monotonic()))
        connection, _ = server.accept()
        connection.settimeout(_ANSWER)
        with suppress(OSError, struct.error):
            given = connection.recv(_TOKEN + 4, socket.MSG_WAITALL)
            if hmac.compare_digest(given[:_TOKEN], token):
                connection.sendall(token)
                found[struct.unpack("!I", given[_TOKEN:])[0]] = connection
                continue
        connection.close()
    return found


def _called(address: Address, index: int) -> socket.socket:
    for host in address.hosts:
        with suppress(OSError):
            connection = socket.create_connection((host, address.port), timeout=5)
            connection.settimeout(_ANSWER)
            connection.sendall(address.token + struct.pack("!I", index))
            if connection.recv(_TOKEN, socket.MSG_WAITALL) == address.token:
                return connection
            connection.close()
    raise OSError(
        f"process {index} cannot reach process 0 at {' or '.join(address.hosts)}: let the machines "
        "open ports to each other, as the addition of sums needs them to"
    )
