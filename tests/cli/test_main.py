"""The command as a process: what is missing, and Ctrl-C."""

import builtins
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pyarrow.parquet
import pytest

import jaxem
from jaxem import families
from jaxem.cli import main
from jaxem.core import files
from jaxem.datasets import load_faithful

PATIENCE = 120  # seconds, on a slow machine


@pytest.mark.parametrize("missing", ["typer", "rich", "pyarrow", "platformdirs"])
def test_without_its_packages_it_says_what_to_install(missing, monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *rest):
        if name == "jaxem.cli.app":
            raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["--version"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert missing in err and "pip install 'jaxem[cli]'" in err


def test_another_missing_module_is_not_hidden(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "jaxem.cli.app":
            raise ModuleNotFoundError("No module named 'jaxlib'", name="jaxlib")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match="jaxlib"):
        main(["--version"])


class Command:
    """`python -m jaxem.cli`, its stderr a terminal."""

    def __init__(self, *arguments):
        self.master, terminal = pty.openpty()
        command = [sys.executable, "-m", "jaxem.cli", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        self.seen = ""
        self.deadline = time.monotonic() + PATIENCE

    def read(self):
        """More of stderr; False at its end."""
        if not select.select([self.master], [], [], 1)[0]:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # what Linux says at the end of a terminal
            return False
        self.seen += more.decode(errors="replace")
        return bool(more)

    def read_until(self, text):
        while text not in self.seen:
            assert time.monotonic() < self.deadline and self.read(), self.seen

    def end(self):
        """-> (exit status, stdout)"""
        while time.monotonic() < self.deadline and self.read():
            pass
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode()

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self.master)


@pytest.fixture
def endless(tmp_path, monkeypatch):
    """A fit that takes far longer than anyone waits; it is to write tmp_path / "m"."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "blob.csv"
    x = np.random.default_rng(0).normal(size=(5000, 2))
    np.savetxt(path, x, delimiter=",", header="a,b", comments="")
    options = ["--components", "6", "--starts", "200", "--tol", "0", "--max-iter", "1000000000"]
    command = Command("fit", str(path), *options, "-o", str(tmp_path / "m"))
    yield command
    command.close()


def test_ctrl_c_prints_and_writes_the_best_so_far(endless, tmp_path):
    endless.read_until("starts ended")
    endless.process.send_signal(signal.SIGINT)
    status, out = endless.end()
    assert status == 130
    assert "interrupted: the best so far" in endless.seen
    assert "Traceback" not in endless.seen
    assert "std. deviation" in out
    model, params = jaxem.load(tmp_path / "m")
    x = np.loadtxt(tmp_path / "blob.csv", delimiter=",", skiprows=1)
    printed = re.search(r"^log-likelihood +(\S+)", out, re.MULTILINE)
    assert printed
    likelihood = float(jaxem.log_likelihood(model, params, x))
    assert float(printed[1]) == pytest.approx(likelihood, rel=1e-9)
    assert np.all(np.diff(params.weights) <= 0)


@pytest.mark.slow
def test_ctrl_c_while_it_compiles_ends_at_once_and_writes_nothing(endless, tmp_path):
    endless.read_until("choosing starting points")
    endless.process.send_signal(signal.SIGINT)
    status, out = endless.end()
    assert status == 130
    assert "nothing is computed yet" in endless.seen and "Traceback" not in endless.seen
    assert out == "" and not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_too(endless):
    endless.read_until("starts ended")
    for _ in range(2):
        endless.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    status, _ = endless.end()
    assert status == 130
    assert "Traceback" not in endless.seen


def jaxem_process(*arguments):
    """-> (exit status, stdout, stderr), which are no terminals."""
    command = [sys.executable, "-m", "jaxem.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_fit_and_predict_in_processes_of_their_own(tmp_path, monkeypatch):
    """As Python, bit for bit; compiled programs are kept, and broken ones do no harm."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, model, labelled = (tmp_path / name for name in ("t.csv", "m.safetensors", "l.parquet"))
    x = load_faithful().x
    data.write_text("\n".join(["a,b", *(f"{a},{b}" for a, b in x)]))
    for run in ("compiled", "by JAX's own cache", "by what was kept since"):
        status, out, err = jaxem_process(
            "fit", data, "--components", 2, "--starts", 4, "--seed", 5, "-o", model
        )
        assert (status, err) == (0, "") and "CONVERGED" in out
        same_bits_as_python(model, x)
        if run == "compiled":
            shutil.rmtree(next((tmp_path / "cache").rglob("programs")))

    arguments = (*jaxem.load(model), x)
    for _ in range(2):  # compiled, then past a broken cache
        assert jaxem_process("predict", model, data, "-o", labelled) == (0, "", "")
        table = pyarrow.parquet.read_table(labelled)
        np.testing.assert_array_equal(table["label"], jaxem.predict(*arguments))
        np.testing.assert_array_equal(table["log_density"], jaxem.log_prob(*arguments))
        kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert kept
        for path in kept:
            path.write_bytes(path.read_bytes()[:100])


def same_bits_as_python(path, x):
    spec = jaxem.Mixture(jaxem.families.Gaussian("full"), 2)
    result = jaxem.fit(spec, x, key=jax.random.key(5), n_init=4)
    order = np.argsort(-np.asarray(result.params.weights))
    loaded, params = jaxem.load(path)
    assert loaded == spec
    np.testing.assert_array_equal(params.weights, result.params.weights[order])
    for ours, theirs in zip(params.components, result.params.components, strict=True):
        np.testing.assert_array_equal(ours, theirs[order])


@pytest.mark.slow
def test_without_a_cache_folder_it_works_as_well(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert jaxem_process("--version") == (0, f"jaxem {jaxem.__version__}\n", "")


def test_the_cache_does_not_grow_without_end(tmp_path):
    for i, name in enumerate("abcd"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (i, i))
    files.remove_oldest(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"c", "d"}


@pytest.mark.slow
def test_a_pipe_that_closes_early_is_no_trouble(tmp_path):
    model = tmp_path / "m.safetensors"
    means, covariances = np.zeros((1, 1)), np.ones((1, 1, 1))
    params = jaxem.MixtureParams(np.ones(1), families.GaussianParams(means, covariances))
    jaxem.save(model, jaxem.Mixture(families.Gaussian("full"), 1), params)
    command = [sys.executable, "-m", "jaxem.cli", "sample", str(model), "-n", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    assert process.stdout.readline() == b'"column_1","label"\n'
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(PATIENCE)
