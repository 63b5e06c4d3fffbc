"""The commands: each reads its input, does its work and returns an exit status."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

import jaxem
from jaxem import io
from jaxem.analysis.select import plan
from jaxem.cli import describe, facts, interrupts, options, outputs, report, tables
from jaxem.cli.columns import choose, family_of, matching, values
from jaxem.cli.errors import BAD_INPUT, DONE, INTERRUPTED, BadInput, needs, told
from jaxem.cli.search import Data, Outputs, search
from jaxem.cli.work import leave
from jaxem.datasets import load_faithful
from jaxem.families.gaussian.gaussian import Gaussian

_LARGEST_INT32 = 2**31 - 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def run(arguments: list[str]) -> int:
    """The exit status of a command line. Bad input is one line on stderr."""
    try:
        status = app(arguments or ["--help"], prog_name="jaxem", standalone_mode=False) or 0
    except BadInput as error:
        report.complain(str(error))
        status = BAD_INPUT
    except options.USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "jaxem"
        report.complain(f"{error.format_message().rstrip('.')}; see {command} --help")
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


def command(example: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a function a command; `example` ends its help."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        @wraps(function)
        def guarded(*args, **kwargs) -> int:
            try:
                with interrupts.heeded():
                    return function(*args, **kwargs)
            except KeyboardInterrupt:
                report.complain("interrupted: nothing more is written")
                return INTERRUPTED
            except OSError as error:  # trouble with a file is told of where it is written
                return _gone(error)

        return app.command(epilog=f"Example: {example}")(guarded)

    return register


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
    """Fit mixture models by expectation-maximization, from many starting points.

    Exit status: 0 done and converged, 1 not converged, 2 bad input, 130 interrupted.

    Compiled programs are kept in $XDG_CACHE_HOME/jaxem or ~/.cache/jaxem, to start faster the next
    time; JAX_ENABLE_COMPILATION_CACHE=false switches that off.
    """


@command("jaxem fit flowers.csv --components 1:6 -o flowers.safetensors --report flowers.png")
def fit(
    file: options.Table,
    components: options.Components,
    family: options.FamilyName = "gaussian",
    column_family: options.ColumnFamilies = None,
    response: options.Response = None,
    covariance: options.Covariances = "full",  # type: ignore[assignment]  # the parser reads it
    starts: options.Starts = 100,
    columns: options.ColumnNames = None,
    output: options.ModelOutput = None,
    pictures: options.Report = None,
    dtype: options.Precision = None,
    seed: options.Seed = 0,
    tol: options.Tolerance = 1e-6,
    max_iter: options.Iterations = 1000,
    reg_covar: options.Regularisation = 0.0,
    separator: options.Separator = None,
    header: options.Header = None,
) -> int:
    """Fit a mixture to the columns of a table, and print it.

    Of numbers a Gaussian mixture, unless --family says otherwise.

    Of several numbers of components or covariances, all are fitted, and the lowest BIC is the best.
    The components come in order of falling weight. Ctrl-C stops the fit, and prints and writes the
    best so far.
    """
    outputs.check_report(pictures)
    outputs.check({"--output": output, "--report": pictures}, [file])
    outputs.check_model(output)
    with _precision(dtype):
        with told(file):
            table = tables.read(file, separator, header)
            own = {one.column: one.family for one in column_family or ()}
            chosen = choose(table.columns, columns, family, own, response)
            kinds = [family_of(chosen, name) for name in covariance]
            if len(kinds) > len(set(kinds)):
                raise BadInput("--covariance is for Gaussian columns, and there are none")
            outputs.check_drawable(pictures, kinds[0])
            x = values(table.columns, chosen, kinds[0])
            jobs = plan(
                [
                    jaxem.Mixture(kind, k)
                    for kind in kinds
                    for k in range(components.first, components.last + 1)
                ],
                x, n_init=starts, key=jax.random.key(seed), tol=tol,
                max_iter=min(max_iter, _LARGEST_INT32), reg_covar=reg_covar,
            )  # fmt: skip
        for remark in (*table.remarks, *(f"columns left out, {why}" for why in chosen.left_out)):
            report.complain(f"{file}: {remark}")
        if not isinstance(kinds[0], Gaussian):
            report.complain(f"{file}: {report.families(chosen)}")
        data = Data(str(file), chosen.names, x, chosen.levels)
        return search(jobs, data, seed, Outputs(output, pictures))


@command("jaxem predict flowers.safetensors new.csv --keep -o labelled.csv")
def predict(
    model: options.ModelFile,
    file: options.Table,
    output: options.TableOutput = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write the columns of FILE too.")] = False,
    unseen: options.Unseen = "error",
    separator: options.Separator = None,
    header: options.Header = None,
) -> int:
    """Say of each row of a table which component it is of.

    Columns: label, probability_0, probability_1, ... and log_density (natural logarithm); with
    --keep after those of FILE, and with an underscore where a name is taken. Components are
    numbered as jaxem fit and jaxem show print them. The columns of the model are found by name.
    """
    outputs.check_table(output)
    outputs.check({"--output": output}, [model, file])
    saved = _read_model(model)
    with _precision(saved.dtype):
        with told(file):
            table = tables.read(file, separator, header)
            model_of: Any = saved.model
            like = model_of.like_x(saved.params)
            x = matching(table.columns, model_of.family, like, saved.columns, saved.levels, unseen)
            arguments = saved.model, saved.params, x
            labels = np.asarray(jaxem.predict(*arguments))
            probabilities = np.asarray(jaxem.predict_proba(*arguments))
            log_density = np.asarray(jaxem.log_prob(*arguments))
        for remark in table.remarks:
            report.complain(f"{file}: {remark}")
        found = outputs.table(
            {
                "label": labels,
                **{f"probability_{k}": column for k, column in enumerate(probabilities.T)},
                "log_density": log_density,
            }
        )
    outputs.write_table(output, outputs.beside(table.columns, found) if keep else found)
    return DONE


@command("jaxem sample flowers.safetensors -n 500 --seed 1 -o drawn.csv")
def sample(
    model: options.ModelFile,
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 1000,
    seed: options.Seed = 0,
    output: options.TableOutput = None,
) -> int:
    """Draw rows from a model.

    Columns: those that the model was fitted on, then label, the component that each row is from;
    with an underscore where that name is taken.
    """
    outputs.check_table(output)
    outputs.check({"--output": output}, [model])
    saved = _read_model(model)
    with _precision(saved.dtype), told(model):
        model_of: Any = saved.model
        if hasattr(model_of.family, "intercept"):
            raise BadInput(
                f"{model}: a regression says nothing of the columns that the response depends on: "
                "it has no rows to draw; use jaxem.sample in Python for regressors drawn anyhow"
            )
        x, labels = jaxem.sample(saved.model, saved.params, jax.random.key(seed), n)
        rows = outputs.decoded(x, _names(saved), saved.levels)
        rows = outputs.beside(rows, outputs.table({"label": np.asarray(labels)}))
    outputs.write_table(output, rows)
    return DONE


@command("jaxem show flowers.safetensors")
def show(model: options.ModelFile) -> int:
    """Print a model, and what its file says of how it was fitted."""
    saved = _read_model(model)
    names, out = _names(saved), report.output()
    with _precision(saved.dtype):
        report.say(out, f"{model}: {report.kind(saved.model)}\n")
        for part in describe.tables(saved.model, saved.params, names, saved.levels):
            out.print(part, "")
    versions = ", ".join(f"{name} {version}" for name, version in saved.versions.items())
    rows = facts.words(saved.notes) | {"dtype": saved.dtype, "written by": versions}
    out.print(report.two_columns(rows))
    return DONE


@command("jaxem demo --starts 20 --max-components 3")
def demo(
    max_components: Annotated[int, typer.Option(min=1, max=50, help="Compare 1 to so many.")] = 6,
    starts: options.Starts = 100,
    seed: options.Seed = 0,
) -> int:
    """Find by BIC how many kinds of eruption the Old Faithful geyser has."""
    x, names = load_faithful()[:2]
    with _precision(None):
        models = [jaxem.Mixture(Gaussian("full"), k) for k in range(1, max_components + 1)]
        jobs = plan(models, x, n_init=starts, key=jax.random.key(seed))
        return search(jobs, Data("Old Faithful", names, x, {}), seed, Outputs())


def _read_model(path: Path) -> io.Saved:
    needs("safetensors")
    with told():
        return io.read(path)


def _names(saved: io.Saved) -> tuple[str, ...]:
    leaves = jax.tree.leaves(saved.model.like_x(saved.params))
    d = sum(leaf.shape[1] if leaf.ndim == 2 else 1 for leaf in leaves)
    return saved.columns or tuple(f"column_{j + 1}" for j in range(d))


def _precision(dtype: str | None) -> AbstractContextManager:
    """float64 switched on or off for what is inside."""
    if dtype is None:
        dtype = "float64" if jax.default_backend() == "cpu" else "float32"
    return jax.enable_x64(dtype == "float64")
