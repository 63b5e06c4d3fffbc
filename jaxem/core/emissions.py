"""A model's questions to its family, the same for every latent structure over one."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxem.core import checks, parameters, placement
from jaxem.core.capabilities import collapse, digits, holes, identified, pivots, simulating
from jaxem.core.dataset import Dataset
from jaxem.core.model import Model
from jaxem.core.numerics import safe_divide
from jaxem.core.rows import Rows, flat, materialize_order, slice_units
from jaxem.core.values import Health, Params, Place, Prepared, Prior, Statistics

Remarks = tuple[str, ...]

_AT_BOUND = 1e-6  # relative difference of eigenvalues that are equal


# ---- rows as the family takes them


def family_rows(model: Model, rows: Rows) -> PyTree:
    """x with one leading axis; tiles only where the family makes use of them."""
    if rows.weight.ndim == 1:
        return rows.x
    if rows.first is None and model.family is not None:
        return holes.flatten_tiles(model.family, rows.x)
    return flat(rows.x, rows.weight.ndim)


def like(model: Model, rows: Rows) -> PyTree:
    """Shapes and dtypes of `family_rows`, without tracing it."""
    if rows.weight.ndim == 1:
        return rows.x
    skip = rows.weight.ndim if rows.order is None else 1

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*rows.weight.shape, *leaf.shape[skip:]), leaf.dtype)

    return family_rows(model, rows._replace(x=jax.tree.map(shape, rows.x)))


def like_x(model: Model, params: Params) -> PyTree:
    """Host side: the shape and dtype of one row that the parameters were made for."""
    family = model.family
    found = None if family is None else family.like_x(model.of_family(params))
    if found is None:
        raise ValueError(f"{model!r} does not tell what rows its parameters are of: give x")
    return found


def with_holes(model: Any) -> Any:
    """The same model for rows with NaN where a cell was not observed."""
    if model.family is None:
        return model
    return replace(model, family=holes.with_holes(model.family))


def n_columns(model: Model, rows: Rows) -> int:
    """How many numbers a row has, as it was given."""
    skip = rows.weight.ndim if rows.order is None else 1
    row = jax.tree.map(lambda p: jax.ShapeDtypeStruct((1, *p.shape[skip:]), p.dtype), rows.x)
    if model.family is None:
        return checks.n_numbers(row, 1)
    return pivots.n_columns(model.family, row)


# ---- the two steps


def stable_form(model: Model, prepared: Prepared) -> tuple[Array, Prepared] | None:
    """The family's `stable_form`: when something else must be used instead of `prepared`."""
    if model.family is None:
        return None
    found = digits.stable_form(model.family, model.of_family(prepared))
    return None if found is None else (found[0], model.with_family(prepared, found[1]))


def finalize_statistics(model: Model, prepared: Prepared, statistics: Statistics) -> Statistics:
    """The sums over all rows as `m_step` takes them."""
    if model.family is None:
        return statistics
    sums = model.of_family(prepared), model.of_family(statistics)
    return model.with_family(statistics, model.family.finalize_statistics(*sums))


def recentre(model: Model, statistics: Statistics, old: Params, new: Params) -> Statistics:
    """The family's `recentre`: sums of an E-step at `old`, as `m_step` takes them with `new`."""
    if model.family is None:
        return statistics
    both = model.of_family(old), model.of_family(new)
    moved = model.family.recentre(model.of_family(statistics), *both)
    return model.with_family(statistics, moved)


def rounding(model: Model, statistics: Statistics) -> Float[Array, ""]:
    """The family's `rounding`: what the log-likelihood may be off by beyond that of its sum."""
    if model.family is None:
        return jnp.zeros((), jax.tree.leaves(statistics)[0].dtype)
    return digits.rounding(model.family, model.of_family(statistics))


def fixed(prior: Prior | None) -> Params | None:
    """The numbers that a model's prior fixes, NaN where they are free; None where it fixes none."""
    return None if prior is None else prior.fixed


def bounded(model: Model, prior: Prior | None, ratio: Any) -> Prior:
    """Host side: a model's prior as a person has it, with a bound on ratios of eigenvalues."""
    if model.family is None:
        raise ValueError(f"max_eigenvalue_ratio is for covariances; {model!r} has none")
    prior = model.flat_prior if prior is None else prior
    own = collapse.bounded(model.family, model.of_family(prior), ratio)
    return model.with_family(prior, own)


def can_be_bounded(model: Model) -> bool:
    """Whether `max_eigenvalue_ratio` means something."""
    return isinstance(model.family, collapse.Bounds) and model.family.can_be_bounded


def at_bound(model: Any, params: Params) -> Array:
    """Which components have the smallest eigenvalue of all, (k,)."""
    own = jnp.where(
        model.active(params), model.family.smallest_eigenvalues(model.of_family(params)), jnp.inf
    )
    return own <= (1 + _AT_BOUND) * jnp.min(own)


def within_bounds(model: Model, params: Params, prior: Prior | None) -> Params:
    """Parameters that the prior's bound allows, near these; those that it allows as they are."""
    if prior is None or model.family is None:
        return params
    own = collapse.within_bounds(
        model.family, model.of_family(params), model.active(params), model.of_family(prior)
    )
    return model.with_family(params, own)


def n_free_parameters(model: Model, params: Params, prior: Prior | None = None) -> Array:
    """How many parameters are free, for AIC and BIC: none of those that the prior fixes."""
    return parameters.n_free(model.constraints, params, model.active(params), fixed(prior))


def at_pivot(model: Model, params: Params, rows: Rows) -> Params:
    """The parameters at the pivot of the rows: see `capabilities/pivots.py`."""
    if model.family is None:
        return params
    x = family_rows(model, slice_units(rows, 0, 1))
    own = pivots.at_pivot(model.family, model.of_family(params), x)
    return model.with_family(params, own)


