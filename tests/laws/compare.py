"""Trees of numbers that must be the same."""

from typing import Any

import jax
import numpy as np


def close(a: Any, b: Any, rtol: float = 1e-10, atol: float = 1e-10) -> None:
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=atol), a, b)
