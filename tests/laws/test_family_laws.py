"""The laws that every family obeys, each over the one table of families.

All tests of a case follow each other, so that they share its compiled programs: every law keeps to
N rows and 3 components.
"""

from dataclasses import replace
from functools import partial, reduce
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies
from scipy import stats

import jaxem
from jaxem.core import parameters
from jaxem.core.capabilities import simulating
from laws.compare import cases, close
from laws.family_case import FamilyCase, N
from laws.family_cases import FAMILY_CASES

ALL = jnp.ones(3, bool)  # every component lives
WEIGHTS = hypothesis.settings(max_examples=5, deadline=None, derandomize=True, database=None)


SLOW = {
    "poisson_with_exposure", "zero_inflated_poisson", "censored_exponential",
    "linear_regression_of_one_scale", "EVI", "VEE", "EVE", "EEV", "EVV",
    "VVE_of_three_columns", "EVE_of_one_column", "VEV_of_one_column", "tied_of_one_column",
    "VEV_with_holes", "EEI_with_holes", "student_t_of_one_shape",
}  # fmt: skip


@pytest.fixture(scope="module", params=cases(FAMILY_CASES, SLOW))
def case(request):
    return FAMILY_CASES[request.param]()


@pytest.fixture(scope="module")
def r():
    """Shares of the rows, (k, n)."""
    return jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(3), N).T)


def _sums(family: Any, params: Any, x: Any, r: Any, prior: Any = None) -> Any:
    prepared = family.prepare(params, prior)
    _, cache = family.evaluate(prepared, x)
    return family.finalize_statistics(prepared, family.statistics(prepared, x, cache, r))


def _step(family: Any, params: Any, x: Any, r: Any) -> Any:
    return family.m_step(params, _sums(family, params, x, r), None, ALL)


def _expected(family: Any, coordinates: Any, x: Any, r: Any, prior: Any, fixed: Any) -> jax.Array:
    """Q(t) = sum r log p(x; theta(t)) + log p(theta(t)), the fixed numbers in their places."""
    params = parameters.fix(family.constraints, _params(family, coordinates), fixed)
    total = jnp.sum(r * family.evaluate(family.prepare(params, prior), x)[0])
    return total if prior is None else total + family.log_prior(params, prior, ALL)


# One program for each family; that they do the same op by op is a law of its own.
_of_family = partial(jax.jit, static_argnums=0)
_statistics, _jitted_step = _of_family(_sums), _of_family(_step)
_m_step = _of_family(lambda family, *of: family.m_step(*of))
_slope = _of_family(jax.grad(_expected, argnums=1))
_log_density = _of_family(lambda family, p, x: family.evaluate(family.prepare(p, None), x)[0])
_resampled = _of_family(lambda family, *of: simulating.resample_like(family, *of))
_sampled = _of_family(lambda family, *of: family.sample(*of))


@_of_family
def _coordinates(family: Any, params: Any) -> Any:
    return parameters.to_unconstrained(family.constraints, params)


@_of_family
def _params(family: Any, coordinates: Any) -> Any:
    return parameters.from_unconstrained(family.constraints, coordinates)


def _estimate(case: FamilyCase, sums: Any, prior: Any = None, fixed: Any = None) -> Any:
    """Where M-steps lead to; sums: of the rows, at given parameters."""
    params = case.params
    for _ in range(case.n_steps):
        params = _m_step(case.family, params, sums(params), prior, ALL, fixed)
        params = parameters.fix(case.family.constraints, params, fixed)
    return params


def _prior(case: FamilyCase) -> Any:
    return None if case.prior is None else case.family.as_prior(case.prior, None, case.x, 3)


def _together(case: FamilyCase) -> list[bool]:
    """Of each leaf, whether its components go together in what can be known of them."""
    linked = case.shared if case.linked is None else case.linked
    both = map(jax.tree.leaves, (case.shared, linked))
    return [shared or linked for shared, linked in zip(*both, strict=True)]


def _nothing_fixed(case: FamilyCase) -> Any:
    return parameters.free(case.params)


def _is_zero(case: FamilyCase, slope: Any, elsewhere: Any) -> None:
    scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(elsewhere))
    for gradient in jax.tree.leaves(slope):
        np.testing.assert_allclose(gradient, 0, atol=case.digits * max(scale, 1))
    assert scale > 1e-3  # the gradient elsewhere is not 0


# ---- densities and sums


def test_densities_are_scipys(case):
    close(_log_density(case.family, case.params, case.x), case.log_prob(case.params, case.x))


@WEIGHTS
@hypothesis.given(strategies.sets(strategies.integers(0, N - 1)))
def test_statistics_of_any_two_parts_add_up(case, r, some):
    part = jnp.zeros(N).at[jnp.array(sorted(some), int)].set(1.0)[None]
    parts = (_statistics(case.family, case.params, case.x, r * of) for of in (part, 1 - part))
    close(jax.tree.map(jnp.add, *parts), _statistics(case.family, case.params, case.x, r))


