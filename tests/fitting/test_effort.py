"""Small data are compiled for with less effort; nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.families import Gaussian
from jaxem.fitting import restarts, sizes
from laws.compare import close

MODEL = jaxem.Mixture(Gaussian("diag"), 2)
X = np.random.default_rng(0).normal(size=(40, 2)) + 4.0 * (np.arange(40) % 2)[:, None]
SHORT = {"key": jax.random.key(0), "n_init": 2, "max_iter": 4}


def counted(run, form, found):
    def running(*args):
        found.append(form)
        return run(*args)

    return running


@pytest.fixture
def used(monkeypatch):
    """Which form of each program ran, in turn."""
    found = []
    for name in ("start", "advance", "conclude"):
        for form in ("light", "full"):
            program = getattr(restarts, name)
            monkeypatch.setattr(program, form, counted(getattr(program, form), form, found))
    return found


@pytest.mark.slow
def test_a_fit_of_small_data_and_only_that(used, monkeypatch):
    light = jaxem.fit(MODEL, X, **SHORT)
    assert set(used) == {"light"} and len(used) >= 3
    used.clear()
    monkeypatch.setattr(sizes, "_FEW", 1)
    full = jaxem.fit(MODEL, X, **SHORT)
    assert set(used) == {"full"} and len(used) >= 3
    close(light.params, full.params)
    np.testing.assert_array_equal(light.status, full.status)


def test_inside_jit_the_outermost_program_says_how_it_is_compiled(used):
    jax.jit(lambda x: jaxem.fit(MODEL, x, **SHORT).log_likelihood)(jnp.asarray(X))
    assert set(used) == {"full"}
