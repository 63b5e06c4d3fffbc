"""HTML from text: every string is escaped, unless it was made here."""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

_VOID = ("img", "meta")


class Html(str):
    """Text that is HTML already."""


class Cell(NamedTuple):
    """A cell of a table: what is in it, its class, its style, and how many columns it spans."""

    content: Any
    kind: str = ""
    style: str = ""
    span: int = 1


def element(name: str, /, *content: Any, **attributes: str) -> Html:
    """<name attribute="...">content</name>; _ is - in an attribute, and nothing at its end.

    An attribute without a value is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(content: Iterable[Any]) -> Html:
    """One after another."""
    return Html("".join(own if isinstance(own, Html) else escape(str(own)) for own in content))


def with_options(text: str) -> Html:
    """The names of options as code, which is not broken between lines."""
    parts = re.split(r"(--[a-z][a-z-]*)", text)
    return joined(element("code", own) if i % 2 else own for i, own in enumerate(parts))


def paragraphs(*texts: Any) -> Html:
    """One for each that is not empty."""
    return joined(element("p", text) for text in texts if text)


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], label: str = "") -> Html:
    """A table whose first column is its names; one that is too wide is scrolled by itself."""
    first = element("tr", *(element("th", own, scope="col") for own in head))
    lines = [
        element("tr", _cell("th", row[0], scope="row"), *(_cell("td", own) for own in row[1:]))
        for row in rows
    ]
    body = element("table", element("thead", first), element("tbody", *lines))
    return element("div", body, class_="scroll", tabindex="0", role="region", aria_label=label)


def _cell(name: str, given: Any, **attributes: str) -> Html:
    cell = given if isinstance(given, Cell) else Cell(given)
    attributes["colspan"] = str(cell.span) if cell.span > 1 else ""
    return element(name, cell.content, class_=cell.kind, style=cell.style, **attributes)


def picture(figure: Any, caption: str) -> Html:
    """A figure of matplotlib with its caption, which is what a screen reader says of it."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=170)
    data = base64.b64encode(content.getvalue()).decode()
    image = element("img", src=f"data:image/png;base64,{data}", alt=caption)
    return element("figure", image, element("figcaption", caption))


def page(title: str, style: str, sections: Iterable[Html]) -> str:
    """The whole document: needs no other file, no network and no script."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    body = element("body", element("main", *sections))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
