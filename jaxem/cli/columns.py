"""Which columns of a table are fitted, and of which family each is."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from jaxem import families
from jaxem.cli import column_types
from jaxem.cli.column_types import AUTO, GAUSSIAN, KINDS, WITH_COVARIANCES, Levels, Setup
from jaxem.cli.errors import BadInput, as_bad_input, suggestion
from jaxem.cli.options import ColumnOptions
from jaxem.cli.tables import is_text, split_names
from jaxem.core.contracts import Family

_NO_OPTIONS = ColumnOptions()


class Columns(NamedTuple):
    """The columns to fit.

    by_kind: their names, by the name of their kind. response: the column that depends on the others
    in a regression. levels: those of columns of categories. left_out: what was not taken, and why.
    beside: columns that stand after those of a kind, by its name: numbers of trials, or sides of
    limits. covariates: those that the weights depend on. text: whether some of what was left out is
    text that another family would take.
    """

    by_kind: dict[str, tuple[str, ...]]
    response: str | None
    levels: Levels
    left_out: tuple[str, ...]
    beside: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    covariates: tuple[str, ...] = ()
    text: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the numbers of a row."""
        kinds = sorted(self.by_kind)
        names = [n for kind in kinds for n in (*self.by_kind[kind], *self.beside.get(kind, ()))]
        return (*names, *([] if self.response is None else [self.response]), *self.covariates)

    @property
    def fitted(self) -> tuple[str, ...]:
        """Those that are told of by a distribution."""
        names = [name for kind in sorted(self.by_kind) for name in self.by_kind[kind]]
        return (*names, *([] if self.response is None else [self.response]))

    @property
    def complete(self) -> tuple[str, ...]:
        """Those in which an empty cell is a missing one: all but sides of limits."""
        told = [own for kind, own in self.beside.items() if KINDS[kind].beside == "cell"]
        return tuple(name for name in self.names if not any(name in own for own in told))

    @property
    def remarks(self) -> list[str]:
        left_out = [f"columns left out, {why}" for why in self.left_out]
        return [*left_out, "--family auto fits columns of text too"] if self.text else left_out


def choose(
    table: pa.Table,
    wanted: str | None = None,
    family: str = GAUSSIAN,
    assigned: Sequence[tuple[str, str]] | None = None,
    response: str | None = None,
    holes: bool = False,
    guess: Callable[[pa.ChunkedArray], str] = column_types.guess,
) -> Columns:
    """The columns named in `wanted`, between commas, a name with a comma in double quotes.

    None takes every column that has a name, varies, and suits its kind: the family that is
    `assigned` to it by name, else `family`, which with "auto" follows from its type. With a
    response the others are numbers.
    holes: whether missing cells are legal; else a constant column with holes is not left out.
    guess: the kind of a column where the family is "auto".
    """
    own = dict(assigned or ())
    check_names(table, [*own, *([response] if response else [])])
    if response is not None:
        return _regression(table, wanted, own.pop(response, family), response, own, holes)

    def kind(name: str) -> str:
        return own.get(name) or (guess(table[name]) if family == AUTO else family)

    names = named(table) if wanted is None else _wanted(table, wanted)
    kind_of = {name: kind(name) for name in names}
    refused = {name: why for name, of in kind_of.items() if (why := KINDS[of].refuses(table[name]))}
    for name in refused:
        if wanted is not None or name in own:
            raise ValueError(
                f"has the column {name}, which is {refused[name]}, but {kind_of[name]}; give it "
                f"another family by --column-family {name}=NAME, or leave it out by --columns"
            )
    names = [name for name in names if name not in refused]
    if not names:
        raise ValueError(
            f"has no columns that can be {family} (it has {listed(table.column_names)}); "
            f"{_other_reading(table, family)}"
        )
    kept = names
    if wanted is None:
        kept = [name for name in names if name in own or _varies(table[name], holes)]
    kept = kept or names  # a single row, or all alike: nothing can be left out
    by_kind: dict[str, tuple[str, ...]] = {}
    for name in kept:
        by_kind[kind_of[name]] = (*by_kind.get(kind_of[name], ()), name)
    levels = {name: column_types.levels(table[name]) for name in kept if KINDS[kind_of[name]].coded}
    constant = [name for name in names if name not in kept]
    left_out = () if wanted is not None else _left_out(table, refused, constant)
    others = refused if wanted is None and family == GAUSSIAN else ()
    text = any(_may_be_categories(table[name]) for name in others)
    return Columns(by_kind, None, levels, left_out, text=text)


def _may_be_categories(column: pa.ChunkedArray) -> bool:
    return is_text(column.type) and not KINDS["categorical"].refuses(column)


def _other_reading(table: pa.Table, family: str) -> str:
    """What to try where no column can be of the family."""
    if table.num_columns == 1:  # it may be several that were not told apart
        found = re.search(r"[,;|\t ]", table.column_names[0])
        if found:
            separator = {"\t": "tab"}.get(found[0], f"'{found[0]}'")
            return f"if it is several columns, give --separator {separator}"
    return "give --columns that can, or another --family" + (
        ", such as auto" if family != AUTO else ""
    )


