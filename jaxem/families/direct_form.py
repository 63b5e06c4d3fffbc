"""Exponential families whose log density is one product of natural parameters and T(x).

log p(x; theta) = log h(x) + natural(theta) . T(x)

For terms that are all small, or all of one sign: nothing cancels.
"""

import abc
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxem.core.numerics import einsum
from jaxem.families.exponential_family import ExponentialFamily, check_mode, possible


class DirectFamily(ExponentialFamily):
    """Statistics and priors are sums of T(x), (k, f)."""

    @abc.abstractmethod
    def features(self, x: Any) -> Float[Array, "f n"]:
        """T(x), with zeros for missing cells."""

    @abc.abstractmethod
    def log_base(self, x: Any) -> Float[Array, " n"]:
        """log h(x)."""

    @abc.abstractmethod
    def natural(self, params: Any) -> Float[Array, "k f"]:
        """The natural parameters, with a `guarded_log`."""

    def check_prior(self, prior: Any) -> None:
        check_mode(self, prior, self.earlier_rows(prior))

    def numbers_per_row(self, x: Any, k: int) -> int:
        leaves, tree = jax.tree.flatten(x)
        one = tuple(jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
        return 8 * _n_features(self, one, tree) + 3 * k

    # ---- starts

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> Any:
        features = self.features(x)
        sums = einsum("n,fn->f", weight / jnp.sum(weight), features)
        return self.estimate(jnp.broadcast_to(sums, (k, sums.shape[0])), self.blank(x, k))

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: Float[Array, "k f"] | None
    ) -> Float[Array, "k f"]:
        rows = self.starting_rows(counts)[:, None] * self.expected(pooled)
        return rows if prior is None else rows + prior

    # ---- the two steps

    def prepare(self, params: Any, prior: Any) -> Float[Array, "k f"]:
        return self.natural(params)

    def evaluate(
        self, prepared: Float[Array, "k f"], x: Any
    ) -> tuple[Float[Array, "k n"], Float[Array, "f n"]]:
        features = self.features(x)
        log_density = possible(einsum("kf,fn->kn", prepared, features))
        return log_density + self.log_base(x)[None], features

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> Float[Array, "k f"]:
        return einsum("kn,fn->kf", responsibilities, cache)

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Bool[Array, " k"], fixed: Any = None
    ) -> Any:
        sums = statistics if prior is None else statistics + prior
        return self.estimate_active(sums, params, active, fixed)

    def log_prior(self, params: Any, prior: Any, active: Bool[Array, " k"]) -> Float[Array, ""]:
        return jnp.sum(jnp.where(active[:, None], prior * self.natural(params), 0))


@lru_cache
def _n_features(family: DirectFamily, leaves: tuple, tree: Any) -> int:
    """How many numbers T(x) has."""
    return jax.eval_shape(family.features, jax.tree.unflatten(tree, leaves)).shape[0]
