"""Filling cells that were not observed, from what was observed of their rows."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.analysis.decode import sample_paths
from jaxem.analysis.predict import predict_proba
from jaxem.core import checks, emissions, remarks, tables
from jaxem.core.capabilities import holes, imputing
from jaxem.core.contracts import Family, Model, Params, Prior, Rows
from jaxem.core.inputs import waits
from jaxem.core.numerics import safe_log
from jaxem.fitting import identified, sizes
from jaxem.fitting.blocks import map_rows

_BLOCK = 4096  # rows filled at a time
_MANY = 5  # rows of a component of which none has a column: that is no accident
_UNSURE = 1e-3  # probability from which on a row is one of such a component


@waits
def impute(
    model: Model,
    params: Params,
    x: Any,
    *,
    key: Any = None,
    n_draws: int | None = None,
    lengths: Any = None,
    prior: Prior | None = None,
) -> Any:
    """x with its holes (NaN) filled by what is expected given the rest of the row.

    E[x_h | x_o] = sum_k P(k | x_o) E[x_h | x_o, k]

    For categories and 0/1 the likeliest value, for angles the mean direction; a mean of counts need
    not be whole. What was observed comes back bit for bit; a row of holes alone gets the mean of
    the mixture, a step of a sequence that of its smoothed states.
    key, n_draws: instead, tables drawn from the conditional distribution given the parameters, with
        a leading axis (n_draws, n, d): how uncertain a filled cell is, and what multiple imputation
        takes. They leave out that the parameters are estimates: draw those too (`bootstrap`) where
        that counts.
    x: as the model takes it; a model that was fitted to whole rows fills holes too.
    prior: that of the fit, where it had one.

    A hole stays NaN, with a UserWarning, where no row of its component, of several rows that there
    are, has that column: what a fit to these rows says of it there is what its start made of it.
    Only a prior, or rows that have it, tell what to expect.
    Errors: ValueError where the family's rows are whole by nature (regressions, multinomials).
    Source: Little and Rubin (2002), Statistical Analysis with Missing Data, section 11.2.
    """
    if (key is None) != (n_draws is None):
        raise ValueError("give key and n_draws together: both for draws, none for expected values")
    if key is not None:
        checks.key(key)
        checks.whole(n_draws, "n_draws", least=1)
    model = emissions.with_holes(model)
    where = model.layout(x, lengths)
    form = "rows" if where is None else where.form
    parts = list(x) if form == "list" else [jax.tree.map(_flat, x) if form == "batch" else x]
    family = model.family
    cells = [imputing.imputes(family).read_incomplete(own) for own in parts]
    shares = _together(predict_proba(model, params, x, lengths), form, axis=0)
    shares = jnp.reshape(shares, (-1, model.n_components)).T
    read = holes.joined(family, [family.read(own) for own in parts])
    read = jax.tree.map(checks.floating, read)
    components = model.of_family(model.as_params(params, None))
    if key is None or n_draws is None:
        filled = _filled(family, components, read, shares)
    else:
        key_labels, key_cells = jax.random.split(key)
        if where is None:
            labels = _labels(key_labels, shares, n_draws)
        else:
            paths = sample_paths(model, params, x, key=key_labels, n=n_draws, lengths=lengths)
            labels = jnp.reshape(_together(paths, form, axis=1), (n_draws, -1))
        filled = _drawn(family, components, read, labels, jax.random.split(key_cells, n_draws))
    filled = _without_open(model, params, x, lengths, prior, shares, filled)
    absent = ~(jnp.sum(shares, axis=0) > 0)  # steps beyond the lengths
    found, first = [], 0
    for own, there in zip(parts, cells, strict=True):
        last = first + len(jax.tree.leaves(there)[0])
        of_part = jax.tree.map(lambda leaf: leaf[..., first:last, :], filled)  # noqa: B023
        whole = jax.tree.map(partial(_merged, absent=absent[first:last]), there, of_part)
        found.append(_as_given(own, whole))
        first = last
    if form == "list":
        return found
    (whole,) = found
    if form != "batch":
        return whole
    b, t = jax.tree.leaves(x)[0].shape[:2]
    axis = 0 if key is None else 1
    return jax.tree.map(
        lambda leaf: leaf.reshape(*leaf.shape[:axis], b, t, *leaf.shape[axis + 1 :]), whole
    )


@partial(jax.jit, static_argnames=("family",))
def _filled(family: Family, components: Params, x: Any, shares: Float[Array, "k n"]) -> Any:
    def of_block(rows: Rows) -> Any:
        x, shares = rows.x
        return jax.tree.map(
            jnp.transpose, imputing.imputes(family).impute_mean(components, x, shares.T)
        )

    rows = Rows((x, shares.T), jnp.ones(shares.shape[1], shares.dtype), None)
    return jax.tree.map(jnp.transpose, map_rows(of_block, rows, min(_BLOCK, shares.shape[1])))


@partial(jax.jit, static_argnames=("family",))
def _drawn(
    family: Family, components: Params, x: Any, labels: Int[Array, "m n"], keys: Array
) -> Any:
    def one(of: tuple[Array, Array]) -> Any:
        key, labels = of
        return imputing.impute_draw(family, key, components, x, labels)

    return jax.lax.map(one, (keys, labels))


@partial(jax.jit, static_argnames=("n_draws",))
def _labels(key: Array, shares: Float[Array, "k n"], n_draws: int) -> Int[Array, "m n"]:
    shape = n_draws, shares.shape[1]
    drawn = jax.random.categorical(key, safe_log(shares), axis=0, shape=shape)
    return drawn.astype(jnp.int32)


def _without_open(
    model: Model,
    params: Params,
    x: Any,
    lengths: Any,
    prior: Prior | None,
    shares: Any,
    filled: Any,
) -> Any:
    """Filled cells set back to NaN where nothing is known of them, with a warning."""
    if not checks.is_concrete(x, params, shares, filled):
        return filled
    rows = model.rows(x, None, None, lengths)
    prior = model.as_prior(prior, None, rows.x)
    params = model.as_params(params, rows)
    found = identified.left_open(model, params, rows, prior, sizes.block_size(model, rows))
    many = found.counts >= max(_MANY, emissions.default_min_count(model, rows))
    several = np.sum(found.counts >= 1)
    # What no part has, these rows were not fitted by: a model of others fills it.
    places = {
        place: tuple(i for i in parts if many[i])
        for place, parts in found.places.items()
        if len(place[1]) == 1 and len(parts) < several
    }
    found = found._replace(places={place: parts for place, parts in places.items() if parts})
    for remark in identified.remarks(model, found, rows, tables.column_names(x)):
        remarks.warn(f"{remark}; its holes stay NaN")
    for ((path), (j,)), parts in found.places.items():
        lost = jnp.sum(shares[np.array(parts)], axis=0) > _UNSURE
        filled = _blanked(filled, path, j, lost)
    return filled


def _blanked(filled: Any, path: tuple[str, ...], j: int, lost: Array) -> Any:
    """NaN in a column of the rows that are lost; path: of the block that it is in."""
    if path:
        return {**filled, path[0]: _blanked(filled[path[0]], path[1:], j, lost)}
    return filled.at[..., j].set(jnp.where(lost, jnp.nan, filled[..., j]))


def _together(values: Any, form: str, axis: int) -> Any:
    """Values of a list of sequences, concatenated along their steps."""
    return np.concatenate(values, axis=axis) if form == "list" else values


def _flat(leaf: Any) -> Any:
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def _merged(cells: Any, filled: Any, absent: Any) -> Any:
    """Observed cells as given, holes as filled."""
    numpy: Any = np if checks.is_concrete(cells, filled, absent) else jnp
    cells, filled, absent = (numpy.asarray(of) for of in (cells, filled, absent))
    holes = numpy.isnan(cells) & ~absent[:, None]
    return numpy.where(holes, filled.astype(cells.dtype), cells)


def _as_given(data: Any, whole: Any) -> Any:
    """Whole numbers where whole numbers were given, one column where one was."""
    if isinstance(whole, dict):
        return {name: _as_given(data[name], part) for name, part in whole.items()}
    whole = whole[..., 0] if len(np.shape(data)) == 1 else whole
    plain = isinstance(data, np.ndarray | jax.Array) and not np.ma.is_masked(data)
    whole_numbers = plain and np.issubdtype(data.dtype, np.integer)
    if not whole_numbers:
        return whole
    numpy: Any = np if checks.is_concrete(whole) else jnp
    return numpy.where(numpy.isnan(whole), -1, whole).astype(data.dtype)  # -1: a missing category