def from_pivot(model: Model, params: Params, rows: Rows) -> Params:
    """The way back."""
    if model.family is None:
        return params
    x = family_rows(model, slice_units(rows, 0, 1))
    own = pivots.from_pivot(model.family, model.of_family(params), x)
    return model.with_family(params, own)


def resample_rows(
    model: Model, key: Array, components: Params, rows: Rows, labels: Int[Array, "*n"]
) -> Rows:
    """The rows with numbers drawn from these components."""
    rows = materialize_order(rows)
    x, labels = family_rows(model, rows), jnp.reshape(labels, -1)
    drawn = simulating.resample_like(model.family, key, components, x, labels)
    return rows._replace(
        x=jax.tree.map(lambda new, old: jnp.reshape(new, old.shape), drawn, rows.x)
    )


# ---- what is said of rows, host side


def default_min_count(model: Model, rows: Rows) -> float:
    """Effective rows under which a component counts as collapsed."""
    if model.family is None:
        return 0.0
    return collapse.default_min_count(model.family, like(model, rows))


def _family_data(data: Dataset, model: Model) -> tuple[PyTree, Any]:
    """-> (x as the family takes it; its weights, `in_place`, 0 where nothing was observed)."""
    weight, observed = map(placement.in_place, (data.rows.weight, data.rows.observed))
    if data.rows.observed is not None:
        weight = placement.numpy_of(weight).where(observed, weight, 0)
    return family_rows(model, data.rows), weight.reshape(-1)


def check_identified(data: Dataset, model: Model) -> Remarks:
    """What the rows do not identify; ValueError where that is a whole column, or everything."""
    if model.family is None or not checks.is_concrete(data.rows):
        return ()
    x, weight = _family_data(data, model)
    if not (weight > 0).any():
        raise ValueError("x has no row that tells anything: what is to be fitted is all NaN")
    found = identified.check_identified(model.family, x, weight, data.names)
    return (*found, *identified.check_weights(model, data.rows, data.names))


def unbounded(data: Dataset, model: Model) -> Remarks:
    """Why the likelihood has no bound although no single component collapses."""
    if model.family is None or not checks.is_concrete(data.rows):
        return ()
    x, weight = _family_data(data, model)
    return identified.unbounded(model.family, x, weight, data.names, model.n_components)


def check_enough(data: Dataset, model: Model) -> None:
    """ValueError when there are fewer distinct rows than parts to start from.

    States of a chain may differ in the chain alone, where their emissions cannot collapse.
    """
    chain = data.layout is not None
    if checks.is_concrete(data.rows.x) and not (chain and not collapse.regularised(model.family)):
        x = _family_data(data, model)[0]
        checks.enough_rows(x, model.n_components, "states" if chain else "components")


def may_leave_open(model: Model) -> bool:
    """Whether there may be columns of which some components have no cell."""
    return model.family is not None and identified.may_leave_open(model.family)


def left_open(
    model: Model, counts: np.ndarray, both: PyTree, prior: Prior | None
) -> dict[Place, tuple[int, ...]]:
    """Columns of which nothing is known, and in which components."""
    pair = prior, fixed(prior)
    own, known = (None if of is None else model.of_family(of) for of in pair)
    return identified.left_open(model.family, counts, both, own, known)


def runs_away(model: Model) -> bool:
    """Whether the likelihood may have no maximum, and rise for ever as parameters diverge."""
    family = model.family is not None and identified.runs_away(model.family)
    return family or model.n_covariates > 0


def run_away(model: Model, statistics: Statistics, data: Dataset) -> Remarks:
    """The components whose likelihood does; statistics: at the end of the fit."""
    x, weight = _family_data(data, model)
    found = identified.run_away(model.family, model.of_family(statistics), x, weight)
    return (*found, *identified.separated(model, statistics, data.rows))


def told_of(model: Model, params: Params, names: identified.Names) -> Remarks:
    """What is to be known of the estimates of a fit."""
    if not isinstance(model.family, identified.TellsOfFit):
        return ()
    host = jax.device_get(params)
    active = np.asarray(model.active(host))
    return model.family.told_of(model.of_family(host), active, names)


# ---- how near a component is to a collapse


def health(model: Model, params: Params, counts: Float[Array, " k"], prior: Prior | None) -> Health:
    """Of each component; counts: its effective rows."""
    if model.family is None:
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]
        ratio = jnp.where(jnp.all(jnp.stack(finite)), jnp.inf, jnp.nan).astype(counts.dtype)
        return Health(counts, jnp.broadcast_to(ratio, counts.shape))
    active, total = model.active(params), jnp.sum(counts)
    known = jnp.where(total > 0, counts, active.astype(counts.dtype))  # none before an E-step
    share = safe_divide(known, jnp.broadcast_to(jnp.sum(known), counts.shape))
    ratio = _variance_ratio(model, params, share, prior)
    return Health(jnp.where(active, counts, 0), jnp.where(active, ratio, jnp.inf))


def _variance_ratio(model: Model, params: Params, share: Array, prior: Prior | None) -> Array:
    """`Health.variance_ratio` of each component, infinite where what would collapse is fixed."""
    own = None if prior is None else model.of_family(prior)
    # Absent components, which may be of any form, are no part of what the others are measured by.
    there = jnp.where(share > 0, jnp.arange(share.size), jnp.argmax(share))
    present = parameters.take(model.family.constraints, model.of_family(params), there)
    ratio = model.family.variance_ratio(present, share, own)
    known = fixed(prior)
    if known is None:
        return ratio
    safe = collapse.spread_fixed(model.family, model.of_family(known))
    return jnp.where(safe & ~jnp.isnan(ratio), jnp.inf, ratio)
