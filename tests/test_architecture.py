"""Rules that no single module can see: floors, what an import costs, what stands at the top."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_floors_are_kept():
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_importing_needs_jax_numpy_and_jaxtyping_alone():
    extras = ("typer", "rich", "safetensors", "pyarrow", "scipy.stats", "sklearn", "hmmlearn",
              "pandas", "matplotlib", "jaxem.reference", "jaxem.cli")  # fmt: skip
    code = (
        "import sys, jaxem, jax; assert not jax.config.jax_enable_x64;"
        f"print([m for m in {extras!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr


def test_public_names_have_a_docstring():
    import jaxem

    public = [name for name, value in vars(jaxem).items() if callable(value) and name[0] != "_"]
    for verb in ("fit", "em", "e_step", "m_step", "log_prob", "predict", "predict_proba", "sample"):
        assert verb in public
    missing = [name for name in public if not getattr(jaxem, name).__doc__]
    assert not missing


def test_the_top_level_is_the_agreed_one():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.split("/")[0] for line in out.stdout.splitlines()}
    agreed = {"pyproject.toml", "README.md", "LICENSE", "jaxem", "tests", "benchmarks", "scripts"}
    assert {name for name in top if not name.startswith(".")} <= agreed


def test_the_wheel_says_that_it_is_typed():
    """In an environment with the wheel itself its list of files is looked at."""
    assert (ROOT / "jaxem" / "py.typed").exists()
    installed = {str(file) for file in importlib.metadata.files("jaxem") or ()}
    assert "jaxem/__init__.py" not in installed or "jaxem/py.typed" in installed
