"""Gaussian rows with holes: NaN marks a cell that was not observed, at random (Rubin 1976).

The E-step fills a hole with its conditional mean, and adds its conditional covariance to the second
moments: without that, variances would be those of the filled table, and too small (Dempster, Laird
and Rubin 1977, section 4.1.3). A row is seen through the cells that it has,

    log N(x_o; m_o, C_oo).
"""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxem.core import checks, placement
from jaxem.core.numerics import einsum
from jaxem.families.gaussian import identified, product_form, tiles
from jaxem.families.gaussian.covariance import Covariance, Factor
from jaxem.families.gaussian.residual_form import ResidualForm
from jaxem.families.gaussian.tiles import Tile
from jaxem.families.gaussian.whole import Whole
from jaxem.inference.conditional_gaussian import by_most, fill, places

_SMALL = 10_000  # rows
_LOG_2PI = math.log(2 * math.pi)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Holes:
    """values: (n, d), NaN in the holes, or (m, s, d): m tiles of s rows with the same holes.

    most: no row has more holes.
    """

    values: Any
    most: int = field(metadata={"static": True})

    @property
    def tiled(self) -> bool:
        return self.values.ndim == 3

    @property
    def rows(self) -> Any:
        """(n, d)"""
        return self.values.reshape(-1, self.values.shape[-1]) if self.tiled else self.values

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)"""
        *n, d = self.values.shape
        return math.prod(n), d

    @property
    def dtype(self) -> Any:
        return self.values.dtype


class Dense(NamedTuple):
    """What rows need of full and tied covariances; precision: inv(C), (1, d, d) if tied."""

    means: Float[Array, "k d"]
    covariances: Array
    root: Array  # precision = root' root
    precision: Float[Array, "#k d d"]
    log_det: Float[Array, " k"]
    log_normaliser: Float[Array, " k"]
    loses_precision: Any  # whether products of whole rows lose digits; of parts they lose fewer


class Diagonal(NamedTuple):
    """What rows need of diagonal and spherical covariances."""

    means: Float[Array, "k d"]
    variances: Float[Array, "k d"]
    log_normaliser: Float[Array, " k"]


Form = Dense | Diagonal


def _spread(
    covariances: Float[Array, "#k m m n"],
    missing: Int[Array, "m n"],
    weight: Float[Array, "k n"],
    d: int,
) -> Float[Array, "#k d d"]:
    """The sum of weight cov over the rows, each in its rows and columns of a (d, d) matrix."""
    own = weight if covariances.shape[0] == weight.shape[0] else jnp.sum(weight, 0, keepdims=True)

    def of(missing: Int[Array, "h n"]) -> Float[Array, "#k d d"]:
        h = missing.shape[0]
        values = own[:, None, None] * covariances[:, :h, :h]
        return lax.platform_dependent(
            values, missing, cpu=partial(_added, d=d), default=partial(_multiplied, d=d)
        )

    return by_most(of, lambda total, _: total, missing, d)


def _added(
    values: Float[Array, "k h h n"], missing: Int[Array, "h n"], d: int
) -> Float[Array, "k d d"]:
    """The sum of matrices, each put where its row has holes; those from d on are none."""
    there = missing < d
    at = jnp.where(there, missing, 0)
    values = jnp.where((there[:, None] & there[None])[None], values, 0)
    index = jnp.reshape(at[:, None] * d + at[None], -1)
    total = jnp.zeros_like(values, shape=(values.shape[0], d * d))
    total = total.at[:, index].add(jnp.reshape(values, (values.shape[0], -1)))
    return jnp.reshape(total, (-1, d, d))


def _multiplied(
    values: Float[Array, "k h h n"], missing: Int[Array, "h n"], d: int
) -> Float[Array, "k d d"]:
    """The same by products, which add in one order: an accelerator adds up what comes first."""
    columns = jnp.arange(d, dtype=missing.dtype)[None, :, None]
    at = (missing[:, None] == columns).astype(values.dtype)
    across = jnp.sum(values[:, :, :, None] * at[None, None], axis=2)
    return einsum("hdn,khen->kde", at, across)


class WithHoles(Whole):
    """NaN is a hole."""

    def read(self, table: Any) -> Holes:
        """The table, with the largest number of holes of a row; for a traced table all columns."""
        n, d = table.shape
        if not checks.is_concrete(table):
            return Holes(table, d)
        most = max(int(placement.is_nan(block).sum(1).max()) for block in placement.blocks(table))
        if n <= _SMALL and most:  # few shapes to compile, where that is most of the time
            most = min(d, 1 << (most - 1).bit_length())
        return Holes(table, most)

    def values(self, x: Holes) -> Any:
        return x.rows

    def with_values(self, x: Holes, rows: Float[Array, "n d"]) -> Holes:
        rows = jnp.reshape(rows, x.values.shape)
        return replace(x, values=jnp.where(jnp.isnan(x.values), x.values, rows))

    def check(self, x: Holes, weight: Any, names: tuple[str, ...] | None) -> None:
        remedy = "make them NaN, or drop those rows"
        checks.finite(x.values, weight, names, holes=True, remedy=remedy)

    def check_identified(
        self, structure: Covariance, x: Any, weight: Any, names: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        return identified.check_identified(structure, x, weight, names)

    def missing_mask(self, x: Holes) -> Any:
        return placement.is_nan(x.values)

    def numbers_per_row(self, structure: Covariance, x: Holes, k: int) -> int:
        m = x.most if structure.matrices and not x.tiled else 0
        return k * (4 * x.shape[1] + 3 * m * m)

    def stable_numbers_per_row(self, structure: Covariance, x: Holes, k: int) -> int:
        return self.numbers_per_row(structure, x, k)

    def coordinates(self, x: Holes) -> Float[Array, "n d"]:
        """Means of columns in the holes: where distances between rows are taken."""
        return jnp.where(jnp.isnan(x.rows), jnp.nanmean(x.rows, axis=0)[None], x.rows)

    def moments(
        self, x: Holes, weight: Float[Array, " n"]
    ) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        """Mean and variances of what was observed, correlations of the table filled by means.

        A start, not an estimate: it is positive definite whatever the rows, so that holes have
        conditional means. Correlations are shrunk by d rows without any, and a column of one value
        has the mean variance of the others, or 1.
        """
        values = x.rows
        seen = ~jnp.isnan(values)
        own = jnp.where(seen, weight[:, None], 0)
        origin = jnp.nanmean(values, axis=0)
        residuals = jnp.where(seen, values - origin[None], 0)
        total = jnp.sum(own, axis=0)
        total = jnp.where(total > 0, total, jnp.ones_like(total))
        shift = jnp.sum(own * residuals, axis=0) / total
        residuals = jnp.where(seen, residuals - shift[None], 0)
        scatter = einsum("ni,nj->ij", own * residuals, residuals)
        # Fewer cells than rows: the diagonal is over its own cells, the rest over all.
        widen = jnp.sqrt(jnp.sum(weight) / total)
        covariance = scatter * widen[:, None] * widen[None] / jnp.sum(weight)
        variance, d = jnp.diagonal(covariance), covariance.shape[0]
        mean = jnp.mean(variance)
        n = jnp.sum(weight > 0, dtype=variance.dtype)
        other = jnp.where(variance > 0, variance, jnp.where(mean > 0, mean, 1))
        diagonal = jnp.eye(d, dtype=bool)
        return origin + shift, jnp.where(diagonal, other, n / (n + d) * covariance)

    def prepare(
        self, structure: Covariance, params: Any, factor: Factor, log_normaliser: Float[Array, " k"]
    ) -> Form:
        means, covariances = params
        k, d = means.shape
        if not structure.matrices:
            variances = jnp.broadcast_to(structure.variances(covariances, k, d), (k, d))
            return Diagonal(means, variances, log_normaliser)
        root, log_det = factor
        whole = jnp.reshape(root, (-1, d, d))
        precision = einsum("kil,kij->klj", whole, whole)
        own = ResidualForm(means, root, log_normaliser)
        loses_precision = product_form.prepare(structure, own, covariances).loses_precision
        return Dense(means, covariances, root, precision, log_det, log_normaliser, loses_precision)

    def evaluate(
        self, structure: Covariance, form: Form, x: Holes
    ) -> tuple[Float[Array, "k n"], Any]:
        """-> (log densities, what `sums` needs)."""
        if isinstance(form, Dense) and x.tiled:
            return tiles.evaluate(structure, form, x.values)
        seen = ~jnp.isnan(x.values.T)
        safe = jnp.where(seen, x.values.T, 0)
        residuals = jnp.where(seen[None], safe[None] - form.means[:, :, None], 0)
        if isinstance(form, Diagonal):
            scaled = residuals**2 / form.variances[:, :, None]
            spare = 0.5 * (_LOG_2PI + jnp.log(form.variances))  # of missing cells
            less = einsum("kd,dn->kn", spare, (~seen).astype(spare.dtype))
            log_density = form.log_normaliser[:, None] + less - 0.5 * jnp.sum(scaled, axis=1)
            return log_density, (residuals, ~seen)
        missing = places(~seen, x.most)
        filled = fill(form.precision, residuals, missing)
        holes = jnp.sum(~seen, axis=0).astype(residuals.dtype)
        distance = structure.squared_distance(form.root, filled.residuals)
        gone = holes[None] * _LOG_2PI - filled.log_det - distance
        log_density = form.log_normaliser[:, None] + 0.5 * gone
        return log_density, (filled.residuals, filled.covariances, missing)

    def sums(
        self, structure: Covariance, form: Form, cache: Any, weight: Float[Array, "k n"]
    ) -> tuple[Float[Array, "k d"], Array]:
        """-> (sum of weight E[r], the form of the sum of weight E[r r'])."""
        if isinstance(cache, Tile):
            return tiles.sums(structure, form, cache, weight)
        residuals = cache[0]
        first = einsum("kn,kdn->kd", weight, residuals)
        second = structure.scatter(weight, residuals)
        if isinstance(form, Diagonal):
            gone = einsum("kn,dn->kd", weight, cache[1].astype(weight.dtype))
            return first, second + structure.outer(
                jnp.ones_like(weight[:, 0]), gone, form.variances
            )
        _, covariances, missing = cache
        return first, second + jnp.reshape(
            _spread(covariances, missing, weight, residuals.shape[1]), second.shape
        )
