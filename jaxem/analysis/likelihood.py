"""The likelihood as one studies it: its value, its slices, and its climb by EM."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxem.analysis.in_pieces import summed
from jaxem.core import checks, emissions, parameters, tables
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.core.names import name
from jaxem.fitting import em, sizes, trimming
from jaxem.fitting.effort import program


class Slice(NamedTuple):
    """The log-likelihood along one parameter.

    argmax: the value of the grid where it is highest, NaN where it is NaN everywhere.
    """

    grid: Float[Array, " g"]
    log_likelihood: Float[Array, " g"]
    argmax: Float[Array, ""]


class Trace(NamedTuple):
    """Parameters and log-likelihood from the start, iteration 0, on: a leading axis n_iter + 1."""

    params: Params
    log_likelihood: Float[Array, " t"]
    log_posterior: Float[Array, " t"]


@waits
@summed
def log_likelihood(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Array:
    """sum_n weight[n] log p(x[n]; params), natural log with every constant.

    lengths: of the sequences of a batch, here and below. mesh: as `fit` takes it. x may be a
    source, whose rows bring their weights and labels.
    Errors: ValueError when x and params disagree in shape, or x holds NaN.
    """
    rows = as_dataset(model, x, sample_weight, None, lengths, mesh).filled
    params, block = model.as_params(params, rows), sizes.block_size(model, rows)
    return sizes.beside(rows, _log_likelihood(model, params, rows, block))


@waits
def complete_log_likelihood(
    model: Model,
    params: Params,
    x: Any,
    z: Any,
    sample_weight: Any = None,
    lengths: Any = None,
) -> Array:
    """sum_n weight[n] log p(x[n], z[n]; params): the log-likelihood if the causes z were seen.

    For a mixture, sum_n weight[n] (log w[z[n]] + log p_{z[n]}(x[n])). No sum is inside the
    logarithm, so that its maximum has a closed form.

    z: (n,) components from 0. Errors: as for `log_likelihood`, and ValueError where z is unknown.
    Source: Dempster, Laird and Rubin (1977), section 1.
    """
    if checks.is_concrete(z) and not np.all(np.asarray(z) >= 0):
        raise ValueError("z is not known for all rows; give the component of each, from 0")
    rows = as_dataset(model, x, sample_weight, z, lengths).filled
    return _log_likelihood(
        model, model.as_params(params, rows), rows, sizes.block_size(model, rows)
    )


@waits
def likelihood_slice(
    model: Model,
    params: Params,
    x: Any,
    path: Any,
    grid: Any,
    sample_weight: Any = None,
    lengths: Any = None,
) -> Slice:
    """The log-likelihood along one parameter, the others fixed.

    path: where the parameter is, such as "weights[0]" or "components.means[0, 1]", or the parts of
        that in a tuple, ("components", "means", 0, 1).
    grid: (g,) values of it. A probability takes from or gives to the others in proportion; an entry
        of a covariance matrix moves with its mirror image. NaN where a value is outside the domain.
    Errors: ValueError for a path that is not one number of the parameters.
    """
    rows = as_dataset(model, x, sample_weight, None, lengths).filled
    params = model.as_params(params, rows)
    place = find(params, path)
    grid = tables.array(grid, "grid")
    if grid.ndim != 1 or grid.size == 0:
        raise ValueError(f"grid has shape {grid.shape}; give a vector of values, (g,)")
    grid = checks.cast(grid, rows.weight.dtype)
    return _slice(model, params, rows, grid, place, sizes.block_size(model, rows))


@waits
def em_trace(
    model: Model,
    params: Params,
    x: Any,
    n_iter: int,
    *,
    sample_weight: Any = None,
    prior: Prior | None = None,
    lengths: Any = None,
) -> Trace:
    """Every iteration of EM from given parameters: plain steps, no stopping rule.

    theta[t + 1] = argmax_theta E[log p(x, z; theta) | x; theta[t]] + log p(theta)

    n_iter: steps taken. log_posterior, which EM never lowers, is the log-likelihood plus log prior.
    Errors: ValueError for bad input. Source: Dempster, Laird and Rubin (1977).
    """
    rows = as_dataset(model, x, sample_weight, None, lengths).filled
    prior = model.as_prior(prior, None, emissions.like(model, rows))
    n_iter = checks.whole(n_iter, "n_iter", least=0)
    return _trace(model, model.as_params(params, rows), rows, prior, n_iter,
                  sizes.block_size(model, rows))  # fmt: skip


def find(params: Params, path: Any) -> tuple[str | int, ...]:
    """The path as names and whole numbers; ValueError unless one number of params is there."""
    parts = (
        list(path)
        if not isinstance(path, str)
        else [
            quoted or word or int(number)
            for quoted, word, number in re.findall(r"\['([^']+)'\]|([A-Za-z_]\w*)|(-?\d+)", path)
        ]
    )
    leaf: Any = params
    names: list[str | int] = []
    while isinstance(leaf, tuple | dict):
        if not parts:
            raise ValueError(f"path is {path!r}, which is no number; give one{_like(params)}")
        name: Any = parts.pop(0)
        there = _parts(leaf)
        if name not in there:
            raise ValueError(f"path is {path!r}: there is no {name!r}; give one{_like(params)}")
        names.append(name)
        leaf = there[name]
    beyond = [part for part in parts if isinstance(part, str)]
    if beyond:
        raise ValueError(f"path is {path!r}: there is no {beyond[0]!r}; give one{_like(params)}")
    index = tuple(parts)
    shape = np.shape(leaf)
    if len(index) != len(shape) or any(
        not -size <= i < size for i, size in zip(index, shape, strict=True)
    ):
        raise ValueError(
            f"path is {path!r}: {names[-1]} has shape {shape}; name one number of it{_like(params)}"
        )
    return (*names, *(i % size for i, size in zip(index, shape, strict=True)))


def _parts(node: Any) -> dict[str | int, Any]:
    """What is inside a dict, a NamedTuple or a tuple, by name or place."""
    if isinstance(node, dict):
        return node
    return node._asdict() if hasattr(node, "_fields") else dict(enumerate(node))


def _like(params: Params) -> str:
    """What paths look like, one for each array."""
    examples = [name(path, [0] * np.ndim(leaf)) for path, leaf in jax.tree.leaves_with_path(params)]
    return f", such as {', '.join(examples)}"


@program("model", "block_size")
def _log_likelihood(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    return em.log_likelihood(model, params, None, rows, block_size)


@program("model", "path", "block_size")
def _slice(
    model: Model, params: Params, rows: Rows, grid: Array, path: tuple, block_size: int
) -> Slice:
    def at(value: Array) -> Array:
        moved = parameters.replace(model.constraints, params, path, value)
        return em.log_likelihood(model, moved, None, rows, block_size)

    values = lax.map(at, grid)
    values = jnp.where(jnp.isfinite(values), values, jnp.nan)
    highest = jnp.argmax(jnp.where(jnp.isnan(values), -jnp.inf, values))
    argmax = jnp.where(jnp.all(jnp.isnan(values)), jnp.nan, grid[highest])
    return Slice(grid, values, argmax)


@program("model", "n_iter", "block_size", often=True)
def _trace(
    model: Model, params: Params, rows: Rows, prior: Prior | None, n_iter: int, block_size: int
) -> Trace:
    def step(params: Params, _: None) -> tuple[Params, Trace]:
        prepared = model.prepare(params, prior)
        statistics, objective = trimming.sums(model, prepared, prior, rows, block_size)
        posterior = objective + model.log_prior(params, prior)
        likelihood = objective
        if prior is not None:
            likelihood = em.log_likelihood(model, params, prior, rows, block_size)
        return model.m_step(params, statistics, prior), Trace(params, likelihood, posterior)

    return lax.scan(step, params, length=n_iter + 1)[1]
