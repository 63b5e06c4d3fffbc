"""Rows of a regression, (X, y), and the pivot that regressors far from 0 are measured from.

Regressors that lie far from 0, such as years, are all but a multiple of the intercept's 1: sums of
their squares lose (distance / spread)^2 of their digits. With x - c in the place of x the line is

    b[0] + b[1:]' x = (b[0] + b[1:]' c) + b[1:]' (x - c)

so that coefficients keep their meaning (Hocking 2013, Methods and Applications of Linear Models,
section 4.2). A column has a pivot where half of the digits of such sums would be lost; elsewhere
it is 0, and sums over rows that were read apart add up.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxem.core import checks, placement
from jaxem.core.numerics import einsum


class Far(NamedTuple):
    """Rows from a pivot, which is the same in all of them; rows without are (X, y)."""

    X: Any  # (n, d), less the pivot
    y: Any  # (n,)
    pivot: Any  # (n, d)


def measured(x: Any, weight: Any) -> Any:
    """(X, y), or `Far` where a regressor needs it, and where values are traced.

    The pivot is taken off columns of the host's before they are cast: no digit of them is lost.
    """
    X, y = x
    concrete, values = checks.is_concrete(X, weight), placement.in_place(X)
    numpy = placement.numpy_of(values)
    mean, spread = location(numpy, values, weight)
    dtype = jax.dtypes.canonicalize_dtype(values.dtype)
    far = numpy.abs(mean) > spread * float(jnp.finfo(dtype).eps) ** -0.25
    if concrete and not far.any():
        return x
    pivot = numpy.where(far, mean, 0).astype(dtype).astype(values.dtype)
    pivot = pivot if concrete else lax.stop_gradient(pivot)
    return Far(values - pivot[None], y, numpy.broadcast_to(pivot[None], values.shape))


def location(numpy: Any, X: Any, weight: Any) -> tuple[Any, Any]:
    """-> (mean, standard deviation) of each column, over the rows of positive weight."""
    there = numpy.ones(len(X), bool) if weight is None else numpy.asarray(weight) > 0
    n = numpy.sum(there).astype(X.dtype)
    first = X[numpy.argmax(there)]
    from_first = numpy.where(there[:, None], X, first[None]) - first[None]
    mean = numpy.sum(from_first, axis=0) / n
    from_mean = numpy.where(there[:, None], from_first - mean[None], 0)
    return first + mean, numpy.sqrt(numpy.sum(from_mean**2, axis=0) / n)


def given(x: Any) -> Any:
    """(X, y) as given, before the pivot was subtracted."""
    X, y, *pivot = x
    return (X + pivot[0], y) if pivot else (X, y)


def with_responses(x: Any, y: Any) -> Any:
    """x with its responses replaced."""
    return x._replace(y=y) if isinstance(x, Far) else (x[0], y)


def pivot_of(x: Any) -> Float[Array, " d"]:
    X, _, *pivot = x
    return pivot[0][0] if pivot else jnp.zeros(X.shape[1], X.dtype)


def design(X: Float[Array, "n d"], intercept: bool) -> Float[Array, "p n"]:
    """The regressors of each row, with a 1 before them for the intercept."""
    one = jnp.ones((1, X.shape[0]), X.dtype)
    return jnp.concatenate([one, X.T]) if intercept else X.T


def there(b: Float[Array, "*k p"], x: Any) -> Float[Array, "*k p"]:
    """The coefficients with the line's value at the pivot in the place of the intercept."""
    if not isinstance(x, Far):
        return b
    return b.at[..., 0].add(einsum("...d,d->...", b[..., 1:], pivot_of(x)))


def back(b: Float[Array, "*k p"], x: Any) -> Float[Array, "*k p"]:
    if not isinstance(x, Far):
        return b
    return b.at[..., 0].add(-einsum("...d,d->...", b[..., 1:], pivot_of(x)))


def predictor(
    b: Float[Array, "k p"], x: Any, intercept: bool
) -> tuple[Float[Array, "k n"], Float[Array, "p n"]]:
    """-> (b' (1, x), the regressors from their pivot)."""
    u = design(x[0], intercept)
    return einsum("kp,pn->kn", there(b, x), u), u


def predicted(b: Float[Array, "n p"], x: Any, intercept: bool) -> Float[Array, " n"]:
    """b' (1, x) of rows that have coefficients of their own."""
    return einsum("np,pn->n", there(b, x), design(x[0], intercept))
