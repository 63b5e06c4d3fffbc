"""Trees of numbers that must be the same, and the cases they are compared for."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import pytest


def close(a: Any, b: Any, rtol: float = 1e-10, atol: float = 1e-10) -> None:
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=atol), a, b)


def cases(names: Iterable[str], slow: Iterable[str]) -> list[Any]:
    """Parameters of a fixture, those that say little beside the others marked as slow."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]
