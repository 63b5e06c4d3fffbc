"""`jaxem fit --distributed`, of two processes that a launcher starts, or a person."""

import os
import re
import socket
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import io
from jaxem.cli import distributed, main
from jaxem.cli.errors import BadInput
from jaxem.core import source
from jaxem.datasets import load_faithful

PATIENCE = 300  # seconds, on a slow machine
ADDRESS, COUNT, PLACE = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


def by_hand(port, place):
    return {ADDRESS: f"127.0.0.1:{port}", COUNT: "2", PLACE: str(place)}


def by_slurm(port, place):
    return {
        "SLURM_JOB_ID": "77", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(place), "SLURM_LOCALID": str(place), "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


def by_open_mpi(port, place):
    return {
        "OMPI_MCA_orte_hnp_uri": f"1531576320.0;tcp://127.0.0.1,10.9.9.9:{port}",
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(place),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(place), "JAX_COORDINATOR_PORT": str(port),
    }  # fmt: skip


def by_kubernetes(port, place):
    """What the description of an indexed Job says, and what Kubernetes adds."""
    return {ADDRESS: f"127.0.0.1:{port}", COUNT: "2", "JOB_COMPLETION_INDEX": str(place)}


@pytest.fixture
def folder(tmp_path):
    """Old Faithful in two files."""
    x = load_faithful().x
    for number, rows in enumerate((x[:200], x[200:])):
        table = pa.table({"eruptions": rows[:, 0], "waiting": rows[:, 1]})
        pq.write_table(table, tmp_path / f"part-{number}.parquet")
    return tmp_path


def ends(launcher, *arguments, command=("fit", "--components", "2")):
    """-> (exit status, stdout, stderr) of each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_FLAGS": ""}
    given = [command[0], *map(str, arguments), *command[1:], "--starts", "2", "--distributed"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "jaxem.cli", *given],
            env=os.environ | own | launcher(port, place), **pipes,
        )
        for place in range(2)
    ]  # fmt: skip
    try:
        told = [process.communicate(timeout=PATIENCE) for process in running]
        return [(own.returncode, *of) for own, of in zip(running, told, strict=True)]
    finally:
        for process in running:
            process.kill()


@pytest.mark.slow
def test_the_first_of_two_processes_prints_and_writes(folder, monkeypatch, capsys):
    saved, files = folder / "model.safetensors", folder / "part-*.parquet"
    first, second = ends(by_slurm, files, "-o", saved)
    assert first[0] == second[0] == 0, (first, second)
    assert second[1:] == ("", "")
    assert first[1].startswith(f"{files}: 272 rows, 2 columns; 2 components")
    assert "272 rows are read block by block" in first[2] and first[2].count("\n") == 1
    monkeypatch.setattr(source, "WHOLE", 1)
    assert main(["fit", str(files), "--components", "2", "--starts", "2"]) == 0
    told = re.findall(r"log-likelihood +(\S+)", first[1] + capsys.readouterr().out)
    assert told[0] == told[1]
    _, params = jaxem.load(saved)
    assert np.all(np.diff(params.weights) <= 0)


@pytest.mark.slow
def test_chains_are_fitted_by_two_processes(folder, monkeypatch, capsys):
    """One of five sequences is in both files."""
    lengths = (30, 80, 20, 100, 42)
    x, number = load_faithful().x, np.repeat(np.arange(5), lengths)
    for i, own in enumerate((slice(0, 200), slice(200, 272))):
        table = pa.table({"id": number[own], "t": np.arange(272)[own], "waiting": x[own, 1]})
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=50)
    given = (folder / "part-*.parquet", "--group-by", "id", "--order-by", "t")
    command = ("fit-hmm", "--states", "2")
    saved = folder / "model.safetensors"
    first, second = ends(by_hand, *given, "-o", saved, command=command)
    assert first[0] == second[0] == 0, (first, second)
    assert second[1:] == ("", "")
    monkeypatch.setattr(source, "WHOLE", 1)
    assert main([command[0], *map(str, given), *command[1:], "--starts", "2"]) == 0
    told = re.findall(r"log-likelihood +(\S+)", first[1] + capsys.readouterr().out)
    assert told[0] == told[1]
    assert io.read(saved).notes["n_sequences"] == 5


@pytest.mark.slow
def test_levels_are_those_of_all_shares(tmp_path, monkeypatch, capsys):
    rng, n = np.random.default_rng(0), 300
    for number, words in enumerate((["red", "blue"], ["red", "green"])):
        own = pa.table({"colour": rng.choice(words, n), "member": (rng.random(n) < 0.4).tolist()})
        pq.write_table(own, tmp_path / f"part-{number}.parquet")
    given = (tmp_path / "part-*.parquet", "--family", "categorical")
    first, second = ends(by_hand, *given, "-o", tmp_path / "model.safetensors")
    assert first[0] == second[0] and first[0] in (0, 1), (first, second)
    assert jaxem.io.read(tmp_path / "model.safetensors").levels == {
        "colour": ("blue", "green", "red"), "member": ("false", "true")
    }  # fmt: skip
    monkeypatch.setattr(source, "WHOLE", 1)
    assert main(["fit", *map(str, given), "--components", "2", "--starts", "2"]) == first[0]
    told = re.findall(r"log-likelihood +(\S+)", first[1] + capsys.readouterr().out)
    assert told[0] == told[1]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [by_hand, by_open_mpi, by_kubernetes])
def test_a_file_that_is_damaged_ends_all_in_one_line(folder, launcher):
    """In its rows, which are in the share of one process alone; its footer is whole."""
    path = folder / "part-1.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    first, second = ends(launcher, folder / "part-*.parquet", "--missing", "error")
    assert first == second and first[:2] == (2, ""), (first, second)
    assert first[2].startswith(f"jaxem: {path} is damaged") and first[2].count("\n") == 1, first


def test_what_the_environment_lacks_is_said(capsys):
    assert distributed._given(by_hand(9, 1)) == {
        "coordinator_address": "127.0.0.1:9", "num_processes": 2, "process_id": 1,
        "cluster_detection_method": "deactivate",
    }  # fmt: skip
    assert distributed._given(by_kubernetes(9, 1)) == distributed._given(by_hand(9, 1))
    own = by_kubernetes(9, 1) | {PLACE: "0"}  # one that is told counts more
    assert distributed._given(own)["process_id"] == 0
    assert distributed._given({"JOB_COMPLETION_INDEX": "1"}) == {}  # of a job that says no more
    assert distributed._given(by_slurm(9, 1)) == {}  # JAX knows
    for environment, said in (
        ({COUNT: "2", PLACE: "0"}, f"{ADDRESS} is not set"),
        (by_hand(9, "x"), "no numbers: 2, x"),
        (by_hand(9, 2), "no place 2 among 2"),
    ):
        with pytest.raises(BadInput, match=said):
            distributed._given(environment)
    given = ["fit", "x.parquet", "--components", "2", "--distributed", "--devices", "2"]
    assert main(given) == 2
    assert "leave out --devices" in capsys.readouterr().err
