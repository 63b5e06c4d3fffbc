"""What a model says of its hidden variables beyond their posterior: the terms of information.

All are of the rows given, with the axes of their weight.
"""

from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxem.core.model import Model
from jaxem.core.rows import Rows
from jaxem.core.values import Params, Prepared, Prior, Statistics


@runtime_checkable
class TellsLogDensity(Protocol):
    def log_density(self, prepared: Prepared, rows: Rows) -> Float[Array, "*n"]: ...


def log_density(model: Model, prepared: Prepared, rows: Rows) -> Float[Array, "*n"]:
    """log p of each row, twice differentiable; of a step, given the steps before it."""
    if isinstance(model, TellsLogDensity):
        return model.log_density(prepared, rows)
    return model.posterior(prepared, rows)[0]


@runtime_checkable
class TellsExpected(Protocol):
    def expected(self, prepared: Prepared, then: Prepared, rows: Rows) -> Float[Array, ""]: ...


def expected(model: Model, prepared: Prepared, then: Prepared, rows: Rows) -> Float[Array, ""]:
    """Q = E[log p(x, z; prepared) | x; then], weighted and summed over the rows."""
    if not isinstance(model, TellsExpected):
        raise ValueError(f"{model!r} does not tell its complete log-likelihood")
    return model.expected(prepared, then, rows)


@runtime_checkable
class TellsEntropy(Protocol):
    def entropy(self, prepared: Prepared, rows: Rows) -> Float[Array, "*n"]: ...


def entropy(model: Model, prepared: Prepared, rows: Rows) -> Float[Array, "*n"]:
    """Entropy of the hidden variables given the rows, in nats; NaN where it is not known."""
    if isinstance(model, TellsEntropy):
        return model.entropy(prepared, rows)
    return jnp.full_like(rows.weight, jnp.nan)


@runtime_checkable
class SearchesMStep(Protocol):
    """A model whose M-step is a search."""

    def differentiable_m_step(
        self, params: Params, statistics: Statistics, prior: Prior | None
    ) -> Params: ...


def differentiable_m_step(
    model: Model, params: Params, statistics: Statistics, prior: Prior | None
) -> Params:
    """A map with the fixed points of `m_step`, and differentiable there."""
    if isinstance(model, SearchesMStep):
        return model.differentiable_m_step(params, statistics, prior)
    return model.m_step(params, statistics, prior)


@runtime_checkable
class ResamplesRows(Protocol):
    def resample_like(self, key: Array, params: Params, rows: Rows) -> Rows: ...


def resample_like(model: Model, key: Array, params: Params, rows: Rows) -> Rows:
    """The rows with values redrawn from the model; weights, labels and missing cells stay."""
    if not isinstance(model, ResamplesRows):
        raise ValueError(
            f"{model!r} does not tell how rows are drawn: give it a method `resample_like`"
        )
    return model.resample_like(key, params, rows)
