"""Independent normal columns of which something is hidden: what they share.

An E-step takes the moments of what is hidden, and an M-step is that of a normal distribution. With
w = (number - m) / s, their means over the rows, and P, m1, m2 of the normal distribution between
the limits outside of which there are no rows (`inference/truncated_normal.py`),

D = P (mean w - m1),    m_new = m + s D,    s_new^2 = s^2 (1 + P (mean w^2 - m2) - D^2)

is the step of EM in which the rows that are never seen, (1 - P) / P for each that is, are hidden
too (Dempster, Laird and Rubin 1977, section 4.2); without limits P = 1, m1 = 0 and m2 = 1.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum
from jaxem.families.independent_columns import ratio, spread_ratio
from jaxem.families.newton_form import NewtonFamily
from jaxem.inference import truncated_normal
from jaxem.inference.truncated_normal import Between, standardized


class NormalColumns(NewtonFamily):
    """Parameters are means (k, d) and scales (k, d); sums are (k, 3, d): 1, number - m, squared."""

    n_steps: ClassVar[int] = 1  # of EM in an M-step: more where the sums tell all of the rows

    @property
    def limits(self) -> tuple[float, float]:
        """Between which all rows are."""
        return -math.inf, math.inf

    @property
    def exact_m_step(self) -> bool:
        """Steps of EM never lead down."""
        return True

    def default_min_count(self, x: Any) -> float:
        d = jax.tree.leaves(x)[0].shape[1]
        return 2.5 if d == 1 else 2.0 * (d + 1)

    def seen(self, params: Any) -> Between:
        """Of a standard normal number, between the limits."""
        m, s = params
        low, high = (standardized(jnp.full_like(m, limit), m, s) for limit in self.limits)
        return truncated_normal.between(low, high)

    def expected(self, params: Any) -> Float[Array, "k t d"]:
        s, (_, first, second) = params.scales, self.seen(params)
        return jnp.stack([jnp.ones_like(s), s * first, s**2 * second], axis=1)

    def stepped(self, sums: Float[Array, "k t d"], params: Any, fixed: Any) -> Any:
        count, first, second = jnp.unstack(sums, axis=1)
        first, second = (ratio(of, count, jnp.zeros_like(of)) for of in (first, second))

        def step(_: Any, new: Any) -> Any:
            away = new.means - params.means
            return self._step(new, first - away, second - away * (2 * first - away), fixed)

        new = lax.fori_loop(0, self.n_steps, step, params)
        known = count > 0
        return jax.tree.map(lambda a, b: jnp.where(known, a, b), new, params)

    def _step(
        self, params: Any, first: Float[Array, "k d"], second: Float[Array, "k d"], fixed: Any
    ) -> Any:
        """first, second: mean moments of number - m."""
        (m, s), (log_mass, m1, m2) = params, self.seen(params)
        mass, eps, free = jnp.exp(log_mass), jnp.finfo(m.dtype).eps, jnp.isnan(fixed.means)
        first = mass * (first - s * m1)
        second = mass * second + s**2 * (1 - mass * m2)
        shift = jnp.where(free, first, jnp.where(free, m, fixed.means) - m)
        means = m + shift
        # What rounding makes of the terms: a scale that this hides is found from the new mean.
        least = 64 * eps * shift**2 + (eps * means) ** 2
        scales = jnp.sqrt(jnp.maximum(second - first**2 + (first - shift) ** 2, least))
        scales = jnp.where(jnp.isnan(fixed.scales), scales, fixed.scales)
        return self.params_type(means, scales)

    def moments_of(self, number: Float[Array, "d n"], share: Float[Array, "d n"]) -> Any:
        """Parameters by the moments of some numbers."""
        mean = jnp.sum(share * number, axis=1)[None]
        variance = jnp.sum(share * (number - mean.T) ** 2, axis=1)[None]
        least = (jnp.finfo(mean.dtype).eps * mean) ** 2
        return self.params_type(mean, jnp.sqrt(jnp.where(variance > least, variance, 1)))

    def spread_fixed(self, fixed: Any) -> Bool[Array, " k"]:
        return jnp.all(~jnp.isnan(fixed.scales), axis=1)

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> Any:
        s, share = params.scales, share[:, None]
        return self.params_type(share / s**2, jnp.broadcast_to(2 * share, s.shape))

    def variance_ratio(
        self, params: Any, weights: Float[Array, " k"], prior: None
    ) -> Float[Array, " k"]:
        """Smallest variance, relative to the pooled one; in units of how large the numbers are."""
        m, s = params
        size = einsum("k,kd->d", weights, m**2 + s**2)[None]
        return spread_ratio(s**2 / size, weights, None)
