"""A fit of a source that is killed at random moments, while it reads, computes or writes.

    python tests/fitting/test_killed.py FOLDER 50

kills fifty times; the test does it fewer times.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import source
from jaxem.fitting import checkpoint, stream

KEY = jax.random.key
N = 4000
X = np.random.default_rng(0).normal(size=(N, 2)) + 3 * (np.arange(N) % 3)[:, None]
MODEL = jaxem.Mixture(families.Gaussian("diag"), 3)
PATIENCE = 120  # seconds that a process may take to begin


def fitted(passes, kept=None):
    source.WHOLE, stream._PART = 1, 1 << 13
    checkpoint.Checkpoint.due = property(lambda self: True)  # it writes most of the time

    def batches():
        for at in range(0, N, 500):
            time.sleep(0.001)
            yield X[at : at + 500]

    return jaxem.fit(
        MODEL, sources.batches(batches, "X"), key=KEY(1), n_init=4, tol=0.0, max_iter=passes,
        block_size=256, acceleration=None, checkpoint=kept,
    )  # fmt: skip


def main(folder, passes):
    """A process that is to be killed."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    fitted(passes, folder / "fit.ckpt")


def killed(folder, passes, seconds):
    """Kill a process so long after it has written once; -> whether it was writing."""
    kept = folder / "fit.ckpt"
    before = written(kept)
    running = subprocess.Popen([sys.executable, __file__, str(folder), "--fit", str(passes)])
    try:
        deadline = time.monotonic() + PATIENCE
        while written(kept) == before:
            assert running.poll() is None and time.monotonic() < deadline, running.returncode
            time.sleep(0.002)
        time.sleep(seconds)
        assert running.poll() is None, "it ended before it was killed: give more passes"
    finally:
        running.kill()
        running.wait()
    half = [path for path in folder.iterdir() if path.name.startswith(".")]
    for path in half:
        path.unlink()
    return bool(half)


def written(path):
    """When."""
    return path.stat().st_mtime_ns if path.exists() else None


def is_good(folder):
    """Whether a whole checkpoint is there."""
    for name in ("fit.ckpt", "fit.ckpt.previous"):
        try:
            checkpoint._read(str(folder / name))
            return True
        except checkpoint._DAMAGED:
            continue
    return False


def check(folder, kills):
    """-> how many of the kills were while a file was written."""
    folder, passes, moments = Path(folder), 40 + 60 * kills, random.Random(kills)
    n_writing = 0
    for number in range(kills):
        n_writing += killed(folder, passes, moments.uniform(0.0, 0.3))
        assert is_good(folder), f"no checkpoint is whole after kill {number}"
    found, expected = fitted(passes, folder / "fit.ckpt"), fitted(passes)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    return n_writing


@pytest.mark.slow
def test_a_fit_that_is_killed_at_random_moments_has_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "WHOLE", source.WHOLE)
    monkeypatch.setattr(stream, "_PART", stream._PART)
    monkeypatch.setattr(checkpoint.Checkpoint, "due", checkpoint.Checkpoint.due)
    check(tmp_path, 5)


if __name__ == "__main__":
    if sys.argv[2] == "--fit":
        main(Path(sys.argv[1]), int(sys.argv[3]))
    else:
        jax.config.update("jax_enable_x64", True)
        print(check(sys.argv[1], int(sys.argv[2])), "of them while it wrote")
