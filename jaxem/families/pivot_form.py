"""Exponential families whose large terms would cancel, measured from a pivot m amid the rows.

log p(x; theta) = log p(x; m) + natural(theta; m) . T(x; m)

holds for any m, and the terms are small where m is near the parameters and the data. Rows of all
components are measured from one pivot, and the densities are one matrix product; where the
components are too far from it for the digits of that (`reach`), each is its own pivot, one after
another. Statistics are the sums of T as they are seen from the parameters of the E-step.
"""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import any_lane, einsum
from jaxem.core.special import log_excess
from jaxem.families.exponential_family import ExponentialFamily, guarded_log, possible

_MOST = 128.0  # nats in one term of a log density, about 11 standard deviations from the pivot


class Earlier(NamedTuple):
    """Rows seen before: the sums of T from pivots, of a conjugate prior."""

    pivot: Float[Array, "k d"]
    sums: Float[Array, "k f"]


class PivotFamily(ExponentialFamily):
    """A pivot is a location of each column: (k, d), or (1, d) for all components."""

    # ---- what a family says

    @abc.abstractmethod
    def location(self, params: Any) -> Float[Array, "k d"]:
        """Where each component is."""

    @abc.abstractmethod
    def centre(self, x: Any) -> Float[Array, "1 d"]:
        """A pivot in the middle of the rows."""

    @abc.abstractmethod
    def features(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, "f n"]:
        """T(x; pivot), with zeros for missing cells."""

    @abc.abstractmethod
    def log_base(self, x: Any, pivot: Float[Array, "1 d"]) -> Float[Array, " n"]:
        """The part of log p(x; theta) that does not depend on theta."""

    @abc.abstractmethod
    def natural(self, params: Any, pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
        """The natural parameters, with a `guarded_log`."""

    @abc.abstractmethod
    def reach(self, params: Any, pivot: Float[Array, "1 d"], x: Any) -> Float[Array, ""]:
        """The largest term, of any component, in the log density of a row of its own."""

    @abc.abstractmethod
    def moved(
        self, sums: Float[Array, "k f"], old: Float[Array, "#k d"], new: Float[Array, "k d"]
    ) -> Float[Array, "k f"]:
        """Sums of T from one pivot, as they are seen from another; linear in them."""

    @abc.abstractmethod
    def earlier_rows(self, prior: Any) -> Earlier:
        """The rows that a conjugate prior stands for."""

    def numbers_per_row(self, x: Any, k: int) -> int:
        return 24 * sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(x)) + 3 * k

    # ---- starts

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> Any:
        """Estimated twice: from a rough pivot, then from that estimate, with all digits."""
        share = weight / jnp.sum(weight)
        fit = self.rough(x, share)
        for _ in range(2):
            features = self.features(x, self.location(fit))
            fit = self.estimate(einsum("n,fn->f", share, features)[None], fit)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (k, *leaf.shape[1:])), fit)

    def rough(self, x: Any, share: Float[Array, " n"]) -> Any:
        """Parameters of one component near enough for a first estimate."""
        return self.blank(x, 1)

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: Earlier | None
    ) -> Earlier:
        rows = self.starting_rows(counts)[:, None] * self.expected(pooled)
        return Earlier(self.location(pooled), self._with_prior(rows, pooled, prior))

    # ---- the two steps

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        """Features and base are those of x alone: the loop of EM computes them once."""
        pivot = lax.stop_gradient(self.centre(x))
        features, base = self.features(x, pivot), self.log_base(x, pivot)
        far = any_lane(~(lax.stop_gradient(self.reach(prepared, pivot, x)) <= _MOST))

        def together() -> Float[Array, "k n"]:
            return self._log_density(prepared, pivot, features, base)

        def each() -> Float[Array, "k n"]:
            def one(own: Any) -> Float[Array, " n"]:
                here = lax.stop_gradient(self.location(own))
                features, base = self.features(x, here), self.log_base(x, here)
                return self._log_density(own, here, features, base)[0]

            return lax.map(one, _alone(prepared))

        return lax.cond(far, each, together), (far, pivot, features)

    def _log_density(
        self,
        params: Any,
        pivot: Float[Array, "1 d"],
        features: Float[Array, "f n"],
        base: Float[Array, " n"],
    ) -> Float[Array, "k n"]:
        found = possible(einsum("kf,fn->kn", self.natural(params, pivot), features))
        return found + base[None]

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Float[Array, "k f"]:
        far, pivot, features = cache

        def together() -> Float[Array, "k f"]:
            sums = einsum("kn,fn->kf", responsibilities, features)
            return self.moved(sums, pivot, self.location(prepared))

        def each() -> Float[Array, "k f"]:
            def one(of: tuple[Any, Float[Array, " n"]]) -> Float[Array, " f"]:
                own, shares = of
                return einsum("n,fn->f", shares, self.features(x, self.location(own)))

            return lax.map(one, (_alone(prepared), responsibilities))

        return lax.cond(far, each, together)

    def recentre(self, statistics: Float[Array, "k f"], old: Any, new: Any) -> Array:
        return self.moved(statistics, self.location(old), self.location(new))

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Bool[Array, " k"], fixed: Any = None
    ) -> Any:
        return self.estimate_active(
            self._with_prior(statistics, params, prior), params, active, fixed
        )

    def _with_prior(
        self, sums: Float[Array, "k f"], params: Any, prior: Earlier | None
    ) -> Float[Array, "k f"]:
        if prior is None:
            return sums
        return sums + self.moved(prior.sums, prior.pivot, self.location(params))

    def log_prior(self, params: Any, prior: Earlier, active: Bool[Array, " k"]) -> Float[Array, ""]:
        terms = prior.sums * self.natural(params, prior.pivot)
        return jnp.sum(jnp.where(active[:, None], terms, 0))


def relative(mean: Float[Array, "k d"], pivot: Float[Array, "#k d"]) -> Float[Array, "k f"]:
    """Natural parameters of counts of these means, for T = (count, exposure).

    log(mean / pivot),  -(mean - pivot)
    """
    never = (pivot == 0) | (mean == 0)
    m, q = (jnp.where(never, 1, of) for of in (mean, pivot))
    logs = log_excess(m, q) + (m - q) / q
    impossible = jnp.where(pivot == 0, jnp.zeros_like(mean), guarded_log(mean))
    return jnp.concatenate([jnp.where(never, impossible, logs), pivot - mean], axis=1)


def largest(mean: Float[Array, "k d"], pivot: Float[Array, "1 d"]) -> Float[Array, "k d"]:
    """The terms that `relative` makes of a count that is its mean."""
    logs, less = jnp.split(relative(mean, pivot), 2, axis=1)
    return jnp.abs(jnp.where(mean > 0, mean * logs, 0)) + jnp.abs(less)


def _alone(params: Any) -> Any:
    """The components one after another: leaves (k, 1, d)."""
    return jax.tree.map(lambda leaf: leaf[:, None], params)
