"""The commands of hidden Markov models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

import jaxem
from jaxem.cli import fit_input, options, outputs, report, sequence_order, tables
from jaxem.cli.cells import matching
from jaxem.cli.command import command, precision, read_model
from jaxem.cli.errors import DONE, as_bad_input
from jaxem.cli.fit_candidates import planned, search
from jaxem.cli.fit_input import Wanted
from jaxem.cli.tables import split_names
from jaxem.core import emissions


@command(
    "jaxem fit-hmm tracks.csv --states 2:4 --group-by animal --order-by time -o tracks.safetensors"
)
def fit_hmm(
    file: options.Table,
    states: options.States,
    *,
    command_line: options.CommandLine,
    family: options.FamilyName = "gaussian",
    initial: options.Initial = "free",
    transitions: options.Transitions = "full",
    starts: options.Starts = 100,
    output: options.ModelOutput = None,
    reports: options.ReportOutput = None,
    standard_errors: options.StandardErrors = None,
    column_options: options.ColumnOptions,
    sequence_options: options.SequenceOptions,
    fit_options: options.FitOptions,
    read_options: options.ReadOptions,
) -> int:
    """Fit a hidden Markov model to rows that are steps in time.

    The rows are one sequence, or with --group-by one for each value of a column; in the order of
    the file, or with --order-by of another column. Neither column is fitted. Of several numbers of
    states or covariances, all are fitted, and the lowest BIC is the best. The states come in order
    of falling share, those of left-right and cyclic chains in the order of the chain.

    A row is a step, whatever time has passed since the row before; with --step 1 or --step 1h
    steps without a row count as not observed. A row with missing cells is fitted by the cells that
    it has, and a row without any is a step that was not observed: leave such rows in the file.
    """
    outputs.check([file], model=output, reports=reports or ())
    wanted = Wanted(output, reports or (), standard_errors, command_line)
    with precision(fit_options.dtype):
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            steps = sequence_order.arrange(table.columns, *sequence_options)
            told_by = [name for name in sequence_options[:2] if name]
            rest = _without(table.columns, told_by, column_options.columns)
            data = fit_input.of_table(file, table._replace(columns=rest), column_options, family)
            by = {name: str(own) for name, own in sequence_options._asdict().items() if own}
            notes = {"n_sequences": len(steps.lengths), **by, **data.notes}
            data = data._replace(x=steps.split(data.x), notes=notes)
            models = [
                jaxem.HMM(kind, k, initial, transitions)
                for kind in data.families
                for k in range(states.first, states.last + 1)
            ]
            jobs = planned(models, data.x, starts, fit_options)
        of_chain = models[0].remarks if len(models) == 1 else ()
        report.remark(file, (*data.remarks, *steps.remarks, *of_chain))
        return search(jobs, data, fit_options, wanted)


@command("jaxem decode tracks.safetensors new.csv --keep -o decoded.csv")
def decode(
    model: options.ModelFile,
    file: options.Table,
    *,
    output: options.TableOutput = None,
    keep: options.KeepColumns = False,
    unseen: options.Unseen = "error",
    sequence_options: options.SequenceOptions,
    read_options: options.ReadOptions,
) -> int:
    """Say of each row of a table which state its sequence was in.

    Columns: state, of the most likely path through the whole sequence; probability_0,
    probability_1, ... of each state by itself, given the sequence; with --keep after those of FILE,
    and with an underscore where a name is taken. The rows are those of FILE, in their order; a
    state is told of rows with missing cells too. Sequences are told apart and ordered as in jaxem
    fit-hmm, by the columns and the step that the model was fitted with, unless others are given, or
    "" for none.
    """
    outputs.check([model, file], table=output)
    saved = read_model(model, chain=True)
    with precision(saved.dtype):
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            steps = sequence_order.as_fitted(table.columns, saved.notes, sequence_options)
            of: Any = emissions.with_holes(saved.model)
            like = emissions.like_x(of, saved.params)
            x = matching(
                table.columns, of.family, like, saved.columns, saved.levels, unseen, gaps=True
            )
            arguments = of, saved.params, steps.split(x)
            path = steps.joined(jaxem.viterbi(*arguments)[0])
            probabilities = steps.joined(jaxem.smooth(*arguments))
        report.remark(file, (*table.remarks, *steps.remarks))
        found = outputs.table(
            {
                "state": path.astype(np.int32),
                **{f"probability_{k}": column for k, column in enumerate(probabilities.T)},
            }
        )
    outputs.write_table(output, outputs.beside(table.cells, found) if keep else found)
    return DONE


def _without(table: pa.Table, told_by: Sequence[str], wanted: str | None) -> pa.Table:
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
