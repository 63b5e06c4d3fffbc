"""What the machine can do: products and copies a second, and the floor they give an iteration."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.timing import timed

REPEATS = 5


def product_rate(dtype: str, size: int) -> float:
    """Flops a second of one large square product, at the precision that EM needs; the best of 5."""
    a = jax.device_put(np.random.default_rng(0).standard_normal((size, size)).astype(dtype))
    product = jax.jit(lambda a: jnp.matmul(a, a, precision=lax.Precision.HIGHEST))
    return 2 * size**3 / _best(lambda: product(a))


def copy_rate(size: int) -> float:
    """Bytes a second, read and written, of one large array; the best of 5.

    Its own memory is written to: fresh memory is slow for the pages that it must be given first.
    """
    negative = jax.jit(jnp.negative, donate_argnums=0)
    arrays = [jax.device_put(np.ones(size, np.float32))]

    def copy() -> jax.Array:
        arrays.append(negative(arrays.pop()))
        return arrays[0]

    return 8 * size / _best(copy)


def measure(dtypes: tuple[str, ...], product_size: int, copy_size: int) -> dict[str, float]:
    rates = {f"{dtype} product": product_rate(dtype, product_size) for dtype in dtypes}
    return rates | {"copy": copy_rate(copy_size)}


def flops(structure: str, n: int, d: int, k: int) -> float:
    """Of one iteration: a product each way with the features that the structure needs."""
    features = {"full": d * (d + 1) // 2 + d, "tied": d, "diag": 2 * d, "spherical": d}
    return 4.0 * k * n * features[structure]


def floor(ceilings: dict[str, float], structure: str, dtype: str, sizes: dict[str, int]) -> float:
    """Seconds under which no iteration can be: of its products, or of reading the data once."""
    products = flops(structure, sizes["n"], sizes["d"], sizes["k"]) / ceilings[f"{dtype} product"]
    reading = sizes["n"] * sizes["d"] * np.dtype(dtype).itemsize / ceilings["copy"]
    return max(products, reading)


def _best(function: Callable[[], jax.Array]) -> float:
    timed(function)
    return min(timed(function)[0] for _ in range(REPEATS))
