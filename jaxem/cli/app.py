"""The commands of mixtures, and those of any model: each reads its input, does its work and returns
an exit status."""

import itertools
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pyarrow as pa
import typer

import jaxem
from jaxem.cli import (
    fit_input,
    metadata,
    options,
    outputs,
    parameter_tables,
    report,
    shares,
    streaming,
    tables,
)
from jaxem.cli import impute as impute  # its command
from jaxem.cli import plan as plan  # its command
from jaxem.cli import sequences as sequences  # its commands
from jaxem.cli import test_k as test_k  # its command
from jaxem.cli.cells import matching
from jaxem.cli.command import app, command, names_of, precision, read_model
from jaxem.cli.command import run as run
from jaxem.cli.distributed import joined
from jaxem.cli.errors import DONE, BadInput, as_bad_input
from jaxem.cli.fit_candidates import mixtures, planned, search
from jaxem.cli.fit_input import FitInput, Wanted
from jaxem.core import emissions
from jaxem.datasets import load_faithful
from jaxem.families.gaussian.gaussian import Gaussian
from jaxem.fitting.termination import awaited
from jaxem.models import HMM


@command("jaxem fit flowers.csv --components 1:6 -o flowers.safetensors --report flowers.html")
def fit(
    file: options.Tables,
    components: options.Components,
    *,
    command_line: options.CommandLine,
    family: options.FamilyName = "gaussian",
    response: options.Response = None,
    noise: options.Noise = False,
    concomitants: options.Concomitants = None,
    holes: options.Missing = "fit",
    starts: options.Starts = 100,
    output: options.ModelOutput = None,
    reports: options.ReportOutput = None,
    standard_errors: options.StandardErrors = None,
    memory: options.Memory = None,
    checkpoint: options.Checkpoint = None,
    distributed: options.Distributed = False,
    column_options: options.ColumnOptions,
    fit_options: options.FitOptions,
    read_options: options.ReadOptions,
) -> int:
    """Fit a mixture to the columns of a table, and print it.

    It is a Gaussian mixture of the columns of numbers, unless --family says otherwise.

    Where several numbers of components or covariances are given, all are fitted, and the one with
    the lowest BIC is the best. The components come in order of falling weight. Ctrl-C stops the
    fit, and prints and writes the best so far.

    Missing cells are empty ones, NA, NaN, nan, null and ?, in text too. By default a row with
    missing cells is fitted by the cells that it has: the likelihood is that of the observed cells,
    which is right where cells are missing at random, and loses no row; --missing drop leaves such
    rows out.

    With --concomitants the weights of the components depend on further columns, by a multinomial
    logit, whose log odds are printed: rows have then weights of their own, which jaxem predict
    writes too.

    Parquet files that do not fit into memory are read block by block, after one look at all
    columns; then pictures are of some of the rows. With --distributed several processes read a
    share of them each.
    """
    outputs.check([file], model=output, reports=reports or ())
    if distributed and fit_options.devices is not None:
        raise BadInput("--distributed takes all devices of the processes: leave out --devices")
    wanted = Wanted(output, reports or (), standard_errors, command_line)
    with joined(distributed) as everyone, precision(fit_options.dtype):
        if distributed or streaming.is_wanted(file, memory):
            if standard_errors is not None:
                raise BadInput(f"{file}: --standard-errors need the table in memory")
            if concomitants is not None:
                raise BadInput(f"{file}: --concomitants need the table in memory")
            with as_bad_input():  # which names the files
                source, data = streaming.source_of(
                    file, column_options, family, response, holes, everyone
                )
                outputs.check_drawable(reports or (), mixtures(data.families, components)[0])
                jobs, data = streaming.planned(
                    mixtures(data.families, components, noise), source, data, starts, fit_options,
                    checkpoint, everyone,
                )  # fmt: skip
            return streaming.search_of(jobs, data, fit_options, wanted, checkpoint, everyone)
        with as_bad_input(file):
            table = tables.read(file, *read_options)
            data = fit_input.of_table(
                file, table, column_options, family, response, holes, concomitants
            )
            candidates = mixtures(data.families, components, noise, data.n_covariates)
            outputs.check_drawable(reports or (), candidates[0])
            jobs = planned(candidates, data.x, starts, fit_options, checkpoint)
        report.remark(file, data.remarks)
        with awaited() if checkpoint else nullcontext():
            return search(jobs, data, fit_options, wanted)


