"""Exit statuses, and bad input: one line on stderr that says what, where and what to do."""

import difflib
import importlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import jax
import pyarrow as pa

from jaxem.fitting import termination

DONE, NOT_CONVERGED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit status
TERMINATED = termination.STATUS

_MEMORY = "does not fit in memory; take fewer rows, --starts or --components, or --dtype float32"


class BadInput(ValueError):
    """Something a person gave cannot be used; the text is the line to show."""


@contextmanager
def as_bad_input(about: object = "") -> Iterator[None]:
    """What the library complains of as BadInput, after `about` where that is not empty."""
    lead = f"{about}: " if str(about) else ""
    try:
        yield
    except BadInput:
        raise
    except MemoryError:
        raise BadInput(f"{lead}{_MEMORY}") from None
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise BadInput(f"{lead}{_MEMORY}") from None
    except (ValueError, OSError, pa.ArrowException) as error:
        raise BadInput(lead + in_options(" ".join(str(error).split()))) from None


def needs(package: str) -> None:
    """ModuleNotFoundError, which `main` tells, before any work is done."""
    importlib.import_module(package)


def in_options(text: str) -> str:
    """A message of the library in the words of the command line."""
    text = re.sub(r"^x has", "the table has", text).replace("n_init", "--starts")
    return re.sub(
        r"\b(max_iter|tol|reg_covar|trim|max_eigenvalue_ratio|edges)\b",
        lambda name: "--" + name[0].replace("_", "-"),
        text,
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question after the nearest known name, with a space to go on; "" where none is near."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]!r}? " if near else ""
