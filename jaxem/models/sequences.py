"""Sequences as a person has them -> rows of steps: numbers, weights and known states, in lanes."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxem.core import checks, placement, tables
from jaxem.core.capabilities import holes, pivots
from jaxem.core.contracts import Family, Rows
from jaxem.core.rows import replace_absent
from jaxem.models.packing import Layout, layout


def read(
    family: Family,
    data: Any,
    sample_weight: Any,
    labels: Any,
    lengths: Any,
    possible: np.ndarray,
) -> tuple[Rows, Layout]:
    """The lanes: leaves (t, lanes, ...), weights of the steps, and known states or None.

    Steps that were not observed hold the numbers of an observed row. possible: (k, k), the
    transitions that the model allows.
    """
    where = layout(data, lengths)
    b, shape = len(where.lengths), where.shape
    weight = checks.weights(sample_weight, b)
    x = _joined(family, data) if where.form == "list" else family.read(_flat(data, where.form))
    if shape != (where.steps, 1):
        index = where.sources
        x = jax.tree.map(lambda leaf: leaf[index], x)
    step_weight, first = _chain(where, np.ones(b) if weight is None else weight)
    observed = placement.in_place(holes.informative(family, x))
    if checks.is_concrete(observed) and not observed.any():
        raise ValueError("x has no step that was observed: every number is NaN")
    seen = placement.numpy_of(observed).where(observed, step_weight.reshape(-1), 0)
    family.check(x, seen, tables.column_names(data))
    x = jax.tree.map(checks.floating, pivots.measured(family, x, seen))
    dtype = jax.tree.leaves(x)[0].dtype
    x = replace_absent(x, checks.cast(seen, dtype))
    rows = Rows(
        jax.tree.map(lambda leaf: placement.reshaped(leaf, (*shape, *leaf.shape[1:])), x),
        checks.cast(step_weight, dtype),
        None if labels is None else _labels(labels, where, len(possible), possible),
        observed=placement.reshaped(observed, shape),
        first=jax.device_put(first),
    )
    return rows, where


def _joined(family: Family, data: list[Any]) -> Any:
    """The steps of all sequences of a list; ValueError where they are not of the same columns."""
    parts = []
    for i, of in enumerate(data):
        try:
            parts.append(family.read(of))
        except ValueError as error:
            raise ValueError(f"sequence {i}: {error}") from None
        first, own = (_columns(part) for part in (parts[0], parts[-1]))
        if own != first:
            raise ValueError(
                f"sequence {i} has {own} columns, sequence 0 has {first}; give all the same ones"
            )
    return holes.joined(family, parts)


def _columns(x: Any) -> str:
    """How many each part of a step has."""
    leaves = (leaf for leaf in jax.tree.leaves(x) if leaf.ndim > 1)
    return " and ".join(str(leaf.shape[1]) for leaf in leaves)


def _chain(where: Layout, weight: Any) -> tuple[Any, np.ndarray]:
    """-> (weights of the steps, 0 in padding; where sequences, and steps of padding, begin).

    (t, lanes) both.
    """
    owner = where.owner
    first = owner < 0
    first[where.offset, where.lane] = True
    numpy: Any = np if checks.is_concrete(weight) else jnp
    own = numpy.asarray(weight)[np.maximum(owner, 0)]
    own = numpy.where(owner >= 0, own, 0.0)
    return own, first


def _labels(labels: Any, where: Layout, k: int, possible: np.ndarray) -> Array:
    """Known states, (t, lanes), -1 where unknown; ValueError where they cannot follow each other.

    possible: (k, k), which transitions are.
    """
    if not checks.is_concrete(labels):
        raise ValueError("labels are traced; give the known states of an HMM as plain numbers")
    parts = labels if where.form == "list" else [labels] if where.form == "one" else None
    if where.form == "table":
        parts = np.split(np.asarray(labels), np.cumsum(where.lengths)[:-1])
    if parts is None:  # a batch
        given = tables.codes(labels, "labels")
        if given.shape != (len(where.lengths), where.steps):
            shape = len(where.lengths), where.steps
            raise ValueError(f"labels has shape {given.shape}; give one for each step, {shape}")
        parts = [own[:n] for own, n in zip(given, where.lengths, strict=True)]
    parts = [np.asarray(tables.codes(own, "labels")) for own in parts]
    if [own.shape for own in parts] != [(n,) for n in where.lengths]:
        raise ValueError(
            f"labels has the shapes {[own.shape for own in parts][:4]}, the sequences "
            f"{where.lengths[:4].tolist()} steps: give one for each step of each"
        )
    known = np.asarray(checks.labels(np.concatenate(parts), int(where.lengths.sum()), k))
    for i, own in enumerate(np.split(known, np.cumsum(where.lengths)[:-1])):
        before, after = own[:-1], own[1:]
        wrong = (before >= 0) & (after >= 0) & ~possible[before, after]
        if wrong.any():
            step = int(np.argmax(wrong))
            raise ValueError(
                f"labels lead from state {before[step]} to state {after[step]} at step {step + 1} "
                f"of sequence {i}, which the model rules out"
            )
    out = np.full(where.shape[0] * where.shape[1], -1, np.int32)
    out[where.places] = known
    return jnp.asarray(out).reshape(where.shape)


def _flat(data: Any, form: str) -> Any:
    """A batch as rows end to end; others are."""
    if form in ("one", "table"):
        return data
    if isinstance(data, Mapping):
        return {name: _flat(part, form) for name, part in data.items()}
    if isinstance(data, tuple):
        return tuple(_flat(part, form) for part in data)
    array = data if hasattr(data, "reshape") else tables.plain(data, "x")
    if array.ndim < 2:
        raise ValueError(f"a part of the batch has shape {array.shape}; give (b, t), or (b, t, d)")
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
