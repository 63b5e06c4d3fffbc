"""What is wrong with the words of a command line, in a line that says what to do."""

import re
from collections.abc import Sequence
from typing import Any

from jaxem.cli.errors import suggestion

# The parser speaks of input that is checked; a person gave words.
_PLAIN = (
    ("Value error, ", ""),
    (r"Input should be a valid integer.*", "it must be a whole number"),
    (r"Input should be a valid number.*", "it must be a number"),
    (r"Input should be greater than or equal to ", "it must be at least "),
    (r"Input should be less than or equal to ", "it must be at most "),
    (r"Input should be ", "it must be "),
)


def complaint(error: Any, arguments: Sequence[str], commands: Sequence[str]) -> str:
    """Of what the parser raised, and where to read on."""
    text = _said(error)
    own = arguments[0] if arguments and arguments[0] in commands else ""
    place = error.ctx.command_path if error.ctx else f"jaxem {own}".strip()
    return f"{text}{' ' if text.endswith('?') else '; '}see {place} --help"


def _said(error: Any) -> str:
    near = getattr(error, "possibilities", None)
    if near is not None:  # an option that there is not
        likely = suggestion(error.option_name, near).rstrip()
        return f"No such option: {error.option_name}{likely and '; '}{likely}"
    text = error.format_message().rstrip(".")
    for form, plain in _PLAIN:
        text = re.sub(form, plain, text)
    return text
