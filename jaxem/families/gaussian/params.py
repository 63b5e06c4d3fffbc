"""The numbers of Gaussian components as a person gives them -> checked arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import checks
from jaxem.families.gaussian.covariance import Covariance


class GaussianParams(NamedTuple):
    """means (k, d); covariances full (k, d, d), tied (d, d), diag (k, d), spherical (k,).

    EII (), EEI (d,), VEI and EVI (k, d), all others (k, d, d).
    """

    means: Array
    covariances: Array


def as_params(structure: Covariance, params: Any, x: Any, k: int, name: str) -> GaussianParams:
    """x: rows, or what says their shapes; name: of the family."""
    checks.fields(params, GaussianParams, "components")
    return GaussianParams(*located(structure, params, x, k, name))


def located(structure: Covariance, params: Any, x: Any, k: int, name: str) -> tuple[Array, Array]:
    """The means and the matrices, which are the first two fields of the parameters."""
    d = x.shape[1]
    columns = np.shape(params.means)[-1:] or (0,)
    if columns != (d,):
        raise ValueError(f"x has {d} columns, params were made for {columns[0]}")
    made_for, called = f"{k} components, {d} columns and {name}", type(params)._fields[1]
    means = checks.parameter(params.means, (k, d), x.dtype, "means", made_for)
    matrices = checks.parameter(params[1], structure.shape(k, d), x.dtype, called, made_for)
    structure.constraint.check(params[1], called)
    return means, matrices


def like_x(params: Any, kind: type = GaussianParams) -> Any:
    """The shape and dtype of one row that the parameters were made for."""
    checks.fields(params, kind, "components")
    means = params.means if isinstance(params.means, jax.Array) else np.asarray(params.means)
    if means.ndim != 2:
        raise ValueError(f"means has shape {means.shape}; it must be (k, d)")
    dtype = jax.dtypes.canonicalize_dtype(means.dtype)
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    return jax.ShapeDtypeStruct((1, means.shape[1]), dtype)
