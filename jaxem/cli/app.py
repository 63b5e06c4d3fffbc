"""The commands. Each reads its input, runs the fit in pieces and returns an exit status."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import typer

import jaxem
from jaxem.cli import progress, report, tables
from jaxem.cli.columns import choose, suggestion
from jaxem.cli.demo import compare
from jaxem.families.gaussian.gaussian import STRUCTURES, Gaussian
from jaxem.fitting.fit import prepare

_LARGEST_INT32 = 2**31 - 1

# The base of all complaints about arguments: click's, or that of the copy that typer now carries.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


def _known_covariance(name: str) -> str:
    if name not in STRUCTURES:
        near = suggestion(name, STRUCTURES)
        raise typer.BadParameter(f"{name!r}; {near}it is one of {', '.join(STRUCTURES)}")
    return name


def _one_character(separator: str | None) -> str | None:
    try:
        return None if separator is None else tables.delimiter(separator)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Components = Annotated[int, typer.Option(min=1, help="Number of components.")]
Covariances = Annotated[
    str, typer.Option(help=f"One of {', '.join(STRUCTURES)}.", callback=_known_covariance)
]
Starts = Annotated[int, typer.Option(min=1, help="Starting points; the best regular one is kept.")]
Names = Annotated[
    str | None, typer.Option(help="Names between commas; without it, every numeric column.")
]
Precision = Annotated[
    Literal["float64", "float32"] | None,
    typer.Option(help="Without it, float64 on a CPU and float32 on an accelerator."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed, the same fit.")]
Tolerance = Annotated[
    float, typer.Option(min=0, help="Stop when less log-likelihood per row is left to gain.")
]
Iterations = Annotated[int, typer.Option(min=0, help="The most a start may take.")]
Regularisation = Annotated[float, typer.Option(min=0, help="Variance added to every covariance.")]
Separator = Annotated[
    str | None,
    typer.Option(
        help="What separates the columns of a text file; the word tab is a tab.",
        callback=_one_character,
    ),
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run(arguments: list[str]) -> int:
    """The exit status of a command line. Bad input is one line on stderr."""
    try:
        return app(arguments or ["--help"], prog_name="jaxem", standalone_mode=False) or 0
    except _USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "jaxem"
        report.complain(f"{error.format_message().rstrip('.')}; see {command} --help")
        return report.BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return report.INTERRUPTED


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

    Exit status: 0 converged, 1 not converged, 2 bad input, 130 interrupted.
    """


@app.command(epilog="Example: jaxem fit flowers.csv --components 3 --columns width,height")
def fit(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, Parquet, Arrow or Feather file.")],
    components: Components,
    covariance: Covariances = "full",
    starts: Starts = 100,
    columns: Names = None,
    dtype: Precision = None,
    seed: Seed = 0,
    tol: Tolerance = 1e-6,
    max_iter: Iterations = 1000,
    reg_covar: Regularisation = 0.0,
    separator: Separator = None,
) -> int:
    """Fit a Gaussian mixture to the numeric columns of a table, and print it.

    The components come in order of falling weight. Ctrl-C stops the fit and prints the best so far.
    """
    with _precision(dtype):
        try:
            chosen = choose(tables.read(file, separator), columns)
            job = prepare(
                jaxem.Mixture(Gaussian(covariance), components), chosen.x, init="portfolio",
                n_init=starts, key=jax.random.key(seed), tol=tol,
                max_iter=min(max_iter, _LARGEST_INT32), reg_covar=reg_covar,
            )  # fmt: skip
        except MemoryError:
            report.complain(f"{file}: the fit does not fit in memory; take fewer --starts")
            return report.BAD_INPUT
        except ValueError as error:
            report.complain(f"{file}: {report.in_options(str(error))}")
            return report.BAD_INPUT
        for reason in chosen.left_out:
            report.complain(f"{file}: columns left out, {reason}")
        try:
            with progress.live(report.errors(), f"k = {components}") as line:
                done = progress.run(job, line)
        except KeyboardInterrupt:
            report.complain("interrupted: there is nothing to show")
            progress.leave(report.INTERRUPTED)
        return report.conclude(done, chosen.names, str(file))


@app.command(epilog="Example: jaxem demo --starts 20 --max-components 3")
def demo(
    max_components: Annotated[int, typer.Option(min=1, max=50, help="Compare 1 to so many.")] = 6,
    starts: Starts = 100,
    seed: Seed = 0,
) -> int:
    """Find by BIC how many kinds of eruption the Old Faithful geyser has."""
    with _precision(None):
        return compare(max_components, starts, seed)


def _precision(dtype: str | None) -> AbstractContextManager:
    """float64 switched on or off for what is inside."""
    if dtype is None:
        dtype = "float64" if jax.default_backend() == "cpu" else "float32"
    return jax.enable_x64(dtype == "float64")
