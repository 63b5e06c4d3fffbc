"""The numbers of a mixture as a person gives them -> checked arrays."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from jaxem.core import checks, parameters, tables
from jaxem.core.contracts import Family, Params, Prior
from jaxem.models import priors


class MixtureParams(NamedTuple):
    """weights (k,), summing to 1, 0 for an absent component; components: the family's."""

    weights: Array
    components: Params


class MixturePrior(NamedTuple):
    """Dirichlet(weights) on the weights (a number or (k,)); components: the family's prior.

    fixed: `MixtureParams` that are known, with NaN for numbers and None for parts that are free.
    trim: the share of the rows that does not count, those least likely; None: all do.
    precision: of normal slopes of concomitants around 0, 1 / variance; None: they are free.
    """

    weights: Any = 1.0
    components: Prior = None
    fixed: Any = None
    trim: Any = None
    precision: Any = None


def as_params(family: Family, k: int, params: Params, x: Any) -> MixtureParams:
    """x: rows, or what says their shapes."""
    dtype = tables.float_dtype(jax.tree.leaves((x, params.weights))[0])
    weights = checks.parameter(params.weights, (k,), dtype, "weights", f"{k} components")
    checks.probabilities(weights, "weights")
    return MixtureParams(weights, family.as_params(params.components, x, k))


def as_prior(model: Any, prior: Any, reg_covar: Any, x: Any, fixed: Any) -> MixturePrior | None:
    """model: a `Mixture`."""
    family, k = model.family, model.n_components
    if priors.asks_nothing(family, prior, reg_covar, fixed):
        return None
    prior = MixturePrior() if prior is None else prior
    checks.fields(prior, MixturePrior, "prior")
    fixed, dtype = prior.fixed if fixed is None else fixed, jax.tree.leaves(x)[0].dtype
    if fixed is not None:
        made = model.params_type
        checks.fields(fixed, made, "fixed")
        beside = *model.weighting.like(k, dtype), *model.background.like(x)
        like = made(*priors.like(family, x, k, (k,)), *beside)
        fixed = parameters.read_fixed(model.constraints, fixed, like, "fixed")
    return MixturePrior(
        priors.strength(prior.weights, (k,), 1, dtype, "weights"),
        priors.of_family(family, prior.components, reg_covar, x, k),
        fixed,
        None if prior.trim is None else checks.cast(checks.share(prior.trim, "trim"), dtype),
        model.weighting.as_prior(prior, dtype),
    )
