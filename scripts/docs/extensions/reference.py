"""A page for every public name, and the table of families, from the package itself."""

import enum
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from extensions import examples, usages
from extensions.docstrings import inline, restructured

MODULES = {
    "jaxem": "Models, fits, and what is done with them",
    "jaxem.families": "Component distributions",
    "jaxem.plot": "Pictures",
    "jaxem.sources": "Data larger than memory",
    "jaxem.datasets": "Bundled data",
    "jaxem.sklearn": "The estimator for scikit-learn, and conversion",
    "jaxem.hmmlearn": "Conversion from and to hmmlearn",
    "jaxem.core.contracts": "For extending: the contracts of families and models",
    "jaxem.core.constraints": "For extending: where parameters may lie",
    "jaxem.fitting.restarts": "The starts of a fit, `result.restarts`",
    "jaxem.fitting.optima": "The optima of a fit, `result.restarts.optima`",
}
_VALUES = {"jaxem.fitting.restarts": ("Restarts",), "jaxem.fitting.optima": ("Optima",)}
_SECTIONS = {  # of the names of `jaxem`, by where they come from
    "jaxem.models": "Models",
    "jaxem.fitting": "Fitting",
    "jaxem.analysis": "What is done with a fit",
    "jaxem.core": "Data and statuses",
    "jaxem.io": "Files",
}


def public(module: str) -> list[str]:
    """The public classes and functions of a module, in alphabetical order."""
    if module in _VALUES:
        return list(_VALUES[module])
    of = importlib.import_module(module)
    names = [name for name in vars(of) if name[0] != "_" and _is_ours(getattr(of, name), module)]
    return sorted(names, key=str.lower)


def _is_ours(value: Any, module: str) -> bool:
    origin = getattr(value, "__module__", "") or ""
    if not (inspect.isclass(value) or inspect.isfunction(value)) or not origin.startswith("jaxem"):
        return False
    if module == "jaxem.hmmlearn":  # one file, with its imports and helpers
        return inspect.isfunction(value) and origin == module
    return module != "jaxem.core.constraints" or origin == module


def write(folder: Path, run: bool = False) -> None:
    """Write the pages of the reference into a folder; run: with what the examples print."""
    folder.mkdir(exist_ok=True)
    example = _examples(folder, run)
    _page(folder / "index.rst", "Reference", _index())
    for module, title in MODULES.items():
        names = public(module)
        _page(folder / f"{module}.rst", f"``{module}``", _module(module, title, names))
        for name in names:
            text = _symbol(module, name) + example(f"{module}.{name}")
            _page(folder / f"{module}.{name}.rst", name, text)


def _examples(folder: Path, run: bool) -> Callable[[str], str]:
    """-> from a name to its example: one of its own, else the code of a page that uses it."""
    own, used = examples.collected(), usages.collected()

    def of(name: str) -> str:
        return examples.shown(own[name], folder, run) if name in own else usages.example(name, used)

    return of


def _index() -> str:
    entries = "\n".join(f"   {module}" for module in MODULES)
    rows = [
        f"   * - :doc:`{module} <{module}>`\n     - {inline(title)}"
        for module, title in MODULES.items()
    ]
    table = "\n".join([".. list-table::", "   :widths: 30 70", "", *rows])
    return f"{table}\n\n.. toctree::\n   :hidden:\n\n{entries}\n"


def _page(path: Path, title: str, text: str) -> None:
    path.write_text(f"{title}\n{'=' * len(title)}\n\n{text}", encoding="utf-8")


def _module(module: str, title: str, names: list[str]) -> str:
    toctree = "\n".join(f"   {module}.{name}" for name in names)
    about = inspect.cleandoc(importlib.import_module(module).__doc__ or "").split("\n")
    text = "" if module in ("jaxem", *_VALUES) else "\n".join(restructured(about))
    tables = "\n".join(_tables(module, names))
    return f"{inline(title)}.\n\n{text}\n{tables}\n.. toctree::\n   :hidden:\n\n{toctree}\n"


def _tables(module: str, names: list[str]) -> list[str]:
    if module != "jaxem":
        return _table(module, names)
    of = importlib.import_module(module)
    rows: list[str] = []
    for origin, title in _SECTIONS.items():
        here = [name for name in names if getattr(of, name).__module__.startswith(origin)]
        rows += [title, "-" * len(title), "", *_table(module, here)]
    return rows


def _table(module: str, names: list[str]) -> list[str]:
    rows = [".. list-table::", "   :widths: 30 70", ""]
    for name in names:
        rows.append(f"   * - :doc:`{name} <{module}.{name}>`")
        rows.append(f"     - {inline(first_sentence(_of(module, name)))}")
    return [*rows, ""]


def _symbol(module: str, name: str) -> str:
    value = _of(module, name)
    if inspect.isfunction(value):
        return f".. autofunction:: {module}.{name}\n"
    members = ", ".join(_members(value))
    listed = f"   :members: {members}\n   :undoc-members:\n" if members else ""
    return f".. autoclass:: {module}.{name}\n{listed}\n{_of_the_file(module, value)}"


def _of_the_file(module: str, value: Any) -> str:
    """A family's file begins with its equations."""
    from jaxem.core.contracts import Family

    if module != "jaxem.families" or not issubclass(value, Family):
        return ""
    about = inspect.getdoc(importlib.import_module(value.__module__)) or ""
    title, _, rest = about.partition("\n\n")
    lines = [".. rubric:: Equations", "", inline(title), "", *restructured(rest.split("\n"))]
    return "\n".join(lines) + "\n"


def _members(value: type) -> list[str]:
    """Its own methods and properties; those of a contract are told there alone."""
    from jaxem.core.contracts import Family, Model

    if issubclass(value, enum.Enum):
        return [member.name for member in value] + ["message", "converged"]
    if issubclass(value, Family | Model) and not inspect.isabstract(value):
        return []
    fields = getattr(value, "_fields", ())
    kinds = (property, staticmethod, classmethod)
    return [
        name
        for name, member in vars(value).items()
        if name[0] != "_"
        and name not in fields
        and (inspect.isfunction(member) or isinstance(member, kinds))
    ]


def _of(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def first_sentence(value: Any) -> str:
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[^ .]\.) (?=[A-Zx`])", text)[0]


_OWN = {"Density": "yours", "Product": "a dict of those of its blocks"}  # of no one kind


def family_table() -> str:
    """A Markdown table: each family, what its rows are, and its parameters."""
    from jaxem import families
    from jaxem.core.contracts import Family

    rows = ["| family | rows | parameters |", "|---|---|---|"]
    for name in public("jaxem.families"):
        family = getattr(families, name)
        if issubclass(family, Family):
            params = getattr(families, f"{name}Params", type(getattr(family, "constraints", None)))
            told = _OWN.get(name) or first_sentence(params)
            rows.append(f"| `families.{name}` | {first_sentence(family)} | {told} |")
    return "\n".join(rows)


def _write(app: Any) -> None:
    write(Path(app.srcdir) / "reference", app.config.run_code)


def _read(app: Any, name: str, source: list[str]) -> None:
    mark = "<!-- families -->"
    if mark in source[0]:
        source[0] = source[0].replace(mark, family_table())


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
