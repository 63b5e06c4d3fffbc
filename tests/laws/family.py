"""The laws that every family obeys; `check_family` runs them all on one case."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import parameters
from jaxem.core.contracts import Family


class FamilyCase(NamedTuple):
    family: Family
    params: Any  # of 3 components
    x: Any  # (n, ...) as the family reads it, n at least 40
    log_prob: Callable[[Any, Any], np.ndarray]  # scipy: params, x -> (k, n)
    mle: Callable[[np.ndarray, Any], Any]  # weights (k, n), x -> params
    prior: Any  # as a person gives it; None where the family has none
    shared: Any  # tree of params: True where a leaf belongs to all components together


ALL = jnp.ones(3, bool)  # every component lives


def close(a: Any, b: Any, rtol: float = 1e-10, atol: float = 1e-10) -> None:
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=atol), a, b)


def check_family(case: FamilyCase, key: jax.Array) -> None:
    density_is_the_oracles(case)
    n = jax.tree.leaves(case.x)[0].shape[0]
    r = jax.random.exponential(key, (3, n))
    r = r / jnp.sum(r, axis=0, keepdims=True)
    statistics_add(case, r)
    whole_weights_are_repeated_rows(case, r)
    m_step_is_the_weighted_mle(case, r)
    m_step_zeroes_the_gradient(case, r)
    absence_is_harmless(case, r)
    components_permute(case, r)
    taken_components_are_themselves(case)
    replaced_numbers_are_there(case)
    known_numbers_are_kept(case, r)
    coordinates_lead_back(case)
    jit_and_vmap_change_nothing(case, r)
    float32_stays(case, r)


def _sums(family: Family, params: Any, x: Any, r: Any, prior: Any = None) -> Any:
    prepared = family.prepare(params, prior)
    _, cache = family.evaluate(prepared, x)
    return family.finalize_statistics(prepared, family.statistics(prepared, x, cache, r))


def _step(family: Family, params: Any, x: Any, r: Any) -> Any:
    return family.m_step(params, _sums(family, params, x, r), None, ALL)


# One program for each shape; that they do the same op by op is a law of its own.
_statistics = partial(jax.jit, static_argnums=0)(_sums)
_jitted_step = partial(jax.jit, static_argnums=0)(_step)
_log_density = partial(jax.jit, static_argnums=0)(
    lambda family, params, x: family.evaluate(family.prepare(params, None), x)[0]
)


def _coordinates(family: Any, params: Any) -> Any:
    return parameters.to_unconstrained(family.constraints, params)


def _params(family: Any, coordinates: Any) -> Any:
    return parameters.from_unconstrained(family.constraints, coordinates)


def _prior(case: FamilyCase) -> Any:
    return None if case.prior is None else case.family.as_prior(case.prior, None, case.x, 3)


def density_is_the_oracles(case: FamilyCase) -> None:
    log_density, _ = case.family.evaluate(case.family.prepare(case.params, None), case.x)
    close(log_density, case.log_prob(case.params, case.x))


def statistics_add(case: FamilyCase, r: Any) -> None:
    whole = _statistics(case.family, case.params, case.x, r)
    split = 17
    head = jax.tree.map(lambda a: a[:split], case.x)
    tail = jax.tree.map(lambda a: a[split:], case.x)
    parts = (
        _statistics(case.family, case.params, head, r[:, :split]),
        _statistics(case.family, case.params, tail, r[:, split:]),
    )
    close(jax.tree.map(jnp.add, *parts), whole)


def whole_weights_are_repeated_rows(case: FamilyCase, r: Any) -> None:
    n = r.shape[1]
    times = np.arange(n) % 4
    repeated = jax.tree.map(lambda a: jnp.repeat(a, times, axis=0), case.x)
    close(
        _statistics(case.family, case.params, case.x, r * jnp.asarray(times, r.dtype)[None]),
        _statistics(case.family, case.params, repeated, jnp.repeat(r, times, axis=1)),
    )


def m_step_is_the_weighted_mle(case: FamilyCase, r: Any) -> None:
    statistics = _statistics(case.family, case.params, case.x, r)
    close(
        case.family.m_step(case.params, statistics, None, ALL),
        case.mle(np.asarray(r), case.x),
        1e-9,
    )


def m_step_zeroes_the_gradient(case: FamilyCase, r: Any) -> None:
    """d/dt of sum r log p(x; theta(t)) + log p(theta(t)) is 0 at the M-step."""
    for prior in (None,) if case.prior is None else (None, _prior(case)):

        def expected(coordinates: Any, prior: Any = prior) -> jax.Array:
            params = _params(case.family, coordinates)
            prepared = case.family.prepare(params, prior)
            total = jnp.sum(r * case.family.evaluate(prepared, case.x)[0])
            if prior is None:
                return total
            return total + case.family.log_prior(params, prior, jnp.ones(3, bool))

        statistics = _statistics(case.family, case.params, case.x, r, prior)
        best = case.family.m_step(case.params, statistics, prior, ALL)
        slope = jax.jit(jax.grad(expected))
        at_params = slope(_coordinates(case.family, case.params))
        scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(at_params))
        for gradient in jax.tree.leaves(slope(_coordinates(case.family, best))):
            np.testing.assert_allclose(gradient, 0, atol=1e-9 * scale)
        assert scale > 1e-3  # the gradient elsewhere is not 0


def absence_is_harmless(case: FamilyCase, r: Any) -> None:
    """An absent component keeps its parameters; the others do not notice."""
    live = jnp.array([True, False, True])
    none_in_1 = r.at[1].set(0.0)
    statistics = _statistics(case.family, case.params, case.x, none_in_1)
    for prior in (None, _prior(case)):
        new = case.family.m_step(case.params, statistics, prior, live)
        leaves = zip(*map(jax.tree.leaves, (new, case.params, case.shared)), strict=True)
        for leaf, old, shared in leaves:
            assert np.all(np.isfinite(leaf))
            if not shared:
                np.testing.assert_array_equal(leaf[1], old[1])
    full, some = (
        parameters.n_free(case.family.constraints, case.params, active, None)
        for active in (ALL, live)
    )
    assert some < full


def components_permute(case: FamilyCase, r: Any) -> None:
    order = jnp.array([2, 0, 1])

    def permuted(params: Any) -> Any:
        return jax.tree.map(lambda a, shared: a if shared else a[order], params, case.shared)

    params = permuted(case.params)
    a, b = (_log_density(case.family, own, case.x) for own in (params, case.params))
    close(a, b[order])
    new = case.family.m_step(params, _statistics(case.family, params, case.x, r[order]), None, ALL)
    old = case.family.m_step(
        case.params, _statistics(case.family, case.params, case.x, r), None, ALL
    )
    close(new, permuted(old))


def taken_components_are_themselves(case: FamilyCase) -> None:
    host = jax.device_get(case.params)
    some = jax.device_put(parameters.take(case.family.constraints, host, np.array([2, 0])))
    a, b = (_log_density(case.family, own, case.x) for own in (some, case.params))
    close(a, b[jnp.array([2, 0])])


def replaced_numbers_are_there(case: FamilyCase) -> None:
    """The number at a path is the value given; replaced by itself, it changes nothing."""
    for keys, leaf in jax.tree.leaves_with_path(case.params):
        last = tuple(size - 1 for size in leaf.shape)
        path = tuple(getattr(k, "name", getattr(k, "key", getattr(k, "idx", None))) for k in keys)
        same = parameters.replace(case.family.constraints, case.params, (*path, *last), leaf[last])
        close(same, case.params)
        other = parameters.replace(
            case.family.constraints, case.params, (*path, *last), leaf[last] * 1.25
        )
        there = dict(jax.tree.leaves_with_path(other))[keys]
        assert there[last] == leaf[last] * 1.25


def coordinates_lead_back(case: FamilyCase) -> None:
    """The round trip changes nothing, and any finite coordinates are those of parameters."""
    coordinates = _coordinates(case.family, case.params)
    close(_params(case.family, coordinates), case.params)
    fisher = case.family.fisher_diagonal(case.params, jnp.array([0.5, 0.0, 0.5]))
    assert jax.tree.map(jnp.shape, fisher) == jax.tree.map(jnp.shape, coordinates)
    for leaf in jax.tree.leaves(fisher):
        assert np.all(np.isfinite(leaf)) and np.all(leaf >= 0)
    for far in (-1e3, 1e3):
        extreme = _params(case.family, jax.tree.map(lambda a: jnp.full_like(a, far), coordinates))  # noqa: B023
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(extreme))


def jit_and_vmap_change_nothing(case: FamilyCase, r: Any) -> None:
    def step(params: Any) -> Any:
        return _step(case.family, params, case.x, r)

    plain = step(case.params)
    close(_jitted_step(case.family, case.params, case.x, r), plain)
    coordinates = _coordinates(case.family, case.params)
    near = _params(case.family, jax.tree.map(lambda a: 1.1 * a, coordinates))
    twice = jax.tree.map(lambda a, b: jnp.stack([a, b]), case.params, near)
    batched = jax.jit(jax.vmap(step))(twice)
    for i in range(2):
        one = step(jax.tree.map(lambda a: a[i], twice))  # noqa: B023
        close(jax.tree.map(lambda a: a[i], batched), one)  # noqa: B023


def float32_stays(case: FamilyCase, r: Any) -> None:
    params, x, r = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (case.params, case.x, r))
    new = _jitted_step(case.family, params, x, r)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))
    old = _jitted_step(case.family, case.params, case.x, r.astype(jnp.float64))
    close(new, old, rtol=2e-4, atol=2e-4)


def known_numbers_are_kept(case: FamilyCase, r: Any) -> None:
    """The M-step with some numbers known is the maximiser over the others.

    d/dt of sum r log p(x; theta(t) with the known numbers) is 0 there: those of every leaf in turn,
    of the second component alone where components have their own.
    """
    family = case.family
    statistics = _statistics(family, case.params, case.x, r)
    leaves, tree = jax.tree.flatten(case.params)
    shared = jax.tree.leaves(case.shared)
    read = partial(parameters.read_fixed, family.constraints, like=case.params, name="fixed")

    def free(fixed: Any) -> int:
        return int(parameters.n_free(family.constraints, case.params, ALL, fixed))

    def expected(coordinates: Any, fixed: Any) -> jax.Array:
        params = parameters.fix(family.constraints, _params(family, coordinates), fixed)
        return jnp.sum(r * family.evaluate(family.prepare(params, None), case.x)[0])

    slope = jax.jit(jax.grad(expected))
    for i, own in enumerate(leaves):
        parts: list[Any] = [jnp.full_like(leaf, jnp.nan) for leaf in leaves]
        parts[i] = own if shared[i] else parts[i].at[1].set(own[1])
        fixed = read(jax.tree.unflatten(tree, parts))
        best = family.m_step(case.params, statistics, None, ALL, fixed)
        best = parameters.fix(family.constraints, best, fixed)
        found = jax.tree.leaves(best)[i]
        np.testing.assert_array_equal(*((found, own) if shared[i] else (found[1], own[1])))
        assert free(fixed) < free(None)
        at_params = slope(_coordinates(family, case.params), fixed)
        scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(at_params))
        for gradient in jax.tree.leaves(slope(_coordinates(family, best), fixed)):
            np.testing.assert_allclose(gradient, 0, atol=1e-9 * max(scale, 1))
    assert free(read(case.params)) == 0
