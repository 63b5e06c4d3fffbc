"""The command as a process: what is missing, and Ctrl-C."""

import builtins
import os
import pty
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxem.cli import main

PATIENCE = 120  # seconds, on a slow machine


@pytest.mark.parametrize("missing", ["typer", "rich", "pyarrow"])
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
def endless(tmp_path):
    """A fit that takes far longer than anyone waits."""
    path = tmp_path / "blob.csv"
    x = np.random.default_rng(0).normal(size=(5000, 2))
    np.savetxt(path, x, delimiter=",", header="a,b", comments="")
    options = ["--components", "6", "--starts", "200", "--tol", "0", "--max-iter", "1000000000"]
    command = Command("fit", str(path), *options)
    yield command
    command.close()


def test_ctrl_c_prints_the_best_so_far(endless):
    endless.read_until("starts ended")
    endless.process.send_signal(signal.SIGINT)
    status, out = endless.end()
    assert status == 130
    assert "interrupted: the best so far" in endless.seen
    assert "Traceback" not in endless.seen
    assert "log-likelihood  " in out and "interrupted" in out
    assert "std. deviation" in out


def test_a_second_ctrl_c_ends_it_too(endless):
    endless.read_until("starts ended")
    for _ in range(2):
        endless.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    status, _ = endless.end()
    assert status == 130
    assert "Traceback" not in endless.seen
