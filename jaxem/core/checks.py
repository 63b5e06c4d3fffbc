"""Checks of what a person hands in: what is wrong, where, and what to do. Host side only.

Values are looked at only when they are concrete: under jit, vmap or grad the shapes alone are. Rows
are looked at where they lie, by NumPy on the host and by JAX on an accelerator: none of them is
copied to the host.
"""

from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import get_opaque_trace_state

from jaxem.core import placement, tables

BOUNDARY = 1e-6  # a probability or rate below it is called 0
_RESCALE = (
    "rescale them, or, where x64 is off, switch on float64 with "
    "jax.config.update('jax_enable_x64', True)"
)


def is_concrete(*trees: Any) -> bool:
    """Whether every array has values to look at, that is, whether none is traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves(trees))


# That of a new thread, in which nothing is traced.
with ThreadPoolExecutor(1) as _thread:
    _NOT_TRACING = _thread.submit(get_opaque_trace_state).result()


def is_tracing() -> bool:
    """Whether this thread is inside of a `jit`, `vmap` or `grad`, of whatever values."""
    return get_opaque_trace_state() != _NOT_TRACING


def leaves(tree: Any) -> list[Any]:
    """Leaves as JAX sees them; an iterator is one leaf."""
    return jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Iterator))


def floating(array: Any) -> jax.Array:
    """The data on the device, in its own float dtype, or float32 when x64 is off.

    On a CPU it shares memory with the NumPy array where it can: see `inputs`.
    """
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if isinstance(array, jax.Array):
        return cast(array, dtype)
    return jax.device_put(np.asarray(array, dtype))


def cast(value: Any, dtype: Any) -> jax.Array:
    """The value on the device in that dtype, copied if it is the host's. NumPy casts it, so that
    nothing compiles."""
    if isinstance(value, jax.Array):  # a weak dtype would compile once more
        weak = value.aval.weak_type
        return lax.convert_element_type(value, dtype) if weak or value.dtype != dtype else value
    return jax.device_put(np.array(value, dtype))


def finite(
    x: Any,
    weight: Any,
    names: tuple[str, ...] | None = None,
    holes: bool = False,
    remedy: str = "drop those rows or impute them first",
) -> None:
    """ValueError when rows of positive weight hold NaN, infinity, or what cannot be squared.

    holes: whether NaN is legal. remedy: for what is not.
    """
    if not is_concrete(x, weight):
        return
    limits = jnp.finfo(jax.dtypes.canonicalize_dtype(x.dtype))
    bad, overflow = np.zeros((2, x.shape[1]), np.int64)
    lowest, highest = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    least_of, most_of = (np.fmin, np.fmax) if holes else (np.minimum, np.maximum)
    for block, own in placement.blocks((x, weight)):
        numpy, there = placement.numpy_of(block), placement.present(block, own)
        low, high = _extremes(block, there, holes)
        lowest, highest = least_of(lowest, low), most_of(highest, high)
        if not np.maximum(-low, high).max() <= float(limits.max):  # NaN compares as not
            wrong = numpy.isinf(block) if holes else ~numpy.isfinite(block)
            large = numpy.isfinite(block) & (abs(block) > float(limits.max))
            bad += np.asarray((wrong & there).sum(0))
            overflow += np.asarray((large & there).sum(0))
    called, illegal = names or range(x.shape[1]), "infinite" if holes else "NaN or infinite"
    for count, what, mend in (
        (bad, f"{illegal} values", remedy),
        (overflow, f"values too large for {limits.dtype}", _RESCALE),
    ):
        if count.any():
            where = ", ".join(f"{called[j]} ({count[j]})" for j in np.flatnonzero(count))
            raise ValueError(f"x has {count.sum()} {what}, in columns: {where}; {mend}")
    with np.errstate(invalid="ignore"):  # of columns without a number
        spread = highest / 2 - lowest / 2
    least, most = 1e3 * np.sqrt(float(limits.tiny)), 1e-3 * np.sqrt(float(limits.max))
    wrong = (spread > most) | ((spread > 0) & (spread < least))
    if wrong.any():
        where = ", ".join(str(called[j]) for j in np.flatnonzero(wrong))
        raise ValueError(
            f"columns {where} spread over less or more than {limits.dtype} can square; {_RESCALE}"
        )


_WIDE = 1 << 10  # numbers that NumPy reduces at a time: it is slow along short rows


def _extremes(block: Any, there: Any, holes: bool) -> tuple[np.ndarray, np.ndarray]:
    """-> (least, most) of each column over the rows that are there; NaN where it is no hole."""
    n, d = block.shape
    fold = _WIDE // d
    if there is True and fold > 1 and isinstance(block, np.ndarray) and block.flags.c_contiguous:
        whole = n - n % fold
        folded = _extremes(block[:whole].reshape(-1, fold * d), True, holes)
        rest = block[whole:]
        least, most = (np.concatenate([of.reshape(fold, d), rest]) for of in folded)
    else:
        least, most = block, block
    numpy = placement.numpy_of(block)
    low, high = (numpy.nanmin, numpy.nanmax) if holes else (numpy.min, numpy.max)
    return (
        np.asarray(low(least, axis=0, initial=np.inf, where=there)),
        np.asarray(high(most, axis=0, initial=-np.inf, where=there)),
    )


def require_cells(
    x: Any,
    weight: Any,
    names: tuple[str, ...] | None,
    wrong: Callable[[Any], Any],
    what: str,
    remedy: str,
) -> None:
    """ValueError when rows of positive weight hold cells for which `wrong(block)` is true; blocks
    are `in_place`."""
    if not is_concrete(x, weight):
        return
    bad, first, row = np.zeros(x.shape[1], np.int64), None, 0
    for block, own in placement.blocks((x, weight)):
        marks = wrong(block) & placement.present(block, own)
        if marks.any():
            marks = np.asarray(marks)
            if first is None:
                at, column = np.argwhere(marks)[0]
                first = f"the first is {float(block[at, column]):g} in row {row + at}"
            bad += marks.sum(0)
        row += len(block)
    if first is not None:
        called = names or range(x.shape[1])
        where = ", ".join(f"{called[j]} ({bad[j]})" for j in np.flatnonzero(bad))
        raise ValueError(f"x has {bad.sum()} {what}, in columns: {where}; {first}: {remedy}")


def regression(data: Any, weight: Any) -> None:
    """ValueError unless X is finite and y finite or missing (NaN)."""
    X, y = data
    finite(X, weight)
    require_cells(
        y[:, None], weight, ("y",), placement.is_infinite, "infinite values", "drop those rows"
    )


def weights(weight: Any, n: int) -> Any:
    """Frequencies (n,), finite, none negative, not all zero; None stays None."""
    if weight is None:
        return None
    weight = tables.array(weight, "sample_weight", masked=0.0)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight has shape {weight.shape}, x has {n} rows: give ({n},)")
    if is_concrete(weight):
        values = placement.in_place(weight)
        bad = int((~placement.numpy_of(values).isfinite(values)).sum())
        if bad:
            raise ValueError(
                f"sample_weight has {bad} NaN or infinite values; use 0 for absent rows"
            )
        if (values < 0).any():
            first = int((values < 0).argmax())
            raise ValueError(
                f"sample_weight has {int((values < 0).sum())} negative values (the first in row "
                f"{first}: {values[first]}); weights are frequencies, from 0"
            )
        if not (values > 0).any():
            raise ValueError("sample_weight is all zero: no row is left to fit")
        limits = jnp.finfo(jax.dtypes.canonicalize_dtype(weight.dtype))
        if not float(limits.tiny) <= values.max() <= float(limits.max) / n / 1e6:
            raise ValueError(
                f"sample_weight adds up to more, or is less, than {limits.dtype} holds; rescale it"
            )
    return weight


def labels(values: Any, n: int, k: int) -> Any:
    """Known components (n,) in -1..k-1 as int32; None stays None."""
    if values is None:
        return None
    values = tables.codes(values, "labels")
    if values.shape != (n,):
        raise ValueError(f"labels has shape {values.shape}, x has {n} rows: give ({n},)")
    if np.dtype(values.dtype).kind not in "iu":
        raise ValueError(f"labels has dtype {values.dtype}; give integers, -1 where unknown")
    if is_concrete(values):
        given = placement.in_place(values)
        outside = (given < -1) | (given >= k)
        if outside.any():
            first = int(outside.argmax())
            raise ValueError(
                f"labels has {int(outside.sum())} values outside -1..{k - 1} (the first in row "
                f"{first}: {given[first]}); components count from 0, -1 is unknown"
            )
    return jnp.asarray(values, jnp.int32)


def n_numbers(x: Any, n: int) -> int:
    """How many floats a row of n has; integers beside them, such as indices, do not count."""
    leaves = [leaf for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return sum(leaf.size // n for leaf in leaves)


def enough_rows(x: Any, k: int, called: str = "components") -> None:
    """ValueError when fewer than k rows differ; copies as few of them to the host as it can."""
    if not is_concrete(x):
        return
    leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x)]
    seen = np.empty((0, sum(leaf.shape[1] for leaf in leaves)), leaves[0].dtype)
    for parts in placement.host_blocks(leaves, placement.FEW):
        seen = np.unique(np.concatenate([seen, np.concatenate(parts, axis=1)]), axis=0)
        if len(seen) >= k:
            return
    one = len(seen) == 1
    raise ValueError(
        f"x has {len(seen)} distinct row{'' if one else 's'}, fewer than the {k} {called} asked "
        f"for; use at most {len(seen)} {called.removesuffix('s') if one else called}"
    )


def whole(value: Any, name: str, least: int) -> int:
    """A whole number from `least` that an int32 holds, as an int."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        number = int(value) if isinstance(value, float) and value.is_integer() else None
    if number is None or number < least:
        raise ValueError(f"{name} is {value!r}; give a whole number from {least}")
    if number > np.iinfo(np.int32).max:
        raise ValueError(f"{name} is {value!r}; give at most {np.iinfo(np.int32).max}")
    return number


