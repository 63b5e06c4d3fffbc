"""Weights that are shares of a whole, such as a histogram's density, and no frequencies."""

from typing import NamedTuple

from jaxem.core import checks, emissions, placement, remarks
from jaxem.core.dataset import Dataset

_ONE = 1 + 1e-3  # weights add up to 1
REMEDY = "multiply them by the number of observations, and divide by their sum"


class Weighed(NamedTuple):
    """Sums of the weights of rows, or of sequences: how many are there, and what of all steps."""

    total: float
    n: int
    of_steps: float


def check(data: Dataset) -> None:
    """A UserWarning for weights that add up to fewer rows than the components take.

    Host side, of weights that a person gave; of sequences they add up to fewer than two.
    """
    model = data.model
    if not checks.is_concrete(data.rows.weight):
        return
    total, n, of_steps = data.once(_weighed)
    needed = model.n_components * max(emissions.default_min_count(model, data.rows), 1)
    few = total <= _ONE or of_steps < needed
    if few and total * _ONE < n:
        remarks.warn(
            f"sample_weight adds up to {total:.6g}, over {n} "
            f"{'rows' if data.layout is None else 'sequences'}: weights are frequencies, and these "
            f"tell of too few observations to fit; if they are shares or densities, {REMEDY}"
        )


def _weighed(data: Dataset) -> Weighed:
    each, where = placement.in_place(data.rows.weight), data.layout
    weight = each if where is None else each[where.offset, where.lane]
    return Weighed(float(weight.sum()), int((weight > 0).sum()), float(each.sum()))


def told(total: float, n_rows: int, k: int) -> list[str]:
    """The remark for a fit that collapsed."""
    if total * _ONE >= n_rows or total >= 3 * k:
        return []
    return [
        f"the weights, which are frequencies, add up to {total:.6g}, over {n_rows} rows: if they "
        f"are shares or densities, {REMEDY}"
    ]
