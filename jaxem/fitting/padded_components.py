"""Absent components, with which one compilation serves models of several sizes.

By NumPy: nothing compiles.
"""

import jax
import numpy as np

from jaxem.core import parameters
from jaxem.core.contracts import Model, Params
from jaxem.fitting.result import Result


def padded(model: Model, result: Result) -> Params:
    """The parameters with as many parts as `model` has, those beyond the result's own absent."""
    return with_absent(model, result.params, result.provenance.model.n_components)


def with_absent(model: Model, params: Params, k: int) -> Params:
    """k parts, with absent ones beside them up to as many as `model` has."""
    parts = np.arange(model.n_components)
    index = np.where(parts < k, parts, -1)
    return jax.device_put(parameters.take(model.constraints, jax.device_get(params), index))


def without(result: Result) -> Result:
    """The result, of NumPy's arrays, without its absent components."""
    model, host = result.provenance.model, jax.device_get(result)
    live = np.arange(model.n_components)
    last = jax.tree.map(lambda leaf: np.moveaxis(leaf, 0, -1), host.restarts.params)
    starts = parameters.take(model.constraints, last, live)  # of a part, whatever axes are behind
    starts = jax.tree.map(lambda leaf: np.moveaxis(leaf, -1, 0), starts)
    return host._replace(
        params=parameters.take(model.constraints, host.params, live),
        health=jax.tree.map(lambda leaf: leaf[live], host.health),
        collapsed=host.collapsed[live],
        restarts=host.restarts._replace(params=starts),
    )
