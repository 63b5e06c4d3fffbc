import signal

import jax
import numpy as np
import pytest
from rich.console import Console

import jaxem
from jaxem.cli import progress
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian
from jaxem.fitting.fit import prepare

MODEL = jaxem.Mixture(Gaussian("full"), 3)


class Interrupting(progress.Line):
    """A line at whose first report Ctrl-C is pressed, `times` times."""

    def __init__(self, times):
        super().__init__("fit")
        self.times = times

    def report(self, job, state):
        while self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def job():
    x = load_faithful().x
    return prepare(MODEL, x, key=jax.random.key(0), n_init=4, init="portfolio", tol=1e-9)


def test_in_pieces_as_uncut(job):
    run = progress.run(job, progress.Line("fit"))
    uncut = jaxem.fit(MODEL, load_faithful().x, key=jax.random.key(0), n_init=4, tol=1e-9)
    assert run.complete and not run.interrupted
    assert run.n_ended == run.n_starts == 4
    for ours, theirs in zip(
        jax.tree.leaves(run.result.restarts), jax.tree.leaves(uncut.restarts), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_ctrl_c_keeps_the_best_so_far(job):
    before = signal.getsignal(signal.SIGINT)
    run = progress.run(job, Interrupting(1))
    assert run.interrupted and not run.complete
    assert not run.result.converged
    x = load_faithful().x
    expected = np.sum(jaxem.log_prob(MODEL, run.result.params, x))
    np.testing.assert_allclose(run.result.log_likelihood, expected, rtol=1e-12)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_aborts(job):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        progress.run(job, Interrupting(2))
    assert signal.getsignal(signal.SIGINT) is before


def test_no_iterations_at_all(job):
    run = progress.run(job._replace(max_iter=job.max_iter * 0), progress.Line("fit"))
    assert run.complete
    assert int(run.result.status) == jaxem.Status.MAX_ITER
    assert int(run.result.n_iter) == 0


@pytest.mark.parametrize("terminal", [True, False])
def test_the_line_is_shown_on_a_terminal_only(job, terminal, capsys):
    console = Console(stderr=True, force_terminal=terminal, width=100)
    with progress.live(console, "k = 3") as line:
        progress.run(job, line)
    shown = capsys.readouterr().err
    assert ("k = 3: " in shown) == terminal
    assert ("best log-likelihood -11" in shown) == terminal
