"""The laws that every model obeys, each over the one table of models.

All tests of a case follow each other, so that they share its compiled programs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plans import planned
from scipy import stats

import jaxem
from jaxem import Status
from jaxem.core import parameters
from jaxem.fitting import driver as fitting
from jaxem.fitting.blocks import accumulate
from jaxem.fitting.plan import FitPlan
from laws.compare import cases, close
from laws.model_cases import MODEL_CASES, ModelCase

ABSENT = (0, 7, 11)  # rows, or sequences, of weight 0


class Given(NamedTuple):
    """A case with data, and what they have in common."""

    case: ModelCase
    x: Any
    params: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.case, name)

    def em(self, x: Any = None, params: Any = None, **options: Any) -> Any:
        x = self.x if x is None else x
        return jaxem.em(self.model, self.params if params is None else params, x,
                        **self.of_data, **options)  # fmt: skip

    def job(self, **options: Any) -> FitPlan:
        return planned(self.model, self.x, **{"init": self.params, **self.of_data, **options})


QUICK = {"mixture_of_gaussians", "mixture_with_noise", "chain", "own"}


@pytest.fixture(scope="module", params=cases(MODEL_CASES, MODEL_CASES.keys() - QUICK))
def given(request):
    case = MODEL_CASES[request.param]()
    return Given(case, case.draw(jax.random.key(0)), jax.tree.map(jnp.asarray, case.params))


@pytest.fixture(scope="module")
def jitted(given):
    return jax.jit(lambda x, params, weight: given.em(x, params, sample_weight=weight, max_iter=20))


_sums = jax.jit(accumulate, static_argnames=("model", "block_size"))


def n_units(x: Any) -> int:
    return len(x) if isinstance(x, list) else jax.tree.leaves(x)[0].shape[0]


def put(x: Any, index: int, number: float) -> Any:
    """x, with this number everywhere in one row or sequence."""
    if isinstance(x, list):
        there = jax.tree.map(lambda leaf: jnp.full_like(leaf, number), x[index])
        return [*x[:index], there, *x[index + 1 :]]
    return jax.tree.map(lambda leaf: jnp.asarray(leaf).at[index].set(number), x)


def weights(x: Any) -> Any:
    return jnp.ones(n_units(x)).at[jnp.array(ABSENT)].set(0.0)


def run(job: fitting.FitPlan) -> Any:
    return fitting.finish(job, fitting.advance(job, fitting.start(job), job.max_iter))


# ---- the two steps


def test_steps_are_the_references(given):
    statistics, log_likelihood = jaxem.e_step(given.model, given.params, given.x, **given.of_data)
    expected = given.e_step(given.case.params, given.x)
    for found, of in zip(jax.tree.leaves(statistics), expected.counts, strict=False):
        close(found, of, rtol=1e-9)
    close(float(log_likelihood), expected.log_likelihood, rtol=1e-11)
    new = given.m_step(given.case.params, given.x)
    if new is not None:
        close(jaxem.m_step(given.model, given.params, statistics), new, rtol=1e-9, atol=1e-9)


def test_the_objective_never_falls(given):
    params, last = given.params, -np.inf
    for _ in range(30):
        statistics, log_likelihood = jaxem.e_step(given.model, params, given.x, **given.of_data)
        assert log_likelihood >= last - 1e-12 * abs(float(log_likelihood))
        params, last = jaxem.m_step(given.model, params, statistics), log_likelihood


def test_absent_rows_are_not_there(given):
    weight = weights(given.x)
    alone = [i for i in range(n_units(given.x)) if i not in ABSENT]
    index = np.array(alone)
    x = (
        [given.x[i] for i in alone]
        if isinstance(given.x, list)
        else jax.tree.map(lambda leaf: leaf[index], given.x)
    )
    lengths = {name: of[index] for name, of in given.of_data.items()}
    expected = jaxem.e_step(given.model, given.params, x, **lengths)
    close(jaxem.e_step(given.model, given.params, given.x, weight, **given.of_data), expected)


# ---- fits


def test_the_log_likelihood_is_of_the_returned_parameters(given):
    for max_iter in (0, 1, 3, 400):
        result = given.em(max_iter=max_iter)
        expected = given.e_step(jax.device_get(result.params), given.x)
        close(float(result.log_likelihood), expected.log_likelihood, rtol=1e-12)


def test_no_iterations_are_legal(given):
    result = given.em(max_iter=0)
    assert result.n_iter == 0 and result.status == Status.MAX_ITER
    close(result.params, given.params, rtol=0, atol=1e-15)


def test_what_is_no_number_is_nonfinite(given, jitted):
    """Under jit no value is looked at, so that it gets as far as the loop.

    Where the step refused is singular as well, that is what the status says.
    """
    x = put(given.x, 3, jnp.inf)
    result = jitted(x, given.params, jnp.ones(n_units(x)))
    assert result.status in (Status.NONFINITE, Status.DEGENERATE) and not result.converged
    close(result.params, given.params, rtol=0, atol=1e-15)


def test_poisoned_starts_are_ignored(given):
    """A start at NaN next to a good one: same answer as the good one alone."""
    job = given.job()
    poison = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), job.params)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), poison, job.params)
    result = run(job._replace(params=both, n_starts=2, n_threads=2))
    alone = given.em()
    close(result.params, alone.params)
    np.testing.assert_array_equal(result.restarts.status, [Status.NONFINITE, int(alone.status)])


def test_pieces_have_the_same_bits(given):
    job = given.job(tol=1e-9)
    state = fitting.start(job)
    for until in (0, 1, 2, 7, 50, int(job.max_iter)):
        state = fitting.advance(job, state, until)
    close(fitting.finish(job, state), run(job), rtol=0, atol=0)


def test_blocks_give_the_same_answer(given):
    job = given.job(block_size=n_units(given.x) // 3)
    prepared = given.model.prepare(given.params, None)
    blocks, whole = (
        _sums(given.model, prepared, job.rows, size) for size in (job.block_size, n_units(given.x))
    )
    assert job.block_size < n_units(given.x)
    close(blocks, whole)


def test_absent_rows_may_hold_anything_and_jit_changes_nothing(given, jitted):
    weight, bad = weights(given.x), given.x
    for index, number in zip(ABSENT, (jnp.nan, 1e300, jnp.inf), strict=True):
        bad = put(bad, index, number)
    expected, found = (given.em(x, sample_weight=weight, max_iter=20) for x in (given.x, bad))
    close(found, expected, rtol=0, atol=0)
    traced = jitted(bad, given.params, weight)
    close(traced.params, expected.params)
    close(traced.log_likelihood, expected.log_likelihood)


def test_acceleration_ends_no_lower(given):
    tol = 1e-8
    plain, fast = given.em(tol=tol, max_iter=20_000, acceleration=None), given.em(tol=tol)
    assert plain.converged and fast.converged, (plain.status, fast.status)
    assert fast.log_likelihood >= plain.log_likelihood - tol * float(fast.total_weight)


def test_absent_parts_change_nothing(given):
    """A model compiled for more parts than it has, the others at weight 0, is the same model."""
    if not given.model.nested_in_k:
        pytest.skip("the model has parts that cannot be absent")
    padded = given.model.with_n_components(given.model.n_components + 1)
    starts = [
        fitting.start(given.job(init="portfolio", key=jax.random.key(0), n_init=3, padded_k=k))
        for k in (given.model.n_components, padded.n_components)
    ]
    starts = [
        [jax.tree.map(lambda leaf, i=i: leaf[i], of.tree.params) for i in range(3)] for of in starts
    ]
    for plain, other in zip(*starts, strict=True):
        close(without_absent(given, other), plain, rtol=1e-8, atol=1e-8)
    steps = []
    for model, params in zip((given.model, padded), (own[0] for own in starts), strict=True):
        statistics, log_likelihood = jaxem.e_step(model, params, given.x, **given.of_data)
        steps.append((log_likelihood, jaxem.m_step(model, params, statistics)))
    (plain_value, plain), (padded_value, other) = steps
    close(padded_value, plain_value)
    close(without_absent(given, other), plain, rtol=1e-8, atol=1e-8)


def without_absent(given: Given, params: Any) -> Any:
    live = np.arange(given.model.n_components)
    return parameters.take(given.model.constraints, jax.device_get(params), live)


def test_fits_to_drawn_rows_recover_what_they_were_drawn_from(given):
    """2 (max log-likelihood - that of the truth) is chi-squared, a degree for each free number."""
    x = given.draw(jax.random.key(1))
    result = jaxem.fit(given.model, x, key=jax.random.key(0), n_init=3, **given.of_data)
    truth = given.em(x, max_iter=0)
    assert result.converged
    gain = 2 * float(result.log_likelihood - truth.log_likelihood)
    assert 1e-4 < stats.chi2.cdf(gain, int(result.n_free_parameters)) < 1 - 1e-4


def test_other_numbers_of_the_same_shapes_are_not_traced(given):
    def verbs(x: Any, seed: int, **options: Any) -> None:
        of = (x, *given.of_data.values())
        statistics, _ = jaxem.e_step(given.model, given.params, x, **given.of_data)
        jaxem.m_step(given.model, given.params, statistics)
        jaxem.log_prob(given.model, given.params, *of)
        jaxem.predict_proba(given.model, given.params, *of)
        fit = jaxem.fit(given.model, x, key=jax.random.key(seed), n_init=3, **given.of_data,
                        **options)  # fmt: skip
        given.em(x, fit.params, **options)

    verbs(given.x, 0)
    other = given.draw(jax.random.key(2))
    with jax.no_tracing():
        verbs(other, 1, tol=1e-5, max_iter=50)
