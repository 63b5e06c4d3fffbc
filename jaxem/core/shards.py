"""Rows over several devices: each has its share of the units, and sums over all are one psum.

What is not a sum over rows, parameters and every decision, is alike on all devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.core
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxem.core import checks, filled_rows, placement
from jaxem.core.rows import Rows, materialize_order


@jax.tree_util.register_static
@dataclass(frozen=True)
class Shards:
    """Where rows lie: along which axes of which mesh. A part of `Rows` without numbers."""

    mesh: Mesh
    axes: tuple[str, ...]

    @property
    def n(self) -> int:
        return int(np.prod([self.mesh.shape[axis] for axis in self.axes]))

    def of_units(self, axis: int) -> NamedSharding:
        """Of an array whose units lie along `axis`."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, self.axes))

    def put(self, tree: PyTree) -> PyTree:
        """Arrays with an axis of devices first, each part on its own."""
        return jax.device_put(tree, self.of_units(0))

    def replicated(self, tree: PyTree) -> PyTree:
        """Concrete arrays, which all processes have alike, on each device."""
        everywhere = NamedSharding(self.mesh, PartitionSpec())

        def put(array: np.ndarray) -> Array:
            return jax.make_array_from_callback(array.shape, everywhere, lambda at: array[at])

        return jax.tree.map(put, jax.device_get(tree))


def of_mesh(mesh: Any) -> Shards:
    """All devices of a mesh, whatever its axes. ValueError for anything else."""
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh is {mesh!r}; give one, such as jax.make_mesh((4,), ('rows',))")
    return Shards(_automatic(mesh), mesh.axis_names)


def of_arrays(x: Any) -> Shards | None:
    """Over which devices a person has spread the rows of x; None where they have not."""
    for leaf in jax.tree.leaves(x) if _may_be_spread(x) else []:
        sharding = leaf.sharding if _is_array(leaf) else None
        if isinstance(sharding, NamedSharding) and not sharding.is_fully_replicated:
            first = sharding.spec[0] if sharding.spec else None
            axes = (first,) if isinstance(first, str) else first
            return Shards(_automatic(sharding.mesh), axes) if axes else None
    return None


def _may_be_spread(x: Any) -> bool:
    """Not lists, which may hold a million numbers."""
    return isinstance(x, jax.Array | tuple | dict)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and checks.is_concrete(leaf)


def _automatic(mesh: Any) -> Mesh:
    """The mesh under which JAX chooses by itself how arrays lie, but for those of `summed`."""
    kinds = (AxisType.Auto,) * len(mesh.axis_names)
    return Mesh(mesh.devices, mesh.axis_names, axis_types=kinds)


def automatic(x: Any) -> Any:
    """Arrays that lie over several devices, of a mesh that leaves it to JAX how others lie."""

    def of(leaf: Any) -> Any:
        if isinstance(leaf, jax.core.Tracer):
            _check_automatic(jax.typeof(leaf).sharding)
            return leaf
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            raise ValueError(
                "x lies on devices of several processes: give each process the same rows, such as "
                "np.load(path, mmap_mode='r'), of which it sends its devices their part, and mesh="
            )
        sharding = leaf.sharding if _is_array(leaf) else None
        if not isinstance(sharding, NamedSharding):
            return leaf
        return jax.device_put(leaf, NamedSharding(_automatic(sharding.mesh), sharding.spec))

    return jax.tree.map(of, x) if _may_be_spread(x) else x


def _check_automatic(sharding: Any) -> None:
    told = dict(zip(sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True))
    if any(kind == AxisType.Explicit for kind in told.values()):
        raise ValueError(
            f"x is traced, over a mesh of explicit axes {tuple(told)}: put it on one made with "
            "axis_types=(jax.sharding.AxisType.Auto,) for each axis, and give that as mesh="
        )


