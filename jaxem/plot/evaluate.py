"""The numbers behind the pictures, in NumPy on the host."""

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from jaxem.analysis.predict import log_prob, smoothed
from jaxem.core import emissions, parameters, tables
from jaxem.core.capabilities import pivots
from jaxem.core.contracts import Family, Params
from jaxem.core.dataset import Dataset, as_dataset, as_given
from jaxem.families import Gaussian, StudentT
from jaxem.models import HMM, Mixture, MixtureParams
from jaxem.models.packing import Layout, layout

MOST_ROWS = 5000  # more points cannot be told apart


def precision(values: Any) -> AbstractContextManager:
    """float64 switched on for what is inside where the values are float64, else off."""
    return jax.enable_x64(jax.tree.leaves(values)[0].dtype == np.float64)


def ready(model: Any, params: Params) -> Params:
    """The parameters checked, as NumPy arrays in their own dtype.

    ValueError for families that have no means and covariances to draw.
    """
    plain = isinstance(model, Mixture) and not model.n_covariates
    if not plain or not isinstance(model.family, Gaussian | StudentT):
        raise ValueError(
            f"{model!r} has no ellipses and curves to draw: this picture is of Gaussian and t "
            "mixtures; starts, criterion, trace, likelihood_slice are of any model, density of one "
            "column, decoded and transition_matrix of hidden Markov models, item_profiles of "
            "classes"
        )
    with precision(jax.tree.map(np.asarray, params)):
        return jax.device_get(model.as_params(params, None))


class Sample(NamedTuple):
    """The rows that are drawn, (m, d), of n."""

    x: np.ndarray
    n: int


def sample(x: Any) -> Sample:
    """All rows, or a random sample without replacement of a long table, the same each time."""
    x = tables.table(as_given(x))
    n = x.shape[0]
    return Sample(np.asarray(x[some(n)] if n > MOST_ROWS else x), n)


def some(n: int) -> np.ndarray:
    """Which of n rows are drawn, in order: all, or some at random."""
    if n <= MOST_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MOST_ROWS, replace=False))


class Drawable(NamedTuple):
    """Parameters and data that fit each other.

    table: (n, d), rows, or steps sequence after sequence; NaN where a number was not observed.
    """

    params: Params
    table: np.ndarray


def given(model: Any, params: Params, x: Any, lengths: Any = None) -> Drawable:
    """Both checked, as NumPy arrays; parts of the data, such as (X, y), stand side by side."""
    with precision(jax.tree.map(np.asarray, params)):
        data = as_dataset(model, x, lengths=lengths)
        rows, where = data.rows, data.layout
        params = jax.device_get(model.as_params(params, rows))
        n = rows.weight.size
        parts = jax.tree.leaves(pivots.given(model.family, emissions.family_rows(model, rows)))
        table = np.concatenate([np.asarray(part, float).reshape(n, -1) for part in parts], axis=1)
        if where is not None:
            observed = np.asarray(rows.observed).reshape(n, 1)
            table = np.where(observed, table, np.nan)[where.places]
    return Drawable(params, table)


def laid(x: Any, lengths: Any) -> Layout:
    """Where the sequences lie."""
    return x.layout if isinstance(x, Dataset) else layout(x, lengths)


def by_sequence(where: Layout, values: Any) -> list[np.ndarray]:
    """What is arranged as the sequences are, as a list of them."""
    if where.form == "one":
        return [np.asarray(values)]
    return [np.asarray(own)[:n] for own, n in zip(values, where.lengths, strict=True)]


def occupancy(model: HMM, params: Params, x: Any, lengths: Any, seen: np.ndarray) -> np.ndarray:
    """The mean of P(state | sequence) over the steps marked in `seen`, (k,)."""
    with precision(params):
        data = as_dataset(model, x, lengths=lengths)
        found = by_sequence(data.layout, smoothed(data, params))
    shares = np.concatenate(found)[seen].mean(axis=0, dtype=float)
    return shares.astype(params.initial.dtype)


def n_columns(params: Params) -> int:
    return np.shape(params.components.means)[1]


def column_index(column: Any, d: int) -> int:
    """The column counted from 0; ValueError where there is none."""
    if not isinstance(column, (int, np.integer)) or not -d <= column < d:
        raise ValueError(f"column is {column!r}; give a whole number from 0 to {d - 1}")
    return int(column) % d


