"""Fits compiled for an NVIDIA H100 on a machine without one: what they would ask of the card.

    python -m benchmarks.plans [--out DIR]

writes h100-plans.md. Needs JAX's CUDA plugin (`pip install 'jax[cuda13]'`) and no GPU: nothing
runs, and no time is measured. Memory is what the compiled program sets aside beside its arguments;
launches are its kernels in an iteration of all starts, of a loop of unknown length one trip, of two
branches the one with fewer. On a card autotuning may take other kernels for products.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies

import jaxem
from benchmarks import machine
from jaxem import families
from jaxem.core.contracts import Model, Rows
from jaxem.core.dataset import as_dataset
from jaxem.families.gaussian import fused
from jaxem.fitting import refits, restarts, sizes
from jaxem.fitting.execution import Execution
from jaxem.fitting.options import acceleration
from jaxem.fitting.outcome import Thresholds

RESULTS = Path(__file__).parent / "results"
CARD = Path(__file__).parent / "h100.txtpb"  # NVIDIA's figures of the H100 SXM, as openxla has them
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "after-all"}
_INSTRUCTION = re.compile(r"= (?:\(.*?\)|\S+) ([a-z][\w\-]*)\(")


class Plan(NamedTuple):
    """What a compiled program asks for; bytes."""

    data: int
    temporaries: int
    launches: int


# ---- compiling


def compiled(function: Any, *args: Any) -> Plan:
    """The plan of a jitted function; arrays are given by their shapes."""
    text = CARD.read_text()
    card = topologies.get_topology_desc(platform="cuda", topology="1x1x1", target_config=text)
    there = jax.sharding.SingleDeviceSharding(card.devices[0])

    def shape(leaf: Any) -> Any:
        if not hasattr(leaf, "dtype"):
            return leaf
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there)

    kind = jax.sharding.AbstractDevice("NVIDIA H100", 132, "gpu")  # of which Pallas asks
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=kind)):
        traced = function.trace(*jax.tree.map(shape, args))
        program = traced.lower(lowering_platforms=("cuda",)).compile()
    memory = program.memory_analysis()
    return Plan(
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        _launches(_computations(program.as_text())),
    )


def _computations(text: str) -> dict[str, list[str]]:
    """The lines of each computation of an optimised program, by its name."""
    found: dict[str, list[str]] = {}
    own: list[str] = []
    for line in text.splitlines():
        head = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if head:
            own = found["ENTRY" if head[1] else head[2]] = []
        elif _INSTRUCTION.search(line):
            own.append(line)
    return found


def _launches(computations: dict[str, list[str]], name: str = "ENTRY") -> int:
    """Kernels that a computation launches."""

    def called(line: str, by: str) -> list[int]:
        names = re.findall(rf"{by}=(?:\{{([^}}]*)\}}|([\w.%\-]+))", line)
        each = [own for several, one in names for own in (several or one).split(", ")]
        return [_launches(computations, own.lstrip("%")) for own in each]

    total = 0
    for line in computations[name]:
        found = _INSTRUCTION.search(line)
        op = found[1] if found else ""
        if op == "while":
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            total += (int(trips[1]) if trips else 1) * sum(called(line, "body"))
        elif op == "conditional":
            some = called(line, "branch_computations")
            total += min(some or called(line, "(?:true|false)_computation"))
        elif op == "call":
            total += sum(called(line, "to_apply"))
        elif op not in _FREE:
            total += 1
    return total


# ---- the fits


def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def table(n: int, d: int) -> Rows:
    weight: Any = jax.ShapeDtypeStruct((n,), np.float32)
    return Rows(jax.ShapeDtypeStruct((n, d), np.float32), weight, None)


def execution_of(model: Model, rows: Rows, n_starts: int) -> Execution:
    block = sizes.block_size(model, rows)
    chunk = sizes.chunk_size(model, rows, n_starts, block)
    return Execution(model, block, chunk, acceleration("squarem"))


def fit(model: Model, rows: Rows, n_starts: int = 1) -> Plan:
    """The iterations of all starts."""
    execution = execution_of(model, rows, n_starts)
    whole = jax.ShapeDtypeStruct((), jnp.int32)
    filled = execution.chunk * -(-n_starts // execution.chunk)
    index: Any = jax.ShapeDtypeStruct((filled,), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    states = restarts.start.full.eval_shape(
        execution, rows, None, key, restarts.Begin(index, index, None), None, whole
    )
    tol = jax.ShapeDtypeStruct((), np.float32)
    return compiled(restarts.advance.full, execution, rows, None, states, tol, whole)


def written(model: Model, rows: Rows) -> Plan:
    """Without the kernels that keep the products of columns in registers."""
    with mock.patch.dict(os.environ, {fused.SWITCH: "0"}):
        return fit(model, rows)


def many(model: Model, n_sets: int, rows: Rows, n_starts: int) -> Plan:
    """A group of data sets, each from its own starts."""
    execution = execution_of(model, rows, n_starts)
    n = sizes.sets_a_group(model, rows, n_sets, execution.chunk, execution.block_size)
    number: Any = jax.ShapeDtypeStruct((), np.float32)
    whole: Any = jax.ShapeDtypeStruct((), jnp.int32)
    own = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((n, *leaf.shape), leaf.dtype), rows)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), n))
    begin = refits.Begin(keys, None, jax.ShapeDtypeStruct((n_starts,), jnp.int32))
    settings = refits.Settings(None, whole, number, whole, Thresholds(number, number, number))
    of = execution, refits.own_rows, n, settings, None, own, begin, None
    return compiled(refits._fit.full, *of)


def full(k: int) -> Model:
    return jaxem.Mixture(families.Gaussian("full"), k)


def diag(k: int) -> Model:
    return jaxem.Mixture(families.Gaussian("diag"), k)


def tied(k: int) -> Model:
    return jaxem.Mixture(families.Gaussian("tied"), k)


def chain() -> Plan:
    model = jaxem.HMM(families.Gaussian("diag"), 5)
    x = np.random.default_rng(0).normal(size=(100, 1000, 4)).astype(np.float32)
    return fit(model, shapes(as_dataset(model, x).for_fit))


def holes() -> Plan:
    model = jaxem.Mixture(families.Gaussian("full", missing=True), 5)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 20)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return fit(model, shapes(as_dataset(model, x).for_fit))


CASES: dict[str, Callable[[], Plan]] = {
    "full, 2M x 64, k 32": lambda: fit(full(32), table(2_000_000, 64)),
    "full, 2M x 64, k 32, products written": lambda: written(full(32), table(2_000_000, 64)),
    "diag, 1M x 128, k 64": lambda: fit(diag(64), table(1_000_000, 128)),
    "diag, 1M x 128, k 1024": lambda: fit(diag(1024), table(1_000_000, 128)),
    "tied, 1M x 64, k 32": lambda: fit(tied(32), table(1_000_000, 64)),
    "tied, 1M x 128, k 128": lambda: fit(tied(128), table(1_000_000, 128)),
    "full, 100k x 30, k 30": lambda: fit(full(30), table(100_000, 30)),
    "full, 100k x 128, k 4, 20 starts": lambda: fit(full(4), table(100_000, 128), 20),
    "full, 100k x 256, k 2, 100 starts": lambda: fit(full(2), table(100_000, 256), 100),
    "a group of 2000 sets of 5000 x 8, k 4, 20 starts": lambda: many(
        full(4), 2000, table(5000, 8), 20
    ),
    "chains, 100 of 1000 steps, d 4, k 5": chain,
    "holes by rows, 100k x 20, k 5": holes,
    "full, 5000 x 1, k 2, 100 starts": lambda: fit(full(2), table(5000, 1), 100),
    "full, 5000 x 1, k 2, 1000 starts": lambda: fit(full(2), table(5000, 1), 1000),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Fits compiled for an H100 without one.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the table")
    out = parser.parse_args().out
    lines = [
        "# Fits compiled for an NVIDIA H100, without one",
        "",
        "By `python -m benchmarks.plans`, which says what the columns are; nothing ran on a card.",
        "",
        f"- commit {machine.commit()}; jax {jax.__version__}, {date.today()}",
        "",
        "| float32 | arguments, MB | temporaries, MB | launches an iteration |",
        "|---|---|---|---|",
    ]
    with mock.patch("jax.default_backend", lambda: "gpu"):  # choices are those for an accelerator
        for name, case in CASES.items():
            data, temporaries, launches = case()
            lines.append(f"| {name} | {data / 1e6:.1f} | {temporaries / 1e6:.1f} | {launches} |")
            print(lines[-1], flush=True)
    (out / "h100-plans.md").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
