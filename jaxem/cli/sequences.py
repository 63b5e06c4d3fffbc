"""The commands of hidden Markov models."""

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer

import jaxem
from jaxem.cli import missing, options, outputs, report, sequence_order, tables
from jaxem.cli.columns import choose, families_of, matching, split, values
from jaxem.cli.command import command, precision, read_model
from jaxem.cli.errors import DONE, as_bad_input
from jaxem.cli.fit_candidates import Data, Outputs, planned, search
from jaxem.cli.intervals import Errors
from jaxem.core import emissions
from jaxem.families import Gaussian


@command(
    "jaxem fit-hmm tracks.csv --states 2:4 --group-by animal --order-by time -o tracks.safetensors"
)
def fit_hmm(
    file: options.Table,
    states: options.States,
    family: options.FamilyName = "gaussian",
    column_family: options.ColumnFamilies = None,
    covariance: options.Covariances = "full",  # type: ignore[assignment]  # the parser reads it
    group_by: options.GroupBy = None,
    order_by: options.OrderBy = None,
    step: options.StepSize = None,
    initial: options.Initial = "free",
    transitions: options.Transitions = "full",
    starts: options.Starts = 100,
    columns: options.ColumnNames = None,
    output: options.ModelOutput = None,
    pictures: options.Report = None,
    dtype: options.Precision = None,
    seed: options.Seed = 0,
    tol: options.Tolerance = 1e-6,
    max_iter: options.Iterations = 1000,
    reg_covar: options.Regularisation = 0.0,
    standard_errors: options.StandardErrors = None,
    separator: options.Separator = None,
    header: options.Header = None,
) -> int:
    """Fit a hidden Markov model to the columns of a table, whose rows are steps in time.

    The rows are one sequence, or with --group-by one for each value of a column; in the order of
    the file, or with --order-by of another column. Neither column is fitted. Of several numbers of
    states or covariances, all are fitted, and the lowest BIC is the best. The states come in order
    of falling share, those of left-right and cyclic chains in the order of the chain.

    A row is a step, whatever time has passed since the row before; --step 1 or --step 1h leaves
    the steps open that have no row. A row with missing cells is seen by what it has, one without
    any is a step that was not observed: steps with holes are not to be taken out of the file.
    """
    outputs.check_report(pictures)
    outputs.check({"--output": output, "--report": pictures}, [file])
    outputs.check_model(output)
    with precision(dtype):
        with as_bad_input(file):
            table = tables.read(file, separator, header)
            steps = sequence_order.arrange(table.columns, group_by, order_by, step)
            rest = _without(table.columns, (group_by, order_by), columns)
            chosen = choose(rest, columns, family, column_family, holes=True)
            settled = missing.of_steps(rest, chosen, covariance)
            kinds = families_of(chosen, covariance, settled.holed)
            x = steps.split(values(rest, chosen, kinds[0], gaps=True))
            models = [
                jaxem.HMM(kind, k, initial, transitions)
                for kind in kinds
                for k in range(states.first, states.last + 1)
            ]
            jobs = planned(models, x, seed, n_init=starts, tol=tol, max_iter=max_iter,
                           reg_covar=reg_covar)  # fmt: skip
        for remark in (*missing.remarks(table, settled), *steps.remarks):
            report.complain(f"{file}: {remark}")
        for remark in models[0].remarks if len(models) == 1 else ():
            report.complain(f"{file}: {remark}")
        if not isinstance(kinds[0], Gaussian):
            report.complain(f"{file}: {report.families(chosen)}")
        by = {"group_by": group_by, "order_by": order_by, "step": step and str(step)}
        by["missing"] = settled.note
        notes = {"n_sequences": len(steps.lengths), **{k: v for k, v in by.items() if v}}
        data = Data(str(file), chosen.names, x, chosen.levels, notes)
        errors = Errors(standard_errors, reg_covar, seed) if standard_errors else None
        return search(jobs, data, seed, Outputs(output, pictures), errors)


@command("jaxem decode tracks.safetensors new.csv --keep -o decoded.csv")
def decode(
    model: options.ModelFile,
    file: options.Table,
    output: options.TableOutput = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write the columns of FILE too.")] = False,
    group_by: options.GroupBy = None,
    order_by: options.OrderBy = None,
    step: options.StepAsFitted = None,
    unseen: options.Unseen = "error",
    separator: options.Separator = None,
    header: options.Header = None,
) -> int:
    """Say of each row of a table which state its sequence was in.

    Columns: state, of the most likely path through the whole sequence; probability_0,
    probability_1, ... of each state by itself, given the sequence; with --keep after those of FILE,
    and with an underscore where a name is taken. The rows are those of FILE, in their order; a
    state is told of rows with missing cells too. Sequences are told apart and ordered as in jaxem
    fit-hmm, by the columns and the step that the model was fitted with, unless others are given, or
    "" for none.
    """
    outputs.check_table(output)
    outputs.check({"--output": output}, [model, file])
    saved = read_model(model, chain=True)
    with precision(saved.dtype):
        with as_bad_input(file):
            table = tables.read(file, separator, header)
            steps = sequence_order.as_fitted(table.columns, saved.notes, group_by, order_by, step)
            of: Any = emissions.with_holes(saved.model)
            like = emissions.like_x(of, saved.params)
            x = matching(
                table.columns, of.family, like, saved.columns, saved.levels, unseen, gaps=True
            )
            arguments = of, saved.params, steps.split(x)
            path = steps.joined(jaxem.viterbi(*arguments)[0])
            probabilities = steps.joined(jaxem.smooth(*arguments))
        for remark in (*table.remarks, *steps.remarks):
            report.complain(f"{file}: {remark}")
        found = outputs.table(
            {
                "state": path.astype(np.int32),
                **{f"probability_{k}": column for k, column in enumerate(probabilities.T)},
            }
        )
    outputs.write_table(output, outputs.beside(table.carried, found) if keep else found)
    return DONE


def _without(table: pa.Table, names: tuple[str | None, ...], wanted: str | None) -> pa.Table:
    """The table without the columns that say where and when."""
    told_by = [name for name in names if name is not None]
    both = [name for name in told_by if wanted is not None and name in split(wanted)]
    if both:
        raise ValueError(
            f"has {both[0]} in --columns, and in --group-by or --order-by; it cannot be both"
        )
    rest = table.drop_columns(list(dict.fromkeys(told_by)))
    if not rest.column_names:
        raise ValueError(f"has no columns beside {', '.join(told_by)}; there is nothing to fit")
    return rest
