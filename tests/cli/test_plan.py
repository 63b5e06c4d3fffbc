"""What an iteration over files will take, as it is said before."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem.cli import main, plan
from jaxem.core.dataset import as_dataset
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Old Faithful in two files."""
    monkeypatch.setattr(plan, "_SECONDS", 0.01)
    x = load_faithful().x
    for number, rows in enumerate((x[:200], x[200:])):
        table = pa.table({"eruptions": rows[:, 0], "waiting": rows[:, 1]})
        pq.write_table(table, tmp_path / f"part-{number}.parquet")
    return tmp_path / "part-*.parquet"


@pytest.mark.slow
def test_files_are_planned_for(files, capsys):
    assert main(["plan", str(files), "--components", "2"]) == 0
    printed = capsys.readouterr().out
    assert "272 rows, 2 columns" in printed
    assert re.search(r"an iteration .* (reading|computing) binds", printed)
    assert "all rows would take 4.4 kB" in printed  # 272 x 2 x 8 bytes


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--covariance", "round"], "covariance is 'round'"),
        (["--columns", "height"], "height"),
    ],
)
def test_what_cannot_be_planned_says_why(files, capsys, more, said):
    assert main(["plan", str(files), "--components", "2", *more]) == 2
    assert said in capsys.readouterr().err


def test_starts_and_devices_share_the_computing():
    model = jaxem.Mixture(Gaussian("full"), 2)
    rows = as_dataset(model, np.arange(600, dtype=np.float32).reshape(300, 2)).rows
    of = plan.Measured(reading=1e-6, computing=2e-6, sums=56)
    said = plan._said(model, rows, of, 10**9, 20, 8)
    assert said["reading"] == "17 min, at 1,000,000 rows a second"
    assert said["computing"].startswith("83 min, at 500,000 rows a second")
    assert said["an iteration"] == "83 min: computing binds"
    assert said["memory"].endswith("all rows would take 8 GB")
    assert said["sums"].startswith("1.1 kB")
    assert plan._said(model, rows, of, 10**9, 1, 8)["an iteration"] == "17 min: reading binds"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0123, "12 ms"), (3.456, "3.5 s"), (200.0, "3.3 min"), (2e5, "2.3 days")],
)
def test_durations_have_two_figures(seconds, said):
    assert plan.duration(seconds) == said


def test_a_table_of_text_needs_no_plan(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    assert main(["plan", str(path), "--components", "2"]) == 2
    err = capsys.readouterr().err
    assert "rows.csv: plan looks at Parquet files" in err and err.count("\n") == 1
