"""Examples of public names, cells of the files in scripts/docs/examples, with their output.

A line `# %% jaxem.families: Beta, BetaParams` begins a cell, and says whose pages show it. What
stands above the first cell of a file is there for all of them. The tests run every cell.
"""

import contextlib
import functools
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from extensions.pages import figures

_FOLDER = Path(__file__).parents[1] / "examples"
_CELL = re.compile(r"^# %% ([\w.]+): (.+)\n", re.MULTILINE)


class Example(NamedTuple):
    """A cell. names: such as "jaxem.families.Beta"; code: with what is above all cells."""

    names: tuple[str, ...]
    code: str


def of_file(path: Path) -> list[Example]:
    """The cells of a file, in order."""
    setup, *parts = _CELL.split(path.read_text(encoding="utf-8"))
    return [
        Example(tuple(f"{module}.{name}" for name in names.split(", ")), setup + code.strip())
        for module, names, code in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def files() -> list[Path]:
    return sorted(_FOLDER.glob("*.py"))


def collected() -> dict[str, Example]:
    """The example of each name that has one: of several, the first."""
    found: dict[str, Example] = {}
    for example in (example for path in files() for example in of_file(path)):
        for name in example.names:
            found.setdefault(name, example)
    return found


class Output(NamedTuple):
    """printed: text; drawn: figures; space: what the code has defined."""

    printed: str
    drawn: list[Any]
    space: dict[str, Any]


@functools.cache
def run(example: Example) -> Output:
    """In a folder of its own, which is left behind with what is written there."""
    space: dict[str, Any] = {}
    printed, here = io.StringIO(), os.getcwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        os.chdir(folder)
        try:
            exec(compile(example.code, example.names[0], "exec"), space)
        finally:
            os.chdir(here)
    return Output(printed.getvalue().rstrip(), figures(space, []), space)


def shown(example: Example, folder: Path, with_output: bool) -> str:
    """Restructured text: the code, what it printed and what it drew."""
    text = f"\n.. rubric:: Example\n\n{_block('python', example.code)}"
    if not with_output:
        return text
    printed, drawn, _ = run(example)
    if printed:
        text += _block("text", printed)
    for number, figure in enumerate(drawn):
        file = f"{example.names[0]}-{number}.png"
        figure.savefig(folder / file, dpi=110, bbox_inches="tight")
        text += f"\n.. image:: {file}\n   :alt: what the code above draws\n"
    return text


def _block(language: str, text: str) -> str:
    lines = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    return f"\n.. code-block:: {language}\n\n{lines}\n"
