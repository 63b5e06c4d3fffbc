"""What `partial_fit` keeps between batches, and its step: that of `jaxem.fit_online`."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import checks, emissions
from jaxem.core.contracts import Params, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.families.gaussian.prior import GaussianPrior
from jaxem.fitting import online, sizes
from jaxem.fitting.execution import Execution
from jaxem.fitting.online import EXPONENT, OFFSET, Pace, State
from jaxem.fitting.options import acceleration
from jaxem.models.mixture import Mixture, MixturePrior

_NEVER = np.iinfo(np.int32).max  # the batch from which on a mean is taken: the steps themselves


class Progress(NamedTuple):
    """Where it is, as NumPy arrays that pickle. weight: of all rows so far."""

    model: Mixture
    state: State
    weight: float


def begun(model: Mixture, params: Params, X: np.ndarray, weight: Any, reg_covar: Any) -> Progress:
    """At the fit of the first batch."""
    execution, rows, prior = _read(model, X, weight, reg_covar)
    params = model.as_params(params, rows)
    state = jax.device_get(online.begun(execution, params, rows, prior))
    return Progress(model, state, _total(rows))


def moved(before: Progress, X: np.ndarray, weight: Any, reg_covar: Any) -> Progress:
    """One step, by a batch."""
    execution, rows, prior = _read(before.model, X, weight, reg_covar)
    total = before.weight + _total(rows)
    of = partial(checks.cast, dtype=X.dtype)
    pace = Pace(of(EXPONENT), of(OFFSET), of(total), checks.cast(_NEVER, np.int32))
    state = jax.tree.map(jnp.asarray, before.state)
    found = jax.device_get(online.step(execution, state, rows, prior, pace))
    return Progress(before.model, found, total)


def _read(
    model: Mixture, X: np.ndarray, weight: Any, reg_covar: Any
) -> tuple[Execution, Rows, Prior]:
    rows = as_dataset(model, X, weight).filled
    given = MixturePrior(components=GaussianPrior(reg_covar=reg_covar))
    prior = model.as_prior(given, None, emissions.like(model, rows))
    block = sizes.block_size(model, rows)
    return Execution(model, block, 1, acceleration(None)), rows, prior


def _total(rows: Rows) -> float:
    return float(np.sum(np.asarray(rows.weight), dtype=float))
