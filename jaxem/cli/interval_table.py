"""The table of how well the parameters of a fit are known."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from jaxem.analysis.bootstrap import bootstrap
from jaxem.analysis.intervals import WITHIN, confidence_intervals
from jaxem.analysis.standard_errors import standard_errors
from jaxem.cli import report
from jaxem.cli.column_types import Levels
from jaxem.cli.fit_input import FitInput
from jaxem.cli.options import FitOptions
from jaxem.cli.parameter_tables import log_odds, parts_of
from jaxem.core import parameters
from jaxem.core.constraints import Covariance
from jaxem.core.names import name, names
from jaxem.families import Bernoulli, Categorical
from jaxem.families.gaussian.linked import Linked
from jaxem.fitting.result import Result
from jaxem.models.log_odds import AgainstFirst

LEVEL = 0.95
HEAD = "parameter", "estimate", "std. error", f"{100 * LEVEL:g} % from", "to"
REFITS = 1000  # of a bootstrap


class Intervals(NamedTuple):
    """Each number of a fit: what it is called, its estimate, standard error and two ends.

    method: of the standard errors; remarks: what is to be said of them.
    """

    method: str
    rows: Sequence[tuple[str, float, float, float, float]]
    remarks: Sequence[str]


def of(result: Result, data: FitInput, method: str, options: FitOptions) -> Intervals:
    """ValueError where there are none. options: of the fit."""
    if options.trim is not None:
        raise ValueError("all rows have to count for them: leave out trim")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trees, remarks = (
            _resampled(result, data.x, options)
            if method == "bootstrap"
            else _wald(result, data.x, method, options)
        )
    figures = map(_flat, (result.params, *trees))
    called = _called(result, data.names, data.levels)
    constraints = result.provenance.model.constraints
    repeated = _flat(parameters.each(is_repeated, constraints, result.params))
    rows: Any = [
        (called.get(own, _short(own)), *map(float, values))
        for own, twice, *values in zip(names(result.params), repeated, *figures, strict=True)
        if not twice
    ]
    said = (str(warning.message) for warning in caught)
    within = "--standard-errors bootstrap stays within"
    return Intervals(method, rows, [*remarks, *(text.replace(WITHIN, within) for text in said)])


def printed(intervals: Intervals) -> Table:
    """As a table of the terminal."""
    made = report.table(*HEAD)
    for own, *figures in intervals.rows:
        made.add_row(own, *map(_number, figures))
    return made


def _called(result: Result, columns: Sequence[str], levels: Levels) -> dict[str, str]:
    """Numbers by the names of columns and categories: means[0, waiting], P(colour = red)[2]."""
    called = {}
    if result.provenance.model.n_covariates:
        for j, line in enumerate(log_odds(result.params, columns, levels)):
            for k in range(len(line.values)):
                called[f"coefficients[{k}, {j}]"] = f"log odds, {line.column}[{k}]"
    for part in parts_of(result.provenance.model, result.params, columns):
        path, family, params, names_, _ = part
        lead = f"{path}.probabilities"
        if not isinstance(family, Categorical | Bernoulli):
            called |= _by_columns(path, family.constraints, params, names_)
        for j, column in enumerate(names_):
            known = levels.get(column, ())
            if isinstance(family, Categorical):
                for k, c in np.ndindex(params.probabilities[j].shape):
                    level = known[c] if known else c
                    called[f"{lead}[{j}][{k}, {c}]"] = f"P({column} = {level})[{k}]"
            elif isinstance(family, Bernoulli):
                for k in range(len(params.probabilities)):
                    level = known[-1] if known else 1
                    called[f"{lead}[{k}, {j}]"] = f"P({column} = {level})[{k}]"
    return called


def _by_columns(lead: str, constraints: Any, params: Any, columns: Sequence[str]) -> dict[str, str]:
    """Indices that run over the columns as their names; those of components stay numbers."""
    shared = parameters.each(lambda of, leaf: of.shared, constraints, params)
    called = {}
    leaves = zip(jax.tree.leaves_with_path(params), jax.tree.leaves(shared), strict=True)
    for (path, leaf), own in leaves:
        shape = np.shape(leaf)
        first = 0 if own else 1
        over = [i >= first and n == len(columns) for i, n in enumerate(shape)]
        for at in np.ndindex(shape):
            place = [str(columns[i] if of else i) for i, of in zip(at, over, strict=True)]
            called[f"{lead}.{name(path, at)}"] = f"{name(path)}[{', '.join(place)}]"
    return called


def _wald(
    result: Result, x: Any, method: str, options: FitOptions
) -> tuple[tuple[Any, ...], list[str]]:
    """-> ((standard errors, lower and upper ends), remarks)."""
    model, reg_covar = result.provenance.model, options.reg_covar
    ends = confidence_intervals(model, result.params, x, LEVEL, errors=method, reg_covar=reg_covar)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same as of the intervals
        errors = standard_errors(model, result.params, x, method=method, reg_covar=reg_covar)
    return (errors, *ends), []


def _resampled(result: Result, x: Any, options: FitOptions) -> tuple[tuple[Any, ...], list[str]]:
    """By rows drawn with replacement."""
    key = jax.random.fold_in(jax.random.key(options.seed), 2)  # the fit's own is used
    found = bootstrap(
        result.provenance.model, result.params, x, key=key, n_boot=REFITS,
        reg_covar=options.reg_covar, max_eigenvalue_ratio=options.max_eigenvalue_ratio,
    )  # fmt: skip
    failed = f"{found.n_failed} of {REFITS} bootstrap refits failed and are left out"
    return (found.standard_errors, *found.intervals(LEVEL)), [failed] if found.n_failed else []


def _flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def is_repeated(of: Any, value: Any) -> np.ndarray:
    """Which numbers say nothing of their own: those above the diagonal of a covariance matrix, as
    the lower ones are there, and log odds of the first component, against which all are."""
    if isinstance(of, AgainstFirst):
        return np.broadcast_to(np.arange(len(value))[:, None] == 0, np.shape(value))
    matrix = isinstance(of, Covariance) or (isinstance(of, Linked) and np.ndim(value) == 3)
    every = np.ones(np.shape(value), bool)
    return np.triu(every, 1) if matrix else ~every


def _short(own: str) -> str:
    return own.removeprefix("components").removeprefix("emissions").lstrip(".")


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "-"
