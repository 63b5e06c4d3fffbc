"""Tables of results for notebooks."""

from collections.abc import Iterable
from html import escape

_LEFT = ' style="text-align: left"'


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A row for each name and its value, under a title; all of it is text, and escaped."""
    lines = [
        f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table><caption{_LEFT}>{escape(title)}</caption>{''.join(lines)}</table>"
