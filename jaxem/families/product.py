"""Tables of mixed columns: blocks of columns of different families, independent given z.

log p(x; theta) = sum_b log p_b(x[b]; theta[b])
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxem.core import frames, placement
from jaxem.core.capabilities import (
    collapse,
    conditioning,
    describing,
    digits,
    expansion,
    holes,
    identified,
    imputing,
    pivots,
    planning,
    simulating,
    starts,
)
from jaxem.core.capabilities.describing import Line
from jaxem.core.capabilities.reading import reads_as
from jaxem.core.contracts import Family, Params, Place, Prior


@dataclass(frozen=True, repr=False)
class Product(Family):
    """Blocks of columns of different families: data and parameters are dicts of theirs.

    log p(x; theta) = sum_b log p_b(x[b]; theta[b])

    blocks: the family of each, such as {"size": Gaussian("full"), "visits": Poisson()}.
    A bare dict of families compares and hashes by its items, in the order of their names.
    """

    blocks: Any  # dict of names to families, kept as a tuple of pairs

    def __post_init__(self) -> None:
        given = self.blocks
        try:
            items = tuple(sorted((given if isinstance(given, Mapping) else dict(given)).items()))
        except (TypeError, ValueError):
            items = ()
        good = all(isinstance(name, str) and isinstance(of, Family) for name, of in items)
        if not items or not good:
            raise ValueError(
                f'blocks is {given!r}; give a dict of families, such as {{"size": Gaussian()}}'
            )
        object.__setattr__(self, "blocks", items)

    def __repr__(self) -> str:
        return "Product({" + ", ".join(f"{name!r}: {of!r}" for name, of in self.blocks) + "})"

    @property
    def constraints(self) -> dict[str, Any]:
        return {name: of.constraints for name, of in self.blocks}

    @property
    def regularised(self) -> bool:
        return any(collapse.regularised(of) for _, of in self.blocks)

    @property
    def exact_m_step(self) -> bool:
        return all(of.exact_m_step for _, of in self.blocks)

    @property
    def expands(self) -> bool:
        return any(expansion.expands(of) for _, of in self.blocks)

    @property
    def unimodal(self) -> bool:
        return all(starts.unimodal(of) for _, of in self.blocks)

    def _each(self, function: Callable[..., Any], *trees: Any) -> dict[str, Any]:
        """function(family, part, ...) for each block."""
        return {name: function(of, *(tree[name] for tree in trees)) for name, of in self.blocks}

    def _named(self, given: Any, what: str) -> Any:
        """ValueError unless there is a part for each block, and none beside."""
        names = [name for name, _ in self.blocks]
        if not isinstance(given, Mapping) or sorted(given) != names:
            have = f"has {sorted(given)}" if isinstance(given, Mapping) else "is no dict"
            remedy = f"give a dict with {', '.join(names)}"
            if frames.opened(given) is not None:
                remedy += ": of a frame jaxem.mixed_columns(frame).read(frame)"
            raise ValueError(f"{what} {have}; {remedy}")
        return given

    def _parts(self, given: Any) -> dict[str, Any]:
        return {name: None if given is None else given[name] for name, _ in self.blocks}

    # ---- host side

    def read(self, data: Any) -> dict[str, Any]:
        self._named(data, "x")
        x = {}
        for name, of in self.blocks:
            try:
                x[name] = of.read(data[name])
            except ValueError as error:
                raise ValueError(f"block {name!r}: {error}") from None
        rows = {name: jax.tree.leaves(part)[0].shape[0] for name, part in x.items()}
        if len(set(rows.values())) > 1:
            raise ValueError(f"the blocks of x have different numbers of rows: {rows}")
        wide = any(leaf.dtype == np.float64 for leaf in jax.tree.leaves(x))
        dtype = np.dtype(np.float64 if wide else np.float32)
        device = jax.dtypes.canonicalize_dtype(dtype)  # the host's are cast once they are measured
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype if isinstance(leaf, np.ndarray) else device), x
        )

    def joined(self, parts: Sequence[Any]) -> dict[str, Any]:
        return {name: holes.joined(of, [part[name] for part in parts]) for name, of in self.blocks}

    def check(self, x: Any, weight: Any, names: Any) -> None:
        for name, of in self.blocks:
            try:
                of.check(x[name], weight, None)
            except ValueError as error:
                raise ValueError(f"block {name!r}: {error}") from None

    def informative(self, x: Any) -> Any:
        return reduce(or_, self._each(holes.informative, x).values())

    @property
    def may_leave_open(self) -> bool:
        return any(identified.may_leave_open(of) for _, of in self.blocks)

    def left_open(
        self, counts: np.ndarray, both: Any, prior: Any, fixed: Any
    ) -> dict[Place, tuple[int, ...]]:
        found, own, known = {}, self._parts(prior), self._parts(fixed)
        for name, of in self.blocks:
            part = identified.left_open(of, counts, both[name], own[name], known[name])
            found |= {((name, *path), at): parts for (path, at), parts in part.items()}
        return found

    def measured(self, x: Any, weight: Any) -> dict[str, Any]:
        return self._each(lambda of, part: pivots.measured(of, part, weight), x)

    def given(self, x: Any) -> dict[str, Any]:
        return self._each(pivots.given, x)

    @property
    def runs_away(self) -> bool:
        return any(identified.runs_away(of) for _, of in self.blocks)

    def run_away(self, statistics: Any, x: Any, weight: Any) -> tuple[str, ...]:
        found = self._each(
            lambda of, s, part: identified.run_away(of, s, part, weight), statistics, x
        )
        return tuple(f"block {name!r}: {text}" for name in found for text in found[name])

    def missing_mask(self, x: Any) -> Any:
        found = self._each(holes.missing_mask, x).values()
        found = [gone for gone in found if gone is not None]
        return placement.numpy_of(found[0]).concatenate(found, axis=1) if found else None

    def flatten_tiles(self, x: Any) -> dict[str, Any]:
        return self._each(holes.flatten_tiles, x)

    @property
    def reads_as(self) -> Any:
        return Product, tuple((name, reads_as(of)) for name, of in self.blocks)

    def unbounded(self, x: Any, weight: Any, names: Any, k: int) -> tuple[str, ...]:
        found = self._each(lambda of, part: identified.unbounded(of, part, weight, None, k), x)
        return tuple(f"block {name!r}: {text}" for name in found for text in found[name])

    def check_identified(self, x: Any, weight: Any, names: Any) -> tuple[str, ...]:
        found = []
        for name, of in self.blocks:
            try:
                found += [
                    f"block {name!r}: {s}"
                    for s in identified.check_identified(of, x[name], weight, None)
                ]
            except ValueError as error:
                raise ValueError(f"block {name!r}: {error}") from None
        return tuple(found)

    def as_params(self, params: Params, x: Any, k: int) -> dict[str, Any]:
        self._named(params, "components")
        return self._each(lambda of, own, part: of.as_params(own, part, k), params, x)

    def like_x(self, params: Params) -> dict[str, Any]:
        return self._each(lambda of, own: of.like_x(own), self._named(params, "components"))

    def describe(self, params: Any, columns: Any, levels: Any) -> list[Line]:
        found, first = [], 0
        for name, of in self.blocks:
            last = first + len(describing.column_names(of, params[name]))
            found += describing.lines(of, params[name], columns[first:last], levels)
            first = last
        return found

    def as_prior(self, prior: Prior, reg_covar: Any, x: Any, k: int) -> dict[str, Any]:
        given = {} if prior is None else prior
        unknown = sorted(set(given) - {name for name, _ in self.blocks})
        if unknown:
            raise ValueError(f"the prior is for blocks that are not there: {', '.join(unknown)}")
        priors = {}
        for name, of in self.blocks:
            own, reg = given.get(name), reg_covar if collapse.regularised(of) else None
            asked = own is not None or reg is not None
            priors[name] = of.as_prior(own, reg, x[name], k) if asked else None
        return priors

    def default_min_count(self, x: Any) -> float:
        return max(self._each(collapse.default_min_count, x).values())

    def numbers_per_row(self, x: Any, k: int) -> int:
        return sum(self._each(lambda of, part: planning.numbers_per_row(of, part, k), x).values())

    def stable_numbers_per_row(self, x: Any, k: int) -> int:
        each = self._each(lambda of, part: planning.numbers_per_row(of, part, k, stable=True), x)
        return sum(each.values())

    # ---- starts

    def coordinates(self, x: Any) -> Float[Array, "n p"]:
        parts = self._each(starts.coordinates, x)
        return jnp.concatenate(list(parts.values()), axis=1)

    def labelled(
        self, key: Array, pooled: Any, x: Any, weight: Array, odds: Float[Array, "k n"]
    ) -> Int[Array, " n"] | None:
        """By the first block that tells them."""
        each = self._each(
            lambda of, own, part: starts.labelled(of, key, own, part, weight, odds), pooled, x
        )
        return next((labels for labels in each.values() if labels is not None), None)

    def fit_one_component(self, x: Any, weight: Float[Array, " n"], k: int) -> dict[str, Any]:
        return self._each(lambda of, part: of.fit_one_component(part, weight, k), x)

    def first(self, pooled: Any, x: Any, responsibilities: Float[Array, "k n"]) -> dict[str, Any]:
        return self._each(
            lambda of, fit, part: starts.first(of, fit, part, responsibilities), pooled, x
        )

    def starting_prior(self, pooled: Any, counts: Array, prior: Any) -> dict[str, Any]:
        return self._each(
            lambda of, fit, own: of.starting_prior(fit, counts, own), pooled, self._parts(prior)
        )

    # ---- the two steps

    def prepare(self, params: Any, prior: Any) -> dict[str, Any]:
        return self._each(lambda of, own, p: of.prepare(own, p), params, self._parts(prior))

    def stable_form(self, prepared: Any) -> tuple[Array, dict[str, Any]] | None:
        stable = self._each(digits.stable_form, prepared)
        needed = [of[0] for of in stable.values() if of is not None]
        if not needed:
            return None
        instead = {name: prepared[name] if of is None else of[1] for name, of in stable.items()}
        return reduce(jnp.logical_or, needed), instead

    def evaluate(self, prepared: Any, x: Any) -> tuple[Float[Array, "k n"], Any]:
        both = self._each(lambda of, own, part: of.evaluate(own, part), prepared, x)
        total = reduce(jnp.add, (log_density for log_density, _ in both.values()))
        return total, {name: cache for name, (_, cache) in both.items()}

    def statistics(
        self, prepared: Any, x: Any, cache: Any, responsibilities: Float[Array, "k n"]
    ) -> dict[str, Any]:
        return self._each(
            lambda of, own, part, c: of.statistics(own, part, c, responsibilities),
            prepared, x, cache,
        )  # fmt: skip

    def finalize_statistics(self, prepared: Any, statistics: Any) -> dict[str, Any]:
        return self._each(
            lambda of, own, sums: of.finalize_statistics(own, sums), prepared, statistics
        )

    def rounding(self, statistics: Any) -> Float[Array, ""]:
        return reduce(jnp.add, self._each(digits.rounding, statistics).values())

    def recentre(self, statistics: Any, old: Any, new: Any) -> dict[str, Any]:
        return self._each(lambda of, *parts: of.recentre(*parts), statistics, old, new)

    def m_step(
        self, params: Any, statistics: Any, prior: Any, active: Array, fixed: Any = None
    ) -> dict[str, Any]:
        return self._each(
            lambda of, own, sums, p, known: of.m_step(own, sums, p, active, known),
            params, statistics, self._parts(prior), self._parts(fixed),
        )  # fmt: skip

    def spread_fixed(self, fixed: Any) -> Array:
        return reduce(
            jnp.logical_and,
            self._each(collapse.spread_fixed, fixed).values(),
        )

    def log_prior(self, params: Any, prior: Any, active: Array) -> Float[Array, ""]:
        terms = [of.log_prior(params[name], prior[name], active)
                 for name, of in self.blocks if prior[name] is not None]  # fmt: skip
        return reduce(jnp.add, terms, jnp.zeros((), jax.tree.leaves(params)[0].dtype))

    # ---- cells that were not observed

    def with_holes(self) -> "Product":
        return Product(self._each(holes.with_holes))

    def check_imputable(self) -> None:
        self._each(lambda of: imputing.imputes(of).check_imputable())

    def impute_mean(self, params: Any, x: Any, shares: Float[Array, "k n"]) -> dict[str, Any]:
        return self._each(
            lambda of, own, part: imputing.imputes(of).impute_mean(own, part, shares), params, x
        )

    def impute_draw(
        self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]
    ) -> dict[str, Any]:
        keys = dict(zip(params, jax.random.split(key, len(params)), strict=True))
        return self._each(
            lambda of, own, part, k: imputing.impute_draw(of, k, own, part, labels), params, x, keys
        )

    def conditional(self, params: Any, given: dict) -> tuple["Product", Any, Float[Array, " k"]]:
        """given: of each block its values by column; a block all given is gone."""
        blocks, left, total = {}, {}, []
        for name, of in self.blocks:
            own = given.get(name)
            if own is None:
                blocks[name], left[name] = of, params[name]
                continue
            d = of.like_x(params[name]).shape[1]
            if len(own) < d:
                blocks[name], left[name], log_density = conditioning.conditional(
                    of, params[name], own
                )
            else:
                dtype = jax.tree.leaves(params[name])[0].dtype
                row = jnp.stack([jnp.asarray(own[j], dtype) for j in range(d)])[None]
                log_density = of.evaluate(of.prepare(params[name], None), of.read(row))[0][:, 0]
            total.append(log_density)
        return Product(blocks), left, reduce(jnp.add, total)

    # ---- coordinates of parameters

    def fisher_diagonal(self, params: Any, share: Float[Array, " k"]) -> dict[str, Any]:
        return self._each(lambda of, own: of.fisher_diagonal(own, share), params)

    def at_pivot(self, params: Any, x: Any) -> dict[str, Any]:
        return self._each(pivots.at_pivot, params, x)

    def from_pivot(self, params: Any, x: Any) -> dict[str, Any]:
        return self._each(pivots.from_pivot, params, x)

    # ---- what is said of a result

    def variance_ratio(self, params: Any, weights: Float[Array, " k"], prior: Any) -> Array:
        ratios = self._each(
            lambda of, own, p: of.variance_ratio(own, weights, p), params, self._parts(prior)
        )
        return jnp.min(jnp.stack(list(ratios.values())), axis=0)

    def sample(self, key: Array, params: Any, labels: Int[Array, " n"]) -> dict[str, Any]:
        keys = dict(zip(params, jax.random.split(key, len(params)), strict=True))
        return self._each(lambda of, own, k: of.sample(k, own, labels), params, keys)

    def resample_like(
        self, key: Array, params: Any, x: Any, labels: Int[Array, " n"]
    ) -> dict[str, Any]:
        keys = dict(zip(params, jax.random.split(key, len(params)), strict=True))
        return self._each(
            lambda of, own, part, k: simulating.resample_like(of, k, own, part, labels),
            params,
            x,
            keys,
        )
