"""Columns of few distinct values, where a variance that components share may go to 0. Host side.

With a component at each value, such a variance is 0 within all of them: the likelihood has no
bound, and its high local maxima are about the values, not about groups of rows.
"""

from typing import Any

import numpy as np

from jaxem.core import checks, placement


def remarks(
    x: Any, weight: Any, names: tuple[str, ...] | None, k: int, of: str = "variance"
) -> tuple[str, ...]:
    """Of the columns of (n, d) with no more values than there are components, and more than 1."""
    if k == 1 or not checks.is_concrete(x, weight):
        return ()
    called = names or tuple(map(str, range(x.shape[1])))
    return tuple(
        f"column {called[j]} has {n} distinct values, no more than the {k} components: with one at "
        f"each value their common {of} goes to 0 and the likelihood grows without bound; take "
        "fewer components, a prior, or the column as categories (families.Product)"
        for j, n in enumerate(_n_values(x, weight, k))
        if 1 < n <= k
    )


def _n_values(x: Any, weight: Any, most: int) -> list[int]:
    """Distinct numbers of each column in rows of positive weight; no further than most + 1."""
    seen = [np.empty(0, x.dtype)] * x.shape[1]
    for block, own in placement.host_blocks((x, weight), placement.FEW):
        there = block[own > 0]
        for j, values in enumerate(seen):
            if len(values) <= most:
                column = there[:, j]
                seen[j] = np.unique(np.append(values, column[~np.isnan(column)]))
        if min(map(len, seen)) > most:
            break
    return [len(values) for values in seen]
