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
    assert sorted(leaf.dtype.name for leaf in found) == ["bool", "float64", "float64", "int32"]
    same(bundles.unbundle(found, TREE), TREE)
    same(bundles.unbundle(found, jax.eval_shape(lambda: TREE)), TREE)


def test_lanes_are_bundled_side_by_side():
    lanes = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), TREE)
    found = jax.vmap(bundles.bundle)(lanes)
    same(jax.vmap(lambda own: bundles.unbundle(own, TREE))(found), lanes)


def test_one_tree_or_the_other():
    other = jax.tree.map(lambda leaf: leaf + leaf, TREE)
    same(bundles.select(jnp.bool_(True), TREE, other), TREE)
    same(bundles.select(jnp.bool_(False), TREE, other), other)
