"""How holes are filled, of data that are read: what `impute` does of a table, or of its parts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.analysis import decode, predict
from jaxem.core import checks, emissions, filled_rows, framed, frames, placement, tables
from jaxem.core.capabilities import imputing
from jaxem.core.contracts import Family, Model, Params, Prior, Rows
from jaxem.core.dataset import Dataset, alike, as_dataset
from jaxem.core.numerics import safe_log
from jaxem.fitting import identified, sizes
from jaxem.fitting.blocks import map_rows
from jaxem.fitting.effort import program
from jaxem.fitting.identified import Counted, Open

_BLOCK = 4096  # rows filled at a time
_MANY = 5  # rows of a component of which none has a column: no accident any more
_UNSURE = 1e-3  # probability from which on a row is one of such a component


def completed(
    data: Dataset, params: Params, found: Open, key: Any = None, n_draws: int | None = None
) -> Any:
    """`impute` of data that are read and checked. found: what stays open, by these rows and
    others."""
    model = data.model
    shares, cells = _on_host(predict.posterior(data, params)), _cells(data)
    shares = shares.reshape(-1, model.n_components).T
    numpy, components = placement.numpy_of(shares), model.of_family(params)
    if model.family != emissions.with_holes(model).family:  # every cell is there
        filled = jax.tree.map(
            lambda leaf: numpy.stack([leaf] * n_draws) if n_draws else leaf, cells
        )
    elif key is None or n_draws is None:
        filled = _means(model.family, components, cells, shares)
    else:
        key_labels, key_cells = jax.random.split(key)
        labels = _labels(data, params, shares, key_labels, n_draws)
        keys = jax.random.split(key_cells, n_draws)
        filled = _drawn(model.family, components, cells, labels, keys)
    filled = _without_open(found, shares, filled)
    possible = (numpy.sum(shares, axis=0) > 0)[:, None]
    holes = jax.tree.map(lambda leaf: numpy.isnan(leaf) & possible, jax.tree.leaves(cells))
    holes = jax.tree.unflatten(jax.tree.structure(filled), holes)
    if data.layout is None:
        given = data.given[0] if model.n_covariates else data.given
        return _completed(given, filled, holes)
    filled, holes = (jax.tree.map(partial(_arranged, data), of) for of in (filled, holes))
    if data.layout.form != "list":
        return _completed(data.given, filled, holes)
    own = [
        jax.tree.map(lambda parts: parts[i], (filled, holes), is_leaf=_is_list)  # noqa: B023
        for i in range(len(data.given))
    ]
    return [_completed(of, *both) for of, both in zip(data.given, own, strict=True)]


def _on_host(tree: Any) -> Any:
    """Arrays of a CPU as those of NumPy: nothing compiles for another number of rows."""
    leaves = jax.tree.leaves(tree)
    if not checks.is_concrete(leaves) or not all(map(placement.lies_on_host, leaves)):
        return tree
    return jax.tree.map(np.asarray, tree)


def _cells(data: Dataset) -> Any:
    """The rows as the family takes them, NaN in the steps of which nothing was observed."""
    of = emissions.family_rows(data.model, data.rows), data.rows.observed
    x, observed = _on_host(of)
    if observed is None:
        return x
    numpy, seen = placement.numpy_of(observed), observed.reshape(-1, 1)
    return jax.tree.map(lambda leaf: numpy.where(seen, leaf, np.nan), x)


def _arranged(data: Dataset, leaf: Any) -> Any:
    """(n, columns), or (draws, n, columns) -> as the sequences are."""
    steps = jnp.reshape(leaf, (*leaf.shape[:-2], *data.rows.weight.shape, leaf.shape[-1]))
    if leaf.ndim == 2:
        return data.arrange(steps)
    found = data.arrange(jnp.moveaxis(steps, 0, -1))
    if _is_list(found):
        return [np.moveaxis(own, -1, 0) for own in found]
    return jnp.moveaxis(found, -1, 0)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _means(family: Family, components: Params, cells: Any, shares: Float[Any, "k n"]) -> Any:
    """What is expected in every cell; the rows are filled up on a host, as those of a fit are."""
    if placement.numpy_of(shares) is jnp:
        return _filled(family, components, cells, shares)
    n = shares.shape[1]
    place = np.arange(filled_rows.size(n, checks.n_numbers(cells, n) * n))
    place[n:] = 0
    more, of_more = jax.tree.map(lambda leaf: leaf[place], cells), shares[:, place]
    found = _filled(family, components, more, of_more)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:n], found)


@program("family")
def _filled(family: Family, components: Params, x: Any, shares: Float[Array, "k n"]) -> Any:
    def of_block(rows: Rows) -> Any:
        x, shares = rows.x
        return jax.tree.map(
            jnp.transpose, imputing.imputes(family).impute_mean(components, x, shares.T)
        )

    rows = Rows((x, shares.T), jnp.ones(shares.shape[1], shares.dtype), None)
    return jax.tree.map(jnp.transpose, map_rows(of_block, rows, min(_BLOCK, shares.shape[1])))


@program("family")
def _drawn(
    family: Family, components: Params, x: Any, labels: Int[Array, "m n"], keys: Array
) -> Any:
    def one(of: tuple[Array, Array]) -> Any:
        key, labels = of
        return imputing.impute_draw(family, key, components, x, labels)

    return jax.lax.map(one, (keys, labels))


def _labels(
    data: Dataset, params: Params, shares: Float[Any, "k n"], key: Array, n_draws: int
) -> Int[Array, "m n"]:
    """A component for each row of each draw, or a path of states for each sequence."""
    if data.layout is None:
        return _components(key, shares, n_draws)
    return jnp.reshape(decode.draw_paths(data, params, key, n_draws), (n_draws, -1))


@program("n_draws")
def _components(key: Array, shares: Float[Array, "k n"], n_draws: int) -> Int[Array, "m n"]:
    shape = n_draws, shares.shape[1]
    drawn = jax.random.categorical(key, safe_log(shares), axis=0, shape=shape)
    return drawn.astype(jnp.int32)


def left_open(data: Dataset, params: Params, prior: Prior | None) -> Open:
    """Columns that these rows tell nothing of, in several rows of a component; where values are
    traced, none."""
    model, rows = data.model, data.filled
    if not checks.is_concrete(rows, params):
        return Open(np.zeros(model.n_components), {})
    prior = model.as_prior(prior, None, emissions.like(model, rows))
    found = identified.left_open(model, params, rows, prior, sizes.block_size(model, rows))
    return _of_several(model, rows, found)


def counted(data: Dataset, params: Params) -> list[Counted]:
    """What a part of a table tells of holes, for `open_in_parts`; nothing where nothing may be left
    open."""
    if not emissions.may_leave_open(data.model):
        return []
    size = sizes.block_size(data.model, data.filled)
    return [identified.counted(data.model, params, data.filled, size)]


def open_in_parts(data: Dataset, counts: Sequence[Counted], prior: Prior | None = None) -> Open:
    """`left_open` of a table, of what its parts have `counted`. data: any of them."""
    model, rows = data.model, data.rows
    if not counts:
        return Open(np.zeros(model.n_components), {})
    prior = model.as_prior(prior, None, emissions.like(model, rows))
    return _of_several(model, rows, identified.of_counts(model, identified.added(counts), prior))


def _of_several(model: Model, rows: Rows, found: Open) -> Open:
    """What is open by no accident. rows: some, for their kind."""
    many = found.counts >= max(_MANY, emissions.default_min_count(model, rows))
    several = np.sum(found.counts >= 1)
    # What no part has, these rows were not fitted by: a model of others fills it.
    places = {
        place: tuple(i for i in parts if many[i])
        for place, parts in found.places.items()
        if len(place[1]) == 1 and len(parts) < several
    }
    return found._replace(places={place: parts for place, parts in places.items() if parts})


def _without_open(found: Open, shares: Any, filled: Any) -> Any:
    """Filled cells set back to NaN where nothing is known of them."""
    for ((path), (j,)), parts in found.places.items():
        lost = placement.numpy_of(shares).sum(shares[np.array(parts)], axis=0) > _UNSURE
        filled = _blanked(filled, path, j, lost)
    return filled


def _blanked(filled: Any, path: tuple[str, ...], j: int, lost: Any) -> Any:
    """NaN in a column of the rows that are lost; path: of the block that it is in."""
    if path:
        return {**filled, path[0]: _blanked(filled[path[0]], path[1:], j, lost)}
    numpy = placement.numpy_of(filled)
    cells = lost[:, None] & (np.arange(filled.shape[-1]) == j)
    return numpy.where(numpy.broadcast_to(cells, filled.shape), np.nan, filled)


def read(model: Model, x: Any, lengths: Any = None) -> Dataset:
    """The data read for a model with holes; a Dataset of whole rows has none, and stays so."""
    if isinstance(x, Dataset) and alike(x, model):
        return as_dataset(model, x, lengths=lengths)
    return as_dataset(emissions.with_holes(model), x, lengths=lengths)


def _completed(given: Any, filled: Any, holes: Any) -> Any:
    """What was given, with what is filled in its holes; whole numbers stay whole numbers."""
    if isinstance(given, Mapping):
        return {name: _completed(given[name], filled[name], holes[name]) for name in filled}
    frame = frames.opened(given)
    if frame is not None and checks.is_concrete(filled, holes):
        drawn, holes = np.asarray(filled), np.asarray(holes)
        if drawn.ndim == holes.ndim:
            return framed.completed(frame, drawn, holes)
        return [framed.completed(frame, own, holes) for own in drawn]
    cells = tables.array(given, "x")
    numpy: Any = np if checks.is_concrete(cells, filled, holes) else jnp
    cells, filled, holes = (numpy.asarray(of) for of in (cells, filled, holes))
    filled = filled.reshape(*filled.shape[: filled.ndim - holes.ndim], *cells.shape)
    whole = numpy.where(holes.reshape(cells.shape), filled.astype(cells.dtype), cells)
    plain = isinstance(given, np.ndarray | jax.Array) and not np.ma.is_masked(given)
    if not (plain and np.issubdtype(given.dtype, np.integer)):
        return whole
    return numpy.where(numpy.isnan(whole), -1, whole).astype(given.dtype)  # -1: a missing category
