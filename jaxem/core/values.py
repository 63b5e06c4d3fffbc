"""Types of the contracts: what families, models and the loop pass to each other."""

from typing import Any, NamedTuple

from jaxtyping import Array, Float

Params = Any
Prepared = Any
Statistics = Any
Prior = Any

# Blocks within blocks, by name, and a column of the innermost, or two that go together.
Place = tuple[tuple[str, ...], tuple[int, ...]]


class Health(NamedTuple):
    """How near each component is to a collapse, at given parameters.

    count: effective number of rows, 0 for a component that is absent.
    variance_ratio: smallest variance relative to the pooled one; 0 where singular to the dtype,
        +inf where a collapse is impossible, NaN where the parameters are NaN.
    """

    count: Float[Array, "*starts k"]
    variance_ratio: Float[Array, "*starts k"]