def nonnegative(value: Any, name: str) -> None:
    """ValueError for a concrete scalar that is NaN, negative or no number."""
    if not is_concrete(value):
        return
    try:
        number = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; give a number from 0") from None
    if number.ndim != 0 or not number >= 0:
        raise ValueError(f"{name} is {value!r}; give a number from 0")


def parameter(
    value: Any, expected: tuple[int, ...], dtype: Any, name: str, made_for: str
) -> jax.Array:
    """An array of the parameters on the device, in that shape and dtype, and finite."""
    numbers(value, name)
    if np.shape(value) != expected:
        raise ValueError(f"{name} has shape {np.shape(value)}, expected {expected} for {made_for}")
    if is_concrete(value) and not np.isfinite(np.asarray(value)).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return cast(value, dtype)


def parameters(values: Any, like: Any, what: str, made_for: str) -> Any:
    """A tree of parameters as `parameter` has each of them, in the shapes and dtypes of `like`."""
    if jax.tree.structure(like) != jax.tree.structure(values):
        raise ValueError(f"{what} is a {type(values).__name__}; those of {made_for} are {like}")

    def cast(path: Any, like: Any, leaf: Any) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return parameter(leaf, like.shape, like.dtype, name, made_for)

    return jax.tree.map_with_path(cast, like, values)


