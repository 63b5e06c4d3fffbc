"""Arrays where they lie: by NumPy on the host, by JAX on an accelerator, in blocks of rows."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

_BLOCK = 1 << 16  # rows looked at together: the temporaries stay small
FEW = 1 << 10  # those looked at first where they may be enough


def in_place(array: Any) -> Any:
    """A NumPy view of an array on the host; an array on an accelerator as it is."""
    return np.asarray(array) if lies_on_host(array) else array


def on_host(wanted: bool = True) -> AbstractContextManager[Any]:
    """Within it new arrays of JAX lie on the host, where JAX has a backend for it."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0]) if wanted else nullcontext()
    except RuntimeError:
        return nullcontext()


def reshaped(array: Any, shape: tuple[int, ...]) -> jax.Array:
    """On the device; nothing compiles where NumPy does it."""
    if not on_one_cpu(array):
        return array.reshape(shape)
    return jax.device_put(in_place(array).reshape(shape))


def numpy_of(array: Any) -> Any:
    """NumPy or jax.numpy: what computes where the array lies."""
    return jnp if isinstance(array, jax.Array) else np


def lies_on_host(array: Any) -> bool:
    if not isinstance(array, jax.Array):
        return True
    if isinstance(array, jax.core.Tracer):
        return False
    return next(iter(array.devices())).platform == "cpu"


def on_one_cpu(array: Any) -> bool:
    """Whether what NumPy makes of it may take its place."""
    return lies_on_host(array) and (
        not isinstance(array, jax.Array) or (len(array.devices()) == 1 and not array.committed)
    )


def blocks(x: Any) -> Iterator[Any]:
    """The rows in blocks, `in_place`; on an accelerator one block of all.

    x: an array, or a tree of them.
    """
    if all(map(lies_on_host, jax.tree.leaves(x))):
        yield from host_blocks(x)
    else:
        yield x


def host_blocks(x: Any, size: int = _BLOCK) -> Iterator[Any]:
    """The rows in blocks on the host, of `size` rows and then ever larger; never all are copied
    at once."""
    x, start = jax.tree.map(in_place, x), 0
    while start < jax.tree.leaves(x)[0].shape[0]:
        stop = start + size
        yield jax.tree.map(lambda leaf: np.asarray(leaf[start:stop]), x)  # noqa: B023
        start, size = stop, min(2 * size, _BLOCK)


def end_to_end(*parts: Any) -> Any:
    """Arrays one after the other, `in_place`."""
    parts = jax.tree.map(in_place, parts)
    numpy = jnp if any(isinstance(part, jax.Array) for part in parts) else np
    return numpy.concatenate(parts)


def present(block: Any, weight: Any) -> Any:
    """Which rows of a block have a positive weight, (b, 1); True for all."""
    if weight is None:
        return True
    there = numpy_of(block).asarray(weight) > 0
    return True if there.all() else there[:, None]


def is_infinite(x: Any) -> Any:
    return numpy_of(x).isinf(x)


def is_nan(x: Any) -> Any:
    return numpy_of(x).isnan(x)


def is_whole(x: Any) -> Any:
    return (x == numpy_of(x).floor(x)) & (x < np.inf)
