"""The probabilities of the components before a row is seen: most often the same for every row.

w[k] = N[k] / sum_j N[j]
"""

import abc
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int

from jaxem.core.constraints import Shares
from jaxem.core.contracts import Prior, Rows
from jaxem.core.numerics import draw, safe_divide, safe_log


class Weighting(abc.ABC):
    """A frozen spec. Parameters have `weights` (k,), 0 for an absent component, and fields of its
    own after the components: its methods give them in that order."""

    n_beside: int = 0  # parts beside the components whose weights it tells too, after theirs

    @property
    @abc.abstractmethod
    def constraints(self) -> tuple[Any, ...]:
        """Of `weights`, and of the fields of its own."""

    @abc.abstractmethod
    def split(self, data: Any) -> tuple[Any, Any]:
        """Host side: data as a person has it -> (that of the family, the covariates or None)."""

    @abc.abstractmethod
    def joined(self, x: Any, covariates: Any) -> Any:
        """The way back."""

    @abc.abstractmethod
    def read(self, covariates: Any, rows: Rows) -> Any:
        """Host side: covariates, checked, as the steps take them."""

    @abc.abstractmethod
    def like(self, k: int, dtype: Any) -> tuple[Any, ...]:
        """Shapes and dtypes of the fields of its own."""

    @abc.abstractmethod
    def as_params(self, params: Any, k: int, dtype: Any) -> tuple[Any, ...]:
        """Host side: the fields of its own, checked."""

    @abc.abstractmethod
    def as_prior(self, prior: Any, dtype: Any) -> Any:
        """Host side: the precision of that of its own fields; ValueError for what it has not."""

    def check_identified(self, rows: Rows) -> tuple[str, ...]:
        """What the rows do not identify of its own fields."""
        return ()

    def separated(self, statistics: Any, rows: Rows) -> tuple[str, ...]:
        """Components whose likelihood rises for ever."""
        return ()

    @abc.abstractmethod
    def start(self, weights: Float[Array, " k"], rows: Rows) -> tuple[Any, ...]:
        """-> (weights, the fields of its own) in a start."""

    @abc.abstractmethod
    def prepare(self, params: Any) -> Any: ...

    def scaled(self, prepared: Any, log_share: Float[Array, ""]) -> Any:
        """With weights of all rows that are no noise, whose share that is."""
        return prepared

    @abc.abstractmethod
    def log_weights(self, prepared: Any, rows: Rows) -> Float[Array, "m #n"]:
        """Of each row, or of all; -inf for an absent component. m: k + n_beside."""

    @abc.abstractmethod
    def statistics(
        self, prepared: Any, rows: Rows, responsibilities: Float[Array, "m n"]
    ) -> Any: ...

    @abc.abstractmethod
    def update(self, params: Any, statistics: Any, prior: Any) -> tuple[Any, ...]:
        """-> (weights, the fields of its own) by the M-step; statistics: of the mixture."""

    @abc.abstractmethod
    def log_prior(self, params: Any, prior: Any) -> Float[Array, ""]: ...

    @abc.abstractmethod
    def sample(self, key: Array, params: Any, n: int) -> tuple[Int[Array, " n"], Any]:
        """-> (labels, from k on of what is beside the components, covariates or None)."""

    @abc.abstractmethod
    def labels(self, key: Array, params: Any, rows: Rows) -> Int[Array, "*n"]:
        """For each row a component, or from k on what is beside them."""


@dataclass(frozen=True)
class Common(Weighting):
    """The same for every row."""

    @property
    def constraints(self) -> tuple[Any]:
        return (Shares(),)

    def split(self, data: Any) -> tuple[Any, None]:
        return data, None

    def joined(self, x: Any, covariates: None) -> Any:
        return x

    def read(self, covariates: None, rows: Rows) -> None:
        return None

    def like(self, k: int, dtype: Any) -> tuple[()]:
        return ()

    def as_params(self, params: Any, k: int, dtype: Any) -> tuple[()]:
        return ()

    def as_prior(self, prior: Any, dtype: Any) -> None:
        if prior.precision is not None:
            raise ValueError(
                "the prior's precision is of coefficients of covariates, and there are none: leave "
                "it out, or give the mixture concomitants="
            )

    def start(self, weights: Float[Array, " k"], rows: Rows) -> tuple[Array]:
        return (weights,)

    def prepare(self, params: Any) -> Float[Array, " k"]:
        return safe_log(params.weights)

    def scaled(self, prepared: Float[Array, " k"], log_share: Float[Array, ""]) -> Any:
        return prepared + log_share

    def log_weights(self, prepared: Float[Array, " k"], rows: Rows) -> Float[Array, "k 1"]:
        return prepared[:, None]

    def statistics(self, prepared: Any, rows: Rows, responsibilities: Any) -> None:
        return None

    def update(self, params: Any, statistics: Any, prior: Prior | None) -> tuple[Array]:
        counts = statistics.counts
        if prior is not None:  # mode of the Dirichlet posterior; absent components stay absent
            pseudo = jnp.where(params.weights > 0, prior.weights - 1, jnp.zeros_like(counts))
            counts = jnp.maximum(counts + pseudo, 0)
        return (safe_divide(counts, jnp.broadcast_to(jnp.sum(counts), counts.shape)),)

    def log_prior(self, params: Any, prior: Prior) -> Float[Array, ""]:
        active = params.weights > 0
        safe = jnp.where(active, params.weights, jnp.ones_like(params.weights))
        return jnp.sum(xlogy(prior.weights - 1, safe))

    def sample(self, key: Array, params: Any, n: int) -> tuple[Int[Array, " n"], None]:
        labels = jax.random.categorical(key, safe_log(params.weights), shape=(n,))
        return labels.astype(jnp.int32), None

    def labels(self, key: Array, params: Any, rows: Rows) -> Int[Array, "*n"]:
        return draw(key, params.weights, rows.weight.shape)
