"""A mixture of Weibull distributions, which jaxem has, `families.Weibull`, made twice more.

Lifetimes of two kinds of parts: some fail early, at random; the others wear out. First by writing
down the density alone, `families.Density`; then as a family of its own, which is what a new family
in jaxem looks like. Both must find the same optimum.

    log p(x; shape, scale) = log(shape / scale) + (shape - 1) log(x / scale) - (x / scale)^shape

Run it: python scripts/example_new_family.py
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem.families import Density


class Weibull(NamedTuple):
    """One component: shape and scale."""

    shape: jax.Array
    scale: jax.Array


def log_prob(params: Weibull, x: jax.Array) -> jax.Array:
    z = jnp.log(x[:, 0]) - jnp.log(params.scale)
    log_slope = jnp.log(params.shape) - jnp.log(params.scale)
    return log_slope + (params.shape - 1) * z - jnp.exp(params.shape * z)


def start(x: jax.Array, weight: jax.Array) -> Weibull:
    """An exponential distribution of that mean."""
    return Weibull(jnp.ones((), x.dtype), jnp.sum(weight * x[:, 0]) / jnp.sum(weight))


def to_unconstrained(params: Weibull) -> Weibull:
    return jax.tree.map(jnp.log, params)


def from_unconstrained(coordinates: Weibull) -> Weibull:
    return jax.tree.map(jnp.exp, coordinates)


def draw(key: jax.Array, params: Weibull) -> jax.Array:
    return params.scale * jax.random.weibull_min(key, 1.0, params.shape, (1,), params.scale.dtype)


FAMILY = Density(log_prob, start, to_unconstrained, from_unconstrained, draw)


def lifetimes(n: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    early = rng.random(n) < 0.4
    return np.where(early, rng.weibull(0.8, n), 5 * rng.weibull(6.0, n))


def fit(family: jaxem.families.Density, x: np.ndarray) -> jaxem.Result:
    model = jaxem.Mixture(family, 2)
    return jaxem.fit(model, x, key=jax.random.key(0), n_init=10, tol=1e-9)


def main() -> tuple[jaxem.Result, jaxem.Result]:
    from example_weibull_family import WeibullFamily

    jax.config.update("jax_enable_x64", True)
    x = lifetimes()
    results = fit(FAMILY, x), fit(WeibullFamily(), x)
    for name, result in zip(("a density alone", "a family of its own"), results, strict=True):
        print(f"{name}: log-likelihood {float(result.log_likelihood):.6f}")
        for weight, shape, scale in zip(
            result.params.weights, *result.params.components, strict=True
        ):
            print(f"  {float(weight):.3f} Weibull({float(shape):.3f}, {float(scale):.3f})")
    return results


if __name__ == "__main__":
    main()
