"""SIGTERM ends the process of a fit that is kept in a file at its next block."""

import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxem.fitting import termination
from jaxem.fitting.termination import Terminated

PATIENCE = 120  # seconds, on a slow machine

FIT = """
import sys, time
import jax, numpy as np, jaxem
from jaxem import families, sources
from jaxem.fitting import stream
jax.config.update("jax_enable_x64", True)
stream._PART = 1 << 13
slow = sys.argv[2] == "slow"
def batches():
    x = np.random.default_rng(0).normal(size=(2000, 2)) + 3 * (np.arange(2000) % 2)[:, None]
    for at in range(0, 2000, 100):
        time.sleep(0.05 * slow)
        yield x[at : at + 100]
found = jaxem.fit(
    jaxem.Mixture(families.Gaussian("diag"), 2), sources.batches(batches, "x"),
    key=jax.random.key(0), n_init=2, block_size=64, checkpoint=sys.argv[1] + slow * "/fit.ckpt",
    max_iter=8,
)
print(repr(float(found.log_likelihood)), found.n_iter)
"""


def process(code, *arguments):
    command = [sys.executable, *code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended_by_sigterm(running, path):
    """-> (exit status, stdout, stderr) of a process that is asked to end once the file is there."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert running.poll() is None and time.monotonic() < deadline, running.communicate()
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=PATIENCE)
    return running.returncode, out, err


@pytest.mark.slow
def test_a_fit_saves_and_ends_and_goes_on(tmp_path):
    path = tmp_path / "fit.ckpt"
    running = process(["-c", FIT], tmp_path, "slow")
    assert ended_by_sigterm(running, path) == (143, "", "")
    kept = path.read_bytes()
    out, err = process(["-c", FIT], path, "fast").communicate(timeout=PATIENCE)
    expected, _ = process(["-c", FIT], tmp_path / "other.ckpt", "fast").communicate(
        timeout=PATIENCE
    )
    assert out == expected and float(out.split()[0]) < 0, err
    assert path.read_bytes() != kept


@pytest.mark.slow
def test_the_command_says_how_to_go_on(tmp_path):
    x = np.random.default_rng(0).normal(size=(3000, 2))
    for number, rows in enumerate((x[:1000], x[1000:])):
        table = pa.table({"a": rows[:, 0], "b": rows[:, 1]})
        pq.write_table(table, tmp_path / f"x-{number}.parquet")
    path, out = tmp_path / "fit.ckpt", tmp_path / "m.safetensors"
    code, given = ["-m", "jaxem.cli", "fit"], [tmp_path / "x-*.parquet", "--components", 4]
    given += ["--starts", 5, "--tol", 0, "--checkpoint", path, "-o", out, "--max-iter"]
    status, printed, err = ended_by_sigterm(process(code, *given, 10**9), path)
    assert status == 143 and printed == "" and not out.exists()
    last = err.splitlines()[-1]
    assert last == f"jaxem: {path}: keeps the fit; the same command goes on from there"
    assert "Traceback" not in err
    again = process(code, *given, 1)
    printed, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 1 and out.exists() and "iterations" in printed, err


def test_a_signal_that_is_not_awaited_is_left_alone():
    """A handler of the process stays; without one, SIGTERM is noted inside alone."""
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with termination.awaited():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(Terminated) as caught, termination.awaited():
            signal.raise_signal(signal.SIGTERM)
            termination.heed("fit.ckpt")
        assert caught.value.code == 143 and caught.value.path == "fit.ckpt"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and not termination.asked()
        termination.heed("fit.ckpt")
    finally:
        signal.signal(signal.SIGTERM, own)
