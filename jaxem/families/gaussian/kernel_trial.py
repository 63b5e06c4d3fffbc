"""Whether the kernels of `pair_kernels` are right on the GPU that is here: tried once a shape.

A card that Triton does not know, a tile that its shared memory does not hold, a JAX without Pallas'
Triton: then the products are written to memory, as elsewhere.
"""

from functools import cache

import jax
import numpy as np

from jaxem.core import remarks
from jaxem.families.gaussian import pairs

_ROUNDING = 1e-4  # of sums of 512 float32 products; TF32 has 1e-3 of each


@cache
def passed(k: int, d: int) -> bool:
    """Whether both kernels compile, and give what NumPy gives; true where no GPU is, for programs
    that are compiled for one elsewhere."""
    if jax.local_devices()[0].platform != "gpu":
        return True
    try:
        worst = largest_error(k, d)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        remarks.warn(_said(f"does not compile here ({' '.join(str(error).split())[:200]})"))
        return False
    if not worst <= _ROUNDING:
        remarks.warn(_said(f"is wrong here by a relative {worst:.1g}"))
        return False
    return True


def largest_error(k: int, d: int) -> float:
    """Of both kernels against float64, relative to the largest number."""
    from jaxem.families.gaussian import pair_kernels

    rng, p = np.random.default_rng(0), pairs.partners(d).size
    y = rng.normal(size=(pair_kernels.LEAST_ROWS, d)).astype(np.float32)
    both = y[:, pairs.partners(d)] * y[:, None].astype(np.float64)
    products = np.reshape(both, (len(y), p))
    c, w = (rng.normal(size=(k, of)).astype(np.float32) for of in (p, len(y)))
    forms = jax.jit(pair_kernels.quadratic_forms).lower(c, y.T).compile()
    sums = jax.jit(pair_kernels.second_moments, static_argnums=2).lower(w, y, p).compile()
    found = (forms(c, y.T), c @ products.T), (sums(w, y), w @ products)
    return max(float(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))) for a, b in found)


def _said(what: str) -> str:
    return f"the fused kernel of full covariances {what}: slower products take its place"
