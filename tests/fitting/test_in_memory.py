"""A fit of rows in memory that is kept in a file goes on after it was cut, with the same bits."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.fitting import checkpoint, launch, termination
from jaxem.fitting.termination import Terminated

KEY = jax.random.key(3)
X = np.random.default_rng(0).normal(size=(200, 2)) + 2 * (np.arange(200) % 2)[:, None]
MODEL = jaxem.Mixture(families.Gaussian("diag"), 2)
OPTIONS = {"key": KEY, "n_init": 3, "max_iter": 40, "tol": 1e-9}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    monkeypatch.setattr(launch, "next_step", lambda *_: 2)  # iterations a piece


def cut_at(piece, monkeypatch, how):
    """The fit is cut before its piece of this number; None: never. -> how many it has made."""
    made, advance = [], launch.advance

    def counted(job, states, until):
        if len(made) == piece:
            how()
        made.append(until)
        return advance(job, states, until)

    monkeypatch.setattr(launch, "advance", counted)
    return made


def killed():
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", [killed, termination.ask])
def test_a_fit_goes_on_where_it_was(how, tmp_path, monkeypatch):
    expected, path = jaxem.fit(MODEL, X, **OPTIONS), tmp_path / "fit.ckpt"
    for piece in (3, 2):
        with monkeypatch.context() as patch:
            cut_at(piece, patch, how)
            with pytest.raises((KeyboardInterrupt, Terminated)):
                jaxem.fit(MODEL, X, **OPTIONS, checkpoint=path)
    made = cut_at(None, monkeypatch, how)
    found = jaxem.fit(MODEL, X, **OPTIONS, checkpoint=path)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert min(made) > 5  # some iterations were made before
    made.clear()
    again = jaxem.fit(MODEL, X, **OPTIONS, checkpoint=path)
    jax.tree.map(np.testing.assert_array_equal, again, expected)
    assert not made


def test_a_file_of_other_rows_is_refused_and_what_cannot_be_kept(tmp_path):
    path = tmp_path / "fit.ckpt"
    few = OPTIONS | {"max_iter": 1}
    jaxem.fit(MODEL, X, **few, checkpoint=path)
    with pytest.raises(ValueError, match="differs in data;"):
        jaxem.fit(MODEL, np.nextafter(X, 9), **few, checkpoint=path)
    with pytest.raises(ValueError, match="differs in prior;"):
        jaxem.fit(MODEL, X, **few, checkpoint=path, reg_covar=0.1)
    with pytest.raises(ValueError, match="under jit, vmap or grad"):
        jax.jit(lambda x: jaxem.fit(MODEL, x, **few, checkpoint=path))(X)
    with pytest.raises(ValueError, match="with checkpoint="):
        jaxem.fit(MODEL, X, **few, search="race", checkpoint=path)
    with pytest.raises(OSError, match="nowhere"):
        jaxem.fit(MODEL, X, **few, checkpoint=tmp_path / "nowhere" / "fit.ckpt")
