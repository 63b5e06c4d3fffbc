"""Everything runs in float64, under JAX's strict rules, with shapes checked at every call."""

import zlib

import jax
import jaxtyping
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

jaxtyping.install_import_hook("jaxem", "beartype.beartype")


@pytest.fixture
def getkey(request):
    """A source of fresh keys, seeded by the test's name; the seed is shown when a test fails."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"getkey seed: {seed}")
    root, count = jax.random.key(seed), 0

    def next_key():
        nonlocal count
        count += 1
        return jax.random.fold_in(root, count)

    return next_key
