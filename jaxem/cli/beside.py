"""Columns beside those that are fitted: trials, sides of limits, covariates of the weights."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from jaxem.cli import column_types
from jaxem.cli.column_types import KINDS
from jaxem.cli.columns import Columns, check_names, listed
from jaxem.cli.options import ColumnOptions
from jaxem.cli.tables import is_numeric, split_names


def chosen(
    table: pa.Table,
    options: ColumnOptions,
    choosing: Callable[[pa.Table], Columns],
    concomitants: str | None = None,
) -> Columns:
    """The columns that `choosing` takes of the others, and those beside them."""
    covariates = () if concomitants is None else tuple(split_names(concomitants))
    sides = dict(options.side or ())
    trials = (options.trials,) if isinstance(options.trials, str) else ()
    others = (*trials, *sides.values(), *covariates)
    _check_others(table, others, options)
    found = choosing(table.drop_columns(list(others)))
    beside = {"row": lambda _: _trials(options), "cell": lambda names: _sides(names, sides)}
    each = {
        kind: beside[KINDS[kind].beside](names)
        for kind, names in found.by_kind.items()
        if KINDS[kind].beside
    }
    _check_sides(found, sides)
    coded = {name: _two_levels(table, name) for name in covariates}
    levels = {**found.levels, **{name: of for name, of in coded.items() if of}}
    return found._replace(beside=each, covariates=covariates, levels=levels)


def _check_others(table: pa.Table, others: Sequence[str], options: ColumnOptions) -> None:
    check_names(table, others)
    fitted = [] if options.columns is None else split_names(options.columns)
    fitted += [name for name, _ in options.column_family or ()]
    twice = [name for i, name in enumerate(others) if name in (*fitted, *others[:i])]
    if twice:
        raise ValueError(
            f"has the column {twice[0]} named twice among --columns, --column-family, --trials, "
            "--side and --concomitants; it cannot be both"
        )


def _trials(options: ColumnOptions) -> tuple[str, ...]:
    if options.trials is None:
        raise ValueError(
            "has binomial columns, of which the numbers of trials are not known; give --trials "
            "COLUMN, or one number for all rows, such as --trials 10"
        )
    return (options.trials,) if isinstance(options.trials, str) else ()


def _sides(names: Sequence[str], sides: dict[str, Any]) -> tuple[str, ...]:
    without = [name for name in names if name not in sides]
    if without:
        raise ValueError(
            f"has the censored column {without[0]}, and nothing tells which of its numbers are "
            f"limits; give --side {without[0]}=COLUMN, or leave it out by --columns"
        )
    return tuple(sides[name] for name in names)


def _check_sides(found: Columns, sides: dict[str, Any]) -> None:
    censored = [
        name for kind, own in found.by_kind.items() for name in own if KINDS[kind].beside == "cell"
    ]
    spare = [name for name in sides if name not in censored]
    if censored and spare:
        raise ValueError(
            f"has no censored column {spare[0]} to be fitted, for which --side {spare[0]}="
            f"{sides[spare[0]]} is; its censored columns are {listed(censored)}"
        )


def _two_levels(table: pa.Table, name: str) -> tuple[str, ...]:
    """Of a covariate of text, which counts as 0 and 1; () of one of numbers."""
    if is_numeric(table.schema.field(name).type):
        return ()
    why = KINDS["bernoulli"].refuses(table[name])
    if why:
        raise ValueError(
            f"has the covariate {name}, which is {why}; give numbers, or text of two values: a "
            "column of 0 and 1 for each value but one"
        )
    return column_types.levels(table[name])
