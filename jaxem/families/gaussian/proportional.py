"""Covariances that are equal up to their volume: VEI, (k, d), and VEE, (k, d, d).

    C[k] = v[k] B, det B = 1:    v[k] = tr(inv(B) S[k]) / (d N[k]),    B ∝ sum_k S[k] / v[k]

in turn, which rises to the only maximum (Celeux and Govaert 1995, models 3 and 5).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxem.core.factors import inverse_cholesky
from jaxem.core.numerics import einsum
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.linked import LinkedFactors, LinkedVariances

_MOST = 200  # turns
_SETTLED = 64.0  # units of rounding that log volumes may still move by


@dataclass(frozen=True)
class VEI(Diag):
    name = "VEI"
    constraint = LinkedVariances("VEI")
    one_shape = True

    def estimate(
        self, rows: Float[Array, "k 1"], scatter: Float[Array, "k d"], old: Float[Array, "k d"]
    ) -> Float[Array, "k d"]:
        return variances(rows[:, 0], scatter, jnp.mean(jnp.log(old), axis=1))


@dataclass(frozen=True)
class VEE(Full):
    name = "VEE"
    constraint = LinkedFactors("VEE")
    one_shape = True

    def estimate(
        self, rows: Float[Array, "k 1 1"], scatter: Float[Array, "k d d"], old: Array
    ) -> Float[Array, "k d d"]:
        rows, d = rows[:, 0, 0], scatter.shape[-1]

        def unit(log_volume: Float[Array, " k"]) -> Float[Array, "d d"]:
            total = einsum("k,kij->ij", jnp.exp(-log_volume), scatter)
            return total * jnp.exp(-inverse_cholesky(total)[1] / d)

        def traces(log_volume: Float[Array, " k"]) -> Float[Array, " k"]:
            root, _ = inverse_cholesky(unit(log_volume))
            return einsum("kij,li,lj->k", scatter, root, root)

        start = inverse_cholesky(old)[1] / d
        found = log_volumes(traces, rows * d, start)
        return jnp.exp(found)[:, None, None] * unit(found)[None]


def variances(
    rows: Float[Array, " k"], scatter: Float[Array, "k d"], start: Float[Array, " k"]
) -> Float[Array, "k d"]:
    """v[k] b from the sums of squares along axes; start: log v, kept where there are no rows."""
    d = scatter.shape[1]

    def unit(log_volume: Float[Array, " k"]) -> Float[Array, " d"]:
        total = jnp.sum(jnp.exp(-log_volume)[:, None] * scatter, axis=0)
        return total * jnp.exp(-jnp.mean(jnp.log(total)))

    def traces(log_volume: Float[Array, " k"]) -> Float[Array, " k"]:
        return jnp.sum(scatter / unit(log_volume)[None], axis=1)

    found = log_volumes(traces, rows * d, start)
    return jnp.exp(found)[:, None] * unit(found)[None]


def log_volumes(
    traces: Callable[[Array], Array], numbers: Float[Array, " k"], start: Float[Array, " k"]
) -> Float[Array, " k"]:
    """The fixed point of v[k] = tr(inv(B(v)) S[k]) / (d N[k]), differentiable; numbers: d N."""
    told = numbers > 0
    safe = jnp.where(told, numbers, jnp.ones_like(numbers))

    def move(log_volume: Array) -> Array:
        ahead = jnp.log(jnp.where(told, traces(log_volume) / safe, 1))
        return jnp.where(told, ahead, start) - log_volume

    return lax.custom_root(move, start, _settle, _solve)


def _settle(move: Callable[[Array], Array], start: Float[Array, " k"]) -> Float[Array, " k"]:
    """Turns until they move nothing, at most `_MOST`."""
    least = _SETTLED * jnp.finfo(start.dtype).eps

    def further(state: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        _, step, turns = state
        return (jnp.max(jnp.abs(step)) > least) & (turns < _MOST)

    def turn(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        log_volume, step, turns = state
        log_volume = log_volume + step
        return log_volume, move(log_volume), turns + 1

    begin = start, move(start), jnp.zeros((), jnp.int32)
    log_volume, step, _ = lax.while_loop(further, turn, begin)
    return log_volume + step


def _solve(linear: Callable[[Array], Array], b: Float[Array, " k"]) -> Float[Array, " k"]:
    return jnp.linalg.solve(jax.jacobian(linear)(jnp.zeros_like(b)), b)
