"""Several processes, each with a share of the rows of a source: what they tell each other.

One device of each takes part: what they add up, or tell, is one psum over those. Where one fails
all raise what it says; where one is gone the others end.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from jaxem.core import shards
from jaxem.core.shards import Shards
from jaxem.core.source import Share, Source
from jaxem.fitting import watchdog
from jaxem.fitting.termination import Terminated
from jaxem.fitting.watchdog import Gone

T = TypeVar("T")
_LEAST = 1 << 8  # numbers of a message, which has a power of 2 of them: few programs


class RaisedByAll(ValueError):
    """What is wrong in one process, raised by all of them."""


class Own(NamedTuple):
    """What a process has made; or why not, in words, where `failed` is not empty."""

    value: Any
    failed: str


class Team(NamedTuple):
    """The processes of a mesh. over: one device of each; place: that of this one."""

    over: Shards
    place: int

    @property
    def n(self) -> int:
        return self.over.n

    def added(self, numbers: np.ndarray) -> np.ndarray:
        """The sum over all processes of a vector."""
        size = max(_LEAST, 1 << (len(numbers) - 1).bit_length())
        own = np.zeros((1, size), numbers.dtype)
        own[0, : len(numbers)] = numbers
        try:
            each = jax.make_array_from_callback(
                (self.n, size), self.over.of_units(0), lambda _: own
            )
            return np.asarray(shards.total(self.over, each))[: len(numbers)]
        except jax.errors.JaxRuntimeError as error:
            raise Gone(f"a process is gone: {str(error).splitlines()[0]}") from None

    def told(self, value: Any) -> list[Any]:
        """The values of all processes, in their order."""
        own = pickle.dumps(value)
        lengths = np.zeros(self.n, np.uint32)
        lengths[self.place] = -(-len(own) // 4)
        ends = np.cumsum(self.added(lengths), dtype=np.int64)
        words = np.zeros(ends[-1], np.uint32)
        begin = ends[self.place] - lengths[self.place]
        words[begin : ends[self.place]] = np.frombuffer(own.ljust(4 * -(-len(own) // 4)), "u4")
        return [pickle.loads(of.tobytes()) for of in np.split(self.added(words), ends[:-1])]

    def of_first(self, tree: PyTree) -> PyTree:
        """The arrays of process 0, bit for bit, in place of those of the same shapes."""
        leaves, form = jax.tree.flatten(jax.device_get(tree))
        own = b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves)
        words = np.frombuffer(own.ljust(4 * -(-len(own) // 4), b"\0"), np.uint32)
        found = self.added(words if self.place == 0 else np.zeros_like(words)).tobytes()
        at, new = 0, []
        for leaf in leaves:
            new.append(np.frombuffer(found[at : at + leaf.nbytes], leaf.dtype).reshape(leaf.shape))
            at += leaf.nbytes
        return jax.tree.unflatten(form, new)

    def together(self, make: Callable[[], T]) -> list[T]:
        """What `make` gives in each process; where it fails in one, all raise what that says."""
        with self.watched():
            found = self.told(attempted(make))
            self.check(found)
            return [own.value for own in found]

    def own(self, make: Callable[[], T]) -> T:
        """What `make` gives in this process, and stays there; where it fails in one, all raise."""
        with self.watched():
            found = attempted(make)
            self.check(self.told(Own(None, found.failed)))
            return found.value

    def check(self, found: list[Own]) -> None:
        """RaisedByAll where one has failed."""
        failed = [own.failed for own in found if own.failed]
        if failed:
            raise RaisedByAll(failed[0])

    def share(self, source: Source) -> Share:
        """The rows of this process."""
        cuts = self.together(lambda: [int(at) for at in source.cuts(self.n)])
        if any(own != cuts[0] for own in cuts):
            raise RaisedByAll(
                "the processes have different rows: a source must be the same in all of them, "
                f"which read {' and '.join(f'{own[-1]:,}' for own in cuts)} rows"
            )
        levels = self.together(lambda: dict(source.levels))
        if any(own != levels[0] for own in levels):
            raise RaisedByAll(
                "the processes have different levels of categories: a source must be the same in "
                "all of them"
            )
        begin, end = cuts[0][self.place : self.place + 2]
        told = f"{source.fingerprint} {self.place} of {self.n}" if source.fingerprint else ""
        return Share(source, begin, end, source.names, told)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the process ends where another is gone, with one line."""
        with _watch(self).over_fit((RaisedByAll, Terminated)):
            yield


@cache
def _watch(team: Team) -> watchdog.Watch:
    found = attempted(lambda: watchdog.begun(team.place, team.n, team.told))
    team.check(team.told(Own(None, found.failed)))
    return found.value


def attempted(make: Callable[[], Any]) -> Own:
    try:
        return Own(make(), "")
    except Exception as error:  # whatever it is, the others wait
        return Own(None, str(error) or type(error).__name__)


def of_mesh(mesh: Any) -> tuple[Team | None, Any]:
    """-> (the processes of a mesh, None where they are one; the mesh of this one's devices, None
    where that is one).

    Errors: ValueError for a mesh without devices of this process.
    """
    if mesh is None or jax.process_count() == 1:
        return None, mesh
    devices = list(shards.of_mesh(mesh).mesh.devices.flat)
    here = jax.process_index()
    own = [device for device in devices if device.process_index == here]
    if not own:
        raise ValueError("mesh has no device of this process: give one over all, jax.devices()")
    local = None if len(own) == 1 else Mesh(np.array(own), ("rows",))
    first = {device.process_index: device for device in reversed(devices)}
    if len(first) == 1:
        return None, local
    order = sorted(first)
    one_each = Mesh(np.array([first[i] for i in order]), ("processes",))
    return Team(shards.of_mesh(one_each), order.index(here)), local
