"""Sizes of blocks, chunks and groups: the one place that asks which device the rows lie on.

A CPU has caches and cores; an accelerator is kept busy by many numbers at once.
"""

import os
from typing import Any

import jax

from jaxem.core import checks, emissions, placement, shards, source
from jaxem.core.capabilities import planning
from jaxem.core.contracts import Model, Rows
from jaxem.inference import recursions

_LEAST_ROWS = 256  # of a block: products of matrices are slow in smaller ones
_CACHE = 6 << 20  # bytes that an E-step makes of a block on a CPU, at most
_OF_STEPS = 256 << 20  # of sequences: a step costs nearly as much for one lane as for a hundred
_SHARES = 1 << 20  # bytes of responsibilities
_BUSY = 1 << 29  # bytes of temporaries that keep an accelerator busy
_SHARE = 16  # of its memory, at most one part in so many
_WHOLE = 1 << 12  # rows of which a large block is a multiple there
_SMALL = 1 << 20  # numbers of an E-step that are work for one core
_ROUNDS = 2  # groups for each thread: the starts differ in how long they take
_FEW = 1 << 13  # numbers of data that are fitted sooner than compiled for
_STARTS = 32  # or data sets, a group
_STATE = 8  # times its parameters is what a start carries, about
_ROUNDS_OF_SEARCH = 12  # at most
_SEARCHED = 1 << 23  # numbers of the E-steps of one start, in so many rounds' place
_GROUP = 1 << 22  # numbers of data that a CPU makes for one group of sets


def on_cpu(rows: Rows | None = None) -> bool:
    """Whether the rows lie on a CPU; for traced rows, or none, whether JAX's default is one."""
    x = None if rows is None else jax.tree.leaves(rows.x)[0]
    if not checks.is_concrete(x) or not isinstance(x, jax.Array):
        return jax.default_backend() == "cpu"
    return placement.lies_on_host(x)


def is_small(rows: Rows) -> bool:
    """Whether compiling takes longer than a fit."""
    return on_cpu(rows) and are_few(rows.x)


def are_few(tree: Any) -> bool:
    return sum(leaf.size for leaf in jax.tree.leaves(tree)) <= _FEW


def units_a_device(rows: Rows) -> int:
    return rows.n_units if rows.shards is None else rows.n_units // rows.shards.n


