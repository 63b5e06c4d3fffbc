"""Some columns of a mixture given others: the mixture of the rest, which is a model again."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from jaxem.core import checks
from jaxem.core.capabilities import conditioning
from jaxem.core.contracts import Family, Model, Params
from jaxem.core.inputs import waits
from jaxem.core.numerics import einsum, safe_log
from jaxem.families.product import Product
from jaxem.models.mixture import Mixture, MixtureParams


@waits
def conditional(
    model: Model, params: Params, given: Mapping, columns: Any = None
) -> tuple[Mixture, Params]:
    """The mixture of the remaining columns, given values of others: (model, params).

    p(x_r | x_g) = sum_k P(k | x_g) p_k(x_r | x_g),    P(k | x_g) proportional to w[k] p_k(x_g)

    Noise stays noise, spread over the box of the columns left, with its share given x_g.

    given: values by index, {0: 1.5}, or by name where `columns` has the names of all of them. For a
        `Product` by block: {"size": {0: 1.5}}, or the block's whole row, {"colour": 2}.
    The columns left keep their order. Densities, samples, `moments`, fits: as of any mixture. Its
    mean as a function of what is given is Gaussian mixture regression; vmap and grad work on it.

    Errors: ValueError for columns that are not there, or when none is left.
    Source: Ghahramani and Jordan (1994), NIPS 6, 120-127.
    """
    if not isinstance(model, Mixture) or model.n_covariates:
        raise ValueError(
            f"model is {model!r}; columns given others are of a mixture whose weights depend on "
            "nothing"
        )
    params = model.as_params(params, None)
    family, own = model.family, params.components
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"given is {given!r}; give values by column, such as {{0: 1.5}}")
    if isinstance(family, Product):
        chosen, left = _of_blocks(family, own, given)
    else:
        d = family.like_x(own).shape[1]
        chosen = _by_index(given, d, columns)
        left = d - len(chosen)
    if not left:
        raise ValueError(f"all of the columns are given: {sorted(map(str, given))}; none is left")
    rest, components, log_density = conditioning.conditional(family, own, chosen)
    logs = safe_log(params.weights) + log_density
    beside = model.background.given(params, chosen, logsumexp(logs))
    rest = Mixture(rest, model.n_components, model.noise, names=model.names)
    return rest, rest.params_type(jax.nn.softmax(logs), components, *beside)


class Moments(NamedTuple):
    """mean (d,) and covariance (d, d) of a row."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


@waits
def moments(model: Model, params: Params) -> Moments:
    """Mean and covariance of a row.

    E x = sum_k w[k] m[k],    cov x = sum_k w[k] (C[k] + (m[k] - E x)(m[k] - E x)')

    Errors: ValueError for families that do not tell those of a component.
    """
    if not isinstance(model, Mixture) or model.params_type is not MixtureParams:
        raise ValueError(
            f"model is {model!r}; moments are of the rows of a mixture without noise, and without "
            "concomitants"
        )
    weights, components = model.as_params(params, None)
    means, covariances = conditioning.moments(model.family, components)
    mean = einsum("k,kd->d", weights, means)
    away = means - mean[None]
    within = einsum("k,kij->ij", weights, covariances)
    return Moments(mean, within + einsum("k,ki,kj->ij", weights, away, away))


def _by_index(given: Mapping, d: int, columns: Any) -> dict[int, Any]:
    names = None if columns is None else tuple(map(str, columns))
    if names is not None and len(names) != d:
        raise ValueError(f"columns has {len(names)} names, the model {d} columns")
    found = {}
    for column, value in given.items():
        if isinstance(column, str):
            if names is None or column not in names:
                have = "columns= was not given" if names is None else f"have {', '.join(names)}"
                raise ValueError(f"column {column!r} is not known: {have}")
            column = names.index(column)
        index = checks.whole(column, "a column of given", least=0)
        if index >= d:
            raise ValueError(f"column {index} is given; there are columns 0 to {d - 1}")
        if np.ndim(value) or (checks.is_concrete(value) and not np.isfinite(value)):
            raise ValueError(f"column {column} is given as {value!r}; give one finite number")
        found[index] = value
    return found


def _of_blocks(family: Product, params: Any, given: Mapping) -> tuple[dict[str, Any], int]:
    """-> (for each block its values by index, how many columns are left)."""
    blocks: dict[str, Family] = dict(family.blocks)
    unknown = sorted(set(given) - set(blocks))
    if unknown:
        raise ValueError(f"given has {unknown}; the blocks are {', '.join(blocks)}")
    found, left = {}, 0
    for name, of in blocks.items():
        d = of.like_x(params[name]).shape[1]
        own = given.get(name, {})
        if not isinstance(own, Mapping):
            values = jnp.ravel(jnp.asarray(own))
            if len(values) != d:
                raise ValueError(f"block {name!r} is given {len(values)} values; it has {d}")
            own = dict(enumerate(values))
        if own:
            found[name] = _by_index(own, d, None)
        left += d - len(own)
    return found, left
