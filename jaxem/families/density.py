"""Any density at all: its logarithm as a function, and the M-step by Newton.

With the chart t of a component, l(t) = sum r log p(x; theta(t)), its gradient g and Hessian H by
automatic differentiation, |H| the matrix of H's eigenvalues without their signs:

    t = t_old + a inv(|H|) g,    a = 1 / (1 + sqrt(g' inv(|H|) g / N))

a step uphill, which the loop halves where it is too long (generalized EM).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from jaxem.core.contracts import Family
from jaxem.core.factors import eigh
from jaxem.core.numerics import einsum, root

_N_POOLED = 25  # Newton steps of the fit of one component


def same(params: Any) -> Any:
    """The chart of parameters that may be any numbers."""
    return params


class Derivatives(NamedTuple):
    count: Float[Array, " k"]
    gradient: Float[Array, "k p"]
    hessian: Float[Array, "k p p"]


@dataclass(frozen=True)
class Density(Family):
    """A component by functions of one component's parameters, a tree of arrays without k.

    log_prob(params, x): (n, d) -> (n,), differentiable twice, with every constant.
    start(x, weight): parameters for rows x with these weights, roughly; the rest is up to Newton.
    to_chart_of(params), from_chart_of(chart): coordinates that may be any numbers, and back.
    draw(key, params): one row (d,), for `sample`.

    Functions defined at the top of a module compare and hash as themselves: make the family once.
    """

    log_prob: Any
    start: Any
    to_chart_of: Any = same
    from_chart_of: Any = same
    draw: Any = None

    def __post_init__(self) -> None:
        for name in ("log_prob", "start", "to_chart_of", "from_chart_of"):
            if not callable(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a function")

    @property
    def exact(self) -> bool:
        return False

    # ---- starts

    def pooled(self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int) -> Any:
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], self.start(x, weight))

        def step(_: Array, params: Any) -> Any:
            sums = self.statistics(params, x, None, weight[None])
            return self.m_step(params, sums, None, jnp.ones(1, bool))

        one = lax.fori_loop(0, _N_POOLED, step, one)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (k, *leaf.shape[1:])), one)

    # ---- the two steps

    def evaluate(self, prepared: Any, x: Float[Array, "n d"]) -> tuple[Float[Array, "k n"], None]:
        return jax.vmap(self.log_prob, (0, None))(prepared, x), None

    def statistics(
        self, prepared: Any, x: Float[Array, "n d"], cache: None, responsibilities: Array
    ) -> Derivatives:
        def of_one(params: Any, r: Float[Array, " n"]) -> tuple[Array, Array]:
            vector, unravel = ravel_pytree(self.to_chart_of(params))

            def expected(t: Array) -> Array:
                log_density = self.log_prob(self.from_chart_of(unravel(t)), x)
                return jnp.sum(jnp.where(r > 0, r * log_density, 0))

            return jax.grad(expected)(vector), jax.hessian(expected)(vector)

        count = jnp.sum(responsibilities, axis=1)
        return Derivatives(count, *jax.vmap(of_one)(prepared, responsibilities))

    def m_step(self, params: Any, statistics: Any, prior: None, live: Bool[Array, " k"]) -> Any:
        free = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
        return self.held_m_step(params, statistics, prior, live, free)

    def held_m_step(
        self, params: Any, statistics: Any, prior: None, live: Bool[Array, " k"], held: Any
    ) -> Any:
        """A step in the coordinates of free numbers: those of a leaf are a leaf of its shape."""
        count, gradient, hessian = statistics
        free = jax.vmap(lambda of: ravel_pytree(of)[0])(jax.tree.map(jnp.isnan, held))
        gradient = jnp.where(free, gradient, 0)
        hessian = jnp.where(free[:, :, None] & free[:, None, :], hessian, 0)
        step = uphill(hessian, gradient)
        decrement = jnp.sum(step * gradient, axis=1)
        damping = 1 / (1 + root(decrement / jnp.maximum(count, 1)))
        step = damping[:, None] * step

        def move(own: Any, step: Float[Array, " p"], live: Bool[Array, ""]) -> Any:
            vector, unravel = ravel_pytree(self.to_chart_of(own))
            new = self.from_chart_of(unravel(vector + step))
            return jax.tree.map(lambda a, b: jnp.where(live, a, b), new, own)

        return jax.vmap(move)(self.hold(params, held), step, live)

    def as_held(self, held: Any, x: Any, k: int) -> Any:
        values = super().as_held(held, x, k)
        chart = jax.eval_shape(self.to_chart, values)
        shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (values, chart)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "held needs a chart whose leaves are those of the parameters, each number for one"
            )
        return values

    # ---- coordinates of parameters

    def to_chart(self, params: Any) -> Any:
        return jax.vmap(self.to_chart_of)(params)

    def from_chart(self, chart: Any) -> Any:
        return jax.vmap(self.from_chart_of)(chart)

    # ---- what is said of a result

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        if self.draw is None:
            raise ValueError("the Density has no draw(key, params); give one to sample from it")
        own = jax.tree.map(lambda leaf: leaf[labels], params)
        return jax.vmap(self.draw)(jax.random.split(key, labels.shape[0]), own)


@jax.custom_jvp
def uphill(hessian: Float[Array, "k p p"], gradient: Float[Array, "k p"]) -> Float[Array, "k p"]:
    """inv(|H|) g; directions of which nothing is known are left alone."""
    values, vectors = eigh(hessian)
    size = jnp.abs(values)
    known = size > 8 * size.shape[1] * jnp.finfo(size.dtype).eps * jnp.max(size, 1)[:, None]
    slope = einsum("kji,kj->ki", vectors, gradient)
    turned = jnp.where(known, slope / jnp.where(known, size, 1), 0)
    return einsum("kij,kj->ki", vectors, turned)


@uphill.defjvp
def _uphill_jvp(given: tuple, tangents: tuple) -> tuple[Array, Array]:
    """That of -inv(H) g, which it is where the density is concave, and at a fixed point, g = 0:
    eigenvectors have no derivative where eigenvalues are equal.
    """
    hessian, _ = given
    in_hessian, in_gradient = tangents
    step = uphill(*given)
    return step, uphill(hessian, in_gradient + einsum("kij,kj->ki", in_hessian, step))
