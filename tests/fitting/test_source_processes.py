"""Several processes fit a source together, each a share of its row groups: as one process does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import source
from jaxem.fitting import checkpoint, stream, watchdog
from laws.compare import close

ROOT = Path(__file__).parents[2]
KEY = jax.random.key
N = 700
DIAG = jaxem.Mixture(families.Gaussian("diag"), 2)
OPTIONS = {"n_init": 2, "max_iter": 8, "block_size": 32, "reg_covar": 0.1}
PATIENCE = 60  # seconds that a process may take to end whose peer is gone


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2)) + 3 * (np.arange(N) % 2)[:, None]
    return x, rng.integers(0, 3, N).astype(float)


def written(folder):
    """Row groups of 300, of one row (by bytes less than a block of the other share), and more."""
    x, weight = rows()
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "w": weight})
    pq.write_table(table[:300], folder / "x-0.parquet")
    pq.write_table(table[300:301], folder / "x-1.parquet")
    pq.write_table(table[301:], folder / "x-2.parquet", row_group_size=150)
    pq.write_table(table, folder / "whole.parquet")


def begun(folder, what, n=2):
    """So many processes of this file, the second of two devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "XLA_FLAGS": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, __file__, str(folder), what, str(port), str(n)]
    return [subprocess.Popen([*command, str(i)], env=env, **pipes) for i in range(n)]


# ---- what a process does


def main(folder, what, port, n, i):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1 + (i == 1))
    jax.distributed.initialize(f"127.0.0.1:{port}", n, i)
    mesh = jax.make_mesh((jax.device_count(),), ("rows",))
    found = {"fits": fits, "uneven": uneven, "endless": endless}[what](Path(folder), mesh)
    jax.distributed.shutdown()
    print(json.dumps(found))


def told(result):
    return {
        "fit": np.asarray(result.restarts.log_likelihood).tolist(),
        "iterations": np.asarray(result.restarts.n_iter).tolist(),
        "means": np.asarray(result.params.components.means).tolist(),
        "rows": result.provenance.n_rows,
    }


def fits(folder, mesh):
    """Also what one process finds, where mesh is None."""
    source.WHOLE, stream._PART = 1, 1 << 11
    files = sources.parquet(folder / "x-*.parquet", ["a", "b"], sample_weight="w")
    one_group = sources.parquet(folder / "whole.parquet", ["a", "b"])
    given = {"key": KEY(3), "mesh": mesh, **OPTIONS}
    result = jaxem.fit(DIAG, files, **given)
    statistics, total = jaxem.e_step(DIAG, result.params, files, mesh=mesh)
    found = {
        "files": told(result),
        "of one group": told(jaxem.fit(DIAG, one_group, **given)),
        "e_step": [np.asarray(total).tolist(), np.asarray(statistics.counts).tolist()],
    }
    if mesh is None:
        return found
    first = jax.process_index() == 0
    return found | {
        "again": told(_cut_and_resumed(folder, files, given)),
        "in one alone": _error(DIAG, _failing(files, first, at=2), given),
        "while it looks": _error(DIAG, _failing(files, not first, at=0), given),
        "different": _error(DIAG, one_group if first else _part_of(files), given),
        "a mesh of others": _error(DIAG, files, given | {"mesh": _of_one(mesh)}),
    }


def uneven(folder, mesh):
    """Also what one process finds, where mesh is None: of three row groups, the first small."""
    source.WHOLE, stream._PART = 1, 1 << 11
    files = sources.parquet(folder / "uneven.parquet", ["a", "b"], sample_weight="w")
    given = {"key": KEY(3), "mesh": mesh, **OPTIONS}
    statistics, total = jaxem.e_step(DIAG, jaxem.fit(DIAG, files, **given).params, files, mesh=mesh)
    chains = sources.parquet(folder / "chains.parquet", ["a", "b"], sequence="id")
    hmm = jaxem.HMM(families.Gaussian("diag"), 2)
    fitted = jaxem.fit(hmm, chains, **given)
    of = {(DIAG, files): jaxem.fit(DIAG, files, **given | {"tol": 1e-10, "max_iter": 500}).params,
          (hmm, chains): fitted.params}  # fmt: skip
    criteria = [
        float(verb(model, params, rows, mesh=mesh))
        for (model, rows), params in of.items()
        for verb in (jaxem.aic, jaxem.bic, jaxem.icl)
    ]
    errors = jaxem.standard_errors(
        DIAG, of[DIAG, files], files, method="sandwich", reg_covar=0.1, mesh=mesh
    )
    return {
        "criteria": criteria,
        "errors": [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(errors)],
        "fit": told(jaxem.fit(DIAG, files, **given)),
        "e_step": [np.asarray(total).tolist(), np.asarray(statistics.counts).tolist()],
        "chains": np.asarray(fitted.restarts.log_likelihood).tolist(),
        "moves": np.asarray(fitted.params.transition).tolist(),
        "steps": fitted.provenance.n_rows,
    }


def _of_one(mesh):
    return jax.sharding.Mesh(mesh.devices[:1], ("rows",))


def _part_of(files):
    return source.Share(files, 0, 500, files.names, "")


def _error(model, rows, given):
    try:
        return float(jaxem.fit(model, rows, **given).log_likelihood)
    except ValueError as error:
        return str(error)


