"""The laws that every model obeys; `check_model` runs them all on one case."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import Status
from jaxem.core.contracts import Model
from jaxem.fitting import fit as fitting
from laws.compare import close


class ModelCase(NamedTuple):
    model: Model
    params: Any  # where EM takes some steps to converge from
    x: Any  # (n, d), n at least 40
    e_step: Callable[[Any, Any], tuple[Any, float]]  # reference: -> (statistics, log-likelihood)
    m_step: Callable[[Any, Any], Any]  # reference: params, x -> params of the next iteration


def check_model(case: ModelCase, key: jax.Array) -> None:
    steps_are_the_references(case)
    log_likelihood_is_of_the_returned_parameters(case)
    nan_is_nonfinite(case)
    no_iterations_are_legal(case)
    poisoned_starts_are_ignored(case)
    absent_rows_may_hold_anything(case)
    blocks_give_the_same_answer(case)
    pieces_have_the_same_bits(case, key)
    the_objective_never_falls(case)
    acceleration_ends_no_lower(case)
    if case.model.nested_in_k:
        absent_parts_change_nothing(case, key)


def steps_are_the_references(case: ModelCase) -> None:
    statistics, log_likelihood = jaxem.e_step(case.model, case.params, case.x)
    expected, expected_log_likelihood = case.e_step(case.params, case.x)
    close(statistics, expected, rtol=1e-9)
    close(float(log_likelihood), expected_log_likelihood, rtol=1e-11)
    new = jaxem.m_step(case.model, case.params, statistics)
    close(new, case.m_step(case.params, case.x), rtol=1e-9)


def log_likelihood_is_of_the_returned_parameters(case: ModelCase) -> None:
    for max_iter in (0, 1, 3, 400):
        result = jaxem.em(case.model, case.params, case.x, max_iter=max_iter)
        _, log_likelihood = case.e_step(result.params, case.x)
        close(float(result.log_likelihood), log_likelihood, rtol=1e-12)


def nan_is_nonfinite(case: ModelCase) -> None:
    """Under jit no value is looked at, so that a NaN gets as far as the loop."""
    poisoned = case.x.at[3].set(jnp.nan)
    fit = jax.jit(lambda x: jaxem.em(case.model, case.params, x))
    result = fit(poisoned)
    assert result.status == Status.NONFINITE and not result.converged
    close(result.params, case.params, rtol=0, atol=0)


def no_iterations_are_legal(case: ModelCase) -> None:
    result = jaxem.em(case.model, case.params, case.x, max_iter=0)
    assert result.n_iter == 0 and result.status == Status.MAX_ITER
    close(result.params, case.params, rtol=0, atol=0)


def poisoned_starts_are_ignored(case: ModelCase) -> None:
    """A start at NaN next to a good one: same answer as the good one alone."""
    job = fitting.prepare(case.model, case.x, init=case.params)
    poison = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), job.params)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), poison, job.params)
    job = job._replace(params=both, n_starts=2)
    result = fitting.finish(job, fitting.advance(job, fitting.start(job), job.max_iter))
    alone = jaxem.em(case.model, case.params, case.x)
    close(result.params, alone.params)
    np.testing.assert_array_equal(result.restarts.status, [Status.NONFINITE, int(alone.status)])


def absent_rows_may_hold_anything(case: ModelCase) -> None:
    n = case.x.shape[0]
    weight = jnp.ones(n).at[jnp.array([0, 7, n - 1])].set(0.0)
    bad = case.x.at[0].set(jnp.nan).at[7].set(1e300).at[n - 1].set(jnp.inf)
    alone = case.x[weight > 0]
    expected = jaxem.em(case.model, case.params, alone, max_iter=20)
    traced = jax.jit(lambda x, w: jaxem.em(case.model, case.params, x, w, max_iter=20))
    for result in (
        jaxem.em(case.model, case.params, bad, weight, max_iter=20),
        traced(bad, weight),
        jaxem.em(case.model, case.params, bad, weight, max_iter=20, block_size=16),
    ):
        close(result.params, expected.params)
        close(result.log_likelihood, expected.log_likelihood)


def blocks_give_the_same_answer(case: ModelCase) -> None:
    n = case.x.shape[0]
    whole = jaxem.em(case.model, case.params, case.x, max_iter=20, block_size=n)
    for block_size in (1, 16, n - 1):
        blocks = jaxem.em(case.model, case.params, case.x, max_iter=20, block_size=block_size)
        close(blocks.params, whole.params)
        close(blocks.log_likelihood, whole.log_likelihood)


def pieces_have_the_same_bits(case: ModelCase, key: jax.Array) -> None:
    job = fitting.prepare(case.model, case.x, init="portfolio", key=key, n_init=5, tol=1e-9)
    uncut = fitting.finish(job, fitting.advance(job, fitting.start(job), job.max_iter))
    state = fitting.start(job)
    for until in (0, 1, 2, 7, 50, int(job.max_iter)):
        state = fitting.advance(job, state, until)
    close(fitting.finish(job, state), uncut, rtol=0, atol=0)


def absent_parts_change_nothing(case: ModelCase, key: jax.Array) -> None:
    """A model compiled for more parts than it has, the others at weight 0, is the same model."""
    results = []
    for padded_k in (None, case.model.n_components + 2):
        job = fitting.prepare(
            case.model, case.x, init="portfolio", key=key, n_init=5, padded_k=padded_k, tol=0,
            max_iter=20,
        )  # fmt: skip
        results.append(fitting.finish(job, fitting.advance(job, fitting.start(job), job.max_iter)))
    plain, padded = results
    assert padded.provenance == plain.provenance
    assert jax.tree.map(jnp.shape, padded.params) == jax.tree.map(jnp.shape, plain.params)
    close(padded.restarts.params, plain.restarts.params, rtol=1e-8, atol=1e-8)
    close(padded.log_likelihood, plain.log_likelihood)
    close(padded.n_free_parameters, plain.n_free_parameters)
    close(padded.restarts.log_likelihood, plain.restarts.log_likelihood)


def acceleration_ends_no_lower(case: ModelCase) -> None:
    tol = 1e-8
    plain = jaxem.em(case.model, case.params, case.x, tol=tol, max_iter=20_000, acceleration=None)
    fast = jaxem.em(case.model, case.params, case.x, tol=tol)
    assert plain.status == fast.status and plain.status not in (Status.MAX_ITER, Status.NONFINITE)
    assert fast.log_likelihood >= plain.log_likelihood - tol * case.x.shape[0]


def the_objective_never_falls(case: ModelCase) -> None:
    params, last = case.params, -np.inf
    for _ in range(30):
        statistics, log_likelihood = jaxem.e_step(case.model, params, case.x)
        assert log_likelihood >= last - 1e-12 * abs(float(log_likelihood))
        params, last = jaxem.m_step(case.model, params, statistics), log_likelihood
