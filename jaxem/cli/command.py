"""What all commands share: how they are run, what ends them, and the files they begin with."""

import inspect
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import jax
import typer

import jaxem
from jaxem import io
from jaxem.cli import interrupts, options, report, usage
from jaxem.cli.background_fit import leave
from jaxem.cli.cells import n_columns
from jaxem.cli.errors import (
    BAD_INPUT,
    DONE,
    INTERRUPTED,
    TERMINATED,
    BadInput,
    as_bad_input,
    in_options,
    needs,
)
from jaxem.cli.options import CommandLine
from jaxem.core import emissions
from jaxem.fitting.termination import Terminated
from jaxem.models import HMM

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def run(arguments: list[str]) -> int:
    """The exit status of a command line. Bad input is one line on stderr."""
    try:
        words = arguments or ["--help"]
        status = app(words, prog_name="jaxem", standalone_mode=False, obj=words) or 0
    except BadInput as error:
        report.complain(str(error))
        status = BAD_INPUT
    except options.USAGE_ERROR as error:
        names = [own.name or "" for own in app.registered_commands]
        report.complain(usage.complaint(error, arguments, names))
        status = BAD_INPUT
    leave(status)
    return status


def _gone(error: OSError) -> int:
    """The exit status where the standard output takes no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to flush goes nowhere
    if isinstance(error, BrokenPipeError):
        return DONE
    report.complain(f"the standard output cannot be written ({error.strerror})")
    return BAD_INPUT


def _told(message: Warning | str, *_: object) -> None:
    """What the library warns of, as one line."""
    report.complain(in_options(str(message)))


def command(example: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a function a command; `example` ends its help."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        @wraps(function)
        def guarded(**given) -> int:
            try:
                with interrupts.heeded(), warnings.catch_warnings():
                    warnings.showwarning = _told
                    return function(**_grouped(function, given))
            except KeyboardInterrupt:
                report.complain("interrupted: nothing more is written")
                return INTERRUPTED
            except Terminated as end:
                report.complain(f"{end.path}: keeps the fit; the same command goes on from there")
                return TERMINATED
            except OSError as error:  # trouble with a file is told of where it is written
                return _gone(error)

        parameters = _parameters(function)
        guarded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        guarded.__annotations__ = {own.name: own.annotation for own in parameters}
        name = function.__name__.replace("_", "-")
        return app.command(name, epilog=f"Example: {example}")(guarded)

    return register


def _parameters(function: Callable[..., int]) -> list[inspect.Parameter]:
    """Of a command, with the fields of the options that it shares with others."""
    each = inspect.signature(function).parameters.values()
    flat = [
        own
        for given in each
        for own in (
            inspect.signature(given.annotation).parameters.values()
            if given.annotation in options.SHARED
            else [given]
        )
    ]
    return [
        own.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=typer.Context if own.annotation is CommandLine else own.annotation,
        )
        for own in flat
    ]


def _grouped(function: Callable[..., int], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command: those that it shares put together again, and its words."""
    for own in inspect.signature(function).parameters.values():
        if own.annotation is CommandLine:
            given[own.name] = CommandLine(given[own.name].obj)
        elif own.annotation in options.SHARED:
            shared: Any = own.annotation
            given[own.name] = shared(**{name: given.pop(name) for name in shared._fields})
    return given


def _print_version(wanted: bool) -> bool:
    if wanted:
        report.output().print(f"jaxem {jaxem.__version__}")
        raise typer.Exit
    return wanted


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
]


@app.callback(epilog="Example: jaxem demo")
def top(version: Version = False) -> None:
    """Fit mixtures and hidden Markov models by expectation-maximization, from many starts.

    Exit status: 0 done and converged, 1 not converged, 2 bad input, 130 interrupted, 143 ended by
    SIGTERM.

    Compiled programs are kept in $XDG_CACHE_HOME/jaxem or ~/.cache/jaxem, to start faster the next
    time; JAX_ENABLE_COMPILATION_CACHE=false switches that off.
    """


def read_model(path: Path, chain: bool | None = None) -> io.Saved:
    """chain: whether it is to be a hidden Markov model; None takes any."""
    needs("safetensors")
    with as_bad_input():
        saved = io.read(path)
    if chain is not None and isinstance(saved.model, HMM) != chain:
        what, command = (
            ("a mixture", "jaxem predict") if chain else ("a hidden Markov model", "jaxem decode")
        )
        raise BadInput(f"{path}: is {what}; use {command}")
    return saved


def names_of(saved: io.Saved) -> tuple[str, ...]:
    d = n_columns(emissions.like_x(saved.model, saved.params)) + saved.model.n_covariates
    return saved.columns or tuple(f"column_{j + 1}" for j in range(d))


def precision(dtype: str | None) -> AbstractContextManager:
    """float64 switched on or off for what is inside."""
    if dtype is None:
        dtype = "float64" if jax.default_backend() == "cpu" else "float32"
    return jax.enable_x64(dtype == "float64")
