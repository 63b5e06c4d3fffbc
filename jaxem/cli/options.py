"""What the options of the commands are: their types, their help, and how their text is read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from jaxem.cli import time_steps
from jaxem.cli.column_types import AUTO, KINDS
from jaxem.cli.errors import suggestion
from jaxem.cli.time_steps import Step
from jaxem.families.binned_normal import BinnedNormal
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.structures import FOUR, FOURTEEN, STRUCTURES
from jaxem.families.student_t import StudentT
from jaxem.families.student_t.degrees_of_freedom import LEAST, MOST

# The base of all complaints about arguments: click's, or that of the copy that typer now carries.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


class Counts(NamedTuple):
    """Numbers of components, from `first` to `last`."""

    first: int
    last: int


class Assignment(NamedTuple):
    """A column and the family that it is of."""

    column: str
    family: str


class Side(NamedTuple):
    """A censored column, and that which tells its limits."""

    column: str
    side: str


class Names(tuple):
    """Names of covariance structures, each once."""


_STRUCTURES: dict[str, tuple[Covariance, ...]] = {
    **{name: (of,) for name, of in FOUR.items()},
    "all": tuple(FOUR.values()),
    "all14": tuple(FOURTEEN.values()),
    **{name: (of,) for name, of in STRUCTURES.items()},
}


def _counts_of(part: str, model: str) -> Callable[[str], Counts]:
    def counts(text: str) -> Counts:
        first, colon, last = str(text).partition(":")
        try:
            found = Counts(int(first), int(last if colon else first))
        except ValueError:
            raise typer.BadParameter(
                f"{text!r}; give a number of {part}s, such as 3, or a range, such as 1:8"
            ) from None
        if found.first < 1:
            raise typer.BadParameter(f"{text!r}; {model} has at least 1 {part}")
        if found.last < found.first:
            raise typer.BadParameter(f"{text!r} is empty; give {found.last}:{found.first}")
        return found

    return counts


def _starts(text: Any) -> Any:
    """A number, or "auto"."""
    if text == "auto":
        return text
    try:
        found = int(str(text))
    except ValueError:
        found = 0
    if found < 1:
        raise typer.BadParameter(f"{text!r}; give a number of starts from 1, or auto")
    return found


_BYTES = {"kb": 10, "mb": 20, "gb": 30, "tb": 40}


def _memory(text: str) -> int:
    number, unit = text.strip()[:-2], text.strip()[-2:].lower()
    try:
        found = int(float(number) * (1 << _BYTES[unit]))
    except (ValueError, KeyError, OverflowError):
        found = -1
    if found < 0:
        raise typer.BadParameter(f"{text!r}; give a size such as 500MB or 4GB")
    return found


class Share(NamedTuple):
    """The i-th of n shares, i from 0."""

    i: int
    n: int


def _share(text: str) -> Share:
    i, slash, n = str(text).partition("/")
    if not (slash and i.strip().isdecimal() and n.strip().isdecimal() and int(i) < int(n)):
        raise typer.BadParameter(f"{text!r}; give which of how many, from 0, such as 0/4")
    return Share(int(i), int(n))


def _one_of(name: str, known: Sequence[str]) -> str:
    if name not in known:
        near = suggestion(name, known)
        raise typer.BadParameter(f"{name!r}; {near}it is one of {', '.join(known)}")
    return name


def _structures(text: str) -> Names:
    names = [_one_of(name.strip(), tuple(_STRUCTURES)) for name in text.split(",")]
    return Names(dict.fromkeys(of.name for name in names for of in _STRUCTURES[name]))


def _family(text: str) -> str:
    return _one_of(text.strip().lower(), (*KINDS, AUTO))


def _degrees_of_freedom(text: str) -> Any:
    text = text.strip()
    try:
        return StudentT("full", text if text.isalpha() else float(text)).degrees_of_freedom
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; give a number from {LEAST:g} to {MOST:g}, or shared"
        ) from None


def _edges(text: str) -> tuple[float, ...]:
    try:
        return BinnedNormal(tuple(map(float, text.split(",")))).edges
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; give three numbers or more that increase, such as 0,10,20,inf"
        ) from None


def _trials(text: str) -> Any:
    """A number, or the name of a column."""
    text = text.strip()
    if not text.isdecimal():
        return text
    if int(text) < 1:
        raise typer.BadParameter(f"{text!r}; give a number of trials from 1, or a column of them")
    return int(text)


def _side(text: str) -> Side:
    column, equals, side = text.partition("=")
    if not (column and equals and side):
        raise typer.BadParameter(
            f"{text!r}; give a column and that of its limits, such as lead=lead_limit"
        )
    return Side(column.strip(), side.strip())


def _assignment(text: str) -> Assignment:
    name, equals, family = text.rpartition("=")
    if not (name and equals):
        raise typer.BadParameter(
            f"{text!r}; give a column and a family, such as colour=categorical"
        )
    kind = _family(family)
    if kind == AUTO:
        raise typer.BadParameter(f"{text!r}; name the family: one of {', '.join(KINDS)}")
    return Assignment(name.strip(), kind)


def _step(text: str) -> Step | str:
    """ "" for no step, where a model file names one."""
    try:
        return time_steps.parse(text) if text.strip() else ""
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _one_character(separator: str | None) -> str | None:
    if separator in ("\\t", "tab"):
        return "\t"
    if separator is not None and (
        len(separator) != 1 or not separator.isascii() or separator in '\r\n"'
    ):
        raise typer.BadParameter(f"{separator!r}; give one character, such as ';', or the word tab")
    return separator


_TABLE_FILE = "A CSV, TSV, Parquet, Arrow or Feather file, or - for a CSV on the standard input."
Table = Annotated[Path, typer.Argument(help=_TABLE_FILE, show_default=False)]
_TABLES = (
    "A CSV, TSV, Parquet, Arrow or Feather file, or a pattern of Parquet files in quotes, "
    "'rows/*.parquet', or - for a CSV on the standard input."
)
Tables = Annotated[Path, typer.Argument(help=_TABLES, show_default=False)]
_MEMORY = (
    "Read Parquet files block by block if they are larger, such as 4GB; default: half of what is "
    "free."
)
_CHECKPOINT = "Keep the fit in this file, and go on from there when it is begun again."
_DISTRIBUTED = (
    "Share the rows of Parquet files with the other processes that run this command: by srun, "
    "mpirun or the like, or by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."
)
Distributed = Annotated[bool, typer.Option("--distributed", help=_DISTRIBUTED)]
Memory = Annotated[int | None, typer.Option(parser=_memory, metavar="SIZE", help=_MEMORY)]
_SHARE = (
    "Read one of N shares of the rows of Parquet files, the first of which is 0/N: OUTPUT is a "
    "folder, which the files of all shares, part-00000-of-0000N.parquet and so on, go to."
)
ShareOf = Annotated[
    Any, typer.Option("--share", parser=_share, metavar="I/N", show_default=False, help=_SHARE)
]
Checkpoint = Annotated[Path | None, typer.Option(help=_CHECKPOINT)]
ModelFile = Annotated[Path, typer.Argument(help="A file that jaxem fit -o or jaxem.save wrote.")]
_COMPONENTS: dict[str, Any] = {
    "parser": _counts_of("component", "a mixture"),
    "metavar": "K|FROM:TO",
    "help": "Number of components, or a range, 1:8: 1 to 8.",
}
_NOISE = "Add a component that is spread evenly over the range of the data, for outliers."
Noise = Annotated[bool, typer.Option("--noise", help=_NOISE)]
Components = Annotated[Counts, typer.Option(**_COMPONENTS)]
FewComponents = Annotated[Counts | None, typer.Option(show_default="1:4", **_COMPONENTS)]
FEW = Counts(1, 4)
_STATES = "Number of states, or a range, 2:4: 2 to 4."
States = Annotated[
    Counts, typer.Option(parser=_counts_of("state", "a chain"), metavar="K|FROM:TO", help=_STATES)
]
Initial = Annotated[
    Literal["free", "stationary"],
    typer.Option(help="The law of the first state: free, or that which the chain stays in."),
]
Transitions = Annotated[
    Literal["full", "left-right", "cyclic"],
    typer.Option(help="From each state to all; never back; or to the next alone, or stay."),
]
_FAMILY = (
    f"What the columns are: {', '.join(KINDS)}; or auto, a family for each column by its type, "
    "which is printed. With --response what the response is: gaussian, poisson, bernoulli."
)
FamilyName = Annotated[str, typer.Option(parser=_family, metavar="NAME", help=_FAMILY)]
_CONCOMITANTS = (
    "Columns that the weights of the components depend on, names between commas: of numbers, or of "
    "text with two values."
)
Concomitants = Annotated[str | None, typer.Option(metavar="COLUMNS", help=_CONCOMITANTS)]
Response = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Fit a mixture of regressions of this column on others."),
]
Unseen = Annotated[
    Literal["error", "missing"],
    typer.Option(help="What a category is that the model was not fitted on."),
]
_MISSING = "Missing cells: fit their rows by what is there, drop their rows, or an error."
Missing = Annotated[Literal["fit", "drop", "error"], typer.Option("--missing", help=_MISSING)]
_STARTS = (
    "Starting points; the best regular one is kept. auto: until few better optima are to be "
    "expected, at most 240."
)
Starts = Annotated[Any, typer.Option(parser=_starts, metavar="N|auto", help=_STARTS)]
NumberOfStarts = Annotated[
    int, typer.Option("--starts", min=1, help="Starting points; the best regular one is kept.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed, the same result.")]
_ERRORS = (
    "Print standard errors and 95 % intervals of the parameters, by the observed information, or "
    "by 1000 refits to rows drawn with replacement."
)
StandardErrors = Annotated[Literal["observed", "bootstrap"] | None, typer.Option(help=_ERRORS)]
_MODEL = "Write the model to this file, for jaxem predict and sample."
ModelOutput = Annotated[Path | None, typer.Option("--output", "-o", help=_MODEL)]
_REPORT = (
    "Write a report to this file: .html for a page that tells what was found and what to do next, "
    ".png or .pdf for pictures alone; give it twice for both."
)
ReportOutput = Annotated[list[Path] | None, typer.Option("--report", help=_REPORT)]
_TABLE = "A .csv, .tsv, .parquet or .arrow file; without it, CSV on the standard output."
TableOutput = Annotated[Path | None, typer.Option("--output", "-o", help=_TABLE)]
KeepColumns = Annotated[bool, typer.Option("--keep", help="Write the columns of FILE too.")]


class CommandLine(tuple):
    """The words that a command was asked for with."""


# ---- options that several commands share; `command` sets their fields among those of a command

_SEPARATOR = (
    "What separates the columns of a text file; without it a tab or a semicolon, where the first "
    "line has one, else a comma. The word tab is a tab."
)
_HEADER = (
    "Whether the first row of a text file holds names, as it usually does; where it does not, the "
    "columns are called column_1, column_2, ..."
)


class ReadOptions(NamedTuple):
    """How a file of text is read."""

    separator: Annotated[str | None, typer.Option(help=_SEPARATOR, callback=_one_character)] = None
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help=_HEADER, show_default=False)
    ] = None


_COVARIANCE = (
    f"One of {', '.join(FOUR)} or of mclust's {', '.join(FOURTEEN)}; several between commas; "
    "all for the first four, all14 for those of mclust."
)
_DEGREES_OF_FREEDOM = (
    "Of student-t columns: a number, or shared for one that is estimated for all components; "
    "without it, one is estimated for each."
)
_FACTORS = "Of factor-analyzer columns: how many factors; without it 2."
_LOW = "Of truncated columns: the number below which no row is seen; without it there is none."
_HIGH = "Of truncated columns: the number above which no row is seen; without it there is none."
_EDGES = (
    "Of binned-normal columns, whose cells are numbers of bins from 0: the edges of the bins, "
    "between commas, such as -inf,0,1,2,inf."
)
_TRIALS = "Of binomial columns: the column of the numbers of trials, or one number for all rows."
_SIDE = (
    "Of a censored column: the column that tells its limits, by = or 0 (or an empty cell) where "
    "the number is known, < or -1 where it is below that number, > or 1 where above; for each of "
    "several."
)
_COLUMN_FAMILY = "The family of one column; may be given for several."
_COLUMNS = (
    "Names between commas, a name with a comma in double quotes; without it, every column that is "
    "not constant and fits its family."
)


class ColumnOptions(NamedTuple):
    """Which columns are fitted, and how."""

    column_family: Annotated[
        list[Assignment] | None,
        typer.Option(parser=_assignment, metavar="COLUMN=NAME", help=_COLUMN_FAMILY),
    ] = None
    covariance: Annotated[
        Names, typer.Option(parser=_structures, metavar="NAME", help=_COVARIANCE)
    ] = "full"  # type: ignore[assignment]  # the parser reads it
    columns: Annotated[str | None, typer.Option(help=_COLUMNS)] = None
    degrees_of_freedom: Annotated[
        Any, typer.Option(parser=_degrees_of_freedom, metavar="NUMBER", help=_DEGREES_OF_FREEDOM)
    ] = None
    factors: Annotated[int | None, typer.Option(min=1, help=_FACTORS)] = None
    low: Annotated[float | None, typer.Option(help=_LOW)] = None
    high: Annotated[float | None, typer.Option(help=_HIGH)] = None
    edges: Annotated[Any, typer.Option(parser=_edges, metavar="NUMBERS", help=_EDGES)] = None
    trials: Annotated[Any, typer.Option(parser=_trials, metavar="COLUMN|NUMBER", help=_TRIALS)] = (
        None
    )
    side: Annotated[
        list[Side] | None, typer.Option(parser=_side, metavar="COLUMN=LIMITS", help=_SIDE)
    ] = None


_GROUP = "The column whose values tell the sequences apart."
_ORDER = (
    "The column, of numbers or dates, in whose order the rows follow each other; without it, the "
    "order of the file."
)
_STEP = (
    "How far a step is by the column of --order-by: 1, or of dates and times 15min, 1h or 1D. "
    "Where rows are further apart, the steps between are not observed; without it, every row is "
    "the step after the row before."
)


class SequenceOptions(NamedTuple):
    """How the rows of a table are sequences; "" for not at all, where a model file says how."""

    group_by: Annotated[str | None, typer.Option(metavar="COLUMN", help=_GROUP)] = None
    order_by: Annotated[str | None, typer.Option(metavar="COLUMN", help=_ORDER)] = None
    step: Annotated[Any, typer.Option(parser=_step, metavar="SIZE", help=_STEP)] = None


DTYPE = "Without it, float64 on a CPU and float32 on an accelerator."
_DEVICES = "Spread the rows, or sequences, over so many devices; default: one has them all."
_TRIM = (
    "Leave so large a share of the rows out of the fit, the least likely ones, such as 0.05; of a "
    "chain whole sequences."
)
_RATIO = "Keep the largest eigenvalue of the covariances at most so many times the smallest."
_TOL = "Stop a start when less log-likelihood per row than this is left to gain."


class FitOptions(NamedTuple):
    """How a model is fitted."""

    dtype: Annotated[Literal["float64", "float32"] | None, typer.Option(help=DTYPE)] = None
    seed: Seed = 0
    tol: Annotated[float, typer.Option(min=0, help=_TOL)] = 1e-6
    max_iter: Annotated[int, typer.Option(min=0, help="The most iterations of a start.")] = 1000
    reg_covar: Annotated[
        float,
        typer.Option(
            min=0,
            help="Variance that keeps covariances away from 0, in squared units of the columns.",
        ),
    ] = 0.0
    trim: Annotated[float | None, typer.Option(min=0, max=1, help=_TRIM)] = None
    max_eigenvalue_ratio: Annotated[float | None, typer.Option(min=1, help=_RATIO)] = None
    devices: Annotated[int | None, typer.Option(min=1, help=_DEVICES)] = None


SHARED = ReadOptions, ColumnOptions, SequenceOptions, FitOptions