def numbers(value: Any, name: str) -> None:
    """ValueError unless a value is made of real numbers; None passes."""
    if value is None or not is_concrete(value):
        return
    if np.ma.is_masked(value):
        raise ValueError(f"{name} is masked in places; give numbers for all")
    try:
        kind = np.asarray(value).dtype.kind
    except ValueError:
        kind = "O"
    if kind not in "biuf":
        raise ValueError(f"{name} is {value!r}; give real numbers")


def share(value: Any, name: str) -> Any:
    """A number from 0 to under 1, ValueError for another."""
    numbers(value, name)
    if is_concrete(value) and not (np.ndim(value) == 0 and 0 <= value < 1):
        raise ValueError(f"{name} is {value}; it must be a share of the rows, from 0 to under 1")
    return value


def probabilities(value: Any, name: str) -> None:
    """ValueError unless concrete numbers are not negative and add up to 1 within 1e-3."""
    if is_concrete(value):
        host = np.asarray(value)
        if (host < 0).any() or abs(host.sum() - 1) > 1e-3:
            raise ValueError(f"{name} is {host}; it must be from 0 and add up to 1")


def between(value: Any, name: str, least: Any, most: Any) -> None:
    """ValueError unless concrete numbers are from `least` to `most`."""
    if is_concrete(value):
        host = np.asarray(value)
        if not ((host >= least) & (host <= most)).all():
            raise ValueError(f"{name} is {host}; it must be from {least} to {most}")


