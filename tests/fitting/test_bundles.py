"""Small arrays travel as one vector, and come back as they were."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.fitting import bundles

TREE = {
    "number": jnp.float64(2.5),
    "matrix": jnp.arange(6.0).reshape(2, 3),
    "count": jnp.int32(7),
    "large": jnp.arange(5000.0).reshape(50, 100),
    "counts": (jnp.arange(3, dtype=jnp.int32), jnp.zeros((0, 2))),
    "mask": jnp.array([True, False]),
}


def same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def test_a_tree_is_a_vector_of_each_dtype_and_its_large_arrays():
    found = bundles.bundle(TREE)
    names = sorted(leaf.dtype.name for leaf in found.arrays)
    assert names == ["bool", "float64", "float64", "int32"]
    same(found.tree, TREE)
    assert found.layout == jax.eval_shape(lambda: bundles.bundle(TREE)).layout


def test_lanes_are_bundled_side_by_side():
    lanes = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), TREE)
    found = jax.vmap(bundles.bundle)(lanes)
    same(jax.vmap(lambda own: own.tree)(found), lanes)
    same(found.tree, lanes)
    same(bundles.bundle(lanes, 1), found)


def test_on_the_host_they_stay_there_as_views():
    found = jax.device_get(bundles.bundle(TREE))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found.tree))
    assert any(np.shares_memory(found.tree["matrix"], own) for own in found.arrays)
    again = bundles.bundle(found.tree)
    assert all(isinstance(leaf, np.ndarray) for leaf in again.arrays)
    same(again, found)


def test_one_tree_or_the_other():
    other = jax.tree.map(lambda leaf: leaf + leaf, TREE)
    same(bundles.select(jnp.bool_(True), TREE, other), TREE)
    same(bundles.select(jnp.bool_(False), TREE, other), other)
