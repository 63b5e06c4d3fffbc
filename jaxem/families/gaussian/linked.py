"""Constraints of covariances that have their volume, shape or orientation in common.

    C[k] = v[k] D[k] diag(a[k]) D[k]',   det diag(a[k]) = 1,  D[k] orthogonal

(Celeux and Govaert 1995.) `letters` say of the volumes v, the shapes a and the orientations D
whether they are equal (E) or of each component (V); I: the axes are those of the columns.

Coordinates are logarithms, as of covariances without constraint, in which what is common is a mean:
from any numbers the way back leads into the structure. Absent components follow what is common.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxem.core import checks, constraints
from jaxem.core.constraints import Constraint
from jaxem.core.factors import eigh
from jaxem.core.numerics import clip_log, diagonal_mask, einsum, transpose

_OFF = 1e-3  # part of a covariance that may lie outside of the structure
_COVARIANCE, _VARIANCE = constraints.Covariance(), constraints.Variance()


@dataclass(frozen=True)
class Linked(Constraint):
    """What holds of them in any coordinates."""

    letters: str = ""

    def check_fixed(self, fixed: Any, name: str) -> None:
        if np.isnan(fixed).any() and not np.isnan(fixed).all():
            raise ValueError(
                f"{name}: covariances of {self.letters} are linked with each other; fix those of "
                "all components or none, or take a structure without E"
            )
        if not np.isnan(fixed).any():
            self.check(fixed, name)

    def fisher_diagonal(self, value: Array, share: Float[Array, " k"]) -> Array:
        """2 for logs of standard deviations, and about that beside them."""
        return jnp.broadcast_to(2 * self.by_component(share, value), value.shape)

    def n_free(self, fixed: Array, active: Bool[Array, " k"]) -> Array:
        """1 for a volume, d - 1 for a shape, d (d - 1) / 2 for an orientation."""
        d, k = fixed.shape[1], jnp.sum(active, dtype=jnp.int32)
        times = {"E": jnp.minimum(k, 1), "V": k, "I": jnp.zeros_like(k)}
        volume, shape, orientation = (times[letter] for letter in self.letters)
        total = volume + (d - 1) * shape + d * (d - 1) // 2 * orientation
        return jnp.where(jnp.any(jnp.isnan(fixed)), total, jnp.zeros_like(k))

    def replace(self, value: Array, index: tuple, number: Array) -> Array:
        raise ValueError(
            f"no number of the covariances of {self.letters} moves alone: they are linked with "
            "each other; take a structure without E"
        )


@dataclass(frozen=True)
class LinkedVariances(Linked):
    """VEI and EVI: (k, d); coordinates the logs of standard deviations."""

    def check(self, value: Any, name: str) -> None:
        _VARIANCE.check(value, name)
        if checks.is_concrete(value) and np.all(np.asarray(value) > 0):
            variances = np.asarray(value, np.float64)
            _check(self.letters, variances, variances, _OFF, name)

    def to_unconstrained(self, value: Float[Array, "k d"]) -> Float[Array, "k d"]:
        return _VARIANCE.to_unconstrained(value)

    def from_unconstrained(self, coordinate: Float[Array, "k d"]) -> Float[Array, "k d"]:
        return _VARIANCE.from_unconstrained(linked(coordinate, self.letters))


@dataclass(frozen=True)
class LinkedMatrices(Linked):
    """(k, d, d)."""

    def check(self, value: Any, name: str) -> None:
        _COVARIANCE.check(value, name)
        if not checks.is_concrete(value):
            return
        matrices, given = np.asarray(value, np.float64), np.asarray(value).dtype
        variances = np.linalg.eigvalsh(matrices)
        if not (variances > 0).all():  # a fit that collapsed
            return
        eps = np.finfo(given if given.kind == "f" else np.float64).eps
        within = _OFF + 8 * eps * (variances[:, -1] / variances[:, 0]).max()
        parts = matrices if self.letters[1:] == "EE" else variances
        _check(self.letters, variances, parts, within, name)
        if self.letters[2] == "E":
            _check_axes(self.letters, matrices / variances[:, -1:, None], within, name)


@dataclass(frozen=True)
class LinkedFactors(LinkedMatrices):
    """VEE and EVV; coordinates those of Cholesky factors, as without constraint.

    With C = L L' the volume is that of L's diagonal, and the unit factor is the rest.
    """

    def to_unconstrained(self, value: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
        return _COVARIANCE.to_unconstrained(value)

    def from_unconstrained(self, coordinate: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
        logs = linked(jnp.diagonal(coordinate, axis1=1, axis2=2), self.letters)
        if self.letters[1] == "E":
            mean = jnp.mean(coordinate, axis=0, keepdims=True)
            coordinate = jnp.broadcast_to(mean, coordinate.shape)
        whole = jnp.where(diagonal_mask(logs.shape[1]), logs[:, :, None], coordinate)
        return _COVARIANCE.from_unconstrained(whole)


@dataclass(frozen=True)
class LinkedAxes(LinkedMatrices):
    """EEV, VEV, EVE and VVE; coordinates the logarithms of the matrices C^1/2.

    They do not tell the order and the signs of axes, which mean nothing. Spectra that are equal are
    equal in order of size; axes that are common are `common_axes`.
    """

    def to_unconstrained(self, value: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
        variances, axes = self._spectra(value)
        logs = 0.5 * jnp.log(jnp.where(variances > 0, variances, jnp.nan))
        return composed(logs, axes)

    def from_unconstrained(self, coordinate: Float[Array, "k d d"]) -> Float[Array, "k d d"]:
        logs, axes = self._spectra(0.5 * (coordinate + transpose(coordinate)))
        return composed(jnp.exp(2 * clip_log(linked(logs, self.letters))), axes)

    def _spectra(self, matrices: Array) -> tuple[Float[Array, "k d"], Float[Array, "#k d d"]]:
        if self.letters[2] == "V":
            return eigh(matrices)
        axes = common_axes(matrices)
        return spectra(matrices, axes), axes[None]


def linked(logs: Float[Array, "k d"], letters: str) -> Float[Array, "k d"]:
    """The logs of standard deviations with volumes and shapes that are equal where they must be."""
    volume = jnp.mean(logs, axis=1, keepdims=True)
    shape = logs - volume
    if letters[0] == "E":
        volume = jnp.mean(volume, axis=0, keepdims=True)
    if letters[1] == "E":
        shape = jnp.mean(shape, axis=0, keepdims=True)
    return jnp.broadcast_to(volume + shape, logs.shape)


def common_axes(matrices: Float[Array, "k d d"]) -> Float[Array, "d d"]:
    """The axes, as columns, of matrices that commute: those of a sum with weights of no meaning.

    Of equal weights such a sum may be a sphere: two ellipses across each other.
    """
    golden = np.modf(np.arange(1, len(matrices) + 1) * 0.6180339887498949)[0]
    weights = jnp.asarray(0.5 + golden, matrices.dtype)
    size = jnp.max(jnp.abs(matrices), axis=(1, 2))
    weights = weights / jnp.where(size > 0, size, jnp.ones_like(size))
    return eigh(einsum("k,kij->ij", weights, matrices))[1]


def spectra(matrices: Float[Array, "k d d"], axes: Float[Array, "d d"]) -> Float[Array, "k d"]:
    """The diagonals of D' C[k] D."""
    return jnp.sum(einsum("kij,jl->kil", matrices, axes) * axes[None], axis=1)


