"""What the means and covariances of components are called, of normal and of t components."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxem.core.capabilities.describing import Line
from jaxem.families.gaussian.covariance import Covariance


def lines(
    structure: Covariance, means: Any, matrices: Any, columns: Sequence[str], what: str
) -> list[Line]:
    """Mean and deviation of each column, then the correlations that the structure has.

    what: the root of a diagonal number. matrices: in the form of the structure.
    """
    variances = np.asarray(structure.variances(matrices, *means.shape))
    found = []
    for j, name in enumerate(columns):
        deviation = np.sqrt(variances[:, j])
        found += [Line(name, "mean", means[:, j]), Line(name, what, deviation)]
    if not structure.matrices:
        return found
    each = np.broadcast_to(matrices, (*means.shape, means.shape[1]))
    for i, one in enumerate(columns):
        for j, other in enumerate(columns[:i]):
            with np.errstate(invalid="ignore", divide="ignore"):  # of a constant column
                value = each[:, i, j] / np.sqrt(variances[:, i] * variances[:, j])
            found.append(Line(f"{other}, {one}", "correlation", value))
    return found
