"""The cases of large data, at small sizes: each gives its rows and its figures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import processes, streams
from benchmarks.bench import Bench
from benchmarks.timing import Clock

ROOT = Path(__file__).parents[2]
RATE = """
from benchmarks import streams
from benchmarks.bench import Bench
from benchmarks.timing import Clock
found = streams.Rate(600_000, 30, 3, steps=(0, 1), rounds=1).run(Bench(Clock(), {}, {}))
assert [row.note for row in found.rows] == ["memory", "Parquet", ".npy"]
assert len(found.figures) == 2
"""


def bench():
    return Bench(Clock(), {}, {})


@pytest.mark.slow
def test_a_source_ends_at_the_bits_of_memory():
    """As programs are compiled for users: without optimisation XLA fuses the two differently."""
    env = os.environ | {"XLA_FLAGS": "", "PYTHONPATH": f"{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", RATE], cwd=ROOT, capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_sums_of_float32_are_no_further_off_over_more_rows():
    once, often = (streams.Sums(n, 2, 2).run(bench()) for n in (1 << 17, 1 << 20))
    assert often.rows[0].median > 0 and 0 < once.figures[0].measured < 1e-4
    assert often.figures[0].measured <= 1.5 * once.figures[0].measured


@pytest.mark.slow
def test_online_em_is_measured_against_em():
    found = streams.Online(20_000, 3, 2).run(bench())
    assert [row.note.split(":")[0] for row in found.rows] == ["EM", "online"]
    assert 0 <= found.figures[0].measured < 0.1


@pytest.mark.slow
def test_processes_together_find_a_time():
    found = processes.WeakScaling(2_000, 3, 2, rounds=1).run(bench())
    assert len(found.rows) == 3 and len(found.figures) == 2


@pytest.mark.slow
def test_a_few_passes_end_under_the_optimum():
    found = streams.FewPasses(2000, 2, 2, apart=1.5, passes=3).run(bench())
    assert [row.note.split(" EM")[0] for row in found.rows] == [
        "plain", "incremental", "accelerated"
    ]  # fmt: skip
    assert all(0 < row.median < 1 for row in found.rows)


@pytest.mark.slow
def test_the_peak_of_a_source_is_measured():
    for kept, source in ((False, "made as it is read"), (True, "Parquet")):
        found = streams.Peak((20_000, 2_000_000), 2, 2, kept=kept).run(bench())
        assert [row.note for row in found.rows] == 2 * [source]
        assert all(row.median > 0 for row in found.rows) and found.figures[0].measured > 0
