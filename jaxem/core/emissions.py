"""What a model hands on to its family of rows, the same for every latent structure over one."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxem.core import checks
from jaxem.core.capabilities import collapse, holes, identified, pivots
from jaxem.core.model import Model
from jaxem.core.rows import Rows
from jaxem.core.values import Params, Place, Prior, Statistics

Names = tuple[str, ...] | None
Remarks = tuple[str, ...]


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
    if model.family is None:
        return checks.n_numbers(rows.x, rows.weight.shape[0])
    return pivots.n_columns(model.family, model.family_rows(rows))


def default_min_count(model: Model, rows: Rows) -> float:
    """Effective rows under which a component counts as collapsed."""
    if model.family is None:
        return 0.0
    return collapse.default_min_count(model.family, model.family_rows(rows))


def check_identified(model: Model, rows: Rows, names: Names) -> Remarks:
    """Host side: what the rows leave open; ValueError where that is a whole column, or all."""
    if model.family is None or not checks.is_concrete(rows.x, rows.weight):
        return ()
    x, weight = model.family_rows(rows), model.family_weight(rows)
    pairs = zip(checks.blocks(x), checks.blocks(weight), strict=True)
    if not any(holes.informative(model.family, of)[own > 0].any() for of, own in pairs):
        raise ValueError("x has no row that tells anything: what is to be fitted is all NaN")
    return identified.check_identified(model.family, x, weight, names)


def unbounded(model: Model, rows: Rows, names: Names) -> Remarks:
    """Host side: for which rows the likelihood has no bound where no component collapses."""
    if model.family is None or not checks.is_concrete(rows.x, rows.weight):
        return ()
    x, weight = model.family_rows(rows), model.family_weight(rows)
    return identified.unbounded(model.family, x, weight, names, model.n_components)


def left_open(
    model: Model, counts: np.ndarray, both: PyTree, prior: Prior | None
) -> dict[Place, tuple[int, ...]]:
    """Host side: columns of which nothing is known, and in which components."""
    if model.family is None:
        return {}
    fixed = model.fixed(prior)
    own, known = (None if of is None else model.of_family(of) for of in (prior, fixed))
    return identified.left_open(model.family, counts, both, own, known)


def runs_away(model: Model) -> bool:
    """Whether the likelihood may have no maximum, rising for ever with some parameters."""
    return model.family is not None and identified.runs_away(model.family)


def run_away(model: Model, statistics: Statistics, rows: Rows) -> Remarks:
    """Host side: which components' do; statistics: where the fit has ended."""
    x, weight = jax.tree.map(np.asarray, (model.family_rows(rows), model.family_weight(rows)))
    return identified.run_away(model.family, model.of_family(statistics), x, weight)


def at_pivot(model: Model, params: Params, rows: Rows) -> Params:
    """The parameters as the rows tell them apart: see `capabilities/pivots.py`."""
    if model.family is None:
        return params
    own = pivots.at_pivot(model.family, model.of_family(params), model.family_rows(rows))
    return model.with_family(params, own)


def from_pivot(model: Model, params: Params, rows: Rows) -> Params:
    """The way back."""
    if model.family is None:
        return params
    own = pivots.from_pivot(model.family, model.of_family(params), model.family_rows(rows))
    return model.with_family(params, own)


def spread(model: Model, params: Params, share: Array, prior: Prior | None) -> Array:
    """`Health.variance_ratio` of each component, infinite where what would collapse is fixed."""
    own = None if prior is None else model.of_family(prior)
    ratio = model.family.variance_ratio(model.of_family(params), share, own)
    fixed = model.fixed(prior)
    if fixed is None:
        return ratio
    safe = collapse.spread_fixed(model.family, model.of_family(fixed))
    return jnp.where(safe & ~jnp.isnan(ratio), jnp.inf, ratio)