@WEIGHTS
@hypothesis.given(strategies.lists(strategies.integers(0, N - 1), min_size=N, max_size=N))
def test_whole_weights_are_repeated_rows(case, r, chosen):
    times = jnp.asarray(np.bincount(chosen, minlength=N), r.dtype)[None]
    index = jnp.asarray(chosen)
    repeated = jax.tree.map(lambda a: a[index], case.x)
    close(
        _statistics(case.family, case.params, case.x, r * times),
        _statistics(case.family, case.params, repeated, r[:, index]),
    )


def test_blocks_of_other_sizes_add_up(case, r):
    part = jax.tree.map(lambda a: a[: N // 2], case.x), jax.tree.map(lambda a: a[N // 2 :], case.x)
    parts = (
        _statistics(case.family, case.params, x, own)
        for x, own in zip(part, jnp.split(r, 2, axis=1), strict=True)
    )
    close(jax.tree.map(jnp.add, *parts), _statistics(case.family, case.params, case.x, r))


def test_a_row_of_holes_says_nothing(case, r):
    """Its density is 1 under every component, and the sums are those without it."""
    if case.hole is None:
        pytest.skip("the family has no holes, or counts a row of them with what it expects there")
    x = case.hole(case.x)
    log_density = _log_density(case.family, case.params, x)
    close(log_density[:, 5], jnp.zeros(3))
    close(
        _statistics(case.family, case.params, x, r),
        _statistics(case.family, case.params, case.x, r.at[:, 5].set(0.0)),
    )


# ---- M-steps


def test_m_steps_lead_to_the_weighted_estimate(case, r):
    found = _estimate(case, lambda params: _statistics(case.family, params, case.x, r))
    close(found, case.mle(np.asarray(r), case.x), case.digits, case.digits / 10)


@pytest.mark.parametrize("flat", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_slope_is_zero_where_m_steps_lead_to(case, r, flat):
    """d/dt of sum r log p(x; theta(t)) + log p(theta(t)); flat: without the family's prior."""
    if flat and case.prior is None:
        pytest.skip("the family has no prior")
    prior, free = None if flat else _prior(case), _nothing_fixed(case)
    best = _estimate(case, lambda p: _statistics(case.family, p, case.x, r, prior), prior)
    at_best, elsewhere = (
        _slope(case.family, _coordinates(case.family, params), case.x, r, prior, free)
        for params in (best, case.params)
    )
    _is_zero(case, at_best, elsewhere)


def test_known_numbers_are_kept_and_the_slope_of_the_others_is_zero(case, r):
    """Those of every leaf in turn, of the second component alone where it can be."""
    family = case.family
    leaves, tree = jax.tree.flatten(case.params)
    read = partial(parameters.read_fixed, family.constraints, like=case.params, name="fixed")

    def n_free(fixed: Any) -> int:
        return int(parameters.n_free(family.constraints, case.params, ALL, fixed))

    for i, (own, shared) in enumerate(zip(leaves, _together(case), strict=True)):
        parts: list[Any] = jax.tree.leaves(_nothing_fixed(case))
        parts[i] = own if shared else parts[i].at[1].set(own[1])
        fixed = read(jax.tree.unflatten(tree, parts))
        best = _estimate(case, lambda p: _statistics(family, p, case.x, r), None, fixed)
        found = jax.tree.leaves(best)[i]
        np.testing.assert_array_equal(*((found, own) if shared else (found[1], own[1])))
        assert n_free(fixed) < n_free(None)
        at_best, elsewhere = (
            _slope(family, _coordinates(family, params), case.x, r, None, fixed)
            for params in (best, case.params)
        )
        _is_zero(case, at_best, elsewhere)
    assert n_free(read(case.params)) == 0


def test_absent_components_keep_their_parameters(case, r):
    live = jnp.array([True, False, True])
    prior = _prior(case)
    for own in (None, prior):
        statistics = _statistics(case.family, case.params, case.x, r.at[1].set(0.0), own)
        new = _m_step(case.family, case.params, statistics, own, live, None)
        leaves = zip(*map(jax.tree.leaves, (new, case.params)), _together(case), strict=True)
        for leaf, old, together in leaves:
            assert np.all(np.isfinite(leaf))
            if not together:
                np.testing.assert_array_equal(leaf[1], old[1])
    full, some = (
        parameters.n_free(case.family.constraints, case.params, active, None)
        for active in (ALL, live)
    )
    assert some < full


def test_components_permute(case, r):
    order = jnp.array([2, 0, 1])

    def permuted(params: Any) -> Any:
        return jax.tree.map(lambda a, shared: a if shared else a[order], params, case.shared)

    params = permuted(case.params)
    a, b = (_log_density(case.family, own, case.x) for own in (params, case.params))
    close(a, b[order])
    new, old = (
        _m_step(case.family, p, _statistics(case.family, p, case.x, own), None, ALL, None)
        for p, own in ((params, r[order]), (case.params, r))
    )
    close(new, permuted(old))


# ---- parameters


def test_taken_components_are_themselves(case):
    host, index = jax.device_get(case.params), np.array([2, 0, 1])
    some = jax.device_put(parameters.take(case.family.constraints, host, index))
    a, b = (_log_density(case.family, own, case.x) for own in (some, case.params))
    close(a, b[index])


def test_replaced_numbers_are_there(case):
    """The number at a path is the value given; replaced by itself, it changes nothing."""
    replace_at = partial(parameters.replace, case.family.constraints, case.params)
    linked = jax.tree.leaves(case.linked) or [False] * len(jax.tree.leaves(case.params))
    for (keys, leaf), tied in zip(jax.tree.leaves_with_path(case.params), linked, strict=True):
        last = tuple(size - 1 for size in leaf.shape)
        path = tuple(getattr(k, "name", getattr(k, "key", getattr(k, "idx", None))) for k in keys)
        if tied:
            with pytest.raises(ValueError, match="moves alone"):
                replace_at((*path, *last), leaf[last])
            continue
        close(replace_at((*path, *last), leaf[last]), case.params)
        other = replace_at((*path, *last), leaf[last] * 1.25)
        assert dict(jax.tree.leaves_with_path(other))[keys][last] == leaf[last] * 1.25


def test_coordinates_lead_back(case):
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


def test_a_model_file_brings_them_back(case, tmp_path):
    model = jaxem.Mixture(case.family, 3)
    params = jaxem.MixtureParams(jnp.array([0.2, 0.3, 0.5]), case.params)
    if isinstance(case.family, jaxem.families.Density):
        with pytest.raises(ValueError, match="a model file cannot hold"):
            jaxem.save(tmp_path / "model.safetensors", model, params)
        return
    jaxem.save(tmp_path / "model.safetensors", model, params)
    again, back = jaxem.load(tmp_path / "model.safetensors")
    assert again == model
    close(back, params, rtol=0, atol=0)


# ---- transformations


@pytest.mark.slow(but=("categorical", "poisson", "product"))
def test_jit_and_vmap_change_nothing(case, r):
    def step(params: Any) -> Any:
        return _step(case.family, params, case.x, r)

    coordinates = _coordinates(case.family, case.params)
    near = _params(case.family, jax.tree.map(lambda a: 1.1 * a, coordinates))
    one, other = (_jitted_step(case.family, own, case.x, r) for own in (case.params, near))
    close(one, step(case.params))
    twice = jax.tree.map(lambda a, b: jnp.stack([a, b]), case.params, near)
    batched = jax.jit(jax.vmap(step))(twice)
    close(batched, jax.tree.map(lambda a, b: jnp.stack([a, b]), one, other))


def test_float32_stays(case, r):
    params, x, r32 = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (case.params, case.x, r))
    new = _jitted_step(case.family, params, x, r32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))
    close(new, _jitted_step(case.family, case.params, case.x, r), rtol=2e-4, atol=2e-4)


def test_another_step_of_the_same_shapes_is_not_traced(case, r):
    """From the numbers that a step gave, with an equal family and other rows."""
    new = _jitted_step(case.family, case.params, case.x, r)
    x, own = jax.tree.map(jnp.flip, case.x), jnp.flip(r)
    with jax.no_tracing():
        _jitted_step(replace(case.family), new, x, own)


# ---- draws


@pytest.mark.slow(but=("full", "categorical", "poisson", "VVE"))
def test_drawn_rows_recover_what_they_were_drawn_from(case):
    """2 (max log-likelihood - that of the truth) is chi-squared, a degree for each free number.

    Half of the rows are drawn from nothing, half like given ones, with their regressors and holes.
    """
    family, truth, labels = case.family, case.params, jnp.arange(N, dtype=jnp.int32) % 3
    keys, own = jax.random.split(jax.random.key(1), 40), jax.nn.one_hot(labels, 3, axis=0)
    parts = [_resampled(family, key, truth, case.x, labels) for key in keys]
    whole = _sampled(family, keys[0], truth, labels)
    if jax.tree.map(jnp.shape, whole) == jax.tree.map(jnp.shape, case.x):
        parts[::2] = [_sampled(family, key, truth, labels) for key in keys[::2]]

    def total(of: Any, params: Any) -> Any:
        return reduce(partial(jax.tree.map, jnp.add), (of(params, x) for x in parts))

    def log_likelihood(params: Any, x: Any) -> jax.Array:
        return jnp.sum(own * _log_density(family, params, x))

    found = _estimate(case, partial(total, lambda p, x: _statistics(family, p, x, own)))
    gain = 2 * float(total(log_likelihood, found) - total(log_likelihood, truth))
    degrees = int(parameters.n_free(family.constraints, truth, ALL, None))
    assert 1e-5 < stats.chi2.cdf(gain, degrees) < 1 - 1e-5
