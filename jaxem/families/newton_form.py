"""Independent columns without sums that suffice: an M-step is a Newton step from sums that an
E-step forms at its own parameters.

log p(x; theta) = sum_j log p(x[j]; theta[:, j]),    S_t = sum r term_t(x; theta)

The step is uphill, and the loop halves it where it is too long (generalized EM).
"""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core import parameters
from jaxem.families.independent_columns import IndependentColumns
from jaxem.inference.newton import uphill

_N_POOLED = 12  # steps of the fit of one component, from its moments
_LONGEST = 1.5  # change of a logarithm in one step


class NewtonFamily(IndependentColumns):
    """Terms are of each cell, (k, d, n), and their sums (k, t, d); there is no conjugate prior."""

    # ---- what a family says; parameters are (k, d, 1) there, and x is (1, d, n) without holes, or
    # arrays that go together

    @abc.abstractmethod
    def cells(self, params: Any, x: Any) -> Float[Array, "k d n"]:
        """log p of each cell."""

    @abc.abstractmethod
    def terms(self, params: Any, x: Any) -> list[Float[Array, "k d n"]]:
        """What the sums are of; the first is 1."""

    @abc.abstractmethod
    def expected(self, params: Any) -> Float[Array, "k t d"]:
        """What a row of these parameters adds to the sums, or about that."""

    @abc.abstractmethod
    def stepped(self, sums: Float[Array, "k t d"], params: Any, fixed: Any) -> Any:
        """Parameters uphill from these; the same where nothing was observed."""

    @abc.abstractmethod
    def rough(self, x: Any, share: Float[Array, "d n"]) -> Any:
        """One component by its moments; share: of each cell in its column, 0 where it is missing.

        x: (d, n).
        """

    @property
    def exact_m_step(self) -> bool:
        return False

    def numbers_per_row(self, x: Any, k: int) -> int:
        return 8 * k * jax.tree.leaves(x)[0].shape[1] + 3 * k

    # ---- starts

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> Any:
        cells, seen = _cells(x)
        own = jnp.where(seen, weight[None], 0)
        total = jnp.sum(own, axis=1, keepdims=True)
        share = own / jnp.where(total > 0, total, 1)
        rough = self.rough(jax.tree.map(lambda leaf: leaf[0], cells), share)

        def step(_: Array, params: Any) -> Any:
            sums = self.statistics(params, x, None, weight[None])
            return self.stepped(sums, params, parameters.free(params))

        one = lax.fori_loop(0, _N_POOLED, step, rough)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (k, leaf.shape[1])), one)

    def starting_prior(
        self, pooled: Any, counts: Float[Array, " k"], prior: None
    ) -> Float[Array, "k t d"]:
        """A row of the pooled fit, at which a start forms its sums."""
        return self.expected(pooled)

    # ---- the two steps

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], None]:
        cells, seen = _cells(x)
        found = self.cells(_for_cells(prepared), cells)
        return jnp.sum(jnp.where(seen[None], found, 0), axis=1), None

    def statistics(
        self, prepared: Any, x: Any, cache: None, responsibilities: Float[Array, "k n"]
    ) -> Float[Array, "k t d"]:
        cells, seen = _cells(x)
        own = jnp.where(seen[None], responsibilities[:, None, :], 0)
        terms = self.terms(_for_cells(prepared), cells)
        return jnp.stack([jnp.sum(own * term, axis=2) for term in terms], axis=1)

    def recentre(self, statistics: Any, old: Any, new: Any) -> Any:
        raise ValueError(
            f"{self!r} keeps sums at the parameters of the E-step, which tell nothing of those at "
            "others: collect them anew"
        )

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Bool[Array, " k"], fixed: Any = None
    ) -> Any:
        fixed = parameters.free(params) if fixed is None else fixed
        sums = statistics if prior is None else statistics + prior
        new = self.stepped(sums, params, fixed)
        return jax.tree.map(lambda a, b: jnp.where(active[:, None], a, b), new, params)


def log_step(
    slope: Float[Array, "k d"], curvature: Float[Array, "k d"], count: Float[Array, "k d"]
) -> Float[Array, "k d"]:
    """Newton's change of the logarithm of a parameter, uphill and bounded; none for a gain that
    rounding hides.

    slope, curvature: derivatives of the expected log-likelihood of `count` rows.
    """
    least = jnp.finfo(slope.dtype).eps * count
    step = uphill(curvature.reshape(-1, 1, 1), slope.reshape(-1, 1), least.reshape(-1))
    return jnp.clip(step.reshape(slope.shape), -_LONGEST, _LONGEST)


def _cells(x: Any) -> tuple[Any, Bool[Array, "d n"]]:
    """-> (x (1, d, n) without holes, which cells are observed); x may be arrays that go together,
    the first of which has the holes."""
    seen = ~jnp.isnan(jax.tree.leaves(x)[0].T)
    return jax.tree.map(lambda leaf: jnp.where(seen, leaf.T, 1)[None], x), seen


def _for_cells(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[:, :, None], params)
