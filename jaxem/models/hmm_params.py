"""The numbers of a hidden Markov model as a person gives them -> checked arrays."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, PyTree

from jaxem.core import checks, parameters, tables
from jaxem.core.capabilities import collapse
from jaxem.core.contracts import Family, Params, Prior
from jaxem.models import transitions


class HMMParams(NamedTuple):
    """initial (k,); transition (k, k), from row to column; emissions: the family's."""

    initial: Array
    transition: Array
    emissions: Params


class HMMPrior(NamedTuple):
    """Dirichlet(initial) on the initial law and Dirichlet(transition) on the rows of the
    transition matrix, numbers or (k,) and (k, k), with `sticky` added on its diagonal; emissions:
    the family's prior; fixed: `HMMParams` that are known, NaN or None where they are free."""

    initial: Any = 1.0
    transition: Any = 1.0
    sticky: Any = 0.0
    emissions: Prior = None
    fixed: Any = None


def as_params(family: Family, k: int, kind: Any, params: Params, x: Any) -> HMMParams:
    """kind: of the transitions; x: rows, or what says their shapes."""
    checks.fields(params, HMMParams, "params")
    dtype = tables.float_dtype(jax.tree.leaves((x, params.initial))[0])
    initial = checks.parameter(params.initial, (k,), dtype, "initial", f"{k} states")
    checks.probabilities(initial, "initial")
    transition = checks.parameter(params.transition, (k, k), dtype, "transition", f"{k} states")
    if checks.is_concrete(transition, initial):
        _check_transition(np.asarray(transition), np.asarray(initial), kind)
    return HMMParams(initial, transition, family.as_params(params.emissions, x, k))


def _check_transition(transition: np.ndarray, initial: np.ndarray, kind: Any) -> None:
    """A state that is absent has no way in or out."""
    inactive = ~transition.any(axis=1) & ~transition.any(axis=0) & (initial == 0)
    for i in np.flatnonzero(~inactive):
        checks.probabilities(transition[i], f"row {i} of transition")
    closed = transition * ~transitions.mask(kind, len(transition))
    if closed.any():
        i, j = np.argwhere(closed)[0]
        raise ValueError(f"transition[{i}, {j}] is {closed[i, j]:g}, which {kind!r} rules out")


def as_prior(
    family: Family,
    k: int,
    where: PyTree,
    prior: HMMPrior | None,
    reg_covar: Any,
    x: Any,
    fixed: Any,
) -> HMMPrior | None:
    """where: the constraints of the model."""
    regularised = collapse.regularised_by(family, reg_covar)
    if prior is None and fixed is None and not regularised:
        return None
    prior = HMMPrior() if prior is None else prior
    checks.fields(prior, HMMPrior, "prior")
    emissions = prior.emissions
    if regularised or emissions is not None:
        own = reg_covar if regularised else None
        emissions = family.as_prior(emissions, own, x, k)
    dtype = jax.tree.leaves(x)[0].dtype
    fixed = prior.fixed if fixed is None else fixed
    return HMMPrior(
        _strength(prior, "initial", (k,), 1, dtype),
        _strength(prior, "transition", (k, k), 1, dtype),
        _strength(prior, "sticky", (k,), 0, dtype),
        emissions,
        _read_fixed(family, k, where, fixed, x),
    )


def _strength(prior: HMMPrior, name: str, shape: tuple[int, ...], least: int, dtype: Any) -> Array:
    value, called = getattr(prior, name), f"the prior's {name}"
    checks.numbers(value, called)
    if checks.is_concrete(value) and not np.all(np.asarray(value) >= least):
        remedy = "a Dirichlet has a mode from 1 on (1 is flat)" if least else "it must be from 0"
        raise ValueError(f"{called} is {value}; {remedy}")
    return checks.broadcast(value, shape, dtype, called)


def _read_fixed(family: Family, k: int, where: PyTree, fixed: Any, x: Any) -> HMMParams | None:
    if fixed is None:
        return None
    checks.fields(fixed, HMMParams, "fixed")
    dtype = jax.tree.leaves(x)[0].dtype
    law: Any = jax.ShapeDtypeStruct((k,), dtype)
    matrix: Any = jax.ShapeDtypeStruct((k, k), dtype)
    like = HMMParams(law, matrix, family.like_params(x, k))
    return parameters.read_fixed(where, fixed, like, "fixed")
