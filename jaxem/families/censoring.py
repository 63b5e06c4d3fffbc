"""Numbers of which some are only known to be above or below a limit: (x, side).

side: 0 where x is the number itself, 1 where that is above x, and -1 where it is below.
"""

import abc
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement, tables
from jaxem.core.capabilities import holes
from jaxem.families.independent_columns import IndependentColumns


class Censored(IndependentColumns):
    """Data (x, side), each (n, d); before a family of x alone among the bases of a class."""

    sides: ClassVar[tuple[int, ...]] = (-1, 0, 1)

    @abc.abstractmethod
    def draw(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        """Numbers as if there were no limits."""

    def read(self, data: Any) -> Any:
        x, side = tables.pair(data, "(x, side), side 0 where x is no limit")
        x, side = tables.table(x), tables.table(side, "side")
        if side.shape != x.shape:
            raise ValueError(
                f"side has shape {side.shape}, x has {x.shape}: give one for each cell"
            )
        return x, side.astype(x.dtype)

    def check_imputable(self) -> None:
        raise ValueError(f"{self!r} fills no holes: a number beyond a limit is none")

    def check(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        x, side = x
        super().check(x, weight, names)

        def wrong(side: Any) -> Any:
            return ~np.any([side == of for of in self.sides], axis=0)

        what = f"sides that are not among {', '.join(map(str, self.sides))}"
        remedy = "0 is for x itself, 1 for a number above it, -1 for one below"
        checks.require_cells(placement.in_place(side), weight, names, wrong, what, remedy)

    def informative(self, x: Any) -> Any:
        return holes.any_number(x[0])

    def as_params(self, params: Any, x: Any, k: int) -> Any:
        return super().as_params(params, x[0], k)

    def like_x(self, params: Any) -> Any:
        x = super().like_x(params)
        return x, x

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        return super().coordinates(x[0])

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Any:
        """Numbers without limits."""
        x = self.draw(key, params, labels)
        return x, jnp.zeros_like(x)

    def resample_like(self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]) -> Any:
        """Where there was a limit, it is there again."""
        limit, side = x
        new = self.draw(key, params, labels)
        beyond = side * (new - limit) > 0
        drawn = jnp.where(beyond, limit, new)
        return jnp.where(jnp.isnan(limit), limit, drawn), jnp.where(beyond, side, 0)
