"""What follows from where the parameters may lie: coordinates, fixed numbers, counts, boundaries.

`constraints` of a family or a model is the tree of its parameters, or a prefix of it, with a
`Constraint` for each array. `active` marks the components that are there, (k,); `fixed` is a tree
like the parameters with the numbers that are known, and NaN where they are free.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from jaxem.core import checks
from jaxem.core.constraints import Constraint
from jaxem.core.values import Params

Coordinates = Any  # a tree like the parameters
Fixed = Any


@dataclass(frozen=True)
class Joint:
    """Several arrays, one of which says something of another; all else is that of each, `parts`."""

    parts: PyTree

    def to_unconstrained(self, value: Params) -> Coordinates:
        return to_unconstrained(self.parts, value)

    def from_unconstrained(self, coordinate: Coordinates) -> Params:
        return self.settled(from_unconstrained(self.parts, coordinate))

    def settled(self, value: Params) -> Params:
        """The arrays after a change of some, with the numbers that follow from others."""
        return value


def tree(of: Any, *parts: Any) -> Any:
    """The parts in a tree like the parameters, `of` being the type of these."""
    return of(*parts)


def each(of: Callable[..., Any], constraints: PyTree, *trees: Any) -> Any:
    """of(constraint, leaf, ...) for all leaves."""

    def under(constraint: Any, *parts: Any) -> Any:
        if isinstance(constraint, Joint):
            return each(of, constraint.parts, *parts)
        return jax.tree.map(partial(of, constraint), *parts)

    return jax.tree.map(under, constraints, *trees)


def _through(name: str, constraints: PyTree, tree: Any) -> Any:
    def under(constraint: Any, part: Any) -> Any:
        of = getattr(constraint, name)
        return of(part) if isinstance(constraint, Joint) else jax.tree.map(of, part)

    return jax.tree.map(under, constraints, tree)


def to_unconstrained(constraints: PyTree, params: Params) -> Coordinates:
    """Any numbers are the coordinates of some parameters; probabilities of 0 survive the trip."""
    return _through("to_unconstrained", constraints, params)


def from_unconstrained(constraints: PyTree, coordinates: Coordinates) -> Params:
    return _through("from_unconstrained", constraints, coordinates)


def fix(constraints: PyTree, params: Params, fixed: Fixed | None) -> Params:
    """The parameters with the fixed numbers in their places."""
    if fixed is None:
        return params

    def under(constraint: Any, value: Any, fixed: Any) -> Any:
        if isinstance(constraint, Joint):
            return constraint.settled(fix(constraint.parts, value, fixed))
        return jax.tree.map(constraint.fix, value, fixed)

    return jax.tree.map(under, constraints, params, fixed)


def settled(constraints: PyTree, params: Params) -> Params:
    """With what follows from other numbers, where a whole model goes together."""
    return constraints.settled(params) if isinstance(constraints, Joint) else params


def free(params: Params) -> Fixed:
    """Nothing is fixed."""
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), params)


def n_free(
    constraints: PyTree, params: Params, active: Bool[Array, " k"], fixed: Fixed | None
) -> Array:
    """How many parameters of active components are free."""
    fixed = free(params) if fixed is None else fixed
    each_of = each(lambda of, fixed: of.n_free(fixed, active), constraints, fixed)
    return reduce(jnp.add, jax.tree.leaves(each_of), jnp.int32(0))


def determined(constraints: PyTree, fixed: Fixed) -> Params:
    """Which numbers follow from the fixed ones."""
    return each(lambda of, fixed: of.determined(fixed), constraints, fixed)


def fisher_diagonal(constraints: PyTree, params: Params, share: Float[Array, " k"]) -> Coordinates:
    """Diagonal of the complete-data Fisher information of the coordinates, per row.

    Only ratios matter, and they need not be exact.
    """
    return each(lambda of, value: of.fisher_diagonal(value, share), constraints, params)


def at_boundary(constraints: PyTree, params: Params, active: Bool[Any, " k"]) -> Params:
    """Which numbers of active components are at the end of their range."""
    return each(lambda of, value: of.at_boundary(value, active), constraints, params)


def without_error(constraints: PyTree, params: Params, active: Bool[Array, " k"]) -> Params:
    """Which numbers have no standard error: at the end of their range, or absent."""
    return each(lambda of, value: of.without_error(value, active), constraints, params)


def constant(constraints: PyTree, params: Params, active: Bool[Array, " k"]) -> Params:
    """Which numbers no M-step changes: those of absent components, and laws that are given."""
    return each(lambda of, value: of.constant(value, active), constraints, params)


def take(constraints: PyTree, params: Params, index: Any) -> Params:
    """The components at `index`, (m,), in that order."""
    return each(lambda of, value: of.take(value, index), constraints, params)


def unwrap(constraints: PyTree, params: Params, reference: Params) -> Params:
    """Host side: parameters (b, ...) with angles within half a turn of the reference's."""
    return each(lambda of, *both: of.unwrap(*both), constraints, params, reference)


