"""Products of two columns, each pair once: a symmetric (d, d) matrix in s x d numbers.

Number [t, i] belongs to the columns i and (i + t) mod d, t = 0, ..., d // 2 steps apart around the
circle of columns: d (d // 2 + 1) numbers, those of d (d + 1) / 2 pairs and at most d / 2 of them
twice. Unlike those of a triangle they are whole slices of neighbouring rows, made at the speed of
the cache.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def partners(d: int) -> np.ndarray:
    """(s, d): the column that [t, i] pairs column i with."""
    return (np.arange(d // 2 + 1)[:, None] + np.arange(d)[None]) % d


def products(x: Float[Array, "d n"]) -> Float[Array, "p n"]:
    """x[i] x[j] of every pair."""
    d, n = x.shape
    return jnp.reshape(x[None] * x[partners(d)], (-1, n))


def pack(matrix: Float[Array, "*batch d d"]) -> Float[Array, "*batch p"]:
    """A symmetric matrix at the pairs."""
    d = matrix.shape[-1]
    columns = np.broadcast_to(np.arange(d)[None], partners(d).shape)
    return jnp.reshape(matrix[..., columns, partners(d)], (*matrix.shape[:-2], -1))


def unpack(packed: Float[Array, "*batch p"], d: int) -> Float[Array, "*batch d d"]:
    """The symmetric matrix of numbers at the pairs."""
    i, j = np.arange(d)[:, None], np.arange(d)[None]
    ahead = (j - i) % d
    forward = ahead <= d // 2
    place = np.where(forward, ahead * d + i, (d - ahead) * d + j)
    return packed[..., place]


def multiplicity(d: int) -> np.ndarray:
    """(p,): how often each number stands in the matrix, so that x' M x = sum of
    multiplicity * pack(M) * products(x)."""
    times = np.full(partners(d).shape, 2.0)
    times[0] = 1.0
    if d % 2 == 0 and d > 1:
        times[-1] = 1.0  # the distance d / 2 meets each pair twice
    return times.reshape(-1)
