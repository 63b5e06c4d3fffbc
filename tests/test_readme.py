"""The README's code runs, and that of the documentation; its printout is real, and CI calls its
test command."""

import re
import subprocess
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from extensions import pages

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "scripts" / "docs").rglob("*.md"))


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_code_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = pages.run(README, "README.md")
    fits = [space[name] for name in ("result", "answers", "quakes", "fitted")]
    assert all(fit.converged for fit in fits) and np.all(np.isfinite(space["influence"]))
    np.testing.assert_allclose(space["quakes"].log_likelihood, -342.318, atol=5e-4)
    assert (round(space["report"].g2, 3), space["report"].degrees_of_freedom) == (22.734, 20)
    assert repr(space["selection"].model) == "Mixture(family=Gaussian('tied'), n_components=3)"
    assert (tmp_path / "faithful.png").stat().st_size > 10_000
    the_printout_is_real(space)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_code_runs_in_order_on_every_page(tmp_path, monkeypatch):
    """In one process: pages fit models like each other's, and compiling is what takes the time."""
    monkeypatch.chdir(tmp_path)
    failed = {str(page): error for page in PAGES if (error := failure(page)) is not None}
    assert not failed


def the_printout_is_real(space):
    printed = blocks("text")[0].splitlines()
    fit = space["jaxem"].fit(space["model"], space["x"], key=jax.random.key(0), n_init=100)
    actual = str(fit).splitlines()
    assert [line.split()[0] for line in actual] == [line.split()[0] for line in printed]
    assert actual[:2] == printed[:2] and actual[-1] == printed[-1]
    log_likelihood = float(printed[2].split()[1])
    np.testing.assert_allclose(float(fit.log_likelihood), log_likelihood, rtol=1e-6)


def failure(page):
    """What the code of a page raises; None: nothing."""
    try:
        pages.run(page.read_text(encoding="utf-8"), str(page))
    except Exception as error:
        return error
    finally:
        plt.close("all")


@pytest.mark.slow
def test_the_two_commands_are_one_line_each():
    demo, test = (line for line in blocks("sh")[0].splitlines() if line)
    assert demo.startswith("python3 ") and demo.endswith("jaxem demo")
    assert test.startswith("python3 ") and test.endswith("pytest")
    found = subprocess.run(
        ["grep", "-m", "1", "-E", "^python3 .*pytest", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == test
