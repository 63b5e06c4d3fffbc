"""The table of how well the parameters of a fit are known."""

import warnings
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from jaxem.analysis.intervals import confidence_intervals
from jaxem.analysis.standard_errors import names
from jaxem.cli import report
from jaxem.fitting.result import Result

LEVEL = 0.95


class Errors(NamedTuple):
    """method: of the standard errors; reg_covar: of the fit."""

    method: str
    reg_covar: float


def of(result: Result, x: Any, errors: Errors) -> tuple[Table, list[str]]:
    """-> (each number with its interval, what is to be said of them); ValueError for none."""
    model, params = result.about.model, result.params
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = confidence_intervals(
            model, params, x, LEVEL, errors=errors.method, reg_covar=errors.reg_covar
        )
    table = report.table("parameter", "estimate", "std. error", f"{100 * LEVEL:g} % from", "to")
    half = jax.scipy.special.ndtri((1 + LEVEL) / 2)
    leaves = [np.ravel(leaf) for tree in (params, *found) for leaf in jax.tree.leaves(tree)]
    n = len(leaves) // 3
    estimate, lower, upper = (np.concatenate(leaves[i * n : (i + 1) * n]) for i in range(3))
    for name, value, low, high in zip(names(params), estimate, lower, upper, strict=True):
        if not _twice(name):
            error = (high - low) / (2 * float(half))
            table.add_row(_short(name), *map(_number, (value, error, low, high)))
    return table, [str(warning.message) for warning in caught]


def _twice(name: str) -> bool:
    """Whether it is in the upper triangle of a covariance matrix, whose lower one is there."""
    field, _, index = name.rpartition(".")[2].partition("[")
    places = index.rstrip("]").split(", ")
    matrix = field == "covariances" and len(places) > 1
    return matrix and int(places[-1]) > int(places[-2])


def _short(name: str) -> str:
    return name.removeprefix("components").removeprefix("emissions").lstrip(".")


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "-"
