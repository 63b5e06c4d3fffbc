"""Fit the candidates, print what came of them and the best of them, and write that."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from jaxem.cli.fit_input import FitInput, Wanted
from jaxem.cli.found import Fitted, Found, left_open
from jaxem.cli.interval_table import Intervals
from jaxem.cli.options import Counts, FitOptions
from jaxem.cli.progress import Run
from jaxem.core.contracts import Family, Model
from jaxem.fitting import in_memory, starts
from jaxem.fitting.ahead import compiled_ahead
from jaxem.fitting.options import Options
from jaxem.fitting.plan import FitPlan
from jaxem.fitting.result import Result
from jaxem.models import Mixture

_LARGEST_INT32 = 2**31 - 1
_NOTHING = Wanted()


def search(
    jobs: Sequence[FitPlan], data: FitInput, options: FitOptions, wanted: Wanted = _NOTHING
) -> int:
    """Fit every job, print and write what came of it; return the exit status."""
    found = find(jobs, data.about)
    if found is None:
        return INTERRUPTED
    best, failure, out = found.best, None, report.output()
    notes = metadata.of(best, data.about, options.seed) | dict(data.notes)
    remarks = left_open(found, data.names)
    intervals = _intervals(best.result, data, wanted.standard_errors, options)
    if np.isfinite(best.result.log_likelihood):
        try:  # before anything is printed: whoever reads that may be gone
            _write(Fitted(found, data, notes, remarks, intervals), wanted)
        except BadInput as error:
            failure = error
    elif wanted.model or wanted.reports:
        report.complain(f"{data.about}: no fit has a likelihood, so nothing is written")
    print_comparison(out, found, data.about, data.names)
    _print_fit(out, best.result, data, notes)
    report.remark(data.about, remarks)
    if intervals is not None:
        out.print("", interval_table.printed(intervals))
        report.remark(data.about, intervals.remarks)
    status = complain(found, data.about)
    if failure is not None:
        raise failure
    return status


def mixtures(
    kinds: Sequence[Family], components: Counts, noise: bool = False, n_covariates: int = 0
) -> list[Mixture]:
    """One of each kind and each number of components."""
    counts = range(components.first, components.last + 1)
    return [Mixture(kind, k, noise, n_covariates) for kind in kinds for k in counts]


def one_fit(candidates: Sequence[Any]) -> None:
    """BadInput for more, of which a checkpoint could not tell which it is of."""
    if len(candidates) > 1:
        raise BadInput(
            "--checkpoint is of one fit: give one number of components or states, and one "
            "--covariance"
        )


def planned(
    models: Sequence[Model],
    x: Any,
    n_init: Any,
    options: FitOptions,
    checkpoint: Path | None = None,
) -> list[FitPlan]:
    """A fit of each model. n_init: starts, or "auto"; with a checkpoint one round of them."""
    with warnings.catch_warnings():  # what holes leave open is said by the names of columns
        warnings.simplefilter("ignore")
        begin = starts.begin("portfolio", jax.random.key(options.seed), n_init, None)
        beside = (None, None, None, mesh(options.devices))
        given = Options(**fit_arguments(options))
        if checkpoint is None:
            return select.plan(models, x, begin, given, beside)
        one_fit(models)
        jobs = select.plan(models, x, starts.in_one_round(begin), given, beside)
        return [in_memory.kept_in(job, checkpoint) for job in jobs]


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
    errors = report.errors()
    table = report.comparison(errors.width) if len(jobs) > 1 else None
    with (
        interrupts.held(),
        progress.live(errors, len(jobs), above=table) as line,
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


def print_comparison(out: Console, found: Found, about: str, names: Sequence[str]) -> None:
    """The table of the candidates, where there are several."""
    jobs, runs, best = found
    if len(jobs) == 1:
        return
    table = report.comparison(out.width)
    for i, run in enumerate(runs):
        report.compare(table, run, "*" if i == best else "")
    model: Any = runs[best].result.provenance.model
    report.say(
        out,
        f"{about}: {report.rows_of(jobs[0].provenance.n_rows, names)}; "
        f"{len(jobs)} candidates, "
        f"{_most(jobs[0])}{report.several(jobs[0].n_starts, 'start')} each"
        f"{_of_these(jobs[0].n_split)}\n",
    )
    out.print(table, "")
    if runs[best].regular:
        regular = "" if all(run.regular for run in runs) else " of a regular fit"
        report.say(
            out,
            f"* The lowest BIC{regular}, {float(runs[best].result.bic):.2f}, is that of "
            f"k = {model.n_components}, {report.family(model)}.\n",
        )


def _most(job: FitPlan) -> str:
    return "" if job.search is None else "up to "


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


def _intervals(
    result: Result, data: FitInput, method: str | None, options: FitOptions
) -> Intervals | None:
    """Those that are wanted; where there are none it is said why."""
    if method is None:
        return None
    try:
        return interval_table.of(result, data, method, options)
    except ValueError as error:
        report.complain(f"{data.about}: no standard errors: {in_options(str(error))}")
        return None


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


def _write(fitted: Fitted, wanted: Wanted) -> None:
    found, data, notes, *_ = fitted
    result = found.best.result
    if wanted.model is not None:
        with as_bad_input():
            io.save(
                wanted.model, result.provenance.model, result.params, columns=data.names,
                notes=notes, levels=data.levels,
            )  # fmt: skip
    if wanted.reports:
        selection = None
        if len(found.runs) > 1:
            results = [run.result for run in found.runs]
            selection = select.compare(found.jobs[: len(results)], results, "bic")
        outputs.write_reports(wanted, fitted, selection)
