"""A command that several processes run together: Slurm, Open MPI, Kubernetes, or one by one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from jaxem.cli import cache, interrupts
from jaxem.cli.errors import BadInput

_SECONDS = 30  # that a process which is done waits for others to be
_ADDRESS, _COUNT, _PLACE = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
_INDEX = "JOB_COMPLETION_INDEX"  # which Kubernetes sets in each pod of an indexed Job, or JobSet
_SET = (
    f"--distributed: start the processes with srun, mpirun or the like, or set {_ADDRESS} to "
    f"HOST:PORT of the first, {_COUNT} to their number and {_PLACE} to the place of each, from 0"
)


@contextmanager
def joined(wanted: bool) -> Iterator[Any]:
    """Inside, the process is one of those that run the command; -> a mesh of all their devices.

    The first of them prints; without `wanted` there is no mesh.
    """
    if not wanted:
        yield None
        return
    _join(_given(os.environ))
    cache.use()  # which asks for the devices: not before they are those of all
    _print_alone()
    try:
        yield jax.make_mesh((jax.device_count(),), ("rows",))
    except (BadInput, SystemExit):
        jax.distributed.shutdown()
        raise
    if not interrupts.pressed():  # else the others are on their way out by themselves
        jax.distributed.shutdown()


def _print_alone() -> None:
    """What is printed is of the first process, and not of libraries, such as Gloo."""
    sys.stdout.flush()
    nowhere, own = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    os.dup2(nowhere, 1)
    sys.stdout = os.fdopen(own if is_first() else nowhere, "w")


def is_first() -> bool:
    return jax.process_index() == 0


def _join(given: dict[str, Any]) -> None:
    try:
        jax.distributed.initialize(**given, shutdown_timeout_seconds=_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"{_SET} ({' '.join(str(error).split())})") from None


def _given(environment: Any) -> dict[str, Any]:
    """What the environment says, where no launcher does that JAX knows by itself."""
    told = {name: environment.get(name) for name in (_ADDRESS, _COUNT, _PLACE)}
    if all(value is None for value in (told[_COUNT], told[_PLACE])):
        return {}
    told[_PLACE] = told[_PLACE] or environment.get(_INDEX)
    if not all(told.values()):
        lacks = ", ".join(name for name, value in told.items() if not value)
        raise BadInput(f"{_SET}; {lacks} is not set")
    try:
        n, place = int(told[_COUNT]), int(told[_PLACE])
    except ValueError:
        raise BadInput(f"{_SET}; these are no numbers: {told[_COUNT]}, {told[_PLACE]}") from None
    if not 0 <= place < n:
        raise BadInput(f"{_SET}; there is no place {place} among {n}")
    return {
        "coordinator_address": told[_ADDRESS], "num_processes": n, "process_id": place,
        "cluster_detection_method": "deactivate",
    }  # fmt: skip
