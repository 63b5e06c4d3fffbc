"""Starts spread over threads end as those of one loop do."""

import subprocess
import sys
from contextlib import ExitStack

import jax
import numpy as np
import pytest
from plans import planned

import jaxem
from jaxem import datasets
from jaxem.core.dataset import as_dataset
from jaxem.families import Gaussian
from jaxem.fitting import driver as fitting
from jaxem.fitting import sizes, threads

MODEL = jaxem.Mixture(Gaussian("diag"), 2)


def job_of(x, **options):
    return planned(MODEL, x, key=jax.random.key(0), n_init=7, **options)


@pytest.fixture(scope="module")
def x():
    return datasets.load_faithful().x


def test_large_starts_are_spread_where_their_work_is_not_divided(monkeypatch):
    """Steps of a chain wait for each other; rows of a mixture do not."""
    monkeypatch.setattr(sizes, "n_cores", lambda: 2)
    x = np.zeros((100, 1000, 4)) + np.arange(4)
    chain, mixture = jaxem.HMM(Gaussian("diag"), 5), jaxem.Mixture(Gaussian("diag"), 5)
    assert sizes.n_threads(chain, as_dataset(chain, x).rows, 8) == 2
    assert sizes.n_threads(mixture, as_dataset(mixture, x.reshape(-1, 4)).rows, 8) == 1


@pytest.mark.parametrize("n_threads", [2, 3])
def test_the_bits_are_those_of_one_loop(x, n_threads):
    job = job_of(x)
    alone, many = job._replace(n_threads=1), job._replace(n_threads=n_threads)
    expected = fitting.finish(job, fitting.advance(alone, fitting.start(alone), job.max_iter))
    state = fitting.start(many)
    for until in (3, 9, int(job.max_iter)):  # in pieces as well
        state = fitting.advance(many, state, until)
    result = fitting.finish(job, state)
    jax.tree.map(np.testing.assert_array_equal, result, expected)


def test_a_dtype_that_holds_for_this_thread_alone_holds_in_the_others(x):
    with jax.enable_x64(False):
        job = job_of(np.asarray(x, np.float32))._replace(n_threads=2)
        state = fitting.advance(job, fitting.start(job), job.max_iter)
        assert state.tree.objective.dtype == np.float32
        assert fitting.finish(job, state).converged


def test_what_holds_for_this_thread_alone_holds_in_the_others():
    held = {
        "debug_nans": True,
        "debug_infs": True,
        "default_matmul_precision": "highest",
        "default_device": jax.devices()[0],
        "numpy_dtype_promotion": "standard",
        "no_tracing": True,
        "enable_x64": False,
    }

    def seen(index, count):
        assert {name: getattr(jax.config, f"jax_{name}") for name in held} == held
        return index

    with ExitStack() as contexts:
        for name, value in held.items():
            contexts.enter_context(getattr(jax, name)(value))
        np.testing.assert_array_equal(threads.in_groups(seen, 6, 2, 3), np.arange(6))


def test_a_nan_is_found_in_the_thread_that_makes_it():
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        threads.in_groups(lambda index, count: jax.numpy.log(-1.0 - index), 6, 2, 3)


@pytest.mark.parametrize(("r", "size", "n_threads"), [(1, 4, 1), (7, 8, 1), (7, 4, 3), (30, 4, 2)])
def test_groups_have_one_size_and_every_index_once(r, size, n_threads):
    seen = []

    def run(index, count):
        seen.append((len(index), int(count)))
        return index

    np.testing.assert_array_equal(threads.in_groups(run, r, size, n_threads), np.arange(r))
    assert {length for length, _ in seen} == {size} and sum(count for _, count in seen) == r
    assert len(seen) >= min(n_threads, r)
    if n_threads == 1:  # an accelerator computes a group whole: no index in two of them
        assert len(seen) == -(-r // size)


def test_an_error_in_a_group_reaches_the_caller():
    def fails(index, count):
        raise MemoryError("no room")

    for n_threads in (1, 2):
        with pytest.raises(MemoryError, match="no room"):
            threads.in_groups(fails, 7, 2, n_threads)


def test_large_starts_and_traced_ones_stay_together(x):
    rows = as_dataset(MODEL, x).rows
    assert sizes.n_threads(MODEL, rows, 1) == 1
    many = MODEL.with_n_components(2000)
    assert sizes.n_threads(many, rows, 9) == 1  # a start is enough for all cores


@pytest.mark.slow
def test_inside_jit_and_vmap_there_are_no_threads(x, monkeypatch):
    monkeypatch.setattr(threads, "in_groups", lambda *_: pytest.fail("threads"))

    def objective(x):
        job = job_of(x)._replace(n_threads=2)
        return fitting.advance(job, fitting.start(job), 2).tree.objective

    jax.jit(objective)(x)
    jax.vmap(objective)(np.stack([x, x]))


def test_a_system_that_does_not_tell_affinities_has_threads_too(x, monkeypatch):
    monkeypatch.delattr(sizes.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(sizes.os, "cpu_count", lambda: 3)
    assert sizes.n_threads(MODEL, as_dataset(MODEL, x).rows, 9) == 3


STARTS_AND_FITS_SIDE_BY_SIDE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import jax, numpy as np
import jaxem
from jaxem.fitting import sizes

n_threads, fits = map(int, sys.argv[1:])
sizes.n_cores = lambda: n_threads
x = np.random.default_rng(0).normal(size=(120, 30)).astype(np.float32)
model = jaxem.Mixture(jaxem.families.Gaussian("full"), 2)

def fit(seed):
    result = jaxem.fit(model, x, key=jax.random.key(seed), n_init=200, max_iter=3)
    return float(result.log_likelihood)

alone = fit(0)
with ThreadPoolExecutor(3) as pool:
    values = list(pool.map(fit, [0] * fits))
assert values == [alone] * fits, values
print("ended")
"""


@pytest.mark.slow
def test_factors_of_starts_side_by_side_never_wait_for_each_other():
    """Batches of LAPACK, as many as cores, did so without end (`benchmarks/stress.py`: more)."""
    code, arguments = STARTS_AND_FITS_SIDE_BY_SIDE, ["2", "20"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip() == "ended", done.stderr[-2000:]
