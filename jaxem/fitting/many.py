"""Many data sets, each fitted by itself, in one launch."""

from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem.core import checks, tables
from jaxem.core.contracts import Model, Prior, Rows
from jaxem.core.dataset import Dataset, as_dataset, with_rows
from jaxem.core.inputs import waits
from jaxem.core.rows import replace_absent
from jaxem.fitting import frequencies, keys, refits, starts
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import prepare
from jaxem.fitting.result import Result, gathered


@waits
def fit_many(
    model: Model,
    xs: Any,
    *,
    key: Any,
    n_init: int = 20,
    init: Any = "portfolio",
    sample_weight: Any = None,
    prior: Prior | None = None,
    fixed: Any = None,
    labels: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 1000,
    reg_covar: Any = 0.0,
    acceleration: Any = "squarem",
    block_size: int | None = None,
    min_count: Any = None,
    min_variance_ratio: Any = 1e-3,
    max_eigenvalue_ratio: Any = None,
) -> Result:
    """Fit one model to each of many data sets, over all cores of a CPU or at once on a GPU.

    theta[i] <- argmax_theta log p(xs[i]; theta) + log p(theta)

    xs: (b, n, d), or (b, n) of one column: b data sets; a tuple or a dict of such arrays where the
        family takes one; or a list of data sets of any lengths.
    key: data set i is fitted as `fit(model, xs[i], key=jax.random.split(key, b)[i])` does it.
    sample_weight, labels: (b, n), or a list as xs is. Weights of 0 end a data set before n.
    The other options are those of `fit`.

    -> one Result whose arrays have a leading axis b: `len(results)`, `results.status`,
    `results[i]`, `results[results.converged]`.

    `jax.vmap` over `fit` gives the same inside `jit`, on one core of a CPU.
    Errors: ValueError for bad input, and for models of sequences.
    """
    if not isinstance(init, str):
        raise ValueError(f"init is {init!r}; name a method, or use jax.vmap over jaxem.em")
    checks.key(key)
    data = _read(model, *_filled_up(tables.opened(xs), sample_weight, labels))
    host = jax.device_get(data.rows)
    first = with_rows(data, jax.tree.map(lambda leaf: leaf[0], host))
    options = Options(prior, fixed, tol, max_iter, reg_covar, acceleration, block_size, min_count,
                      min_variance_ratio, max_eigenvalue_ratio)  # fmt: skip
    job = prepare(first, options, Starts(init, key, n_init))

    def make(index: np.ndarray) -> Rows:
        return jax.tree.map(lambda leaf: leaf[index], host)

    own = keys.split(key, host.weight.shape[0])
    begin = refits.Begin(own, None, starts.methods(init, job.n_starts, job.rows.first is not None))
    found: refits.Fits = refits.run(job, refits.Sets(make), begin, lambda fits: fits)
    return jax.device_put(gathered(found.best, found.restarts, job.provenance))


def _filled_up(xs: Any, sample_weight: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Arrays (b, n, ...); data sets of a list are filled up with rows of weight 0."""
    if not isinstance(xs, list):
        return xs, sample_weight, labels
    if not xs:
        raise ValueError("xs is an empty list; give at least one data set")
    sets = [jax.tree.map(partial(tables.array, what="xs"), x) for x in xs]
    n = [len(jax.tree.leaves(x)[0]) for x in sets]
    most = max(n)

    def filled(leaf: Any, value: Any) -> np.ndarray:
        rows = [(0, most - len(leaf))] + [(0, 0)] * (leaf.ndim - 1)
        return np.pad(leaf, rows, constant_values=value)

    if sample_weight is None:
        sample_weight = [np.ones(rows) for rows in n]
    for name, given in (("sample_weight", sample_weight), ("labels", labels)):
        if given is not None and [len(of) for of in given] != n:
            raise ValueError(f"{name} has other lengths than the data sets of xs")
    x = jax.tree.map(lambda *leaves: np.stack([filled(leaf, 0) for leaf in leaves]), *sets)
    weight = np.stack([filled(_weight(of), 0) for of in sample_weight])
    if labels is not None:
        labels = np.stack([filled(tables.codes(of, "labels"), -1) for of in labels])
    return x, weight, labels


def _weight(given: Any) -> np.ndarray:
    return np.asarray(tables.array(given, "sample_weight", masked=0.0))


def _read(model: Model, xs: Any, sample_weight: Any, labels: Any) -> Dataset:
    """All sets, checked in one go: rows with leaves (b, n, ...)."""
    leaves = [tables.array(leaf, "xs") for leaf in jax.tree.leaves(xs)]
    if not checks.is_concrete(leaves, sample_weight, labels):
        raise ValueError("xs is traced; inside jit use jax.vmap over jaxem.fit")
    shapes = [leaf.shape for leaf in leaves]
    if min(map(len, shapes)) < 2 or len({shape[:2] for shape in shapes}) > 1:
        raise ValueError(
            f"xs has shape {', '.join(map(str, shapes))}; give (b, n, d): data sets, rows, columns"
        )
    b, n = shapes[0][:2]
    weight = None if sample_weight is None else _weight(sample_weight)
    known = None if labels is None else tables.codes(labels, "labels")
    if weight is not None:
        if weight.shape != (b, n):
            raise ValueError(f"sample_weight has shape {weight.shape}; give {(b, n)}")
        empty = np.flatnonzero(~(weight > 0).any(axis=1))
        if len(empty):
            raise ValueError(f"sample_weight[{empty[0]}] is all zero: no row is left to fit")

    def flat(leaf: Any) -> Any:
        return leaf.reshape(b * n, *leaf.shape[2:])

    flat_x = jax.tree.unflatten(jax.tree.structure(xs), [flat(leaf) for leaf in leaves])
    weight, known = (None if of is None else flat(of) for of in (weight, known))
    data = as_dataset(model, flat_x, weight, known)
    if data.layout is not None:
        raise ValueError(f"{model!r} is of sequences: use jax.vmap over jaxem.fit")
    if weight is not None:
        lightest = np.argmin(np.sum(np.reshape(weight, (b, n)), axis=1))
        own = jax.tree.map(lambda leaf: leaf[lightest * n :][:n], data.rows)
        frequencies.check(with_rows(data, own))
    rows = jax.tree.map(lambda leaf: leaf.reshape(b, n, *leaf.shape[1:]), data.rows)
    if weight is not None:
        rows = rows._replace(x=jax.vmap(replace_absent)(rows.x, rows.weight))
    return with_rows(data, rows)
