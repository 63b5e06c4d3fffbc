"""A family of its own: Weibull lifetimes, in one file. `example_new_family.py` fits it.

Given the shape a, scale^a = sum r x^a / sum r; the shape takes a Newton step on what is left of
the expected log-likelihood, from sums at the old parameters, z = x / scale:

    S_j = sum r z^a log(z)^j,  L = sum r log z,    N / a + L - N S_1 / S_0 = 0
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxem.core.constraints import Positive
from jaxem.core.contracts import Family


class WeibullParams(NamedTuple):
    shapes: jax.Array  # (k,)
    scales: jax.Array  # (k,)


@dataclass(frozen=True)
class WeibullFamily(Family):
    """One column of positive numbers."""

    constraints = WeibullParams(Positive(), Positive())
    exact_m_step = False  # but a Newton step, which the loop halves where it is too long

    def fit_one_component(self, x, weight, k):
        return WeibullParams(jnp.ones(k, x.dtype), jnp.full(k, jnp.average(x[:, 0], 0, weight)))

    def evaluate(self, params, x):
        shapes, scales = (leaf[:, None] for leaf in params)
        log_z = jnp.log(x.T) - jnp.log(scales)
        power = jnp.exp(shapes * log_z)
        return jnp.log(shapes / scales) + (shapes - 1) * log_z - power, (log_z, power)

    def statistics(self, params, x, cache, r):
        log_z, power = cache
        terms = (jnp.ones_like(power), log_z, power, power * log_z, power * log_z**2)
        return jnp.stack([jnp.sum(r * term, axis=1) for term in terms])

    def m_step(self, params, sums, prior, active, fixed=None):
        (a, scales), (n, log, power, power_log, power_log2) = params, sums
        first, second = power_log / power, power_log2 / power
        score = n / a + log - n * first
        new = a + score / (n / a**2 + n * (second - first**2))
        new = jnp.clip(new, a / 2, 2 * a)
        step = new - a  # log S_0 at the new shape, to second order
        log_power = jnp.log(power / n) + step * first + step**2 / 2 * (second - first**2)
        moved = WeibullParams(new, scales * jnp.exp(log_power / new))
        return jax.tree.map(lambda b, old: jnp.where(active & (n > 0), b, old), moved, params)

    def sample(self, key, params, labels):
        shapes, scales = (leaf[labels] for leaf in params)
        noise = jax.random.exponential(key, labels.shape, scales.dtype)
        return (scales * noise ** (1 / shapes))[:, None]