def _regression(
    table: pa.Table,
    wanted: str | None,
    kind: str,
    response: str,
    own: Mapping[str, str],
    holes: bool,
) -> Columns:
    if own:
        raise ValueError(
            f"has columns with a family of their own ({listed(list(own))}) beside --response; the "
            "columns that a response depends on are plain numbers"
        )
    kind = column_types.guess(table[response]) if kind == AUTO else kind
    if KINDS[kind].regression is None:
        known = ", ".join(name for name, of in KINDS.items() if of.regression)
        raise ValueError(
            f"has the response {response}, which cannot be {kind}; give --family one of {known}"
        )
    why = KINDS[kind].refuses(table[response])
    if why:
        raise ValueError(f"has the response {response}, which is {why}, but --family {kind}")
    others = choose(table.drop_columns([response]), wanted, holes=holes)
    levels = {response: column_types.levels(table[response])} if KINDS[kind].coded else {}
    return Columns({kind: others.names}, response, levels, others.left_out)


def families_of(
    columns: Columns, options: ColumnOptions, holed: Iterable[str] = ()
) -> list[Family]:
    """`family_of` each covariance structure; BadInput for options that make no difference."""
    kinds = set() if columns.response is not None else set(columns.by_kind)
    if len(options.covariance) > 1 and kinds.isdisjoint(WITH_COVARIANCES):
        raise BadInput(
            "--covariance is for Gaussian columns, student-t and contaminated-normal ones, and "
            "there are none"
        )
    for name, value in options._asdict().items():
        takers = [kind for kind, of in KINDS.items() if name in of.settings]
        if takers and value is not None and kinds.isdisjoint(takers):
            option = "--" + name.replace("_", "-")
            raise BadInput(f"{option} is for {' or '.join(takers)} columns, and there are none")
    with as_bad_input():
        return [family_of(columns, name, options, holed) for name in options.covariance]


def family_of(
    columns: Columns,
    covariance: str,
    options: ColumnOptions = _NO_OPTIONS,
    holed: Iterable[str] = (),
) -> Family:
    """The family of all columns; several kinds make a product, its blocks named by kind.

    holed: columns with missing cells.
    """
    each: dict[str, Any] = {}
    for kind, names in columns.by_kind.items():
        if columns.response is not None:
            regression: Any = KINDS[kind].regression  # `choose` has seen that there is one
            each[kind] = regression()
        else:
            levels = [len(columns.levels.get(n, ())) for n in names]
            holes = not set(holed).isdisjoint(names)
            each[kind] = KINDS[kind].family(Setup(levels, covariance, holes, options))
    return next(iter(each.values())) if len(each) == 1 else families.Product(each)


def named(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name]


def _varies(column: pa.ChunkedArray, holes: bool) -> bool:
    """Whether there is more than one value, or none; where holes are not legal, they vary."""
    missing = column_types.missing(column)
    if missing.all() or (missing.any() and not holes):
        return True
    return len(column.filter(pa.array(~missing)).unique()) > 1


def _left_out(
    table: pa.Table, refused: Mapping[str, str], constant: Sequence[str]
) -> tuple[str, ...]:
    """What was not taken, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in (*refused.items(), *((name, "constant") for name in constant)):
        by_reason.setdefault(why, []).append(name)
    # Without a name are the row numbers that R and pandas write, and what follows a last comma.
    nameless = table.column_names.count("")
    told = tuple(f"{why}: {listed(names)}" for why, names in by_reason.items())
    return (*told, f"without a name: {nameless}") if nameless else told


def _wanted(table: pa.Table, wanted: str) -> list[str]:
    names = split_names(wanted)
    check_names(table, names)
    if len(set(names)) < len(names):
        raise ValueError(f"--columns names a column twice: {wanted}; name each once")
    return names


def check_names(table: pa.Table, names: Sequence[str], why: str = "") -> None:
    known = named(table)
    missing = [name for name in names if name not in known]
    if missing:
        spare = [name for name in known if name not in names]
        raise ValueError(
            f"has no column {' and no column '.join(map(repr, missing[:3]))}"
            f"{' and more' if len(missing) > 3 else ''}; {suggestion(missing[0], spare)}"
            f"its columns are {listed(known)}{why and '; '}{why}"
        )


def without(table: pa.Table, told_by: Sequence[str], wanted: str | None) -> pa.Table:
    """The table without the columns that say where and when."""
    both = [name for name in told_by if wanted is not None and name in split_names(wanted)]
    if both:
        raise ValueError(
            f"has {both[0]} in --columns, and in --group-by or --order-by; it cannot be both"
        )
    rest = table.drop_columns(list(dict.fromkeys(told_by)))
    if not rest.column_names:
        raise ValueError(f"has no columns beside {', '.join(told_by)}; there is nothing to fit")
    return rest


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
