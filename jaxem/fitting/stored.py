"""Compiled programs kept between processes: found again by what they are of, without tracing.

JAX's own compilation cache is asked for what a function was traced to; here the question is the
function, its static arguments and the shapes of the others. It is on where that one is, on a CPU:

    jax.config.update("jax_compilation_cache_dir", folder)

Files lie in a folder of it, and may be deleted at any time. They hold code, as those of JAX do: the
folder must be the person's own.
"""

import dataclasses
import hashlib
import inspect
import os
import pickle
import platform
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.lapack
import numpy as np
from jax.experimental import serialize_executable
from jaxlib.version import __version__ as jaxlib_version

from jaxem.core.files import remove_oldest, replacing
from jaxem.fitting import threads

_MOST = 256 << 20  # bytes of all files
_DIGEST = hashlib.sha256
_OWN = "jaxem."

_found: dict[str, Any] = {}
_lock = threading.Lock()
_locks: dict[str, threading.Lock] = {}


class _Unknown(Exception):
    """Nothing says whether the value is the same in another process."""


def folder() -> Path | None:
    """Where programs are kept, if they are."""
    config: Any = jax.config  # its stub does not know the options
    place = config.jax_compilation_cache_dir
    if not place or "://" in str(place) or not config.jax_enable_compilation_cache:
        return None
    return Path(place) / "programs"


def program(form: Any, told: str, args: tuple[Any, ...], static: frozenset[int]) -> Any:
    """The compiled program of a jitted function, for arguments like these; None where it cannot be
    kept. told: what it is, besides its arguments. static: the places of those that are."""
    place, given = folder(), [own for i, own in enumerate(args) if i not in static]
    if place is None or _debugging() or not _on_first_cpu(given):
        return None
    try:
        name = _name(told, [args[i] for i in sorted(static)], given)
    except _Unknown:
        return None
    with _lock:
        own = _locks.setdefault(name, threading.Lock())
    with own:
        if name not in _found:
            _found[name] = _read(form, args, place / name) or _compiled(form, args, place / name)
        return _found[name]


class _Loaded:
    """A program made of what a file holds, or will hold; another where it does not run.

    What JAX found in its own compilation cache, for one, cannot be kept once more: it loads, and
    lacks its functions (jaxlib 0.10 to 0.12).
    """

    def __init__(
        self, payload: bytes, proven: Callable[[], None], otherwise: Callable[[], Any]
    ) -> None:
        _prepare_lapack()
        self.run = serialize_executable.deserialize_and_load(
            *pickle.loads(payload), execution_devices=jax.devices()[:1]
        )
        self.once: Any = proven, otherwise  # what follows on its first run

    def __call__(self, *given: Any) -> Any:
        if self.once is None:
            return self.run(*given)
        proven, otherwise = self.once
        try:
            value = jax.block_until_ready(self.run(*given))
        except jax.errors.JaxRuntimeError:
            self.run, self.once = otherwise(), None
            return self.run(*given)
        self.once = None
        proven()
        return value


def _compiled(form: Any, args: tuple[Any, ...], path: Path) -> Any:
    compiled = form.lower(*args).compile()
    try:
        payload = pickle.dumps(serialize_executable.serialize(compiled))
        return _Loaded(payload, lambda: _write(path, payload), lambda: compiled)
    except Exception:  # whatever cannot be kept is compiled all the same, by each process
        return compiled


def _write(path: Path, payload: bytes) -> None:
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as new:
            Path(new).write_bytes(_DIGEST(payload).digest() + payload)
        remove_oldest(path.parent, _MOST)


def _read(form: Any, args: tuple[Any, ...], path: Path) -> Any:
    """The program of a file; None where there is none, or a damaged one."""

    def otherwise() -> Any:
        with suppress(OSError):
            path.unlink()
        return form.lower(*args).compile()

    try:
        digest, payload = (content := path.read_bytes())[:32], content[32:]
        if _DIGEST(payload).digest() != digest:
            return None
        os.utime(path)
        return _Loaded(payload, lambda: None, otherwise)
    except Exception:  # whatever is wrong with a file, the program can be compiled
        return None


@cache
def _prepare_lapack() -> None:
    """Where LAPACK's functions are is looked up when a program that calls them is lowered."""
    jaxlib.lapack.prepare_lapack_call("syevd_ffi", np.float64)


# ---- what a program is called


def _name(told: str, static: Sequence[Any], given: Sequence[Any]) -> str:
    leaves, structure = jax.tree.flatten(given)
    shapes = [(np.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves]
    key = (here(), threads.options(), told, tuple(map(_saying, static)), str(structure), shapes)
    return _DIGEST(repr(key).encode()).hexdigest()


def _saying(value: Any) -> Any:
    """What is the same in every process for equal values, and for no others."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value).__module__, type(value).__qualname__
    if isinstance(value, tuple):
        return kind, tuple(map(_saying, value))
    if isinstance(value, dict):
        return kind, tuple((name, _saying(own)) for name, own in value.items())
    if not getattr(value, "__module__", "").startswith(_OWN):
        raise _Unknown
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return kind, tuple((field.name, _saying(getattr(value, field.name))) for field in fields)
    if inspect.isfunction(value) and "<" not in value.__qualname__:
        return value.__module__, value.__qualname__
    raise _Unknown


def _debugging() -> bool:
    """Whether JAX looks for what is wrong: it runs functions again in parts, and needs them."""
    own = threads.options()
    return own["debug_nans"] or own["debug_infs"] or own["disable_jit"]


def _on_first_cpu(given: Sequence[Any]) -> bool:
    """Whether that is where all lies: a program is for one device."""
    config: Any = jax.config  # its stub does not know the options
    if config.jax_default_device is not None or jax.default_backend() != "cpu":
        return False
    first = {jax.devices()[0]}
    return all(
        leaf.devices() == first for leaf in jax.tree.leaves(given) if isinstance(leaf, jax.Array)
    )


@cache
def here() -> str:
    """A name for the sources, the versions and the processor that a program is compiled from, by
    and for."""
    top = Path(__file__).parents[1]
    sources = sorted(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in top.rglob("*.py")
    )
    flags = os.environ.get("XLA_FLAGS")
    key = (sources, jax.__version__, jaxlib_version, platform.python_version(), flags,
           jax.device_count(), _processor())  # fmt: skip
    return _DIGEST(repr(key).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    """Its kind: what is compiled for one may not run on another."""
    kind = [platform.machine(), platform.processor()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        told = ("model name", "flags", "Features", "CPU part")
        kind += sorted({line for line in lines if line.startswith(told)})
    return kind