def placed(rows: Rows, shards: Shards | None) -> Rows:
    """The rows over the devices, filled up with units of weight 0 so that all have as many."""
    if shards is None:
        return rows
    rows, axis = materialize_order(rows), rows.axis
    n, sharding = -(-rows.n_units // shards.n) * shards.n, shards.of_units(rows.axis)
    if not checks.is_concrete(rows):
        own = filled_rows.longer(rows, axis, n)
        own = jax.tree.map(lambda leaf: lax.with_sharding_constraint(leaf, sharding), own)
        return own._replace(shards=shards)

    def spread(leaf: Any, absent: Any = None) -> Array:
        return _spread(leaf, axis, n, sharding, absent)

    own = jax.tree.map(spread, rows._replace(weight=None, first=None))
    first = None if rows.first is None else spread(rows.first, True)
    return own._replace(weight=spread(rows.weight, 0), first=first, shards=shards)


def _spread(leaf: Any, axis: int, n: int, sharding: NamedSharding, absent: Any) -> Array:
    """Each device is sent its own part, so that a table is not copied to fill it up: to n along
    the axis, with `absent`, or else with what is first."""
    if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
        return leaf
    source, had = placement.in_place(leaf), leaf.shape[axis]

    def part(index: Any) -> Any:
        first, stop, _ = index[axis].indices(n)
        before = (slice(None),) * axis
        if stop <= had:
            return source[(*before, slice(first, stop))]
        at = np.arange(first, stop)
        own = source[(*before, np.where(at < had, at, 0))]
        if absent is None:
            return own
        new = np.reshape(at >= had, [-1 if i == axis else 1 for i in range(leaf.ndim)])
        return np.where(new, np.asarray(absent, leaf.dtype), own)

    shape = (*leaf.shape[:axis], n, *leaf.shape[axis + 1 :])
    return jax.make_array_from_callback(shape, sharding, part)


def alone(array: Any) -> Any:
    """An array that all devices have alike, or the host, on one of them; others as they are."""
    if not checks.is_concrete(array) or (_is_array(array) and not array.is_fully_replicated):
        return array
    return jax.device_put(np.asarray(array))


def gathered(array: Any) -> Any:
    """All of an array, where parts of it lie on devices of other processes; others as they are."""
    if not _is_array(array) or array.is_fully_addressable:
        return array
    return np.asarray(_everywhere(array, NamedSharding(array.sharding.mesh, PartitionSpec())))


@partial(jax.jit, static_argnames="sharding")
def _everywhere(array: Array, sharding: NamedSharding) -> Array:
    return lax.with_sharding_constraint(array, sharding)


def summed(function: Callable[..., PyTree], rows: Rows, *same: Any) -> PyTree:
    """function(rows, *same), whose values are sums over rows: of the rows of each device, added up.

    same: what is alike on all devices. On each it is its own inside: a derivative with respect to
    it, taken there, is of the rows of that device alone.
    """
    shards = rows.shards
    if shards is None:
        return function(rows, *same)

    def local(rows: Rows, *same: Any) -> PyTree:
        own = jax.tree.map(lambda leaf: lax.pcast(leaf, shards.axes, to="varying"), same)
        numbers, back = ravel_pytree(function(rows, *own))  # one vector: one message
        return back(lax.psum(numbers, shards.axes))

    return _over(shards, local, PartitionSpec(), rows, *same)


def apart(function: Callable[..., PyTree], rows: Rows, kept: PyTree, *same: Any) -> PyTree:
    """function(rows, kept, *same) on each device, whose values stay there to be kept: sums that
    are added up at the end, by `total`. They have an axis of devices before their own."""
    shards = rows.shards
    of_device = PartitionSpec(shards.axes)

    def local(rows: Rows, kept: PyTree, *same: Any) -> PyTree:
        mine = jax.tree.map(lambda leaf: leaf[0], kept)
        own = jax.tree.map(lambda leaf: lax.pcast(leaf, shards.axes, to="varying"), same)
        return jax.tree.map(lambda leaf: leaf[None], function(rows, mine, *own))

    specs = shards.of_units(rows.axis).spec, of_device, *[PartitionSpec()] * len(same)
    over = jax.shard_map(
        local, mesh=shards.mesh, in_specs=specs, out_specs=of_device, check_vma=True
    )
    return over(rows._replace(shards=None), kept, *same)


@partial(jax.jit, static_argnames="shards")
def total(shards: Shards, kept: PyTree) -> PyTree:
    """What `apart` has kept, added up."""

    def local(kept: PyTree) -> PyTree:
        numbers, back = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], kept))
        return back(lax.psum(numbers, shards.axes))

    specs = PartitionSpec(shards.axes), PartitionSpec()
    over = jax.shard_map(
        local, mesh=shards.mesh, in_specs=specs[:1], out_specs=specs[1], check_vma=True
    )
    return over(kept)


def mapped(function: Callable[[Rows], PyTree], rows: Rows, axis: int) -> PyTree:
    """function(rows), whose values have the units along `axis`, counted from the last: on each
    device those of its rows."""
    shards = rows.shards
    if shards is None:
        return function(rows)
    like = jax.eval_shape(function, rows._replace(shards=None))
    out = jax.tree.map(lambda leaf: shards.of_units(leaf.ndim + axis).spec, like)
    return _over(shards, function, out, rows)


def _over(
    shards: Shards, function: Callable[..., PyTree], out: Any, rows: Rows, *same: Any
) -> PyTree:
    specs = shards.of_units(rows.axis).spec, *[PartitionSpec()] * len(same)
    over = jax.shard_map(function, mesh=shards.mesh, in_specs=specs, out_specs=out, check_vma=True)
    return over(rows._replace(shards=None), *same)