def _failing(files, fails, at):
    """Its reading number `at` fails at row 0 of a share, or at that of the first."""
    n_read = -1

    class Failing(source.Source):
        def cuts(self, n):
            return files.cuts(n)

        def pieces(self, first=0):
            nonlocal n_read
            n_read += 1
            if fails and n_read == at:
                raise OSError("x-9.parquet: cannot be read: the disk is gone")
            return files.pieces(first)

    return Failing()


def _cut_and_resumed(folder, files, given):
    """A fit that one process is asked to end in a pass, and all go on with; cut twice."""
    given = given | {"checkpoint": folder / "fit.ckpt"}
    checkpoint.Checkpoint.due = property(lambda self: False)
    for place, n_read in ((0, 3), (1, 2)):
        own = n_read if jax.process_index() == place else None
        try:
            jaxem.fit(DIAG, _asked(files, own), **given)
            raise AssertionError("it was to end")
        except SystemExit as end:
            assert end.code == 143
    assert len(list(folder.glob("fit.ckpt*"))) >= 2
    return jaxem.fit(DIAG, _asked(files, None), **given)


def _asked(files, at):
    """In its reading number `at` the process gets SIGTERM."""
    count = iter(range(10**6))

    class Asked(source.Source):
        fingerprint = "files"

        def cuts(self, n):
            return files.cuts(n)

        def pieces(self, first=0):
            if next(count) == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return files.pieces(first)

    return Asked()


def endless(folder, mesh):
    source.WHOLE = 1
    watchdog._SILENT = 4
    files = sources.parquet(folder / "x-*.parquet", ["a", "b"])
    slow = sources.batches(lambda: _slowly(folder, files))
    jaxem.fit(DIAG, slow, key=KEY(0), mesh=mesh, **OPTIONS | {"tol": 0.0, "max_iter": 10**6})


def _slowly(folder, files):
    for number, piece in enumerate(files.pieces()):
        time.sleep(0.02)
        (folder / f"read-{jax.process_index()}").write_text(str(number))
        yield piece.x


# ---- the tests


def test_two_processes_find_what_one_does(tmp_path):
    written(tmp_path)
    running = begun(tmp_path, "fits")
    ends = [process.communicate(timeout=400) for process in running]
    assert all(process.returncode == 0 for process in running), ends
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in ends)
    other = first.pop("a mesh of others"), second.pop("a mesh of others")
    assert isinstance(other[0], float) and "no device of this process" in other[1]
    assert first == second
    for name in ("in one alone", "while it looks"):
        assert first.pop(name) == "x-9.parquet: cannot be read: the disk is gone"
    assert "700 and 500 rows" in first.pop("different")
    close(first.pop("again"), first["files"], rtol=1e-12)
    close(first, fits(tmp_path, None), rtol=1e-12)


@pytest.mark.slow
def test_four_processes_of_uneven_shares_find_what_one_does(tmp_path):
    """Shares of 1 : 10, and an empty one; of sequences, shares of whole ones."""
    x, weight = rows()
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "w": weight})
    with pq.ParquetWriter(tmp_path / "uneven.parquet", table.schema) as file:
        for first, stop in ((0, 33), (33, 363), (363, 693)):
            file.write_table(table[first:stop])
    chains = table.append_column("id", pa.array(np.repeat(np.arange(7), N // 7)))
    pq.write_table(chains, tmp_path / "chains.parquet", row_group_size=90)
    cuts = sources.parquet(tmp_path / "uneven.parquet").cuts(4)
    assert sorted(np.diff(cuts)) == [0, 33, 330, 330]
    running = begun(tmp_path, "uneven", 4)
    ends = [process.communicate(timeout=400) for process in running]
    assert all(process.returncode == 0 for process in running), ends
    found = [json.loads(out.splitlines()[-1]) for out, _ in ends]
    assert found[0] == found[1] == found[2] == found[3]
    expected = uneven(tmp_path, None)
    close(found[0].pop("errors"), expected.pop("errors"), rtol=1e-9)  # of an inverse
    close(found[0], expected, rtol=1e-12)


def ended(tmp_path, how, place):
    """What the other process ends with, where the one at a place is killed or stopped."""
    written(tmp_path)
    running = begun(tmp_path, "endless")
    try:
        deadline = time.monotonic() + 200
        while not all((tmp_path / f"read-{i}").exists() for i in range(2)):
            states = [process.poll() for process in running]
            assert states == [None, None] and time.monotonic() < deadline, states
            time.sleep(0.1)
        time.sleep(5)
        running[place].send_signal(how)
        out, err = running[1 - place].communicate(timeout=PATIENCE)
        return running[1 - place].returncode, out, err
    finally:
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def lines(err):
    return [line for line in err.splitlines() if not line.startswith("[Gloo]")]


def test_a_process_ends_whose_peer_was_killed(tmp_path):
    code, _, err = ended(tmp_path, signal.SIGKILL, 1)
    assert code == 1 and len(lines(err)) == 1, err
    assert "process 1 was killed" in err


@pytest.mark.slow
def test_a_process_ends_whose_leader_was_killed(tmp_path):
    """By the watch, or by JAX's own: whichever sees it first, and both say why."""
    code, _, err = ended(tmp_path, signal.SIGKILL, 0)
    assert code not in (0, None)
    assert "process 0 was killed" in err or "JAX distributed service" in err, err


def test_a_process_ends_whose_peer_has_stopped(tmp_path):
    code, _, err = ended(tmp_path, signal.SIGSTOP, 1)
    assert code == 1 and len(lines(err)) == 1, err
    assert "process 1 has stopped" in err


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