def marginal(model: Any, params: Params, columns: list[int]) -> tuple[Any, Params]:
    """The mixture's marginal of some columns, and its parameters."""
    if columns == list(range(n_columns(params))):
        return model, params
    family, own = model.family.marginal(params.components, np.array(columns))
    rest = model.background.marginal(params, np.array(columns))
    made = model.background.params_type
    return replace(model, family=family), made(params.weights, own, *rest)


def shares(model: Any, params: Params) -> np.ndarray:
    """What each component has of all rows, (k,): without noise its weight."""
    logs = _log_shares(model, params)
    return params.weights if logs is None else params.weights * np.exp(logs.components)


def _log_shares(model: Any, params: Params) -> Any:
    with precision(params):
        return jax.device_get(model.background.log_shares(jax.device_put(params)))


def log_joint(model: Any, params: Params, x: np.ndarray) -> np.ndarray:
    """log w[k] + log p_k(x[n]), (n, k), in the dtype of params, and that of noise after them.

    -inf for a component that is absent, and for one that is singular: it has no density. Components
    are evaluated one by one, so that a singular one leaves the others alone.
    """
    regular = (params.weights > 0) & ~is_singular(model, params)
    one, family = Mixture(model.family, 1), model.family
    x = np.asarray(x, params.weights.dtype)
    result = np.full((len(x), model.n_components), -np.inf)
    for i in np.flatnonzero(regular):
        own = parameters.take(family.constraints, params.components, np.array([i]))
        alone = MixtureParams(np.ones_like(params.weights[:1]), own)
        with precision(params):
            each = np.asarray(log_prob(one, alone, x), float) + np.log(float(params.weights[i]))
        result[:, i] = np.where(np.isnan(each), -np.inf, each)
    logs = _log_shares(model, params)
    if logs is None:
        return result
    noise = np.full((len(x), 1), float(logs.noise))
    return np.concatenate([result + float(logs.components), noise], axis=1)


def is_singular(model: Any, params: Params) -> np.ndarray:
    """Which components are there, but singular to the dtype, (k,)."""
    with precision(params):
        ratio = np.asarray(_variance_ratio(model.family, jax.device_put(params)))
    return (params.weights > 0) & ~(ratio > 0)


@partial(jax.jit, static_argnames="family")
def _variance_ratio(family: Family, params: Params) -> Array:
    return family.variance_ratio(params.components, params.weights, None)


def densities(joint: np.ndarray) -> np.ndarray:
    """exp(joint), (n, k), cut at 1e260: spikes of a collapsed component do not overflow."""
    return np.exp(np.minimum(joint, 600.0))


def posterior(joint: np.ndarray) -> np.ndarray:
    """Responsibilities (n, k), NaN in a row without density."""
    largest = joint.max(axis=1, keepdims=True)
    shifted = np.exp(joint - np.where(np.isneginf(largest), 0.0, largest))
    total = shifted.sum(axis=1, keepdims=True)
    return np.divide(shifted, total, out=np.full_like(shifted, np.nan), where=total > 0)


def moments(family: Any, components: Params) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of each column within each component, (k, d) both; of t
    components the roots of their scales."""
    with precision(components):
        means, covariances, *_ = jax.device_put(components)
        variances = np.asarray(family.covariance.variances(covariances, *means.shape), float)
    return np.asarray(means, float), np.sqrt(np.maximum(variances, 0.0))


def roots(model: Any, params: Params) -> np.ndarray:
    """Lower Cholesky factors (k, d, d), NaN where singular."""
    with precision(params):
        means, covariances, *_ = jax.device_put(params.components)
        return np.asarray(model.family.covariance.cholesky(covariances, *means.shape), float)


def line(
    low: float, high: float, means: np.ndarray, deviations: np.ndarray, size: int = 512
) -> np.ndarray:
    """Where to evaluate one column, in order: denser around every component, narrow ones too.

    From low to high, and on to 4 standard deviations, but no further than high - low once more.
    """
    span = high - low if high > low else 2.0 * max(1.0, float(deviations.max()))
    first = max(low - span, min(low, float((means - 4 * deviations).min())))
    last = min(high + span, max(high, float((means + 4 * deviations).max())))
    if not first < last:
        first, last = low - span / 2, high + span / 2
    # Out to 9 standard deviations even a spike is down to nothing: no wedge at its foot.
    near = (means[:, None] + deviations[:, None] * np.linspace(-9, 9, 145)).ravel()
    return np.sort(np.append(np.linspace(first, last, size), np.clip(near, first, last)))
