"""A watch ends its process where another is gone, while it is in a fit, and never else."""

import socket
import threading
import time

import pytest

from jaxem.fitting import watchdog
from jaxem.fitting.watchdog import Gone, Watch

TICK = 0.02
OPEN = []  # sockets


class Ended(Exception):
    pass


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """-> the lines that processes would have ended with."""
    said = []

    def end(self, why):
        said.append(self._lost or why)
        raise Ended

    monkeypatch.setattr(Watch, "_end", end)
    monkeypatch.setattr(watchdog, "_TICK", TICK)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # the thread ends, as it would
    yield said
    time.sleep(2 * TICK)
    for connection in OPEN:
        connection.close()
    OPEN.clear()


def connected():
    both = socket.socketpair()
    OPEN.extend(both)
    return both


def after(ticks, said):
    time.sleep(ticks * TICK)
    return said[0] if said else ""


def pair():
    mine, other = connected()
    return Watch(0, {1: mine}), other


def waited(said):
    """The line that comes; some time for a slow machine."""
    for _ in range(500):
        if said:
            return said[0]
        time.sleep(TICK)
    return ""


def test_a_process_that_was_killed_ends_a_fit_alone(fast):
    watch, other = pair()
    other.close()
    assert after(20, fast) == ""
    with watch.over_fit(()):
        assert waited(fast) == "process 1 was killed"


def test_a_process_that_is_silent_has_stopped(fast, monkeypatch):
    monkeypatch.setattr(watchdog, "_SILENT", 20)
    watch, other = pair()
    with watch.over_fit(()):
        for _ in range(40):
            other.send(b".")
            time.sleep(TICK)
        assert not fast
        assert waited(fast) == "process 1 has stopped"


def test_a_process_that_has_left_in_order_is_waited_for_a_while(fast, monkeypatch):
    monkeypatch.setattr(watchdog, "_GRACE", 40)
    watch, other = pair()
    with watch.over_fit(()):
        other.send(b"q")
        other.close()
        assert after(10, fast) == ""
    assert after(60, fast) == ""
    with watch.over_fit(()):
        assert waited(fast) == "process 1 has ended"


def test_who_leaves_a_fit_by_an_error_of_its_own_says_so():
    watch, other = pair()
    for error, said in ((ValueError, False), (KeyboardInterrupt, True)):
        with pytest.raises(error), watch.over_fit((ValueError,)):
            raise error
        time.sleep(5 * TICK)
        assert (b"x0;" in other.recv(1 << 16)) == said


def test_an_addition_that_fails_ends_the_process(fast):
    watch, _other = pair()
    with pytest.raises(Ended), watch.over_fit(()):
        raise Gone("connection closed")
    assert fast == ["a process was killed"]


def test_process_0_tells_the_others_which_is_lost(fast):
    lost, mine = connected()
    still, other = connected()
    watch = Watch(0, {1: mine, 2: other})
    with watch.over_fit(()):
        lost.close()
        assert waited(fast) == "process 1 was killed"
        time.sleep(5 * TICK)
        assert b"x1;" in still.recv(1 << 16)
    a, b = connected()
    fast.clear()
    with Watch(2, {0: a}).over_fit(()):
        b.send(b".x1;")
        assert waited(fast) == "process 1 is out of the fit"


def test_connections_are_of_those_that_know_the_token():
    addresses, ready = [], threading.Event()

    def told(value):
        if value is not None:
            addresses.append(value)
            with socket.create_connection(("127.0.0.1", value.port)) as stranger:
                stranger.sendall(bytes(20))
            ready.set()
        ready.wait()
        return addresses

    found = {}

    def begin(index):
        found[index] = watchdog.begun(index, 3, told)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    OPEN.extend(own for watch in found.values() for own in watch._connections.values())
    assert sorted(found[0]._connections) == [1, 2]
    assert sorted(found[1]._connections) == sorted(found[2]._connections) == [0]
