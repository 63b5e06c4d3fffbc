"""What exponential families share: T(x) of columns, its sums, and rows seen before as the prior.

log p(x; theta) = log h(x) + natural(theta) . T(x)

The statistics are the responsibilities of all components, (k, n), times the sufficient statistics
of all rows, (f, n). A conjugate prior is rows that were seen before, given by their sums:
log p(theta) = natural(theta) . prior. A missing cell (NaN) is a zero in T(x).

How the product is formed is that of `DirectFamily`, or of `PivotFamily` where large terms would
cancel in it. A family is one file: T, log h, natural parameters, the estimate from the sums, and
its inverse.
"""

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks
from jaxem.core.contracts import Prior
from jaxem.families.independent_columns import IndependentColumns

_IMPOSSIBLE = -1e30  # the log of 0 in a product: 0 times it is 0, once and more it is log 0


def guarded_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x; a finite number that stands for the log of 0, with a gradient of 0 there."""
    zero = x == 0
    return jnp.where(zero, _IMPOSSIBLE, jnp.log(jnp.where(zero, jnp.ones_like(x), x)))


def possible(product: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """-inf where the product met a log of 0."""
    return jnp.where(product < 0.5 * _IMPOSSIBLE, -jnp.inf, product)


class ExponentialFamily(IndependentColumns):
    """The form of the product is that of a subclass."""

    prior_type: ClassVar[Any]  # a NamedTuple of numbers, each broadcast to (k, d)

    # ---- what a family says

    crawls: ClassVar[bool] = False  # EM, from labels that put probabilities near 0 and 1

    @abc.abstractmethod
    def estimate(self, sums: Float[Array, "k f"], params: Any) -> Any:
        """The maximum-likelihood estimate from the sums of T; `params` where there are no rows."""

    def fixed_estimate(self, sums: Float[Array, "k f"], params: Any, fixed: Any) -> Any:
        """The same with some numbers known, where the estimates of others depend on them."""
        return self.estimate(sums, params)

    def estimate_active(
        self, sums: Float[Array, "k f"], params: Any, active: Bool[Array, " k"], fixed: Any
    ) -> Any:
        """The estimate of active components; absent ones keep their parameters."""
        if fixed is None:
            new = self.estimate(sums, params)
        else:
            new = self.fixed_estimate(sums, params, fixed)

        def chosen(a: Array, b: Array) -> Array:
            return jnp.where(active.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

        return jax.tree.map(chosen, new, params)

    @abc.abstractmethod
    def expected(self, params: Any) -> Float[Array, "k f"]:
        """E T(x): the estimate from it is `params` again."""

    @abc.abstractmethod
    def earlier_rows(self, prior: Any) -> Any:
        """The sums of the rows that a conjugate prior stands for."""

    @abc.abstractmethod
    def check_prior(self, prior: Any) -> None:
        """Host side: ValueError for a prior without a mode in the domain."""

    def starting_rows(self, counts: Float[Array, " k"]) -> Float[Array, " k"]:
        """Rows of the pooled fit beside `counts`, those that components start from.

        One, so that nothing starts on a boundary, which EM does not leave; as many again where it
        crawls away from labels: 2 states of 4 letters, one state a letter, ended far below the
        optimum.
        """
        one = jnp.ones_like(counts)
        return jnp.maximum(counts, one) if self.crawls else one

    # ---- host side

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> Any:
        checks.fields(prior, self.prior_type, "the prior's components")
        leaf = jax.tree.leaves(x)[0]
        shape = (k, leaf.shape[1])
        arrays = []
        for name, value in zip(prior._fields, prior, strict=True):
            checks.numbers(value, name)
            arrays.append(checks.broadcast(value, shape, leaf.dtype, name))
        prior = self.prior_type(*arrays)
        self.check_prior(prior)
        return self.earlier_rows(prior)

    # ---- starts

    def blank(self, x: Any, k: int) -> Any:
        """Parameters of columns before any row is seen."""
        leaf = jax.tree.leaves(x)[0]
        half = jnp.full((k, leaf.shape[1]), 0.5, leaf.dtype)
        return self.params_type(*[half for _ in self.params_type._fields])


def check_mode(family: ExponentialFamily, prior: Any, *sums: Float[Array, "k f"]) -> None:
    """Host side: ValueError where a prior stands for fewer rows than none."""
    if checks.is_concrete(sums) and any(np.any(np.asarray(of) < 0) for of in sums):
        raise ValueError(f"the prior {prior} has no mode inside the domain of {family!r}")
