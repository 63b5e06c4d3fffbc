"""Priors and fixed parameters of a model, as a person gives them -> checked arrays."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PyTree

from jaxem.core import checks
from jaxem.core.capabilities import collapse
from jaxem.core.contracts import Family, Params, Prior
from jaxem.core.family import like_params


def asks_nothing(family: Family, prior: Prior | None, reg_covar: Any, fixed: Any) -> bool:
    return prior is None and fixed is None and not collapse.regularised_by(family, reg_covar)


def of_family(family: Family, prior: Prior | None, reg_covar: Any, x: PyTree, k: int) -> Any:
    """The family's part; None where nothing is given for it."""
    regularised = collapse.regularised_by(family, reg_covar)
    if prior is None and not regularised:
        return None
    return family.as_prior(prior, reg_covar if regularised else None, x, k)


def strength(value: Any, shape: tuple[int, ...], least: int, dtype: Any, name: str) -> Array:
    """Numbers of a Dirichlet; its mode is inside from 1 on."""
    called = f"the prior's {name}"
    checks.numbers(value, called)
    if checks.is_concrete(value) and not np.all(np.asarray(value) >= least):
        remedy = (
            "a Dirichlet has a mode from 1 on (1 is flat): below it the posterior is unbounded "
            "where a probability is 0"
        )
        raise ValueError(f"{called} is {value}; {remedy if least else 'it must be from 0'}")
    return checks.broadcast(value, shape, dtype, called)


def like(family: Family, x: PyTree, k: int, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    """Arrays of those shapes, and the family's parameters, as shapes and dtypes."""
    dtype = jax.tree.leaves(x)[0].dtype
    own = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
    found: Params = like_params(family, x, k)
    return *own, found
