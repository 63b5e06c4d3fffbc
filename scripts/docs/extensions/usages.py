"""Where the pages use a public name: their code, which the tests run, as its example."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from extensions.pages import blocks

_PAGES = Path(__file__).parents[1]
_FOLDERS = ("getting_started.md", "howto/*.md", "tutorials/*.md", "*.md")  # the first that has it


class Usage(NamedTuple):
    """A statement of a page. page: without its ending; title: its heading."""

    page: str
    title: str
    code: str


def collected() -> dict[str, Usage]:
    """The first use of each name, such as "jaxem.fit", by page after page."""
    found: dict[str, Usage] = {}
    paths = [path for pattern in _FOLDERS for path in sorted(_PAGES.glob(pattern))]
    for path in dict.fromkeys(paths):
        text = path.read_text(encoding="utf-8")
        title = next(line[2:] for line in text.splitlines() if line.startswith("# "))
        page = str(path.relative_to(_PAGES).with_suffix(""))
        for name, statement in _uses("\n".join(blocks(text))):
            found.setdefault(name, Usage(page, title, statement))
    return found


def _uses(code: str) -> Iterator[tuple[str, str]]:
    """-> (a name of the package, such as jaxem.plot.starts; the statement that has it)."""
    tree = ast.parse(code)
    imported = {
        name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("jaxem")
        for name in node.names
    }
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        for node in ast.walk(statement):
            name = _name(node, imported)
            if name:
                yield name, ast.get_source_segment(code, statement) or ""


def _name(node: ast.AST, imported: dict[str, str]) -> str:
    """What a name, or one after a dot, stands for; "" where it is none of the package."""
    if isinstance(node, ast.Name):
        return "jaxem" if node.id == "jaxem" else imported.get(node.id, "")
    if isinstance(node, ast.Attribute):
        lead = _name(node.value, imported)
        return f"{lead}.{node.attr}" if lead else ""
    return ""


def example(name: str, usages: dict[str, Usage]) -> str:
    """Restructured text; "" for a name that no page uses."""
    if name not in usages:
        return ""
    page, title, code = usages[name]
    lines = [f"   {line}".rstrip() for line in code.splitlines()]
    head = f"\n.. rubric:: Example\n\nFrom :doc:`{title} </{page}>`:\n\n.. code-block:: python\n\n"
    return head + "\n".join(lines) + "\n"
