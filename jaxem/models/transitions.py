"""Which transitions a hidden Markov chain may take, and the law that it stays in."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks
from jaxem.core.numerics import einsum, safe_divide, safe_log

KINDS = ("full", "left-right", "cyclic")
_HALVINGS = 20
_STEPS = 8


def mask(kind: Any, k: int) -> np.ndarray:
    """(k, k), True where a transition is possible: row i to column j."""
    i, j = np.arange(k)[:, None], np.arange(k)[None]
    if kind == "full":
        return np.ones((k, k), bool)
    if kind == "left-right":
        return j >= i
    if kind == "cyclic":
        return (j == i) | (j == (i + 1) % k)
    return np.array(kind, bool)


def read(kind: Any, k: int) -> Any:
    """A kind by its name, or a mask as a tuple of tuples; ValueError for anything else."""
    if isinstance(kind, str):
        checks.one_of(kind, KINDS, "transitions", ", or a mask")
        return kind
    try:
        allowed = np.asarray(kind)
    except ValueError:
        allowed = np.zeros(0)
    if allowed.shape != (k, k) or not np.isin(allowed, (0, 1)).all():
        raise ValueError(
            f"transitions is {kind!r}; give a {k} x {k} mask of True and False, or one of "
            f"{', '.join(map(repr, KINDS))}"
        )
    closed = np.flatnonzero(~allowed.astype(bool).any(axis=1))
    if len(closed):
        raise ValueError(f"transitions leaves state {closed[0]} nowhere to go, not even to itself")
    return tuple(tuple(row) for row in allowed.astype(bool).tolist())


def n_closed(possible: np.ndarray) -> int:
    """How many sets of states, each reached from all of itself, are never left (1 at least)."""
    reach = _reach(possible)
    kept = np.setdiff1d(np.flatnonzero(possible.any(axis=1)), transient(possible))
    return len({frozenset(np.flatnonzero(reach[i]).tolist()) for i in kept})


def transient(possible: np.ndarray) -> np.ndarray:
    """The states that are left for good."""
    reach = _reach(possible)
    return np.flatnonzero((reach & ~reach.T).any(axis=1))


def _reach(possible: np.ndarray) -> np.ndarray:
    """Which states lead to which, in any number of steps."""
    reach = possible | np.eye(len(possible), dtype=bool)
    for _ in range(len(possible).bit_length()):
        reach = reach @ reach
    return reach


def remarks(kind: Any, k: int) -> tuple[str, ...]:
    """What is legal, but may not be meant."""
    others = mask(kind, k) & ~np.eye(k, dtype=bool)
    if k == 1:
        return ()
    found = [f"state {i} is never left" for i in np.flatnonzero(~others.any(axis=1))]
    closed = np.flatnonzero(~others.any(axis=0))
    return (*found, *(f"state {i} is never entered from another" for i in closed))


def counts(
    labels: Int[Array, "t lanes"],
    weight: Float[Array, "t lanes"],
    first: Bool[Array, "t lanes"],
    possible: Bool[Array, "k k"],
) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
    """-> (how often labels begin a sequence, how often each follows each), weighted.

    Each possible transition has one more.
    """
    states = jnp.arange(possible.shape[0], dtype=jnp.int32)[None, None]
    chosen = jnp.where(labels[..., None] == states, weight[..., None], 0.0)
    begins = jnp.sum(jnp.where(first[..., None], chosen, 0), axis=(0, 1))
    into = jnp.where(first[1:, :, None], 0, chosen[1:])
    moves = einsum("tbk,tbj->kj", (chosen[:-1] > 0).astype(weight.dtype), into)
    return begins, jnp.where(possible, moves + 1, jnp.zeros_like(moves))


def persistent_or_any(
    key: Array, moves: Float[Array, "k k"], possible: Bool[Array, "k k"]
) -> Float[Array, "k k"]:
    """Counts to start from: of one start in three staying counts as often as all that leaves.

    A chain that is near independent in its labels then starts as one that persists. The rows of
    the others are uniform among all that are possible: states may alternate, or pass quickly.
    Each number has a key of its own, so that states that are absent change none of the others.
    """
    key_which, key_rows = jax.random.split(key)
    stay = jnp.where(jnp.diagonal(possible), jnp.sum(moves, axis=1), 0)

    def draw(i: Array, j: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(key_rows, i), j)
        return jax.random.exponential(own, (), moves.dtype)

    each = jnp.arange(moves.shape[0], dtype=jnp.uint32)
    drawn = jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(each, each)
    persists = jax.random.bernoulli(key_which, 1 / 3)
    return jnp.where(persists, moves + jnp.diag(stay), jnp.where(possible, drawn, 0))


def rows(counts: Float[Array, "k k"], otherwise: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Each row in proportion to its counts; as it was where there are none."""
    total = jnp.broadcast_to(jnp.sum(counts, axis=1, keepdims=True), counts.shape)
    return jnp.where(total > 0, safe_divide(counts, total), otherwise)


