"""What is beside the components of a mixture: nothing, or rows that are spread over a box.

p(x) = (1 - e) sum_k w[k] p_k(x) + e / V          with V the volume of the box of the data

(Banfield and Raftery 1993; Fraley and Raftery 2002, section 3.5). E-step and M-step treat the noise
as one more component whose density does not change: e = N[noise] / N.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxem.core import checks, parameters
from jaxem.core.capabilities.ranges import Range
from jaxem.core.constraints import Probability, Real
from jaxem.core.numerics import safe_divide, safe_log
from jaxem.models.log_odds import FollowingShare
from jaxem.models.mixture_params import MixtureParams

SHARE = 0.05  # that a start has


class Noise(NamedTuple):
    """share (): of the rows that are noise; low, high (d,): the box over which they are spread."""

    share: Array
    low: Array
    high: Array


class NoisyMixtureParams(NamedTuple):
    """weights (k,): of the rows that are no noise, summing to 1; components: the family's; noise:
    `Noise`."""

    weights: Array
    components: Any
    noise: Noise


class LogShares(NamedTuple):
    """log of what the components have in all, and of the density of the noise with its share."""

    components: Float[Array, ""]
    noise: Float[Array, ""]


@dataclass(frozen=True)
class Kept(Real):
    """Numbers that no step changes."""

    def without_error(self, value: Any, active: Any) -> Bool[Any, "*shape"]:
        return jnp.ones_like(value, bool)

    def constant(self, value: Array, active: Array) -> Bool[Array, "*shape"]:
        return jnp.ones_like(value, bool)

    def n_free(self, fixed: Array, active: Array) -> Int[Array, ""]:
        return jnp.int32(0)

    def fisher_diagonal(self, value: Array, share: Array) -> Array:
        return jnp.zeros_like(value)


class Background(abc.ABC):
    """A frozen spec: how rows that are of no component come about."""

    params_type: Any  # with weights and components first
    constraints: tuple[Any, ...]  # of the fields beside them

    @abc.abstractmethod
    def like(self, x: Any) -> tuple[Any, ...]:
        """Shapes and dtypes of those fields, for rows like x."""

    @abc.abstractmethod
    def read(self, params: Any, like: Any) -> tuple[Any, ...]:
        """Host side: those fields, checked; like: rows, or what says their shapes."""

    @abc.abstractmethod
    def check(self, x: Any) -> None:
        """Host side: ValueError for rows of a kind that has no such background."""

    @abc.abstractmethod
    def check_fit(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        """Host side: ValueError for rows from which it cannot be told."""

    @abc.abstractmethod
    def start(self, x: Any, weight: Array) -> tuple[Any, ...]:
        """Those fields in a start."""

    def with_range(self, params: Any, range: Range) -> Any:
        """The parameters of a start that looked at some of the rows, given the range of all."""
        return params

    @abc.abstractmethod
    def log_shares(self, params: Any) -> LogShares | None: ...

    @abc.abstractmethod
    def update(self, params: Any, count: Any, total: Float[Array, ""]) -> tuple[Any, ...]:
        """Those fields by the M-step; count: rows of noise; total: of the components."""

    @abc.abstractmethod
    def marginal(self, params: Any, columns: Any) -> tuple[Any, ...]:
        """Those fields of the columns at these indices."""

    @abc.abstractmethod
    def given(
        self, params: Any, values: Mapping[Any, Any], log_density: Float[Array, ""]
    ) -> tuple[Any, ...]:
        """Those fields of the columns left, given values of others by index. log_density: of the
        components there."""

    @abc.abstractmethod
    def spoil(self, key: Array, params: Any, x: Any, labels: Array) -> tuple[Any, Array]:
        """Rows of components -> (the same with rows of the background in between, labels)."""


@dataclass(frozen=True)
class Nothing(Background):
    """Every row is of a component."""

    params_type = MixtureParams
    constraints = ()

    def like(self, x: Any) -> tuple[()]:
        return ()

    def read(self, params: Any, like: Any) -> tuple[()]:
        return ()

    def check(self, x: Any) -> None:
        pass

    def check_fit(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        pass

    def start(self, x: Any, weight: Array) -> tuple[()]:
        return ()

    def log_shares(self, params: Any) -> None:
        return None

    def update(self, params: Any, count: Any, total: Float[Array, ""]) -> tuple[()]:
        return ()

    def marginal(self, params: Any, columns: Any) -> tuple[()]:
        return ()

    def given(self, params: Any, values: Any, log_density: Any) -> tuple[()]:
        return ()

    def spoil(self, key: Array, params: Any, x: Any, labels: Array) -> tuple[Any, Array]:
        return x, labels


@dataclass(frozen=True)
class Uniform(Background):
    """Rows that are noise are spread evenly over the box of the data."""

    params_type = NoisyMixtureParams
    constraints = (
        parameters.tree(Noise, Probability(shared=True), Kept(shared=True), Kept(shared=True)),
    )

    def like(self, x: Any) -> tuple[Noise]:
        box = jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
        return (parameters.tree(Noise, jax.ShapeDtypeStruct((), x.dtype), box, box),)

    def read(self, params: Any, like: Any) -> tuple[Noise]:
        dtype, d = like.dtype, like.shape[1]
        noise = params.noise
        checks.fields(noise, Noise, "noise")
        share = checks.parameter(noise.share, (), dtype, "noise.share", "one share")
        checks.between(share, "noise.share", 0, 1)
        low, high = (
            checks.parameter(value, (d,), dtype, f"noise.{name}", f"{d} columns")
            for name, value in (("low", noise.low), ("high", noise.high))
        )
        if checks.is_concrete(low, high) and not np.all(np.asarray(high) > np.asarray(low)):
            raise ValueError("noise.high has to be above noise.low in every column")
        return (Noise(share, low, high),)

    def check(self, x: Any) -> None:
        if not hasattr(x, "ndim") or x.ndim != 2:
            raise ValueError(
                "noise is spread over a box: it is for rows of numbers without holes, of one table"
            )

    def check_fit(self, x: Any, weight: Any, names: tuple[str, ...] | None) -> None:
        own = np.asarray(x)[np.asarray(weight) > 0]
        flat = np.flatnonzero(np.ptp(own, axis=0) == 0)
        if len(flat):
            column = flat[0] if names is None else repr(names[flat[0]])
            raise ValueError(
                f"noise is spread over the box of the data, whose column {column} is constant: "
                "drop that column"
            )

    def start(self, x: Float[Array, "n d"], weight: Float[Array, " n"]) -> tuple[Noise]:
        there = (weight > 0)[:, None]
        low = jnp.min(jnp.where(there, x, jnp.inf), axis=0)
        high = jnp.max(jnp.where(there, x, -jnp.inf), axis=0)
        return (Noise(jnp.full((), SHARE, x.dtype), low, high),)

    def with_range(self, params: Any, range: Range) -> Any:
        dtype = params.noise.low.dtype
        low, high = (jnp.asarray(end, dtype) for end in range)
        return params._replace(noise=params.noise._replace(low=low, high=high))

    def log_shares(self, params: NoisyMixtureParams) -> LogShares:
        share, low, high = params.noise
        volume = jnp.sum(jnp.log(high - low))
        return LogShares(jnp.log1p(-share), safe_log(share) - volume)

    def update(self, params: Any, count: Float[Array, ""], total: Float[Array, ""]) -> tuple[Noise]:
        return (params.noise._replace(share=safe_divide(count, count + total)),)

    def marginal(self, params: NoisyMixtureParams, columns: Any) -> tuple[Noise]:
        share, low, high = params.noise
        return (Noise(share, low[columns], high[columns]),)

    def given(
        self,
        params: NoisyMixtureParams,
        values: Mapping[Any, Any],
        log_density: Float[Array, ""],
    ) -> tuple[Noise]:
        seen = np.isin(np.arange(len(params.noise.low)), list(values))
        (there,), (left,) = (self.marginal(params, np.flatnonzero(of)) for of in (seen, ~seen))
        logs = self.log_shares(params._replace(noise=there))
        share = jax.nn.sigmoid(logs.noise - logs.components - log_density)
        return (left._replace(share=share),)

    def spoil(
        self,
        key: Array,
        params: NoisyMixtureParams,
        x: Float[Array, "n d"],
        labels: Int[Array, " n"],
    ) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
        share, low, high = params.noise
        key_which, key_place = jax.random.split(key)
        own = jax.random.bernoulli(key_which, share, labels.shape)
        place = jax.random.uniform(key_place, x.shape, x.dtype, low[None], high[None])
        label = jnp.int32(len(params.weights))
        return jnp.where(own[:, None], place, x), jnp.where(own, label, labels)


@dataclass(frozen=True)
class UniformByCovariates(Uniform):
    """The same, of a share that the covariates of a row tell, as they tell the weights."""

    constraints = (
        parameters.tree(Noise, FollowingShare(shared=True), Kept(shared=True), Kept(shared=True)),
    )

    def log_shares(self, params: Any) -> LogShares:
        low, high = params.noise.low, params.noise.high
        return LogShares(jnp.zeros((), low.dtype), -jnp.sum(jnp.log(high - low)))

    def spoil(
        self,
        key: Array,
        params: Any,
        x: Float[Array, "n d"],
        labels: Int[Array, " n"],
    ) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
        """The labels tell which rows are noise."""
        _, low, high = params.noise
        place = jax.random.uniform(key, x.shape, x.dtype, low[None], high[None])
        return jnp.where((labels == len(params.weights))[:, None], place, x), labels


BACKGROUNDS, BY_COVARIATES = {False: Nothing(), True: Uniform()}, UniformByCovariates()