def composed(diagonal: Float[Array, "k d"], axes: Float[Array, "#k d d"]) -> Float[Array, "k d d"]:
    """D[k] diag(.) D[k]', the same bits on both sides of the diagonal."""
    each = jnp.broadcast_to(axes, (len(diagonal), *axes.shape[1:]))
    whole = einsum("kil,kjl->kij", each * diagonal[:, None], each)
    return 0.5 * (whole + transpose(whole))


def _check(letters: str, variances: np.ndarray, parts: Any, within: float, name: str) -> None:
    """ValueError unless volumes and shapes are equal where they must be; parts: of unit volume."""
    volume = np.exp(np.log(variances).mean(1))
    if letters[0] == "E":
        _check_equal(letters, "volumes", volume, within, name)
    if letters[1] == "E":
        unit = parts / volume.reshape(-1, *(1,) * (parts.ndim - 1))
        _check_equal(letters, "shapes", unit, within, name)


def _check_axes(letters: str, matrices: np.ndarray, within: float, name: str) -> None:
    """Matrices with common axes commute."""
    off = max(np.abs(one @ matrices - matrices @ one).max() for one in matrices)
    if off > within:
        raise ValueError(_said(letters, "orientations", off, name))


def _check_equal(letters: str, what: str, parts: Any, within: float, name: str) -> None:
    off = np.ptp(parts, axis=0).max() / np.abs(parts).max()
    if off > within:
        raise ValueError(_said(letters, what, off, name))


def _said(letters: str, what: str, off: float, name: str) -> str:
    return (
        f"{name} has {what} that differ between the components by {100 * off:.2g} %; in {letters} "
        "they are equal: give parameters of a fit with it, or take another structure"
    )
