"""Weights that are shares of a whole, such as a histogram's density: few rows stand for all."""

import numpy as np

from jaxem.core import checks, emissions, remarks
from jaxem.core.contracts import Model, Rows

_ONE = 1 + 1e-3  # weights add up to 1
REMEDY = "multiply them by the number of observations, and divide by their sum"


def check(model: Model, rows: Rows) -> None:
    """A UserWarning for weights that add up to fewer rows than the components take.

    Host side, of weights that a person gave; of sequences they add up to fewer than two.
    """
    begins = model.sequence_starts(rows)
    if not checks.is_concrete(rows.weight, begins):
        return
    each = np.asarray(rows.weight)
    weight = each if begins is None else each[np.asarray(begins).T]
    total, n = float(weight.sum(dtype=np.float64)), int(np.sum(weight > 0))
    needed = model.n_components * max(emissions.default_min_count(model, rows), 1)
    few = total <= _ONE or float(each.sum(dtype=np.float64)) < needed
    if few and total * _ONE < n:
        remarks.warn(
            f"sample_weight adds up to {total:.6g}, over {n} "
            f"{'rows' if begins is None else 'sequences'}: weights are frequencies, and these tell "
            f"of too few observations to fit; if they are shares or densities, {REMEDY}"
        )


def told(total: float, n_rows: int, k: int) -> list[str]:
    """The same of a fit that collapsed."""
    if total * _ONE >= n_rows or total >= 3 * k:
        return []
    return [
        f"the weights, which are frequencies, add up to {total:.6g}, over {n_rows} rows: if they "
        f"are shares or densities, {REMEDY}"
    ]
