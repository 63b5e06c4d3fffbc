"""Where every start of a search collapses: the best optimum with bounded eigenvalues, instead.

The likelihood is unbounded where a component collapses, but has a maximum once the largest
eigenvalue of the covariances is at most c times the smallest (Hathaway 1985). A small c leaves few
local optima: c rises along a path, and each fit starts from where the one before ended.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks, emissions
from jaxem.core.contracts import Params, Rows
from jaxem.core.dataset import Dataset
from jaxem.core.status import CONVERGED, Status
from jaxem.fitting import starts
from jaxem.fitting.blocks import map_rows
from jaxem.fitting.driver import uncut
from jaxem.fitting.effort import program
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.result import Result

_PATH = (10.0, 100.0, 1000.0)
_NAMED = 12  # rows of a component that are listed


def instead(result: Result, data: Dataset, options: Options, begin: Starts) -> Result:
    """The result, or where it collapsed the constrained one, whose status is CONSTRAINED."""
    if not _applies(result, data, options):
        return result
    own, params = begin._replace(n_init=starts.ROUND, search=None), None
    for ratio in _PATH:
        job = prepare(data, options._replace(max_eigenvalue_ratio=ratio), own)
        job = job._replace(params=params)
        found = jax.device_get(uncut(job))
        params = found.restarts.params
    if found.status not in CONVERGED:
        return result
    tight = np.asarray(_tight(data.model, found.params))
    about = replace(
        found.provenance, remarks=(*found.provenance.remarks, *_rows(job, found, tight))
    )
    status = np.full_like(found.status, Status.CONSTRAINED)
    return found._replace(status=status, collapsed=tight, provenance=about)


def _applies(result: Result, data: Dataset, options: Options) -> bool:
    """Whether some components collapsed, not all, of a family whose eigenvalues can be bounded."""
    if not checks.is_concrete(result, data.rows) or int(result.status) != Status.DEGENERATE:
        return False
    regular = ~np.asarray(result.collapsed) & (np.asarray(result.health.count) > 0)
    asked = options.fixed is not None or options.prior is not None
    return bool(np.any(regular)) and not asked and emissions.can_be_bounded(data.model)


def _rows(job: FitPlan, found: Result, tight: Bool[np.ndarray, " k"]) -> tuple[str, ...]:
    """Remarks on which rows are those of components at the bound, where they are few."""
    if job.rows.weight.ndim > 1 or job.rows.order is not None:
        return ()
    shares = _shares(job.model, found.params, job.rows, job.block_size)
    labels = np.where(np.asarray(job.rows.weight) > 0, np.argmax(shares, axis=0), -1)
    told = []
    for component in np.flatnonzero(tight):
        rows = np.flatnonzero(labels == component)
        if 0 < len(rows) <= _NAMED:
            told.append(
                f"component {component} is of rows {', '.join(map(str, rows))}, which lie closer "
                "together than the bound lets it follow"
            )
    return tuple(told)


@program("model")
def _tight(model: Any, params: Params) -> Bool[Array, " k"]:
    return emissions.at_bound(model, params)


@program("model", "block_size")
def _shares(model: Any, params: Params, rows: Rows, block_size: int) -> Float[Array, "k n"]:
    prepared = model.prepare(params, None)
    return map_rows(lambda block: model.posterior(prepared, block)[1], rows, block_size)
