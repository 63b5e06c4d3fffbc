"""The numbers of a hidden Markov model as a person gives them -> checked arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import checks, parameters, tables
from jaxem.core.contracts import Family, Params, Prior
from jaxem.models import priors, transitions
from jaxem.models.markov_chain import ChainPrior


class HMMParams(NamedTuple):
    """initial (k,); transition (k, k), from row to column; emissions: the family's."""

    initial: Array
    transition: Array
    emissions: Params


class HMMPrior(NamedTuple):
    """Dirichlet(initial) on the initial law and Dirichlet(transition) on the rows of the
    transition matrix, numbers or (k,) and (k, k), with `sticky` added on its diagonal; emissions:
    the family's prior; fixed: `HMMParams` that are known, NaN or None where they are free; trim:
    the share of the steps that does not count, of the least likely sequences; None: all do."""

    initial: Any = 1.0
    transition: Any = 1.0
    sticky: Any = 0.0
    emissions: Prior = None
    fixed: Any = None
    trim: Any = None


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


def as_prior(model: Any, prior: Any, reg_covar: Any, x: Any, fixed: Any) -> HMMPrior | None:
    """model: an `HMM`."""
    family, k = model.family, model.n_states
    if priors.asks_nothing(family, prior, reg_covar, fixed):
        return None
    prior = HMMPrior() if prior is None else prior
    checks.fields(prior, HMMPrior, "prior")
    fixed, dtype = prior.fixed if fixed is None else fixed, jax.tree.leaves(x)[0].dtype
    if fixed is not None:
        checks.fields(fixed, HMMParams, "fixed")
        like = HMMParams(*priors.like(family, x, k, (k,), (k, k)))
        fixed = parameters.read_fixed(model.constraints, fixed, like, "fixed")
    return HMMPrior(
        priors.strength(prior.initial, (k,), 1, dtype, "initial"),
        priors.strength(prior.transition, (k, k), 1, dtype, "transition"),
        priors.strength(prior.sticky, (k,), 0, dtype, "sticky"),
        priors.of_family(family, prior.emissions, reg_covar, x, k),
        fixed,
        None if prior.trim is None else checks.cast(checks.share(prior.trim, "trim"), dtype),
    )


def of_chain(prior: HMMPrior | None) -> ChainPrior | None:
    if prior is None:
        return None
    return ChainPrior(prior.initial - 1, prior.transition - 1 + jnp.diag(prior.sticky))