def stationary(transition: Float[Array, "k k"]) -> Float[Array, " k"]:
    """The law p of p A = p, p (I - A + 1) = 1 (Zucchini and MacDonald 2009).

    States whose row is 0 are absent: they have none of it. Where several sets of states are never
    left there is no single law (`n_closed`), and what comes out is one of them, or NaN.
    """
    k = transition.shape[0]
    active = jnp.sum(transition, axis=1) > 0
    identity = jnp.eye(k, dtype=transition.dtype)
    ones = active[:, None] & active[None]
    system = identity - transition + ones.astype(transition.dtype)
    law = jnp.linalg.solve(system.T, active.astype(transition.dtype))
    law = jnp.where(active, jnp.maximum(law, 0), jnp.zeros_like(law))
    return law / jnp.sum(law)


def stationary_target(
    counts: Float[Array, "k k"], initial: Float[Array, " k"], here: Float[Array, "k k"]
) -> Float[Array, "k k"]:
    """The rows that a step goes to: `here` itself where sum counts log A + sum initial log p(A)
    is at its maximum. The gradient of the second term acts as further counts.
    """

    def law(transition: Array) -> Array:
        return jnp.sum(jnp.where(initial > 0, initial * safe_log(stationary(transition)), 0))

    slope = jax.grad(law)(here)
    slope = slope - jnp.sum(here * slope, axis=1, keepdims=True)
    return rows(jnp.maximum(counts + here * slope, 0), here)


def stationary_rows(
    counts: Float[Array, "k k"],
    initial: Float[Array, " k"],
    old: Float[Array, "k k"],
) -> Float[Array, "k k"]:
    """Rows that raise sum counts log A + sum initial log p(A), p the stationary law of A.

    Each step goes to the `stationary_target`, or half as far until the objective does not fall.
    There is no closed form (Zucchini and MacDonald 2009).
    """

    def objective(transition: Array) -> Array:
        law = safe_log(stationary(transition))
        chain = jnp.sum(jnp.where(counts > 0, counts * safe_log(transition), 0))
        return chain + jnp.sum(jnp.where(initial > 0, initial * law, 0))

    def step(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        here, value = state
        wanted = stationary_target(counts, initial, here)
        shares = 0.5 ** jnp.arange(_HALVINGS, dtype=here.dtype)
        tries = here[None] + shares[:, None, None] * (wanted - here)[None]
        values = jax.lax.map(objective, tries)  # systems one by one: see core/factors.py
        good = values > value
        index = jnp.argmax(good)
        better = jnp.any(good)
        new = jnp.where(better, tries[index], here)
        return new, jnp.where(better, values[index], value)

    plain = rows(counts, old)
    from_plain = objective(plain) > objective(old)
    start = jnp.where(from_plain, plain, old)
    return jax.lax.fori_loop(0, _STEPS, step, (start, objective(start)))[0]
