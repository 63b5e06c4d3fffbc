"""Several processes fit the same rows together, each a part of them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxem
from jaxem import datasets, families
from laws.compare import close

ROOT = Path(__file__).parents[2]
MODEL = jaxem.Mixture(families.Gaussian("full"), 3)
HOLED = jaxem.Mixture(families.Gaussian("diag", missing=True), 2)


def work(port, n, i):
    """What a process finds; it has 1 + i devices."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1 + i)
    jax.distributed.initialize(f"127.0.0.1:{port}", n, i)
    found = verbs(jax.make_mesh((jax.device_count(),), ("rows",)))
    found["devices"] = jax.device_count()
    jax.distributed.shutdown()
    return found


def verbs(mesh):
    x, key = datasets.load_faithful().x, jax.random.key(0)
    holed = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    result = jaxem.fit(MODEL, x, key=key, n_init=3, mesh=mesh, progress=mesh is not None)
    params = result.params
    with_holes = jaxem.fit(HOLED, holed, key=key, n_init=2, mesh=mesh)
    try:
        jaxem.fit(MODEL, holed, key=key, mesh=mesh)
        error = ""
    except ValueError as found:
        error = str(found)
    return {
        "fit": np.asarray(result.restarts.log_likelihood).tolist(),
        "iterations": np.asarray(result.restarts.n_iter).tolist(),
        "weights": np.asarray(params.weights).tolist(),
        "shares": np.asarray(jaxem.predict_proba(MODEL, params, x, mesh=mesh)).tolist(),
        "log_likelihood": float(jaxem.log_likelihood(MODEL, params, x, mesh=mesh)),
        "holes": float(with_holes.log_likelihood),
        "error": error,
    }


@pytest.mark.slow
def test_two_processes_of_three_devices_find_what_one_does():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "XLA_FLAGS": ""}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(port), "2", str(i)],
            env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for i in range(2)
    ]  # fmt: skip
    ends = [process.communicate(timeout=200) for process in running]
    assert all(process.returncode == 0 for process in running), ends
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in ends)
    assert first == second and first.pop("devices") == 3
    expected = verbs(None)
    assert first["error"] == expected.pop("error") and first.pop("error")
    assert first["iterations"] == expected["iterations"]
    for name in ("fit", "log_likelihood", "holes"):
        np.testing.assert_allclose(first[name], expected[name], rtol=1e-12, err_msg=name)
    close(first, expected, rtol=1e-9)


if __name__ == "__main__":
    print(json.dumps(work(*map(int, sys.argv[1:]))))
