"""Programs of later fits are compiled beside the first, and no fit is another for it."""

import threading
import time
from concurrent.futures import wait
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from compilations import compilations
from plans import planned

import jaxem
from jaxem.families import Gaussian
from jaxem.fitting import ahead, threads
from jaxem.fitting.driver import uncut

X = np.random.default_rng(0).normal(size=(40, 2)) + 5.0 * (np.arange(40) % 2)[:, None]


def jobs(*covariances, n=40):
    return [
        planned(jaxem.Mixture(Gaussian(c), 2), X[:n], key=jax.random.key(0), n_init=3, max_iter=9)
        for c in covariances
    ]


@pytest.mark.slow
def test_a_later_fit_finds_its_programs(monkeypatch):
    begun = []
    beside = threads.beside
    monkeypatch.setattr(
        threads,
        "beside",
        lambda function, of: beside(lambda job: begun.append(job) or function(job), of),
    )
    first, again, later = jobs("spherical", "spherical", "diag")
    expected = uncut(first), uncut(later)
    jax.clear_caches()
    with ahead.compiled_ahead([first, again, later]) as ready:
        while not begun:
            time.sleep(0.01)
        for job in (first, later):
            ready(job)
        with compilations() as names:
            found = uncut(later)
    assert not names and [job.execution for job in begun] == [later.execution]
    jax.tree.map(np.testing.assert_array_equal, (uncut(first), found), expected)


def test_an_error_beside_is_not_the_fits():
    with threads.beside(lambda i: 1 / i, [0, 2]) as futures:
        wait(futures)
    assert isinstance(futures[0].exception(), ZeroDivisionError) and futures[1].result() == 0.5


def test_what_is_not_begun_in_time_never_is():
    gate = threading.Event()
    with threads.beside(lambda _: gate.wait(60), range(3)) as futures:
        while not futures[0].running():
            time.sleep(0.01)
    gate.set()
    assert futures[0].result() and futures[1].cancelled() and futures[2].cancelled()


@pytest.mark.parametrize(("n", "expected"), [(40, ["spherical"]), (5000, [])])
def test_only_small_data_are_compiled_for_ahead(n, expected, monkeypatch):
    asked = []

    @contextmanager
    def beside(function, of):
        asked.extend(job.model.family.covariance.name for job in of)
        yield [None] * len(asked)

    monkeypatch.setattr(threads, "beside", beside)
    models = [jaxem.Mixture(Gaussian(c), 2) for c in ("diag", "spherical")]
    x = np.resize(X, (n, 2))
    with ahead.compiled_ahead([planned(m, x, key=jax.random.key(0)) for m in models]):
        assert asked == expected
