"""A fit on disk, from which it goes on after the process has ended, with the same bits.

The states of all starts are kept, and within a pass over a source the sums so far and the part that
is next. A file is written beside the old one and takes its place whole; the one before stays as
NAME.previous. Writing takes at most a hundredth of the time.
"""

import hashlib
import json
import os
import time
import zipfile
import zlib
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.core.files import describe_os_errors, replacing
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.plan import FitPlan

_SHARE = 100  # times what a file takes to write lies between two of them
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class Kept(NamedTuple):
    """Where a fit was. sums: of the parts of a pass before `part`, as flat arrays; None where no
    pass had begun."""

    states: Bundle
    sums: list[list[np.ndarray]] | None
    part: int


class Checkpoint:
    """about: what the fit is, in words, by name: a file of another fit is refused."""

    def __init__(self, path: str | os.PathLike, about: dict[str, str]) -> None:
        self.path = os.fspath(path)
        self._about = about | {"versions": f"jaxem {version('jaxem')}, jax {jax.__version__}"}
        self._last, self._cost = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() - self._last >= _SHARE * self._cost

    def load(self, like: Bundle) -> Kept | None:
        """Where the fit was; None where there is no file. like: states of the same fit.

        Errors: ValueError for a file of another fit, and where no file is whole.
        """
        there = [path for path in (self.path, self._previous) if os.path.exists(path)]
        other: list[str] = []
        for path in there:
            with suppress(*_DAMAGED):
                about, arrays = _read(path)
                other = [name for name, told in self._about.items() if about.get(name) != told]
                if not other:
                    return _kept(arrays, like)
        if other:
            raise ValueError(
                f"{self.path} is of another fit: it differs in {', '.join(other)}; give another "
                "file, or delete it to begin the fit anew"
            )
        if there:
            raise ValueError(f"{self.path} is damaged; delete it to begin the fit anew")
        return None

    def save(self, states: Bundle, sums: list[Any] | None = None, part: int = 0) -> None:
        began = time.monotonic()
        arrays = {f"state_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(states))}
        for g, own in enumerate(sums or []):
            leaves = jax.tree.leaves(jax.device_get(own))
            arrays |= {f"sum_{g}_{i}": leaf for i, leaf in enumerate(leaves)}
        groups = -1 if sums is None else len(sums)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            place, about = np.array([part, groups]), np.array(json.dumps(self._about))
            np.savez(file, place=place, about=about, **jax.device_get(arrays))  # pyright: ignore
            self._keep_old()
        self._last = time.monotonic()
        self._cost = self._last - began

    def _keep_old(self) -> None:
        with describe_os_errors(self._previous, "cannot be written"), suppress(FileNotFoundError):
            beside = f"{self._previous}.{os.getpid()}"
            with suppress(FileNotFoundError):
                os.remove(beside)
            os.link(self.path, beside)
            os.replace(beside, self._previous)

    @property
    def _previous(self) -> str:
        return f"{self.path}.previous"


def _read(path: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """-> (what it is of, its arrays)."""
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("about"))), arrays


def _kept(arrays: dict[str, np.ndarray], like: Bundle) -> Kept:
    part, groups = (int(of) for of in arrays.pop("place"))
    leaves, tree = jax.tree.flatten(like)
    found = [arrays[f"state_{i}"] for i in range(len(leaves))]
    for own, leaf in zip(found, leaves, strict=True):
        if own.shape != leaf.shape or own.dtype != leaf.dtype:
            raise KeyError("states of another shape")
    states = jax.tree.unflatten(tree, found)
    if groups < 0:
        return Kept(states, None, part)
    sums = [
        [arrays[f"sum_{g}_{i}"] for i in range(sum(n.startswith(f"sum_{g}_") for n in arrays))]
        for g in range(groups)
    ]
    return Kept(states, sums, part)


def about_fit(job: FitPlan, data: str, how: str) -> dict[str, str]:
    """What the checkpoint of a fit is of. how: what else the order of its sums follows from."""
    execution = job.execution
    key = None if job.key is None else jax.random.key_data(job.key)
    return {
        "model": repr(job.model),
        "data": data,
        "key and starts": digest([key, job.methods, job.params]),
        "prior": digest(job.prior),
        "options": f"{execution.acceleration!r} {execution.block_size} {execution.chunk} {how} "
        f"{digest([job.tol])}",
    }


def digest(tree: Any) -> str:
    """Of arrays, in few letters."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        own = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {own.dtype} {own.shape}".encode())
        found.update(np.ascontiguousarray(own).tobytes())
    return found.hexdigest()[:16]
