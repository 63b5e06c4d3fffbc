"""Tables of results for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = ' style="text-align: left"'


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A row for each name and its value, under a title; all of it is text, and escaped."""
    lines = [
        f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table><caption{_LEFT}>{escape(title)}</caption>{''.join(lines)}</table>"


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Cells in rows, the first row and the first cell of each heads of the others."""
    head, *others = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    for name, *cells in others:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<th{_LEFT}>{escape(name)}</th>{values}")
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