def limits(low: Any, high: Any) -> tuple[float, float]:
    """Two numbers between which rows are, one of which may be infinite."""
    numbers(low, "low")
    numbers(high, "high")
    low, high = float(low), float(high)
    if not (low < high and (low > -np.inf or high < np.inf)):
        raise ValueError(f"low is {low:g} and high {high:g}; give low < high, one of them finite")
    return low, high


def one_of(value: Any, known: Collection, name: str, more: str = "") -> None:
    """ValueError for a word that is not known; more: what else may be given."""
    if not isinstance(value, Hashable) or value not in known:
        words = ", ".join(map(repr, known))
        raise ValueError(f"{name} is {value!r}; it must be one of {words}{more}")


def flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is {value!r}; give True or False")
    return bool(value)


def symmetric(value: Any, name: str) -> None:
    """ValueError unless concrete matrices (..., d, d) are symmetric to 1e-3 of their scale."""
    if is_concrete(value):
        host = np.asarray(value)
        if np.abs(host - np.swapaxes(host, -1, -2)).max() > 1e-3 * np.abs(host).max():
            raise ValueError(f"{name} is not symmetric")


def semidefinite(value: Any, name: str) -> None:
    """ValueError where a concrete symmetric matrix of (..., d, d) has a negative eigenvalue.

    Zeros to its rounding pass: a fit that collapsed ends there, and can be saved and looked at.
    """
    if not is_concrete(value):
        return
    host = np.asarray(value)
    host = host if np.issubdtype(host.dtype, np.floating) else host.astype(float)
    for at in np.ndindex(host.shape[:-2]):
        eigenvalues = np.linalg.eigvalsh(host[at])
        rounding = 8 * len(eigenvalues) * np.finfo(host.dtype).eps * np.abs(eigenvalues).max()
        if eigenvalues[0] < -rounding:
            whose = f", of component {at[0]}," if at else ""
            raise ValueError(
                f"{name}{_place(at)}{whose} is not positive definite, its smallest eigenvalue is "
                f"{eigenvalues[0]:.3g}; give positive variances with correlations inside -1 to 1"
            )


def _place(at: Any) -> str:
    """An index as it is written behind a name; nothing for a scalar."""
    return f"[{', '.join(map(str, at))}]" if len(at) else ""


def fields(value: Any, kind: type, what: str) -> None:
    """ValueError when a value is not the NamedTuple that is asked for."""
    if not isinstance(value, kind):
        raise ValueError(
            f"{what} is a {type(value).__name__}; give {kind.__name__}"
            f"({', '.join(getattr(kind, '_fields', ()))})"
        )


def broadcast(value: Any, shape: tuple[int, ...], dtype: Any, name: str) -> jax.Array:
    """The value as an array of that shape; ValueError where it does not broadcast or is NaN."""
    xp: Any = np if is_concrete(value) else jnp  # where nothing compiles
    array = xp.asarray(value, dtype)
    if xp is np and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    missing = len(shape) - array.ndim
    if missing < 0 or any(
        have not in (1, want) for have, want in zip(array.shape, shape[missing:], strict=True)
    ):
        raise ValueError(f"{name} has shape {array.shape}, which does not broadcast to {shape}")
    return jax.device_put(xp.broadcast_to(array, shape))


def positive_array(value: Any, name: str, zero_allowed: bool = False) -> None:
    """ValueError that names the first number of a concrete array that is not positive."""
    if is_concrete(value):
        array = np.asarray(value)
        for at in np.argwhere(~(array >= 0 if zero_allowed else array > 0))[:1]:
            raise ValueError(
                f"{name}{_place(at)} is {array[tuple(at)]:g}; it must be "
                f"{'at least' if zero_allowed else 'above'} 0"
            )


def key(value: Any) -> None:
    """ValueError unless the value is one random key."""
    new = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    old = isinstance(value, jax.Array) and value.dtype == jnp.uint32 and value.ndim == 1
    if not (old or (new and value.ndim == 0)):
        raise ValueError(f"key is {value!r}; give one key, such as jax.random.key(0)")
