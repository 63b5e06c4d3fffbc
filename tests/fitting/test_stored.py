"""Compiled programs kept in files are found again, and never wrong ones."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations
from jax.experimental import serialize_executable

import jaxem
from jaxem.families import Density, Gaussian
from jaxem.fitting import stored
from jaxem.fitting.effort import program

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(40, 2)) + 5.0 * (np.arange(40) % 2)[:, None]
MODEL = jaxem.Mixture(Gaussian("diag"), 2)


def fit(x=X, model=MODEL):
    return jaxem.fit(model, x, key=KEY, n_init=3, max_iter=9)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "folder", lambda: tmp_path / "programs")
    monkeypatch.setattr(stored, "_found", {})
    return tmp_path / "programs"


def another_process(monkeypatch):
    monkeypatch.setattr(stored, "_found", {})


def test_another_process_finds_them_without_compiling(place, monkeypatch):
    expected = fit()
    assert len(list(place.iterdir())) >= 3
    another_process(monkeypatch)
    monkeypatch.setattr(stored, "_compiled", lambda *_: pytest.fail("compiled"))
    with compilations() as names:
        fit(X[:37])
        again = fit()
    assert not names
    jax.tree.map(np.testing.assert_array_equal, again, expected)


def one_bit(old):
    """Of the code itself: nothing else would notice."""
    middle = len(old) // 2
    return old[:middle] + bytes([old[middle] ^ 1]) + old[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda old: b"", lambda old: old[:-9], one_bit])
def test_a_damaged_file_is_made_again(damage, place, monkeypatch):
    expected = fit()
    for path in place.iterdir():
        path.write_bytes(damage(path.read_bytes()))
    another_process(monkeypatch)
    compiled, made = stored._compiled, []
    monkeypatch.setattr(stored, "_compiled", lambda *of: made.append(of) or compiled(*of))
    jax.tree.map(np.testing.assert_array_equal, fit(), expected)
    assert len(made) == len(list(place.iterdir()))
    another_process(monkeypatch)
    monkeypatch.setattr(stored, "_compiled", lambda *_: pytest.fail("compiled"))
    fit()


def test_what_jaxs_own_cache_gave_is_not_kept(place, monkeypatch, tmp_path):
    """It could be read and not run: a program that is changed and compiled to the same code."""
    sine = program()(lambda x: jnp.argmin(jnp.sin(x)[:, None] * jnp.arange(7.0)[None], axis=0))
    x = jnp.arange(100.0)
    expected = sine(x)
    (path,) = place.iterdir()
    payload = path.read_bytes()
    again = pickle.dumps(serialize_executable.serialize(stored._found.popitem()[1].run))
    for content in (payload, stored._DIGEST(again).digest() + again):  # one that runs, and not
        path.write_bytes(content)
        another_process(monkeypatch)
        np.testing.assert_array_equal(sine(x), expected)
        assert path.exists() == (content == payload)


def test_a_folder_that_cannot_be_written_is_done_without(place, monkeypatch):
    expected = fit()
    another_process(monkeypatch)
    monkeypatch.setattr(stored, "folder", lambda: place / "no folder")
    (place / "no folder").write_text("a file")
    jax.tree.map(np.testing.assert_array_equal, fit(), expected)


def named(*args, static=(0,), told="f"):
    given = [own for i, own in enumerate(args) if i not in static]
    return stored._name(told, [args[i] for i in static], given)


def test_names_tell_apart_what_is_compiled_apart():
    one = np.ones(3)
    names = [
        named(MODEL, one),
        named(MODEL, one, told="g"),
        named(MODEL, np.ones(4)),
        named(MODEL, np.ones(3, np.float32)),
        named(MODEL, (one,)),
        named(jaxem.Mixture(Gaussian("full"), 2), one),
        named(jaxem.Mixture(Gaussian("diag", missing=True), 2), one),
        named(jaxem.Mixture(Gaussian("diag"), 3), one),
        named(jaxem.HMM(Gaussian("diag"), 2), one),
    ]
    with jax.default_matmul_precision("highest"):
        names.append(named(MODEL, one))
    assert len(set(names)) == len(names)
    assert named(jaxem.Mixture(Gaussian("diag"), 2), one + 1) == names[0]


def test_a_persons_own_functions_are_not_kept(place):
    """They may be others next time."""

    def log_density(params, x):
        return -0.5 * (x - params["m"]) ** 2

    model = jaxem.Mixture(Density(log_density, lambda x, weight: {"m": x.mean()}), 2)
    with pytest.raises(stored._Unknown):
        named(model, X)


def test_a_nan_is_found_in_a_kept_program(place):
    log = program()(lambda x: jnp.log(x - 2.0))
    assert jnp.isnan(log(jnp.ones(3))).all() and len(list(place.iterdir())) == 1
    for debugging in (jax.debug_nans, jax.debug_infs, jax.disable_jit):
        with debugging(True):
            if debugging is jax.debug_nans:
                with pytest.raises(FloatingPointError):
                    log(jnp.ones(3))
            assert log(jnp.full(3, 3.0)).tolist() == [0.0] * 3


def test_the_oldest_go_where_there_are_too_many(place, monkeypatch):
    monkeypatch.setattr(stored, "_MOST", 1 << 18)
    fit()
    assert sum(path.stat().st_size for path in place.iterdir()) <= 1 << 18
