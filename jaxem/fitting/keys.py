"""Many random keys, split once and taken on the host: nothing compiles for another number."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from jaxem.core import filled_rows
from jaxem.fitting.effort import program


@dataclass(frozen=True)
class Keys:
    """data: (n, ...) of the keys; impl: of a `jax.random.key`, None of a raw one."""

    data: np.ndarray
    impl: Any

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Array:
        own = jax.device_put(self.data[index])
        return own if self.impl is None else jax.random.wrap_key_data(own, impl=self.impl)


def split(key: Array, n: int) -> Keys:
    """`jax.random.split(key, n)`."""
    # The first keys of more are those of fewer where each is made from its index.
    stable = jax.config.jax_threefry_partitionable  # type: ignore  # made as JAX is imported
    most = filled_rows.size(n, n) if stable else n
    new = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    impl = jax.random.key_impl(key) if new else None
    return Keys(np.asarray(_split(key, most))[:n], impl)


@program("n")
def _split(key: Array, n: int) -> Array:
    keys = jax.random.split(key, n)
    new = jax.numpy.issubdtype(keys.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(keys) if new else keys