@command("jaxem predict flowers.safetensors new.csv --keep -o labelled.csv")
def predict(
    model: options.ModelFile,
    file: options.Tables,
    *,
    output: options.TableOutput = None,
    keep: options.KeepColumns = False,
    unseen: options.Unseen = "error",
    memory: options.Memory = None,
    share: options.ShareOf = None,
    read_options: options.ReadOptions,
) -> int:
    """Say of each row of a table which component it is of.

    Columns: label, probability_0, probability_1, ... and log_density (natural logarithm); with
    --keep after those of FILE, and with an underscore where a name is taken. Components are
    numbered as jaxem fit and jaxem show print them. The columns of the model are found by name.
    Where the weights of the components depend on columns, those of the row, weight_0, weight_1,
    ..., come last: what these columns alone say of it.

    Parquet files that do not fit into memory are read, and written, some rows at a time. With
    --share several processes label a share of them each, such as by
    --share $SLURM_PROCID/$SLURM_NTASKS.
    """
    output = output if share is None else outputs.of_share(output, share)
    outputs.check([model, *streaming.files(file)], table=output)
    saved = read_model(model, chain=False)
    model_of: Any = saved.model

    def labelled(own: Path, table: tables.Table) -> pa.Table:
        with as_bad_input(own):
            like = emissions.like_x(model_of, saved.params)
            x = matching(
                table.columns, model_of.family, like, saved.columns, saved.levels, unseen,
                n_covariates=model_of.n_covariates,
            )  # fmt: skip
            arguments = saved.model, saved.params, x
            labels = np.asarray(jaxem.predict(*arguments))
            probabilities = np.asarray(jaxem.predict_proba(*arguments))
            log_density = np.asarray(jaxem.log_prob(*arguments))
            weights = _weights(model_of, saved.params, x)
        report.remark(own, table.remarks)
        parts = {f"probability_{k}": column for k, column in enumerate(probabilities.T)}
        columns = {"label": labels, **parts, "log_density": log_density, **weights}
        found = outputs.table(columns)
        return outputs.beside(table.cells, found) if keep else found

    with precision(saved.dtype):
        if share is None:
            found = itertools.starmap(labelled, streaming.parts(file, memory, read_options))
        else:
            found = shares.applied(file, share, shares.rows, labelled)
        outputs.write_parts(output, found)
    return DONE


def _weights(model: Any, params: Any, x: Any) -> dict[str, np.ndarray]:
    """Those of each row, where they depend on covariates."""
    if not model.n_covariates:
        return {}
    weights = np.asarray(jaxem.concomitant_weights(model, params, x[1]))
    return {f"weight_{k}": column for k, column in enumerate(weights.T)}


@command("jaxem sample flowers.safetensors -n 500 --seed 1 -o drawn.csv")
def sample(
    model: options.ModelFile,
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 1000,
    seed: options.Seed = 0,
    output: options.TableOutput = None,
) -> int:
    """Draw rows from a model.

    Columns: those that the model was fitted on, then label, the component that each row is from;
    with an underscore where that name is taken. Of a hidden Markov model the rows are the steps of
    one sequence, and the last column is state.
    """
    outputs.check([model], table=output)
    saved = read_model(model)
    with precision(saved.dtype), as_bad_input(model):
        model_of: Any = saved.model
        if hasattr(model_of.family, "intercept"):
            raise BadInput(
                f"{model}: a regression says nothing of the columns that the response depends on: "
                "it has no rows to draw; use jaxem.sample in Python for regressors drawn anyhow"
            )
        if model_of.n_covariates:
            raise BadInput(
                f"{model}: says nothing of the columns that its weights depend on: it has no rows "
                "to draw; use jaxem.sample in Python for covariates drawn anyhow"
            )
        x, labels = jaxem.sample(saved.model, saved.params, jax.random.key(seed), n)
        rows = outputs.decoded(x, names_of(saved), saved.levels)
        called = "state" if isinstance(saved.model, HMM) else "label"
        rows = outputs.beside(rows, outputs.table({called: np.asarray(labels)}))
    outputs.write_table(output, rows)
    return DONE


@command("jaxem show flowers.safetensors")
def show(model: options.ModelFile) -> int:
    """Print a model, and what its file says of how it was fitted."""
    saved = read_model(model)
    names, out = names_of(saved), report.output()
    with precision(saved.dtype):
        report.say(out, f"{model}: {report.kind(saved.model)}\n")
        for part in parameter_tables.tables(saved.model, saved.params, names, saved.levels):
            out.print(part, "")
    versions = ", ".join(f"{name} {version}" for name, version in saved.versions.items())
    rows = metadata.words(saved.notes) | {"dtype": saved.dtype, "written by": versions}
    out.print(report.two_columns(rows))
    return DONE


@command("jaxem demo --starts 20 --max-components 3")
def demo(
    max_components: Annotated[int, typer.Option(min=1, max=50, help="Compare 1 to so many.")] = 6,
    starts: options.Starts = 100,
    seed: options.Seed = 0,
) -> int:
    """Find by BIC how many kinds of eruption Old Faithful has."""
    x, names = load_faithful()[:2]
    with precision(None):
        models = [jaxem.Mixture(Gaussian("full"), k) for k in range(1, max_components + 1)]
        fit_options = options.FitOptions(seed=seed)
        jobs = planned(models, x, starts, fit_options)
        return search(jobs, FitInput("Old Faithful", names, x, {}), fit_options)


_ORDER = (
    "fit",
    "predict",
    "show",
    "sample",
    "test-k",
    "impute",
    "fit-hmm",
    "decode",
    "plan",
    "demo",
)
app.registered_commands.sort(key=lambda own: _ORDER.index(own.name or ""))
