"""Pages whose code runs: what it prints and draws is put beneath it when the site is built.

`run: true` at the head of a page asks for it. A page's blocks of Python run in order, in one
namespace; the tests run those of every page.
"""

import contextlib
import io
import itertools
import re
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_RUN = re.compile(r"\A---\n(?:.*\n)*?run: true\n(?:.*\n)*?---\n")


def blocks(text: str) -> list[str]:
    """The blocks of Python of a page, in order."""
    return _BLOCK.findall(text)


def run(text: str, name: str) -> dict[str, Any]:
    """Run the blocks of a page; -> what they have defined."""
    space: dict[str, Any] = {}
    for code in blocks(text):
        exec(compile(code, name, "exec"), space)
    return space


def is_run(text: str) -> bool:
    """Whether a page shows what its code prints and draws."""
    return bool(_RUN.match(text))


def with_outputs(text: str, name: str, folder: Path) -> str:
    """The page with what each block printed and drew beneath it; pictures go into the folder."""
    space: dict[str, Any] = {}
    count, drawn = itertools.count(), []

    def shown(block: re.Match) -> str:
        stem, printed = f"{Path(name).stem}-{next(count)}", io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[1], name, "exec"), space)
        said = printed.getvalue().rstrip()
        beneath = f"\n```text\n{said}\n```\n" if said else ""
        return block[0] + beneath + _saved(figures(space, drawn), stem, folder)

    return _BLOCK.sub(shown, text)


def figures(space: dict[str, Any], drawn: list[Any]) -> list[Any]:
    """The figures that are new: pyplot's, and those that code made by itself and gave a name."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    of_pyplot = [plt.figure(number) for number in plt.get_fignums()]
    named = [value for value in space.values() if isinstance(value, Figure)]
    new = [figure for figure in dict.fromkeys(of_pyplot + named) if figure not in drawn]
    drawn += new
    plt.close("all")
    return new


def _saved(figures: list[Any], stem: str, folder: Path) -> str:
    """Save figures; -> their Markdown."""
    lines = []
    for number, figure in enumerate(figures):
        file = f"{stem}-{number}.png"
        figure.savefig(folder / file, dpi=110, bbox_inches="tight")
        lines.append(f"\n![what the code above draws]({file})\n")
    return "".join(lines)


def _read(app: Any, name: str, source: list[str]) -> None:
    if app.config.run_code and is_run(source[0]):
        import matplotlib

        matplotlib.use("agg")
        file = Path(app.srcdir) / name
        source[0] = with_outputs(source[0], name, file.parent)


def setup(app: Any) -> dict[str, bool]:
    app.add_config_value("run_code", True, "env", bool)
    app.connect("source-read", _read)
    return {"parallel_read_safe": False}
