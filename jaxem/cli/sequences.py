"""The commands of hidden Markov models."""

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import jaxem
from jaxem.cli import (
    fit_input,
    options,
    outputs,
    report,
    sequence_order,
    shares,
    streamed_sequences,
    streaming,
    tables,
)
from jaxem.cli.cells import matching
from jaxem.cli.columns import without
from jaxem.cli.command import command, precision, read_model
from jaxem.cli.distributed import joined
from jaxem.cli.errors import DONE, BadInput, as_bad_input
from jaxem.cli.fit_candidates import planned
from jaxem.cli.fit_input import Wanted
from jaxem.core import emissions
from jaxem.core.contracts import Family


@command(
    "jaxem fit-hmm tracks.csv --states 2:4 --group-by animal --order-by time -o tracks.safetensors"
)
def fit_hmm(
    file: options.Tables,
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
    memory: options.Memory = None,
    checkpoint: options.Checkpoint = None,
    distributed: options.Distributed = False,
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

    Parquet files that do not fit into memory are read some whole sequences at a time, after a look
    at all columns: the rows of each must follow each other. With --distributed several processes
    read a share of them each.
    """
    outputs.check([file], model=output, reports=reports or ())
    if distributed and fit_options.devices is not None:
        raise BadInput("--distributed takes all devices of the processes: leave out --devices")
    wanted = Wanted(output, reports or (), standard_errors, command_line)
    by = {name: str(own) for name, own in sequence_options._asdict().items() if own}

    def chains(kinds: Sequence[Family]) -> list[jaxem.HMM]:
        counts = range(states.first, states.last + 1)
        return [jaxem.HMM(kind, k, initial, transitions) for kind in kinds for k in counts]

    with joined(distributed) as everyone, precision(fit_options.dtype):
        if distributed or streaming.is_wanted(file, memory):
            if standard_errors is not None:
                raise BadInput(f"{file}: --standard-errors need the table in memory")
            with as_bad_input():  # which names the files
                source, data = streamed_sequences.source_of(
                    file, column_options, family, sequence_options, everyone
                )
                models = chains(data.families)
                remarks = [*data.remarks, *_of_chain(models)]
                jobs, data = streaming.planned(
                    models, source, data._replace(notes=by, remarks=remarks), starts, fit_options,
                    checkpoint, everyone,
                )  # fmt: skip
            return streaming.search_of(jobs, data, fit_options, wanted, checkpoint, everyone)
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            steps = sequence_order.arrange(table.columns, *sequence_options)
            told_by = [name for name in sequence_options[:2] if name]
            rest = without(table.columns, told_by, column_options.columns)
            data = fit_input.of_table(file, table._replace(columns=rest), column_options, family)
            notes = {"n_sequences": len(steps.lengths), **by, **data.notes}
            models = chains(data.families)
            remarks = [*data.remarks, *steps.remarks, *_of_chain(models)]
            data = data._replace(x=steps.split(data.x), notes=notes, remarks=remarks)
            jobs = planned(models, data.x, starts, fit_options, checkpoint)
        return streaming.search_of(jobs, data, fit_options, wanted, checkpoint, everyone)


def _of_chain(models: Sequence[jaxem.HMM]) -> Sequence[str]:
    """What is to be said of a single candidate."""
    return models[0].remarks if len(models) == 1 else ()


@command("jaxem decode tracks.safetensors new.csv --keep -o decoded.csv")
def decode(
    model: options.ModelFile,
    file: options.Tables,
    *,
    output: options.TableOutput = None,
    keep: options.KeepColumns = False,
    unseen: options.Unseen = "error",
    memory: options.Memory = None,
    share: options.ShareOf = None,
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

    Parquet files that do not fit into memory are read, and written, some whole sequences at a time:
    the rows of each must follow each other. With --share several processes decode the sequences
    of a share of them each.
    """
    output = output if share is None else outputs.of_share(output, share)
    outputs.check([model, *streaming.files(file)], table=output)
    saved = read_model(model, chain=True)
    of: Any = emissions.with_holes(saved.model)
    like = emissions.like_x(of, saved.params)
    in_parts = share is not None or streaming.is_wanted(file, memory)
    of_order: Any = streamed_sequences.once() if in_parts else list

    def decoded(own: Path, table: tables.Table) -> pa.Table:
        with as_bad_input(own):
            steps = sequence_order.as_fitted(table.columns, saved.notes, sequence_options)
            x = matching(
                table.columns, of.family, like, saved.columns, saved.levels, unseen, gaps=True
            )
            arguments = of, saved.params, steps.split(x)
            path = steps.joined(jaxem.viterbi(*arguments)[0])
            probabilities = steps.joined(jaxem.smooth(*arguments))
        report.remark(own, (*table.remarks, *of_order(steps.remarks)))
        found = outputs.table(
            {
                "state": path.astype(np.int32),
                **{f"probability_{k}": column for k, column in enumerate(probabilities.T)},
            }
        )
        return outputs.beside(table.cells, found) if keep else found

    with precision(saved.dtype):
        group_by = sequence_order.used(saved.notes, sequence_options).group_by
        if share is None:
            parts = streamed_sequences.parts(file, memory, read_options, group_by)
            found = itertools.starmap(decoded, parts)
        else:
            begun = partial(shares.sequences, group_by=group_by)
            found = shares.applied(file, share, begun, decoded)
        outputs.write_parts(output, found)
    return DONE
