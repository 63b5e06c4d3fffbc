"""What the laws ask of a family: its numbers, and what others say of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxem.core.contracts import Family

N = 48  # rows of every case


class FamilyCase(NamedTuple):
    family: Family
    params: Any  # of 3 components
    x: Any  # N rows as the family reads them
    log_prob: Callable[[Any, Any], np.ndarray]  # scipy: params, x -> (k, n)
    mle: Callable[[np.ndarray, Any], Any]  # weights (k, n), x -> params
    prior: Any  # as a person gives it; None where the family has none
    shared: Any  # tree of params: True where a leaf belongs to all components together
    linked: Any = None  # likewise: where those of one component follow from those of others
    n_steps: int = 1  # M-steps from params to the estimate: more where one is a step of a search
    digits: float = 1e-9  # of the estimate: fewer where a search ends at what rounding hides
    hole: Callable[[Any], Any] | None = None  # x with nothing in row 5; None where that cannot be


def arrays(*given: Any) -> tuple:
    return tuple(jnp.asarray(a) for a in given)


def columns(log_density, x, *params):
    """Sums over the columns, for each component."""
    return np.array([log_density(np.asarray(x), *of).sum(1) for of in zip(*params, strict=True)])


def means(r, x):
    return np.array([(own[:, None] * x).sum(0) / own.sum() for own in r])


def without_row_5(leaf: Any) -> Any:
    return leaf.at[5].set(jnp.nan)