def replace(constraints: PyTree, params: Params, path: tuple, number: Array) -> Params:
    """params with the number at `path`, (name, index, ...), replaced, and what follows from it."""
    if isinstance(constraints, Joint):
        return constraints.settled(replace(constraints.parts, params, path, number))
    if isinstance(params, jax.Array | np.ndarray):
        return constraints.replace(jnp.asarray(params), path, number)
    step, *rest = path
    place = params._fields.index(step) if hasattr(params, "_fields") else step

    def there(tree: Any) -> Any:
        return tree if isinstance(tree, Constraint) else tree[place]

    new = replace(there(constraints), params[place], tuple(rest), number)
    if isinstance(params, dict):
        return params | {place: new}
    parts = [new if i == place else part for i, part in enumerate(params)]
    return type(params)(*parts) if hasattr(params, "_fields") else tuple(parts)


# ---- host side


def check(constraints: PyTree, params: Params, name: str = "") -> None:
    """ValueError that names the first array with numbers that lie elsewhere."""
    _each_named(lambda of, *leaf: of.check(*leaf), constraints, params, name)


def read_fixed(constraints: PyTree, fixed: Any, like: Params, name: str) -> Fixed:
    """Fixed numbers as a person gives them -> arrays like the parameters', checked.

    None stands for a part of the tree that is free as a whole.
    """

    def whole(part: Any) -> bool:
        return part is None or isinstance(part, list)

    try:
        parts = jax.tree.broadcast(fixed, like, is_leaf=whole)
    except ValueError:
        raise ValueError(
            f"{name} is {fixed!r}; give a tree like the parameters, {jax.tree.structure(like)}, "
            "with None for parts that are free"
        ) from None

    def array(path: Any, like: Any, part: Any) -> Array:
        return _read_fixed_array(part, like, f"{name}{jax.tree_util.keystr(path)}")

    arrays = jax.tree.map_with_path(array, like, parts, is_leaf=lambda leaf: leaf is None)
    if checks.is_concrete(arrays):
        host = jax.tree.map(np.asarray, arrays)
        _each_named(lambda of, *leaf: of.check_fixed(*leaf), constraints, host, name)
    return arrays


def _read_fixed_array(value: Any, like: Any, name: str) -> Array:
    if value is None:
        return jnp.full(like.shape, jnp.nan, like.dtype)
    checks.numbers(value, name)
    if np.asarray(value).dtype == bool if checks.is_concrete(value) else value.dtype == bool:
        raise ValueError(
            f"{name} holds True and False; give the known numbers, NaN where they are free: "
            "jnp.where(mask, params, jnp.nan)"
        )
    if np.shape(value) != like.shape:
        raise ValueError(f"{name} has shape {np.shape(value)}, expected {like.shape}")
    if checks.is_concrete(value) and np.isinf(np.asarray(value)).any():
        raise ValueError(f"{name} holds infinite values")
    return checks.cast(value, like.dtype)


def _each_named(of: Callable[..., None], constraints: PyTree, tree: Any, name: str) -> None:
    """of(constraint, leaf, name of the leaf)."""

    def called(path: Any, _: Any) -> str:
        return (name + jax.tree_util.keystr(path)).removeprefix(".")

    each(of, constraints, tree, jax.tree.map_with_path(called, tree))
