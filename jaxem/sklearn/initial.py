"""Where the estimator's starts begin, beyond the rules that `jaxem.fit` has."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.utils import check_array

from jaxem.core import checks
from jaxem.core.contracts import Rows
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.gaussian import GaussianParams
from jaxem.fitting.effort import program
from jaxem.models import seeding
from jaxem.models.mixture import Mixture, MixtureParams, MixturePrior, MixtureStatistics
from jaxem.sklearn import precisions


class FixedInit(NamedTuple):
    """Starting parameters that a person gave; None for those that the starts choose."""

    weights: Any
    means: Any
    covariances: Any


def read(
    weights: Any, means: Any, precision: Any, structure: Covariance, k: int, d: int
) -> FixedInit:
    """weights_init, means_init and precisions_init, checked; ValueError for what cannot be."""
    weights = _array(weights, (k,), "weights_init")
    if weights is not None and not (weights.min() >= 0 and abs(weights.sum() - 1) <= 1e-6):
        raise ValueError(f"weights_init is {weights}; it must be from 0 and add up to 1")
    means = _array(means, (k, d), "means_init")
    precision = _array(precision, structure.shape(k, d), "precisions_init")
    if precision is None:
        return FixedInit(weights, means, None)
    try:
        return FixedInit(weights, means, precisions.covariances(precision, structure.name))
    except np.linalg.LinAlgError:
        what = "symmetric and positive definite" if structure.matrices else "positive"
        raise ValueError(f"precisions_init must be {what} ({structure.name})") from None


def _array(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if value is None:
        return None
    array = check_array(value, dtype="float64", ensure_2d=False, allow_nd=True, input_name=name)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; give {shape}")
    return array


def complete(params: MixtureParams, given: FixedInit) -> MixtureParams:
    """Starting parameters (r, ...), with what is given in place of its part."""
    chosen = [np.asarray(leaf) for leaf in (params.weights, *params.components)]
    weights, means, covariances = (
        checks.cast(np.broadcast_to(old if new is None else new, old.shape), params.weights.dtype)
        for old, new in zip(chosen, given, strict=True)
    )
    return MixtureParams(weights, GaussianParams(means, covariances))


@program("model", "n_starts")
def random_responsibilities(
    model: Mixture, rows: Rows, prior: MixturePrior, key: Array, n_starts: int
) -> MixtureParams:
    """One M-step from responsibilities drawn uniformly and scaled to add up to 1; (r, ...).

    Large tables are sampled for each start, as for every other rule.
    """
    k = model.n_components

    def one(index: Array) -> MixtureParams:
        key_rows, key_shares = jax.random.split(jax.random.fold_in(key, index))
        few = rows.weight.size <= seeding.SAMPLE
        x, weight, *_ = rows if few else seeding.sample(key_rows, rows)
        draws = jax.random.uniform(key_shares, (k, weight.shape[0]), weight.dtype)
        shares = draws * (weight / jnp.sum(draws, axis=0))[None]
        own = model.family.fit_one_component(x, weight, k)  # the origin of the sums
        prepared = model.family.prepare(own, None)
        _, cache = model.family.evaluate(prepared, x)
        sums = model.family.statistics(prepared, x, cache, shares)
        sums = model.family.finalize_statistics(prepared, sums)
        statistics = MixtureStatistics(jnp.sum(shares), jnp.sum(shares, axis=1), sums)
        params = MixtureParams(jnp.ones((k,), weight.dtype), own)
        return model.m_step(params, statistics, prior)

    return jax.lax.map(one, jnp.arange(n_starts, dtype=jnp.int32))
