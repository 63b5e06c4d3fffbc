"""Fit the candidates, print what came of them and the best of them, and write that."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from jaxem import io
from jaxem.analysis import select
from jaxem.cli import (
    interrupts,
    interval_table,
    metadata,
    outputs,
    parameter_tables,
    progress,
    report,
)
from jaxem.cli.errors import DONE, INTERRUPTED, NOT_CONVERGED, BadInput, as_bad_input, in_options
from jaxem.cli.fit_input import FitInput
from jaxem.cli.options import Counts, FitOptions
from jaxem.cli.parameter_tables import parts_of
from jaxem.cli.progress import Run
from jaxem.core import parameters
from jaxem.core.contracts import Family, Model
from jaxem.families import Product
from jaxem.fitting.ahead import compiled_ahead
from jaxem.fitting.driver import noted
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result
from jaxem.models import HMM, Mixture

_LARGEST_INT32 = 2**31 - 1


class Found(NamedTuple):
    """The fits of a search, up to where Ctrl-C cut it short, and the place of the best of them."""

    jobs: Sequence[FitPlan]
    runs: Sequence[Run]
    index: int

    @property
    def best(self) -> Run:
        """Its parts in order of falling weight."""
        run = self.runs[self.index]
        return run._replace(result=_by_weight(run.result))


def search(
    jobs: Sequence[FitPlan],
    data: FitInput,
    options: FitOptions,
    output: Path | None = None,
    pictures: Path | None = None,
    standard_errors: str | None = None,
) -> int:
    """Fit every job, print and write what came of it; return the exit status."""
    found = find(jobs, data.about)
    if found is None:
        return INTERRUPTED
    best, failure, out = found.best, None, report.output()
    notes = metadata.of(best, data.about, options.seed) | dict(data.notes)
    if np.isfinite(best.result.log_likelihood):
        try:  # before anything is printed: whoever reads that may be gone
            _write(found, data, notes, output, pictures)
        except BadInput as error:
            failure = error
    elif output or pictures:
        report.complain(f"{data.about}: no fit has a likelihood, so nothing is written")
    print_comparison(out, found, data.about, data.names)
    _print_fit(out, best.result, data, notes)
    tell_open(found, data.about, data.names)
    if standard_errors is not None:
        _print_intervals(best.result, data, standard_errors, options)
    status = complain(found, data.about)
    if failure is not None:
        raise failure
    return status


def mixtures(kinds: Sequence[Family], components: Counts, noise: bool = False) -> list[Mixture]:
    """One of each kind and each number of components."""
    counts = range(components.first, components.last + 1)
    return [Mixture(kind, k, noise) for kind in kinds for k in counts]


def one_fit(candidates: Sequence[Any]) -> None:
    """BadInput for more, of which a checkpoint could not tell which it is of."""
    if len(candidates) > 1:
        raise BadInput("--checkpoint is of one fit: give one number of --components")


def planned(models: Sequence[Model], x: Any, starts: int, options: FitOptions) -> list[FitPlan]:
    """A fit of each model."""
    with warnings.catch_warnings():  # what holes leave open is said by the names of columns
        warnings.simplefilter("ignore")
        begin = Starts("portfolio", jax.random.key(options.seed), starts)
        beside = (None, None, None, mesh(options.devices))
        return select.plan(models, x, begin, Options(**fit_arguments(options)), beside)


def mesh(n: int | None) -> Any:
    """So many of the devices; None where one has all rows."""
    there = jax.devices()
    if n is not None and n > len(there):
        raise BadInput(f"--devices {n}: there are {len(there)}, of kind {there[0].device_kind!r}")
    return None if n is None else jax.make_mesh((n,), ("rows",), devices=there[:n])


def fit_arguments(options: FitOptions) -> dict[str, Any]:
    """What the functions of the library take."""
    return {
        "tol": options.tol,
        "max_iter": min(options.max_iter, _LARGEST_INT32),
        "reg_covar": options.reg_covar,
        "trim": options.trim,
        "max_eigenvalue_ratio": options.max_eigenvalue_ratio,
    }


def find(jobs: Sequence[FitPlan], about: str) -> Found | None:
    """Fit every job; None, which is said, where Ctrl-C left nothing."""
    with as_bad_input(about):
        runs = _fit_all(jobs)
    if not runs:
        report.complain(
            "interrupted: nothing is computed yet, so there is nothing to show or write"
        )
        return None
    results = [run.result for run in runs]
    index = select.lowest([float(r.bic) for r in results], [int(r.status) for r in results])
    return Found(jobs, runs, index)


def _fit_all(jobs: Sequence[FitPlan]) -> list[Run]:
    """The runs, up to the first that Ctrl-C cut short."""
    runs: list[Run] = []
    table = report.comparison() if len(jobs) > 1 else None
    with (
        interrupts.held(),
        progress.live(report.errors(), len(jobs), above=table) as line,
        compiled_ahead(jobs) as ready,
    ):
        for job in jobs:
            model: Any = job.provenance.model
            line.begin(f"k = {model.n_components}, {report.family(model)}")
            run = progress.run(job, line, [run.result for run in runs], ready)
            if run is not None:
                runs.append(run)
                if table is not None:
                    report.compare(table, run)
            if interrupts.pressed():
                break
    return runs


def _by_weight(result: Result) -> Result:
    """The same fit with its parts in order of falling weight: as printed, so everywhere.

    States that only some others lead to stay in the order that says which.
    """
    model: Any = result.provenance.model
    if isinstance(model, HMM) and model.transitions != "full":
        return result
    params, health, collapsed = result.params, result.health, result.collapsed
    shares = health.count if isinstance(model, HMM) else params.weights
    order = np.argsort(-shares, kind="stable")
    by_weight = {
        "params": parameters.take(model.constraints, params, order),
        "health": jax.tree.map(lambda leaf: leaf[order], health),
        "collapsed": collapsed[order],
    }
    return result._replace(**by_weight)


def print_comparison(out: Console, found: Found, about: str, names: Sequence[str]) -> None:
    """The table of the candidates, where there are several."""
    jobs, runs, best = found
    if len(jobs) == 1:
        return
    table = report.comparison()
    for i, run in enumerate(runs):
        report.compare(table, run, "*" if i == best else "")
    model: Any = runs[best].result.provenance.model
    report.say(
        out,
        f"{about}: {report.rows_of(jobs[0].provenance.n_rows, names)}; "
        f"{len(jobs)} candidates, "
        f"{report.several(jobs[0].n_starts, 'start')} each{_of_these(jobs[0].n_split)}\n",
    )
    out.print(table, "")
    if runs[best].regular:
        regular = "" if all(run.regular for run in runs) else " of a regular fit"
        report.say(
            out,
            f"* The lowest BIC{regular}, {float(runs[best].result.bic):.2f}, is that of "
            f"k = {model.n_components}, {report.family(model)}.\n",
        )


def _of_these(n_split: int) -> str:
    """What `divided` does to the last starts."""
    if n_split == 0:
        return ""
    return f", {n_split} of them by dividing a component of the best fit with fewer"


def _print_fit(out: Console, result: Result, data: FitInput, notes: dict[str, Any]) -> None:
    model = result.provenance.model
    rows = report.rows_of(result.provenance.n_rows, data.names)
    report.say(out, f"{data.about}: {rows}; {report.kind(model)}\n")
    for part in parameter_tables.tables(model, result.params, data.names, data.levels):
        out.print(part, "")
    out.print(report.two_columns(metadata.words(notes)))


def _print_intervals(result: Result, data: FitInput, method: str, options: FitOptions) -> None:
    """The table of intervals, or why there is none."""
    try:
        table, remarks = interval_table.of(result, data, method, options)
    except ValueError as error:
        report.complain(f"{data.about}: no standard errors: {in_options(str(error))}")
        return
    report.output().print("", table)
    report.remark(data.about, remarks)


def tell_open(found: Found, about: str, names: Sequence[str]) -> None:
    """Say what the rows leave open in the best fit, by the names of its columns."""
    result = found.best.result
    if not np.isfinite(result.log_likelihood):
        return
    report.remark(about, noted(found.jobs[found.index], result, _in_blocks(result, names))[1])


def _in_blocks(result: Result, names: Sequence[str]) -> Any:
    """The names of the columns, of a product those of each block."""
    model = result.provenance.model
    if not isinstance(model.family, Product):
        return names
    parts = parts_of(model, result.params, names)
    return {name: part.names for (name, _), part in zip(model.family.blocks, parts, strict=True)}


def complain(found: Found, about: str) -> int:
    """Say what is wrong with the best result; return the exit status."""
    jobs, runs, _ = found
    n_complete = sum(run.complete for run in runs)
    if n_complete < len(jobs):
        had = [f"{n_complete} of {len(jobs)} candidates"] if len(jobs) > 1 else []
        if not runs[-1].complete:
            had.append(
                f"{runs[-1].n_ended} of {runs[-1].n_starts} starts{' of the next' * len(had)}"
            )
        report.complain(f"interrupted: the best so far; {' and '.join(had)} had ended")
        return INTERRUPTED
    result = found.best.result
    if not result.converged:
        report.complain(f"{about}: {in_options(result.explanation())}")
        return NOT_CONVERGED
    return DONE


def _write(
    found: Found,
    data: FitInput,
    notes: dict[str, Any],
    output: Path | None,
    pictures: Path | None,
) -> None:
    result = found.best.result
    if output is not None:
        with as_bad_input():
            io.save(
                output, result.provenance.model, result.params, columns=data.names, notes=notes,
                levels=data.levels,
            )  # fmt: skip
    if pictures is not None:
        selection = None
        if len(found.runs) > 1:
            results = [run.result for run in found.runs]
            selection = select.compare(found.jobs[: len(results)], results, "bic")
        outputs.write_report(pictures, result, data, selection)
