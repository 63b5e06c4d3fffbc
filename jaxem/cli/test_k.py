"""The command that tests numbers of components against each other, one after another."""

from typing import Annotated, Any

import jax
import typer

from jaxem.analysis.lr_test import LRTest, lr_tests
from jaxem.cli import fit_input, options, report, tables
from jaxem.cli.command import command, precision
from jaxem.cli.errors import DONE, NOT_CONVERGED, BadInput, as_bad_input, in_options
from jaxem.cli.fit_candidates import fit_arguments, mixtures

MaxComponents = Annotated[
    int, typer.Option(min=1, max=50, help="Test 1 against 2 components, up to so many.")
]
Replicates = Annotated[int, typer.Option(min=1, help="Data sets to draw under each number.")]
Refits = Annotated[
    int | None,
    typer.Option(
        min=0, help="Fresh starts for each drawn data set; without it as many as --starts."
    ),
]
Level = Annotated[
    float, typer.Option(min=0, max=1, help="The p-value above which no more are called for.")
]


@command("jaxem test-k flowers.csv --max-components 4 --replicates 199")
def test_k(
    file: options.Table,
    *,
    max_components: MaxComponents = 4,
    replicates: Replicates = 199,
    family: options.FamilyName = "gaussian",
    response: options.Response = None,
    concomitants: options.Concomitants = None,
    holes: options.Missing = "fit",
    starts: options.NumberOfStarts = 20,
    replicate_starts: Refits = None,
    level: Level = 0.05,
    column_options: options.ColumnOptions,
    fit_options: options.FitOptions,
    read_options: options.ReadOptions,
) -> int:
    """Test k components of a mixture against k + 1, from k = 1 on.

    The likelihood ratio is compared with that of data sets drawn from the fit with k, to which both
    models are fitted too (McLachlan 1987). The first k that is not rejected is what the tests call
    for. A line is printed as soon as its test is done. Drawn data sets have the holes of the table,
    and its covariates.
    """
    if len(column_options.covariance) > 1:
        raise BadInput("--covariance names several; give one")
    with precision(fit_options.dtype):
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            data = fit_input.of_table(
                file, table, column_options, family, response, holes, concomitants
            )
            counts = options.Counts(1, max_components + 1)
            models = mixtures(data.families, counts, n_covariates=data.n_covariates)
            tests = lr_tests(
                models, data.x, n_boot=replicates, n_init=starts, n_init_boot=replicate_starts,
                key=jax.random.key(fit_options.seed), **fit_arguments(fit_options),
            )  # fmt: skip
        report.remark(file, data.remarks)
        n_rows = len(jax.tree.leaves(data.x)[0])
        out = report.output()
        report.say(
            out,
            f"{file}: {report.rows_of(n_rows, data.names)}; {report.family(models[0])}; "
            f"{report.several(replicates, 'data set')} drawn under each k\n",
        )
        return _print(out, tests, level, str(file))


def _print(out: Any, tests: Any, level: float, file: str) -> int:
    """The table, a line a test; -> the exit status."""
    report.say(out, _line("k", "against", "log-lik.", "log-lik.", "statistic", "p-value", "failed"))
    calls_for, status = None, DONE
    for test in tests:
        k, other = (fit.provenance.model.n_components for fit in (test.null, test.alternative))
        report.say(out, _row(test))
        if not test.trusted:
            bad = next(fit for fit in (test.alternative, test.null) if not fit.converged)
            report.complain(f"{file}: {bad.provenance.model.n_components} components: "
                            f"{in_options(bad.explanation())}")  # fmt: skip
            status = NOT_CONVERGED
        if calls_for is None and test.p_value > level:
            calls_for = k
        most = other
    report.say(
        out,
        f"\nThe tests call for k = {calls_for}: the first whose p-value is above {level:g}."
        if calls_for is not None
        else f"\nEvery k is rejected at {level:g}: the tests call for at least {most}.",
    )
    return status


def _row(test: LRTest) -> str:
    fits = (test.null, test.alternative)
    return _line(
        *(str(fit.provenance.model.n_components) for fit in fits),
        *(f"{float(fit.log_likelihood):.3f}" for fit in fits),
        f"{test.statistic:.3f}",
        f"{test.p_value:.4g}",
        str(test.n_failed),
    )


def _line(*cells: str) -> str:
    return "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, (4, 9, 13, 13, 12, 10, 8), strict=True)
    )
