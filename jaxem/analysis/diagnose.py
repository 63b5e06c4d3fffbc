"""Whether parameters are a fixed point of EM, and how well the rows determine them there.

J is the derivative of EM's map. Its largest eigenvalue is the share of the information on the worst
known direction that is missing, and the rate at which EM converges along it (Dempster, Laird and
Rubin 1977, section 3; Meng and Rubin 1991).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxem.core import checks, emissions, parameters
from jaxem.core.contracts import Model, Params, Prior, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.core.names import names
from jaxem.fitting import fixed_point, sizes
from jaxem.fitting.effort import program

_NEAR = 1e-5  # gains left of the mean objective with which parameters count as a fixed point
_SLOW = 0.99


class Diagnosis(NamedTuple):
    """What EM and the rows say of the parameters.

    spectral_radius: of EM's map: its rate of convergence, and the largest share of the information
        that is missing; from 1 on the parameters are no isolated maximum.
    gradient_norm: of the mean objective, in nats for one standard deviation of a row of complete
        data (to first order: the length of an EM step in its metric).
    remaining_gain: of the mean objective, in nats, by one Newton step; NaN where there is none.
    condition: 1 / (1 - spectral_radius), by which errors of a step become errors of the parameters;
        infinite from 1 on.
    direction: of the parameters, along which least is known; its largest entry is 1 or -1, in
        standard deviations of a row.
    on_boundary: which numbers are at the end of their range.
    """

    spectral_radius: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    remaining_gain: Float[Array, ""]
    condition: Float[Array, ""]
    direction: Params
    on_boundary: Params

    @property
    def singular(self) -> Array:
        """Whether the rows leave a direction undetermined."""
        half = jnp.finfo(self.spectral_radius.dtype).eps ** 0.5
        return ~(self.spectral_radius < 1 - half)

    @property
    def stationary(self) -> Array:
        """Whether another fit from here would gain less than 1e-5 nats a row."""
        gain = jnp.where(self.singular, self.gradient_norm**2, self.remaining_gain)
        return jnp.abs(gain) <= _NEAR

    @property
    def at_boundary(self) -> Array:
        return fixed_point.any_mark(self.on_boundary)

    def __str__(self) -> str:
        if not checks.is_concrete(self):
            return "a traced diagnosis"
        lines = [
            f"spectral radius  {float(self.spectral_radius):.6g}   (rate of EM, largest share of "
            "information that is missing)",
            f"gradient norm    {float(self.gradient_norm):.3g}   (nats a row and standard "
            "deviation)",
            f"remaining gain   {float(self.remaining_gain):.3g}   (nats a row)",
            f"condition        {float(self.condition):.3g}",
        ]
        return "\n".join(lines + [f"{name:<17}{text}" for name, text in self._troubles()])

    def __repr__(self) -> str:
        return str(self)

    def _troubles(self) -> list[tuple[str, str]]:
        """Why there is no derivative of a fit that ends here, and what helps."""
        found = []
        if not np.isfinite(float(self.gradient_norm)):
            return [("trouble", "not finite: look for NaN in rows and parameters")]
        if not self.stationary:
            found.append(
                ("not converged", "no fixed point of EM: fit on, with a smaller tol or more "
                 "iterations")
            )  # fmt: skip
        elif self.spectral_radius > 1 + 1e-3:
            found.append(
                ("saddle point", f"no maximum along {self._worst()}, as where components are the "
                 "same: start elsewhere")
            )  # fmt: skip
        elif self.singular:
            found.append(
                ("singular", f"the rows do not determine {self._worst()}: components that are the "
                 "same, more of them than the rows tell apart, or columns that follow from each "
                 "other; use fewer components, or a prior")
            )  # fmt: skip
        elif self.spectral_radius > _SLOW:
            found.append(("slow", f"little is known of {self._worst()}"))
        ends = _named(jax.tree.map(lambda marks: np.asarray(marks, float), self.on_boundary))
        if ends:
            shown = ", ".join(ends[:4]) + (", ..." if len(ends) > 4 else "")
            found.append(
                ("at the boundary", f"{len(ends)}: {shown}; a prior keeps probabilities and rates "
                 "from 0")
            )  # fmt: skip
        if not found:
            found.append(("trouble", "none: a fit that ends here has derivatives"))
        return found

    def _worst(self) -> str:
        return ", ".join(_named(self.direction)[:3])


@waits
def diagnose(
    model: Model,
    params: Params,
    x: Any,
    sample_weight: Any = None,
    prior: Prior | None = None,
    labels: Any = None,
    lengths: Any = None,
    reg_covar: Any = 0.0,
    fixed: Any = None,
) -> Diagnosis:
    """Whether parameters are a maximum that has derivatives, and if not, why not.

    EM's map M near them: r = M(t) - t,  J = dM/dt,  the Newton step inv(I - J) r.

    The options are those of the fit that the parameters came from. Printed, it says which trouble
    there is: gradients of a fit are NaN where it has not converged, where the information is
    singular, and on the boundary.
    Errors: ValueError for bad input. Source: Dempster, Laird and Rubin (1977); Meng and Rubin
    (1991), J. Am. Stat. Assoc. 86, 899-909.
    """
    rows = as_dataset(model, x, sample_weight, labels, lengths).filled
    prior = model.as_prior(prior, reg_covar, emissions.like(model, rows), fixed)
    block = sizes.block_size(model, rows)
    return _diagnose(model, model.as_params(params, rows), rows, prior, block)


@program("model", "block_size")
def _diagnose(
    model: Model, params: Params, rows: Rows, prior: Prior | None, block_size: int
) -> Diagnosis:
    inputs = fixed_point.Inputs(rows, prior, params)
    seen = fixed_point.look(model, block_size, params, inputs)
    vector, unravel = ravel_pytree(params)

    def there(vector: Array) -> Params:
        return emissions.at_pivot(model, unravel(vector), rows)

    length = fixed_point.length(model, there(vector + seen.em_step), there(vector))
    radius, direction = fixed_point.slowest(model, block_size, params, inputs, seen.jacobian)
    direction = direction / fixed_point.units(model, params)
    largest = direction[jnp.argmax(jnp.abs(direction))]
    gap = jnp.where(radius < 1, 1 - radius, jnp.ones_like(radius))
    return Diagnosis(
        spectral_radius=radius,
        gradient_norm=length,
        remaining_gain=_gain(model, params, there(seen.em_step), there(seen.newton_step)),
        condition=jnp.where(radius < 1, 1 / gap, jnp.where(radius >= 1, jnp.inf, jnp.nan)),
        direction=unravel(direction / largest),
        on_boundary=fixed_point.on_boundary(model, params, prior),
    )


def _gain(model: Model, params: Params, em_step: Params, newton_step: Params) -> Array:
    """Half the gradient, which is Fisher's diagonal times the EM step, times the Newton step."""
    to_unconstrained = partial(parameters.to_unconstrained, model.constraints)

    def along(step: Params) -> Params:
        return jax.jvp(to_unconstrained, (params,), (step,))[1]

    trees = model.fisher_diagonal(params), along(em_step), along(newton_step)
    leaves = zip(*map(jax.tree.leaves, trees), strict=True)
    products = (jnp.sum(jnp.where(m > 0, m * a * b, 0)) for m, a, b in leaves)
    return 0.5 * sum(products, jnp.zeros((), jax.tree.leaves(params)[0].dtype))


def _named(tree: Params) -> list[str]:
    """Names of the numbers that are not small beside the largest, largest first."""
    values = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    sizes = list(zip(np.abs(values).tolist(), names(tree), strict=True))
    most = max(size for size, _ in sizes)
    return [name for size, name in sorted(sizes, reverse=True) if size > 0.1 * most]
