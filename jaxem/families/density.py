"""Any density, given by its logarithm as a function; the M-step is by Newton's method.

With the coordinates t of a component, l(t) = sum r log p(x; theta(t)), its gradient g and Hessian H
by automatic differentiation, |H| the matrix of H's eigenvalues without their signs:

    t = t_old + a inv(|H|) g,    a = 1 / (1 + sqrt(g' inv(|H|) g / N))

a step uphill, which the loop halves where it is too long (generalized EM).

Where parameters run off, as to the limit of a distribution, a density may lose its digits while it
still rises by less and less. What rounding makes of it is seen by comparing it with itself at
parameters that differ by a few units in their last place. What is less than that is no gain: the
M-step leaves such directions alone, and the loop takes no step for it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import parameters
from jaxem.core.constraints import Real
from jaxem.core.contracts import Family
from jaxem.core.numerics import root
from jaxem.core.parameters import Joint
from jaxem.inference.newton import uphill

_N_POOLED = 25  # Newton steps of the fit of one component
_N_FIRST = 5  # and of the first fit of each in a start
_SHARES = (1.0, 0.25, 0.0625, 0.0)  # of a Newton step that are tried there
_NEAR = 4  # units in the last place between parameters whose densities are compared
_LOST = 4.0  # times the rounding of a sum of log densities is what a step must raise it by


def same(params: Any) -> Any:
    """The coordinates of parameters that may be any numbers."""
    return params


@dataclass(frozen=True)
class Own(Joint):
    """Coordinates by a person's functions of one component's parameters."""

    to: Any
    back: Any

    def to_unconstrained(self, value: Any) -> Any:
        return jax.vmap(self.to)(value)

    def from_unconstrained(self, coordinate: Any) -> Any:
        return jax.vmap(self.back)(coordinate)


class Derivatives(NamedTuple):
    """Of sum r log p; `noise`: the sums of r e and r e^2, with e the rounding of log p."""

    count: Float[Array, " k"]
    gradient: Float[Array, "k p"]
    hessian: Float[Array, "k p p"]
    noise: Float[Array, "k 2"]


@dataclass(frozen=True)
class Density(Family):
    """A component by functions of one component's parameters, a tree of arrays without k.

    log_prob(params, x): (n, d) -> (n,), differentiable twice, with every constant.
    start(x, weight): parameters for rows x with these weights, roughly; the rest is up to Newton,
        for all rows together and for those of each component, before the fit begins.
    to_unconstrained(params), from_unconstrained(coordinates): coordinates that may be any numbers,
        and back.
    draw(key, params): one row (d,), for `sample`.

    Functions defined at the top of a module compare and hash as themselves: make the family once.
    """

    log_prob: Any
    start: Any
    to_unconstrained: Any = same
    from_unconstrained: Any = same
    draw: Any = None

    def __post_init__(self) -> None:
        for name in ("log_prob", "start", "to_unconstrained", "from_unconstrained"):
            if not callable(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a function")

    @property
    def constraints(self) -> Joint:
        return Own(Real(), self.to_unconstrained, self.from_unconstrained)

    @property
    def exact_m_step(self) -> bool:
        return False

    # ---- starts

    def fit_one_component(self, x: Float[Array, "n d"], weight: Float[Array, " n"], k: int) -> Any:
        one = self._climbed(x, weight[None], _N_POOLED)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (k, *leaf.shape[1:])), one)

    def first(self, pooled: Any, x: Float[Array, "n d"], responsibilities: Array) -> Any:
        """A few steps from the person's own start, with a row for each parameter from all rows."""
        p = sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(pooled))
        total = jnp.sum(responsibilities, axis=0, keepdims=True)
        return self._climbed(x, responsibilities + p * total / jnp.sum(total), _N_FIRST)

    def _climbed(self, x: Float[Array, "n d"], weight: Float[Array, "k n"], n_steps: int) -> Any:
        """Newton steps from `start`, each as long as it gains most, or none."""

        def begin(weight: Float[Array, " n"]) -> Any:
            return jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), self.start(x, weight))

        active = jnp.ones(weight.shape[0], bool)
        shares = jnp.asarray(_SHARES, x.dtype)

        def step(_: Array, params: Any) -> Any:
            sums = self.statistics(params, x, self.evaluate(params, x)[1], weight)
            here = self._to_unconstrained(params)
            ahead = self._to_unconstrained(self.m_step(params, sums, None, active))

            def part(share: Float[Array, ""]) -> Any:
                tried = jax.tree.map(lambda a, b: a + share * (b - a), here, ahead)
                tried = parameters.from_unconstrained(self.constraints, tried)
                return jax.tree.map(lambda a, b: jnp.where(share > 0, a, b), tried, params)

            tried = jax.vmap(part)(shares)
            best = jnp.argmax(jax.vmap(self._gained, (0, None, None))(tried, x, weight), axis=0)
            each = jnp.arange(best.shape[0])
            return jax.tree.map(lambda leaf: leaf[best, each], tried)

        return lax.fori_loop(0, n_steps, step, jax.vmap(begin)(weight))

    def _gained(
        self, params: Any, x: Float[Array, "n d"], weight: Float[Array, "k n"]
    ) -> Float[Array, " k"]:
        """sum r log p less its rounding; -inf where it is no number."""
        log_density, cache = self.evaluate(params, x)
        total = jnp.sum(jnp.where(weight > 0, weight * log_density, 0), axis=1)
        total = total - _LOST * lost(self._noise(params, x, cache, weight))
        return jnp.where(jnp.isfinite(total), total, -jnp.inf)

    # ---- the two steps

    def evaluate(
        self, prepared: Any, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "k n"], Float[Array, "k n"]]:
        log_density = jax.vmap(self.log_prob, (0, None))(prepared, x)
        return log_density, log_density

    def statistics(
        self, prepared: Any, x: Float[Array, "n d"], cache: Array, responsibilities: Array
    ) -> Derivatives:
        def of_one(params: Any, r: Float[Array, " n"]) -> tuple[Array, Array]:
            vector, unravel = ravel_pytree(self.to_unconstrained(params))

            def expected(t: Array) -> Array:
                log_density = self.log_prob(self.from_unconstrained(unravel(t)), x)
                return jnp.sum(jnp.where(r > 0, r * log_density, 0))

            return jax.grad(expected)(vector), jax.hessian(expected)(vector)

        gradient, hessian = jax.vmap(of_one)(prepared, responsibilities)
        known = jnp.isfinite(jnp.sum(gradient, 1) + jnp.sum(hessian, (1, 2)))[:, None]
        noise = self._noise(prepared, x, cache, responsibilities)
        noise = jnp.where(known, noise, jnp.finfo(x.dtype).max ** 0.25)  # no step leads from there
        return Derivatives(jnp.sum(responsibilities, axis=1), gradient, hessian, noise)

    def _noise(
        self, params: Any, x: Float[Array, "n d"], log_density: Float[Array, "k n"], r: Array
    ) -> Float[Array, "k 2"]:
        """Second differences of log p at parameters too near for any but its rounding."""

        def of_one(params: Any, middle: Float[Array, " n"], r: Array) -> Float[Array, " 2"]:
            vector, unravel = ravel_pytree(params)
            side = 1 - 2 * (jnp.arange(vector.size) % 2).astype(vector.dtype)
            up = vector * (1 + _NEAR * jnp.finfo(vector.dtype).eps * side)
            ends = (self.log_prob(unravel(at), x) for at in (up, vector - (up - vector)))
            e = 0.5 * (sum(ends) - 2 * middle)
            e = jnp.where((r > 0) & jnp.isfinite(e), e, 0)
            return jnp.stack([jnp.sum(r * e), jnp.sum(r * e**2)])

        return lax.stop_gradient(jax.vmap(of_one)(params, log_density, r))

    def rounding(self, statistics: Derivatives) -> Float[Array, ""]:
        return jnp.sum(lost(statistics.noise))

    def recentre(self, statistics: Any, old: Any, new: Any) -> Any:
        raise ValueError(
            f"{self!r} keeps derivatives at the parameters of the E-step, which tell nothing of "
            "those at others: collect them anew"
        )

    def m_step(
        self,
        params: Any,
        statistics: Any,
        prior: None,
        active: Bool[Array, " k"],
        fixed: Any = None,
    ) -> Any:
        """A step in the coordinates of free numbers: those of a leaf are a leaf of its shape."""
        fixed = parameters.free(params) if fixed is None else self._each_for_one(fixed)
        count, gradient, hessian, noise = statistics
        free = jax.vmap(lambda of: ravel_pytree(of)[0])(jax.tree.map(jnp.isnan, fixed))
        gradient = jnp.where(free, gradient, 0)
        hessian = jnp.where(free[:, :, None] & free[:, None, :], hessian, 0)
        unseen = lost(noise) + jnp.finfo(count.dtype).eps * count
        step = uphill(hessian, gradient, unseen)
        decrement = jnp.sum(step * gradient, axis=1)
        damping = 1 / (1 + root(decrement / jnp.maximum(count, 1)))
        step = damping[:, None] * step

        def move(own: Any, step: Float[Array, " p"], active: Bool[Array, ""]) -> Any:
            vector, unravel = ravel_pytree(self.to_unconstrained(own))
            new = self.from_unconstrained(unravel(vector + step))
            return jax.tree.map(lambda a, b: jnp.where(active, a, b), new, own)

        params = parameters.fix(self.constraints, params, fixed)
        return jax.vmap(move)(params, step, active)

    def _each_for_one(self, fixed: Any) -> Any:
        """The same; ValueError where no coordinate stands for each number that may be fixed."""
        coordinates = jax.eval_shape(self._to_unconstrained, fixed)
        shapes = [[leaf.shape for leaf in jax.tree.leaves(of)] for of in (fixed, coordinates)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "fixed needs coordinates whose leaves are those of the parameters, each number "
                "for one"
            )
        return fixed

    def _to_unconstrained(self, params: Any) -> Any:
        return parameters.to_unconstrained(self.constraints, params)

    # ---- what is said of a result

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> Float[Array, "n d"]:
        if self.draw is None:
            raise ValueError("the Density has no draw(key, params); give one to sample from it")
        own = jax.tree.map(lambda leaf: leaf[labels], params)
        return jax.vmap(self.draw)(jax.random.split(key, labels.shape[0]), own)


def lost(noise: Float[Array, "k 2"]) -> Float[Array, " k"]:
    """The rounding of a sum of log densities: its bias and its scatter."""
    return root(noise[:, 0] ** 2 + noise[:, 1])