def may_be_streamed(rows: Rows) -> bool:
    """Whether a source of such a table is read block by block, and not whole."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(rows.x)) > source.WHOLE


def beside(rows: Rows, tree: Any) -> Any:
    """The tree as JAX's arrays: on the device that x was committed to, or where they are; what
    several devices have alike, on one."""
    if rows.shards is not None:
        return jax.tree.map(shards.alone, tree)
    x = jax.tree.leaves(rows.x)[0]
    put = checks.is_concrete(x) and isinstance(x, jax.Array) and x.committed
    if put and len(x.devices()) == 1:
        return jax.device_put(tree, *x.devices())
    on_host = not all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))
    return jax.device_put(tree) if on_host else tree


def numbers_per_unit(model: Model, rows: Rows, stable: bool = False) -> int:
    """About how many numbers an E-step makes of each unit of the rows; stable: of the form that
    loses no digits."""
    x, k = emissions.like(model, rows), model.n_components
    if model.family is None:
        each = k * (2 + checks.n_numbers(x, rows.weight.size))
    else:
        each = planning.numbers_per_row(model.family, x, k, stable)
    if rows.first is not None:
        chain: Any = model  # whose rows alone are sequences
        steps, lanes = rows.weight.shape
        return recursions.numbers_per_lane(chain.recursion, k, steps, lanes, each)
    return each * (rows.weight.size // rows.n_units)


def block_size(model: Model, rows: Rows) -> int:
    """Units a block, at most all.

    CPU: what an E-step makes of a block takes at most what a cache holds, responsibilities of rows
    at most 1 MB, but a block has 256 rows at least. An accelerator: `_busy`.
    """
    chain = rows.first is not None
    n, n_rows = units_a_device(rows), 1 if chain else rows.weight.size // rows.n_units
    numbers = numbers_per_unit(model, rows)
    least, most_bytes = (1, _OF_STEPS) if chain else (-(-_LEAST_ROWS // n_rows), _CACHE)
    if not on_cpu(rows):
        most = max(1, _busy(rows) // numbers)
        return min(n, max(1, _alike(n, _whole(most), _multiple(most))))
    size = rows.weight.dtype.itemsize
    most = min(most_bytes // (size * numbers), _SHARES // (size * model.n_components * n_rows))
    multiple = 8 if n_rows == 1 else 1
    return min(n, max(least, _alike(n, max(least, most), multiple)))


def stable_block_size(model: Model, rows: Rows, block_size: int) -> int:
    """The same of the form that loses no digits, which makes more of a row: an accelerator sets
    memory aside for both, whichever is taken."""
    if on_cpu(rows):
        return block_size
    numbers = numbers_per_unit(model, rows), numbers_per_unit(model, rows, stable=True)
    return min(block_size, _whole(max(1, block_size * numbers[0] // numbers[1])))


def _multiple(size: int) -> int:
    """Of which a block of about that size is one: XLA divides a sum over rows by powers of 2."""
    return min(_WHOLE, 1 << max(0, size.bit_length() - 4))


def _whole(size: int) -> int:
    return size - size % _multiple(size)


def _busy(rows: Rows) -> int:
    """Numbers that an accelerator makes at a time: what keeps it busy, of a share of its memory."""
    x = jax.tree.leaves(rows.x)[0]
    known = isinstance(x, jax.Array) and checks.is_concrete(x)
    device = next(iter(x.devices())) if known else jax.devices()[0]
    return min(_BUSY, _memory(device) // _SHARE) // rows.weight.dtype.itemsize


def _memory(device: Any) -> int:
    """Bytes; of a device that does not tell, what makes no difference."""
    try:
        told = device.memory_stats() or {}
    except (NotImplementedError, RuntimeError):  # some plugins have none
        told = {}
    return told.get("bytes_limit", _SHARE * _BUSY)


def block_units(rows: Rows, given: Any) -> int:
    """The same of a number of rows that was given."""
    n_rows = 1 if rows.first is not None else rows.weight.size // rows.n_units
    return min(rows.n_units, max(1, checks.whole(given, "block_size", least=1) // n_rows))


def _alike(n: int, most: int, multiple: int) -> int:
    """The size of as many blocks as `most` units a block need, but nearly equal ones."""
    size = -(-n // -(-n // most))
    return min(most, -(-size // multiple) * multiple)


def chunk_size(model: Model, rows: Rows, n_starts: int, block_size: int) -> int:
    """Starts a vmapped chunk: one on a CPU, on an accelerator all that keep it busy together.

    Lanes of one chunk wait for its slowest start, and on a CPU gain nothing for it: chunks of 2 to
    100 took 1.2 to 6.8 times as long as single starts, for n from 150 to 5000
    (`python -m benchmarks.chunks`). Chunks are evened out, so that the last is nearly full.
    """
    if on_cpu(rows):
        return 1
    most = max(1, min(n_starts, _busy(rows) // _numbers_a_start(model, rows, block_size)))
    n_chunks = -(-n_starts // most)
    return -(-n_starts // n_chunks)


def _numbers_a_start(model: Model, rows: Rows, block_size: int) -> int:
    return min(rows.n_units, block_size) * numbers_per_unit(model, rows)


def n_threads(model: Model, rows: Rows, n_starts: int) -> int:
    """Over how many threads starts are spread; 1 where a single start keeps all cores busy.

    That of a chain has none: its steps wait for each other. Several devices wait for each other in
    every iteration, and go through one start at a time.
    """
    if not on_cpu(rows) or rows.shards is not None:
        return 1
    numbers = rows.n_units * numbers_per_unit(model, rows)
    if numbers > _SMALL and rows.first is None:
        return 1
    return min(n_cores(), n_starts)


def rounds(model: Model, rows: Rows) -> int:
    """Rounds of a search that may end before, at most: fewer of large data, one of very large."""
    numbers = rows.n_units * numbers_per_unit(model, rows)
    return max(1, min(_ROUNDS_OF_SEARCH, _SEARCHED // numbers))


def n_cores() -> int:
    """Those this process may use, where the system tells (Linux), else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def padded_k(model: Model, rows: Rows, search: bool = False) -> int:
    """The parts that a fit of small data is compiled for: one program for 1 and 2, 3 and 4, ...

    Absent parts cost as much as others, which is little there, and less than compiling.
    search: whether few starts of many k, or one pass, are the rule: one program for 1 to 8, ...
    """
    k = model.n_components
    if not model.nested_in_k or not is_small(rows):
        return k
    multiple = 8 if search else 2 if k <= 8 else 4
    return k + -k % multiple


def starts_a_group(model: Model, rows: Rows, n_starts: int) -> int | None:
    """Starts a group on a CPU, however many there are: one size compiles once.

    Fewer where their parameters are many. None for one start of a large table, which has a loop
    less by itself.
    """
    if not on_cpu(rows) or rows.shards is not None or (n_starts == 1 and not is_small(rows)):
        return None
    numbers = model.n_components * (emissions.n_columns(model, rows) + 1) ** 2
    return max(1, min(_STARTS, _GROUP // (_STATE * numbers)))


def group_size(r: int, n_threads: int) -> int:
    """Starts a group, of groups that keep the threads busy to the end."""
    return -(-r // (_ROUNDS * n_threads))


def sets_a_group(model: Model, rows: Rows, n_sets: int, n_starts: int, block_size: int) -> int:
    """Data sets a group, no more than memory holds; on a CPU however many there are.

    n_starts: of each, side by side on an accelerator.
    """
    data = rows.weight.size * (emissions.n_columns(model, rows) + 1)
    if on_cpu(rows):
        return max(1, min(_STARTS, _GROUP // data))
    made = n_starts * _numbers_a_start(model, rows, block_size)
    return min(n_sets, max(1, _busy(rows) // (data + made)))


def lanes(rows: Rows, size: int) -> int:
    """Sets fitted side by side, of a group."""
    return 1 if on_cpu(rows) else size


def directions(model: Model, rows: Rows, block_size: int, most: int, numbers: int) -> int:
    """Directions differentiated side by side, up to `most`, that make so many numbers."""
    each = min(rows.n_units, block_size) * numbers_per_unit(model, rows)
    return max(1, min(most, numbers // max(each, 1)))
