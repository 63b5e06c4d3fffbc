"""A fit with a bar is the fit without."""

import builtins

import jax
import numpy as np
import pytest

import jaxem
from jaxem import progress
from jaxem.families import Gaussian

MODEL = jaxem.Mixture(Gaussian("diag"), 2)
X = np.random.default_rng(0).normal(size=(40, 2)) + 4.0 * (np.arange(40) % 2)[:, None]
KEPT = {"key": jax.random.key(0), "n_init": 3}


def test_the_result_has_the_same_bits():
    shown, plain = (jaxem.fit(MODEL, X, progress=of, **KEPT) for of in (True, False))
    for a, b in zip(jax.tree.leaves(shown), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_leaves_nothing_half_made(monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "progress", pressed)
    with pytest.raises(KeyboardInterrupt):
        jaxem.fit(MODEL, X, progress=True, **KEPT)


def test_inside_jit_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(progress, "shown", lambda *_: pytest.fail("shown"))
    jax.jit(lambda x: jaxem.fit(MODEL, x, progress=True, max_iter=2, **KEPT).log_likelihood)(X)


def test_without_rich_the_error_says_what_to_install(monkeypatch):
    def without(name, *args):
        if name.startswith("rich"):
            raise ModuleNotFoundError(name)
        return real(name, *args)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        jaxem.fit(MODEL, X, progress=True, **KEPT)
    with pytest.raises(ValueError, match="progress is 'yes'"):
        jaxem.fit(MODEL, X, progress="yes", **KEPT)
