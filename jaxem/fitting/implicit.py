"""Derivatives of a fit by the implicit function theorem, at the fixed point that it came to.

A fit ends where EM's map stays, t = M(t, a), with a the rows, their weights and the prior. By the
implicit function theorem

    (I - J) dt = b,    J = dM/dt,  b = dM/da da        (Krantz and Parks 2002, theorem 3.3.1)

J's largest eigenvalue is the share of the information that is missing and the rate at which EM
converges (Dempster, Laird and Rubin 1977, section 3): where it is 1 the rows do not determine the
parameters, and there is no derivative. M lands in the constraints (probabilities that add up to 1,
symmetric matrices), so that the equation is solved in the parameters as they are.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.contracts import Health, Model, Params, Prior, Rows
from jaxem.fitting import em, fixed_point, linear_solve, trimming
from jaxem.fitting.fixed_point import Inputs
from jaxem.fitting.result import Result


class Found(NamedTuple):
    """What a fit says that depends on its inputs."""

    params: Params
    counts: Float[Array, " k"]
    total_weight: Float[Array, ""]
    log_likelihood: Float[Array, ""]
    log_posterior: Float[Array, ""]


@partial(jax.jit, static_argnames=("model", "block_size"))
def differentiable(
    model: Model,
    result: Result,
    rows: Rows,
    prior: Prior | None,
    starts: Params | None,
    block_size: int,
) -> Result:
    """The result of a loop that saw no derivatives, with them.

    starts: the parameters it started from, where given: what is absent or fixed stays as in them.
    Of the starts, the best has its derivatives; those of the others are NaN.
    """
    given = None if starts is None else jax.tree.map(lambda leaf: leaf[0], starts)
    inputs = Inputs(rows, prior, result.params if given is None else given)
    found = Found(
        result.params, result.health.count, result.total_weight, result.log_likelihood,
        result.log_posterior,
    )  # fmt: skip
    found = attach(model, block_size, found, result.converged, inputs)
    others, health = result.restarts, result.health
    (*each, ratio) = _undefined(
        (others.params, others.log_likelihood, others.log_posterior, health.variance_ratio), inputs
    )
    best = found.params, found.log_likelihood, found.log_posterior
    params, likelihood, posterior = jax.tree.map(
        lambda each, own: each.at[others.best].set(own), tuple(each), best
    )
    return result._replace(
        params=found.params,
        log_likelihood=found.log_likelihood,
        log_posterior=found.log_posterior,
        total_weight=found.total_weight,
        health=Health(found.counts, ratio),
        restarts=others._replace(params=params, log_likelihood=likelihood, log_posterior=posterior),
    )


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def attach(
    model: Model, block_size: int, found: Found, converged: Bool[Array, ""], inputs: Inputs
) -> Found:
    """`found`; under differentiation with its derivatives, and polished by Newton steps to the
    precision of the dtype, so that what is computed from it is as exact as they are.
    """
    return found


@attach.defjvp
def _attach_jvp(
    model: Model, block_size: int, primals: tuple, tangents: tuple
) -> tuple[Found, Found]:
    found, converged, inputs = primals
    in_inputs = tangents[2]
    point = fixed_point.polish(
        model, block_size, *lax.stop_gradient((found.params, converged, inputs))
    )
    # By itself again: what follows is a function of a point that moves with the inputs.
    polished = found._replace(params=point.params)
    params = attach(model, block_size, polished, converged, inputs).params
    at = partial(fixed_point.em_map, model, block_size)
    moved = jax.jvp(lambda inputs: at(params, inputs), (inputs,), (in_inputs,))[1]
    change = fixed_point.solve(model, partial(at, inputs=inputs), params, inputs.rows, point, moved)
    of = partial(_measure, model, block_size)
    return jax.jvp(of, (params, inputs), (change, in_inputs))


def _measure(model: Model, block_size: int, params: Params, inputs: Inputs) -> Found:
    rows, prior, _ = inputs
    prepared = model.prepare(params, prior)
    statistics, objective = trimming.sums(model, prepared, prior, rows, block_size)
    likelihood = objective
    if prior is not None:
        likelihood = em.log_likelihood(model, params, prior, rows, block_size)
    return Found(
        params,
        statistics.counts,
        statistics.total_weight,
        likelihood,
        objective + model.log_prior(params, prior),
    )


@jax.custom_jvp
def _undefined(values: Any, inputs: Inputs) -> Any:
    """The values; their derivatives with respect to the inputs are NaN."""
    return values


@_undefined.defjvp
def _undefined_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    values = _undefined(*primals)
    total = jnp.zeros((), jax.tree.leaves(values)[0].dtype)
    for leaf in jax.tree.leaves(tangents[1]):
        if leaf.dtype != jax.dtypes.float0:
            total = total + jnp.vdot(linear_solve.generic(leaf.size, leaf.dtype), jnp.ravel(leaf))
    never = jnp.zeros((), bool)
    lost = linear_solve.linear(lambda v: v, lambda _, v, **how: v, never, total[None])[0]
    return values, jax.tree.map(lambda leaf: jnp.broadcast_to(lost, leaf.shape), values)
