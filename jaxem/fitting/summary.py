"""The components of a fit as a table: a row for each, a column for each of its numbers."""

from typing import Any

import jax
import numpy as np

from jaxem.core import checks, framed
from jaxem.core.capabilities import describing
from jaxem.core.capabilities.describing import Levels, Line
from jaxem.core.column_table import ColumnTable
from jaxem.core.contracts import Model, Params
from jaxem.core.names import of_parts


def summary(
    model: Model,
    params: Params,
    columns: tuple[str, ...] | None,
    backend: str | None,
    levels: Levels | None = None,
) -> Any:
    """`Result.summary`. columns: of the data, None where they have no names. backend: of the frame
    that the data came in, None where they came in none."""
    if not checks.is_concrete(params):
        raise ValueError("the fit has no values yet; call summary outside jit, vmap and grad")
    params = jax.tree.map(np.asarray, jax.device_get(params))
    if columns is None and model.family is not None:
        columns = describing.column_names(model.family, model.of_family(params))
        columns += tuple(f"covariate {j}" for j in range(model.n_covariates))
    lines = describing.lines(model, params, columns or (), levels)
    order = _order(lines)
    table = {model.part: np.array(of_parts(model))[: model.n_components][order]}
    table |= {f"{line.column} {line.what}".strip(): line.values[order] for line in lines}
    return ColumnTable(table) if backend is None else framed.made(backend, table)


def _order(lines: list[Line]) -> np.ndarray:
    """By weight, where there is one; states stay in the order of their transitions."""
    first = lines[0]
    k = len(first.values)
    return np.argsort(-first.values, kind="stable") if first.what == "weight" else np.arange(k)
