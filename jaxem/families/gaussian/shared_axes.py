"""Covariances of different shapes along common axes, (k, d, d): EVE and VVE.

    C[k] = D diag(c[k]) D',    minimal:  sum_k sum_i N[k] log c[k, i] + (D' S[k] D)[i, i] / c[k, i]

(Browne and McNicholas 2014). For given axes c is that of EVI or VVI, of the sums of squares along
them. For given c the axes turn in pairs, as in Jacobi's method: i and j by the angle t,

    tan 2t = -B / -A,   A = sum_k (1/c[k,i] - 1/c[k,j]) (s[k,i,i] - s[k,j,j]) / 2,
                        B = sum_k (1/c[k,i] - 1/c[k,j]) s[k,i,j],      s[k] = D' S[k] D

is the minimum over that plane. The sum is lower than now up to 2t: a turn is longer than t where
the curvature with c that follows (as in Flury and Gautschi 1986) is less, as in Newton's method.
d / 2 planes that have no axis in common turn at once; a sweep turns all. It begins from the present
axes, and no turn raises the sum: EM climbs. There may be several minima.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxem.core.numerics import any_lane, einsum
from jaxem.families.gaussian import equal_volume
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.linked import LinkedAxes, common_axes, composed, spectra

_SWEEPS = 30  # at most
_FURTHEST = 1.8  # times the turn that is best for given c
_SETTLED = 4096.0  # units of rounding: turns that are less gain nothing that is seen of the sum


class Turned(NamedTuple):
    """S[k] along the axes, the axes, c, and the sine of the largest turn of the last sweep."""

    scatter: Float[Array, "k d d"]
    axes: Float[Array, "d d"]
    variances: Float[Array, "k d"]
    turn: Float[Array, ""]


@dataclass(frozen=True)
class SharedAxes(Full):
    @abstractmethod
    def along(
        self, rows: Float[Array, " k"], squares: Float[Array, "k d"], old: Float[Array, "k d"]
    ) -> Float[Array, "k d"]:
        """c, from the sums of squares along the axes."""

    def estimate(
        self, rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Array
    ) -> Float[Array, "k d d"]:
        told, d = rows > 0, scatter.shape[-1]
        axes = common_axes(jnp.where(told, old, 0))
        own = spectra(old, axes)
        partners = jnp.asarray(tournament(d))

        def settled(scatter: Array) -> Float[Array, "k d"]:
            return self.along(rows[:, 0, 0], jnp.diagonal(scatter, axis1=1, axis2=2), own)

        def meet(round: Array, now: Turned) -> Turned:
            partner = partners[round]
            angle = angles(now, partner)
            turns = rotation(partner, angle)
            half = einsum("kab,bj->kja", now.scatter, turns)
            scatter = einsum("kja,ai->kij", half, turns)
            largest = lax.stop_gradient(jnp.max(jnp.abs(jnp.sin(angle))))
            axes, turn = einsum("ab,bi->ai", now.axes, turns), jnp.maximum(now.turn, largest)
            return Turned(scatter, axes, settled(scatter), turn)

        def sweep(now: Turned) -> Turned:
            still = now._replace(turn=jnp.zeros_like(now.turn))
            return lax.fori_loop(0, len(partners), meet, still)

        def unless_settled(_: Array, now: Turned) -> Turned:
            moves = now.turn > _SETTLED * jnp.finfo(now.turn.dtype).eps
            swept = lax.cond(any_lane(moves), sweep, lambda now: now, now)
            return jax.tree.map(lambda new, old: jnp.where(moves, new, old), swept, now)

        along = einsum("ai,kab,bj->kij", axes, scatter, axes)
        begin = Turned(along, axes, settled(along), jnp.ones((), scatter.dtype))
        end = lax.fori_loop(0, _SWEEPS, unless_settled, begin)
        return composed(end.variances, end.axes[None])


@dataclass(frozen=True)
class EVE(SharedAxes):
    name = "EVE"
    own_volume = False
    constraint = LinkedAxes("EVE")

    def along(self, rows: Array, squares: Array, old: Array) -> Float[Array, "k d"]:
        return equal_volume.variances(rows, squares, old)


@dataclass(frozen=True)
class VVE(SharedAxes):
    name = "VVE"
    constraint = LinkedAxes("VVE")

    def along(self, rows: Array, squares: Array, old: Array) -> Float[Array, "k d"]:
        told = rows[:, None] > 0
        return jnp.where(told, squares / jnp.where(told, rows[:, None], 1), old)


def rotation(partner: Array, angle: Float[Array, " d"]) -> Float[Array, "d d"]:
    """Its columns are the axes after the turns, each by its angle towards its partner."""
    places = jnp.arange(len(partner), dtype=partner.dtype)[:, None]
    beside = jnp.where(places == partner[None], jnp.sin(angle)[None], 0)
    return jnp.where(places == places.T, jnp.cos(angle)[None], beside)


def angles(now: Turned, partner: Array) -> Float[Array, " d"]:
    """By how much each axis turns towards its partner, which turns as far away from it."""
    places = jnp.arange(len(partner), dtype=partner.dtype)
    i, j = jnp.minimum(places, partner), jnp.maximum(places, partner)
    precision = 1 / now.variances
    gap = precision[:, i] - precision[:, j]
    s = now.scatter
    first, second, across = s[:, i, i], s[:, j, j], s[:, i, j]
    a = jnp.sum(gap * (first - second), axis=0) / 2
    b = jnp.sum(gap * across, axis=0)
    follows = jnp.sum(across**2 * (precision[:, i] / first + precision[:, j] / second), axis=0)
    further = jnp.clip(jnp.where(a + follows < 0, a / (a + follows), 1), 1, _FURTHEST)
    flat = (a == 0) & (b == 0)  # no turn changes anything
    angle = 0.5 * further * jnp.arctan2(-b, jnp.where(flat, 1, -a))
    return jnp.where(places <= partner, angle, -angle)


def tournament(d: int) -> np.ndarray:
    """(rounds, d): the partner of each axis, itself for none; all pairs meet once in all rounds.

    By the circle method: one stays, the others move on by one place.
    """
    n = d + d % 2
    circle, rounds = list(range(n)), []
    for _ in range(max(n - 1, 1)):
        partner = np.arange(n, dtype=np.int32)
        for a, b in zip(circle[: n // 2], circle[: n // 2 - 1 : -1], strict=True):
            partner[[a, b]] = b, a
        rounds.append(np.where(partner[:d] < d, partner[:d], np.arange(d, dtype=np.int32)))
        circle.insert(1, circle.pop())
    return np.stack(rounds)
