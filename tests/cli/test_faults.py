"""Disks that are full, and files that become others while they are read: one line that names the
file, and nothing half written."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import families

PATIENCE = 120  # seconds, on a slow machine
X = np.random.default_rng(0).normal(size=(3000, 2))
ENVIRONMENT = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def table(x):
    return pa.table({"a": x[:, 0], "b": x[:, 1]})


@pytest.fixture
def folder(tmp_path):
    for number, rows in enumerate((X[:1000], X[1000:])):
        pq.write_table(table(rows), tmp_path / f"x-{number}.parquet")
    return tmp_path


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from jaxem.cli import main
sys.exit(main(sys.argv[2:]))
"""


def process(*arguments, most_bytes=resource.RLIM_INFINITY):
    """most_bytes: that a file may have, as on a disk that is full."""
    command = [sys.executable, "-c", LIMITED, str(most_bytes), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, env=ENVIRONMENT)


def fit(folder, *more, **limits):
    files, kept = folder / "x-*.parquet", folder / "fit.ckpt"
    given = ["--components", 2, "--starts", 2, "--tol", 0, "--checkpoint", kept, *more]
    return process("fit", files, *given, "-o", folder / "m.safetensors", **limits)


def last_line(running):
    """Of a process that ends with status 2."""
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 2 and "Traceback" not in err and out == "", (out, err)
    return err.splitlines()[-1]


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_checkpoint_is_written(folder):
    told = last_line(fit(folder, "--max-iter", 3, most_bytes=1000))
    assert "fit.ckpt: cannot be written: " in told, told
    assert sorted(os.listdir(folder)) == ["x-0.parquet", "x-1.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_a_disk_that_is_full_when_a_prediction_is_written(folder, suffix):
    saved, out = folder / "m.safetensors", folder / f"out{suffix}"
    params = jaxem.MixtureParams(
        np.full(2, 0.5), families.GaussianParams(np.array([[0.0, 0], [1, 1]]), np.ones((2, 2)))
    )
    jaxem.save(saved, jaxem.Mixture(families.Gaussian("diag"), 2), params, columns=("a", "b"))
    out.write_text("of before")
    there = sorted(os.listdir(folder))
    told = last_line(
        process("predict", saved, folder / "x-*.parquet", "-o", out, most_bytes=20_000)
    )
    assert f"out{suffix}: cannot be written: " in told, told
    assert out.read_text() == "of before" and sorted(os.listdir(folder)) == there


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def replaced(x, names=("a", "b")):
    def replace(path):
        pq.write_table(table(x).rename_columns(list(names)), f"{path}.new")
        os.replace(f"{path}.new", path)

    return replace


BECOMES = {
    "cut short": (cut_short, "is no Parquet file, or is cut short|is damaged"),  # while it is read
    "gone": (os.remove, "cannot be read: there is no such file or folder"),
    "shorter": (replaced(X[:700]), "had 2,000 rows when it was first read, and now has 700"),
    "without a column": (
        replaced(X[1000:], names=("a", "c")), "has no numbers any more in the columns b"
    ),
    "with a NaN": (replaced(np.full((2000, 2), np.nan)), "NaN"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BECOMES)
def test_a_file_that_becomes_another_between_two_readings(folder, name):
    change, said = BECOMES[name]
    running, kept = fit(folder, "--max-iter", 10**9), folder / "fit.ckpt"
    try:
        deadline = time.monotonic() + PATIENCE
        while not kept.exists():
            assert running.poll() is None and time.monotonic() < deadline, running.communicate()
            time.sleep(0.02)
        change(folder / "x-1.parquet")
        told = last_line(running)
    finally:
        running.send_signal(signal.SIGKILL)
        running.communicate()
    assert "x-1.parquet" in told and re.search(said, told), told
    assert not (folder / "m.safetensors").exists() and kept.exists()
    assert [name for name in os.listdir(folder) if name.startswith(".")] == []
