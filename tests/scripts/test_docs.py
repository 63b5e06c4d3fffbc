"""The documentation: it builds, links lead somewhere, every public name has a page."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxem
from extensions import docstrings, examples, pages, reference, usages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "scripts" / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    command = [DOCS / "build", tmp_path / "site", "-D", "run_code=0"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = {str(path.relative_to(tmp_path / "site")) for path in tmp_path.rglob("*.html")}
    assert {str(page.relative_to(DOCS).with_suffix(".html")) for page in PAGES} <= written
    families = (tmp_path / "site/howto/families.html").read_text(encoding="utf-8")
    assert 'href="../reference/jaxem.families.Gamma.html' in families  # names are links


def test_outputs_stand_beneath_the_code(tmp_path):
    text = "# A page\n\n```python\nx = 2\nprint(x)\n```\n\nAnd\n\n```python\nx\n```\n"
    shown = pages.with_outputs(text, "a/page", tmp_path)
    assert "print(x)\n```\n\n```text\n2\n```\n" in shown and shown.count("```text") == 1


DRAWING = {
    "pyplot": "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
    "own": "from matplotlib.figure import Figure\nown = Figure()\nown.subplots().plot([1, 2])",
}


@pytest.mark.parametrize("code", DRAWING.values(), ids=DRAWING)
def test_pictures_stand_once_beneath_the_code(code, tmp_path):
    text = f"```python\n{code}\n```\n\nAnd\n\n```python\nx = 1\n```\n"
    assert pages.with_outputs(text, "a/page", tmp_path).count("](page-0-0.png)") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["page-0-0.png"]
    assert (tmp_path / "page-0-0.png").stat().st_size > 1000


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    written = {f"{name}.rst" for name in ("index", *reference.MODULES)}
    for link in re.findall(r"\]\(([^)]+)\)", _prose(page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if path.startswith("http") or (page.name == "index.md" and path == "faithful.png"):
            continue
        target = page if not path else (page.parent / path).resolve()
        if target.parent.name == "reference":
            assert target.name in written, link
            continue
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text(encoding="utf-8")), link


def _prose(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(text):
    """As GitHub and MyST make them of headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "module", [name for name in reference.MODULES if name.count(".") < 2 and "hmm" not in name]
)
def test_every_public_name_has_a_page(module, tmp_path):
    """What the __init__ file of a package exports, read as text."""
    source = inspect.getsource(sys.modules.get(module) or __import__(module, fromlist=["_"]))
    exported = {
        name.asname
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.asname and name.asname == name.name
    } - {"families", "sources"}
    reference.write(tmp_path)
    index = (tmp_path / f"{module}.rst").read_text(encoding="utf-8")
    assert exported
    for name in exported:
        assert (tmp_path / f"{module}.{name}.rst").exists() and f"   {module}.{name}\n" in index


def test_a_name_has_the_code_that_a_page_uses_it_in(tmp_path):
    used = usages.collected()
    assert "plot.bootstrap(boot" in used["jaxem.plot.bootstrap"].code
    assert used["jaxem.bootstrap"].code.startswith("boot = jaxem.bootstrap(")
    assert used["jaxem.families.Poisson"].title == "Counts, categories, responses, mixed columns"
    assert "jaxem.families.Beta" not in used and usages.example("jaxem.families.Beta", used) == ""
    assert "jaxem.diagnose" not in examples.collected()
    reference.write(tmp_path)
    page = (tmp_path / "jaxem.diagnose.rst").read_text(encoding="utf-8")
    assert "   print(jaxem.diagnose(model, start, x))\n" in page and "</howto/gradients>" in page


def test_every_public_name_has_an_example():
    """A cell of its own, or the code of a page: other tests run both."""
    own, used = examples.collected(), usages.collected()
    public = {f"{of}.{name}" for of in reference.MODULES for name in reference.public(of)}
    assert not sorted(public - set(own) - set(used))
    assert not sorted(set(own) - public)


@pytest.mark.slow(but=("extending",))
@pytest.mark.parametrize("path", examples.files(), ids=lambda path: path.stem)
def test_examples_run_and_use_what_they_are_of(path):
    """Each name is in the code, or the type of what the code has made."""
    for example in examples.of_file(path):
        space = examples.run(example).space
        made = {type(value).__name__ for value in space.values()}
        for name in example.names:
            last = name.rpartition(".")[2]
            assert last in made or re.search(rf"\b{last}\b", example.code), name


def test_an_example_stands_with_what_it_printed_and_drew(tmp_path):
    code = "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nprint(1)\nprint(2)"
    example = examples.Example(("jaxem.fit",), code)
    shown = examples.shown(example, tmp_path, True)
    assert shown.count("code-block:: text\n\n   1\n   2\n") == 1
    assert ".. image:: jaxem.fit-0.png\n" in shown
    assert (tmp_path / "jaxem.fit-0.png").stat().st_size > 1000
    assert "code-block:: text" not in examples.shown(example, tmp_path, False)


def test_every_family_is_in_the_table():
    from jaxem import families
    from jaxem.core.contracts import Family

    table = reference.family_table()
    for name, value in vars(families).items():
        if inspect.isclass(value) and issubclass(value, Family):
            assert f"| `families.{name}` |" in table
    (censored,) = (line for line in table.splitlines() if "CensoredExponential" in line)
    assert "rates (k, d)" in censored and table.count("| yours |") == 1


def test_docstrings_become_restructured_text():
    given = """Fit it by `f(x)`, as x_ is.

            a = b * c

        p(x) = sum_k w[k],  k < 3

        x: (n, d) rows; None
            for none. z: (n,) labels.
        tol, max_iter: as *there*.
        The rest is said by Fit.
        Errors: ValueError. Source: A (1977).
    """
    text = "\n".join(docstrings.restructured(inspect.cleandoc(given).split("\n")))
    assert text.startswith("Fit it by ``f(x)``, as x\\_ is.\n\n::\n\n        a = b * c\n")
    assert "\n::\n\n    p(x) = sum_k w[k],  k < 3\n" in text
    assert "``x``\n    (n, d) rows; None for none.\n" in text
    assert "``z``\n    (n,) labels.\n" in text
    assert "``tol``, ``max_iter``\n    as \\*there\\*.\n\nThe rest is said by Fit.\n" in text
    assert "**Errors:** ValueError.\n" in text and "**Source:** A (1977).\n" in text


def test_every_status_is_explained():
    told = (DOCS / "statuses.md").read_text(encoding="utf-8")
    assert all(f"| `{status.name}` |" in told for status in jaxem.Status)


def test_the_version_is_one():
    version = re.escape(jaxem.__version__)
    assert re.search(rf"^version: {version}$", (DOCS / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (.+)$", (DOCS / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == jaxem.__version__
