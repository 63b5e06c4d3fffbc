"""Starts, or data sets, one after another, or as many at once as an accelerator has room for."""

from typing import Any

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxem.fitting import sizes


def lanes_in_turn(function: Any) -> Any:
    """The function, which on a CPU takes the lanes of a user's vmap one after another.

    Side by side all lanes would wait for the slowest: 200 fits took 19 times as long.
    """
    if not sizes.on_cpu():
        return function

    def in_turn(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)  # where a tree has None, JAX finds no derivatives

        @jax.custom_batching.custom_vmap
        def flat(*leaves: Any) -> Any:
            return function(*jax.tree.unflatten(tree, leaves))

        @flat.def_vmap
        def lanes(size: int, batched: list[bool], *leaves: Any) -> tuple[Any, Any]:
            lane = [leaf for leaf, own in zip(leaves, batched, strict=True) if own]

            def one(lane: list[Any]) -> Any:
                own = iter(lane)
                both = zip(leaves, batched, strict=True)
                return flat(*(next(own) if of_lane else leaf for leaf, of_lane in both))

            out = lax.map(one, lane) if lane else function(*jax.tree.unflatten(tree, leaves))
            return out, jax.tree.map(lambda _: bool(lane), out)

        return flat(*leaves)

    return in_turn


def each(function: Any, starts: Any, chunk: int, count: Array | None = None) -> Any:
    """function over the leading axis, `chunk` at a time; over its first `count` if that is given.

    A count is no constant: groups of one size compile once, whatever number of starts they hold.
    Side by side the others of a group cost nothing more, and are there for its size.
    """
    if count is not None and chunk == 1:
        return _counted(jax.jit(function), starts, count)
    r = jax.tree.leaves(starts)[0].shape[0]
    if r == 1:
        one = function(jax.tree.map(lambda leaf: leaf[0], starts))
        return jax.tree.map(lambda leaf: leaf[None], one)
    return lax.map(function, starts, batch_size=None if chunk == 1 else chunk)


def _counted(function: Any, starts: Any, count: Array) -> Any:
    def at(i: Any) -> Any:
        return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, 0, False), starts)

    def put(i: Array, out: Any) -> Any:
        own = function(at(i))
        return jax.tree.map(lambda a, b: lax.dynamic_update_index_in_dim(a, b, i, 0), out, own)

    r = jax.tree.leaves(starts)[0].shape[0]
    like = jax.eval_shape(lambda: function(at(0)))
    empty = jax.tree.map(lambda leaf: jnp.zeros((r, *leaf.shape), leaf.dtype), like)
    return lax.fori_loop(0, count, put, empty)
