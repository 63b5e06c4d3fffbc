"""Docstrings as they are written here -> reStructuredText.

Paragraphs are divided by empty lines. One that is indented, or all equations, is verbatim. A line
`name: text` begins an entry, which goes on until a sentence ends and the next line begins another;
so do "Errors:" and "Source:". A line "- text" begins a bullet. All else is text, whose `code` is in
single backticks.
"""

import re
from typing import Any

_NAMES = r"[A-Za-z_]\w*(?:, [A-Za-z_]\w*)*"
_ENTRY = re.compile(rf"^({_NAMES}): +(.*)", re.DOTALL)
_WITHIN = re.compile(r"(?<=[.;]) (?=(?:[a-z_]\w*(?:, [a-z_]\w*)*|Errors|Source): )")
_EQUATION = re.compile(r"^\S+( \S+){0,6} +(=|<-|~) .*[^.]$")
_HEADED = ("Errors", "Source")


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring, without common indentation, as reStructuredText."""
    out: list[str] = []
    for block in "\n".join(lines).strip("\n").split("\n\n"):
        rows = [row for row in block.split("\n") if row.strip()]
        if rows and _is_verbatim(rows):
            out += ["::", "", *("    " + row for row in rows), ""]
        else:
            for chunk in _chunks(rows):
                out += _rendered(chunk)
    return out


def _is_verbatim(rows: list[str]) -> bool:
    """Whether all rows are indented, of a table, or equations."""
    return all(
        row.startswith(("  ", "|")) or (_EQUATION.match(row) and not _is_entry(row)) for row in rows
    )


def _chunks(rows: list[str]) -> list[str]:
    """Pieces of a paragraph: entries, bullets, sentences between them."""
    chunks: list[str] = []
    for row in rows:
        row_ends = bool(chunks) and chunks[-1].endswith((".", ":"))
        is_entry = bool(_ENTRY.match(row)) and (not chunks or row_ends or _is_entry(chunks[-1]))
        after_entry = bool(chunks) and _is_entry(chunks[-1]) and row_ends and row[:1].isupper()
        if not chunks or is_entry or after_entry or row.startswith("- "):
            chunks.append(row.strip())
        else:
            chunks[-1] += " " + row.strip()
    return [part for chunk in chunks for part in _WITHIN.split(chunk)]


def _is_entry(chunk: str) -> bool:
    return bool(_ENTRY.match(chunk))


def _rendered(chunk: str) -> list[str]:
    entry = _ENTRY.match(chunk)
    if chunk.startswith("- "):
        return ["* " + inline(chunk[2:]), ""]
    if entry is None:
        return [inline(chunk), ""]
    name, text = entry.groups()
    text = re.sub(r";$", ".", text)  # of entries that share a sentence
    if name in _HEADED:
        return [f"**{name}:** {inline(text)}", ""]
    return [", ".join(f"``{one}``" for one in name.split(", ")), "    " + inline(text), ""]


def inline(text: str) -> str:
    """Text with its code marked up, and what would be markup escaped."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{part}`"
        if part.startswith("`") and len(part) > 2
        else re.sub(r"([\\*_|`])", r"\\\1", part)
        for part in parts
    )


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
