"""A fit in pieces and in a thread: the same bits as uncut, and Ctrl-C at any moment."""

import signal
import sys
import threading
from contextlib import suppress

import jax
import numpy as np
import pytest
from plans import planned
from rich.console import Console

import jaxem
from jaxem.cli import interrupts, progress
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian
from jaxem.fitting import launch, sizes
from jaxem.fitting.driver import advance, finish, start

MODEL = jaxem.Mixture(Gaussian("full"), 3)


class Interrupting(progress.Line):
    """A line at whose first report Ctrl-C is pressed, `times` times."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def report(self, job, state):
        while state is not None and self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)


def prepared(n_init=4):
    x = load_faithful().x
    return planned(MODEL, x, key=jax.random.key(0), n_init=n_init, tol=1e-9)


@pytest.fixture
def job():
    return prepared()


def same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_start_by_start_as_uncut(job):
    run = progress.run(job, progress.Line())
    assert run.complete and run.n_ended == run.n_starts == 4
    uncut = jaxem.fit(MODEL, load_faithful().x, key=jax.random.key(0), n_init=4, tol=1e-9)
    same_bits(run.result, uncut)


@pytest.mark.slow
def test_in_chunks_as_uncut(monkeypatch):
    """As on an accelerator: starts in lanes, the last chunk filled up."""
    monkeypatch.setattr(sizes, "chunk_size", lambda *_: 2)
    job = prepared(n_init=3)
    assert job.methods.shape == (4,)
    run = progress.run(job, progress.Line())
    assert run.n_ended == run.n_starts == 3
    same_bits(run.result, finish(job, advance(job, start(job), job.max_iter)))


@pytest.fixture
def stuck(monkeypatch):
    """The second piece of every fit takes until the test is over."""
    over, pieces = threading.Event(), []

    def slow(*arguments):
        pieces.append(advance(*arguments))
        if len(pieces) > 1:
            over.wait(60)
        return pieces[-1]

    monkeypatch.setattr(launch, "advance", slow)
    yield
    over.set()


def test_ctrl_c_keeps_the_best_so_far_and_does_not_wait(job, stuck):
    before = signal.getsignal(signal.SIGINT)
    with interrupts.watched(), interrupts.heeded(), interrupts.held():
        run = progress.run(job, Interrupting(1))
        assert interrupts.pressed()
    assert signal.getsignal(signal.SIGINT) is before
    assert not run.complete and not run.result.converged
    x = load_faithful().x
    expected = np.sum(jaxem.log_prob(MODEL, run.result.params, x))
    np.testing.assert_allclose(run.result.log_likelihood, expected, rtol=1e-12)


def test_a_second_ctrl_c_aborts(job, stuck):
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        interrupts.watched(),
        interrupts.heeded(),
        interrupts.held(),
    ):
        progress.run(job, Interrupting(2))
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything_is_computed(job):
    with interrupts.watched():
        signal.raise_signal(signal.SIGINT)
        assert progress.run(job, progress.Line()) is None


def test_ctrl_c_that_was_lost_is_noticed_later():
    """What compiled code swallows: the press is remembered though nothing was raised from it."""
    with interrupts.watched():
        with interrupts.heeded():
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt), interrupts.held():
                pytest.fail("the fit began")
        with pytest.raises(KeyboardInterrupt), interrupts.heeded():
            pytest.fail("the command began")


def test_no_iterations_at_all(job):
    run = progress.run(job._replace(max_iter=job.max_iter * 0), progress.Line())
    assert run.complete
    assert int(run.result.status) == jaxem.Status.MAX_ITER
    assert int(run.result.n_iter) == 0


def test_what_goes_wrong_in_the_thread_is_raised(job, monkeypatch):
    def fail(*_):
        raise FloatingPointError("out of the thread")

    monkeypatch.setattr(launch, "advance", fail)
    with pytest.raises(FloatingPointError, match="out of the thread"):
        progress.run(job, progress.Line())


@pytest.mark.parametrize("terminal", [True, False])
def test_the_line_is_shown_on_a_terminal_only(job, terminal, capsys):
    console = Console(stderr=True, force_terminal=terminal, width=100)
    with progress.live(console, 2) as line:
        line.begin("k = 3")
        progress.run(job, line)
    shown = capsys.readouterr().err
    assert ("k = 3: " in shown) == terminal
    assert ("best log-likelihood -11" in shown) == terminal
    assert ("left" in shown) == terminal
    assert shown == "" or terminal


def test_a_ctrl_c_where_nothing_can_be_raised_is_remembered_without_a_traceback(monkeypatch):
    class Collected:
        def __init__(self, does):
            self.does = does

        def __del__(self):
            self.does()

    def collect(does):
        Collected(does)

    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    with interrupts.watched():
        signal.raise_signal(signal.SIGINT)
        collect(lambda: signal.raise_signal(signal.SIGINT))
        assert interrupts.pressed() and shown == []
        collect(lambda: 1 / 0)
    assert [lost.exc_type for lost in shown] == [ZeroDivisionError]
