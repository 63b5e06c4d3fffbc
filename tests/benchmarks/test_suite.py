"""The suite runs from one command, keeps what it finds, and gives no ratio that means nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import data, findings, judge, table
from benchmarks.__main__ import main
from benchmarks.bench import Bench
from benchmarks.findings import Figure
from benchmarks.iteration import Iteration, worst_growth
from benchmarks.run import run
from benchmarks.suites import QUICK, SUITES, Suite
from benchmarks.timing import Clock, median_ratio

ROOT = Path(__file__).parents[2]
CEILINGS = {"float32 product": 1e11, "float64 product": 5e10, "copy": 1e10}


class Fake:
    """A program that takes no step, but for a shift of the means."""

    def __init__(self, name, shift=0.0):
        self.name, self._shift = name, shift

    def refuses(self, problem):
        return ""

    def fitter(self, problem):
        weights, means, covariances = problem.start
        moved = data.Parameters(weights, means + self._shift, covariances)

        def fit(steps):
            np.linalg.eigvalsh(np.eye(20 * steps))  # more steps take longer
            return moved

        return fit


class Broken(Fake):
    def fitter(self, problem):
        raise MemoryError("no room")


def bench(*programs):
    return Bench(Clock(), CEILINGS, {program.name: program for program in programs})


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """-> (the finished command, the folder of its results)."""
    folder = tmp_path_factory.mktemp("results") / "new"
    command = [sys.executable, "-m", "benchmarks", "--suite", "quick", "--out", str(folder)]
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # other tests run beside it
    env = os.environ | alone
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    return done, folder


@pytest.mark.slow
def test_one_command_writes_rows_table_and_picture(quick):
    done, folder = quick
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in folder.iterdir()} == {"quick.json", "quick.md", "quick.png"}
    assert (folder / "quick.png").read_bytes().startswith(b"\x89PNG")
    report = findings.read(folder / "quick.json")
    assert not report.failed
    assert {row.case for row in report.findings.rows} >= {case.name for case in QUICK.cases}
    text = (folder / "quick.md").read_text(encoding="utf-8")
    assert text.strip() == done.stdout.strip()
    assert all(figure.what in text for figure in report.findings.figures)
    assert all(line in text for line in report.skipped)
    assert {"date", "commit", "machine", "cores", "versions"} <= set(report.environment)


@pytest.mark.slow
def test_programs_that_ran_agree_with_the_judge(quick):
    report = findings.read(quick[1] / "quick.json")
    compared = [row for row in report.findings.rows if row.case == "an iteration"]
    assert {"jaxem", "scikit-learn"} <= {row.program for row in compared}
    assert all(row.agrees for row in compared)


@pytest.mark.slow
def test_a_report_comes_back_as_it_was(quick, tmp_path):
    path = quick[1] / "quick.json"
    findings.write(findings.read(path), tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())


def test_a_peer_of_another_likelihood_gets_no_ratio():
    case = Iteration(500, 2, 2, targets={"honest": 1, "liar": 1}, rounds=1)
    found = case.run(bench(Fake("jaxem"), Fake("honest"), Fake("liar", shift=3.0)))
    _, honest, liar = found.rows
    assert honest.agrees
    assert not liar.agrees and liar.ratio is None and "does not agree" in liar.note
    assert found.figures[1].measured is None and found.figures[1].met is None


def test_a_broken_peer_is_a_failed_row_and_the_others_go_on():
    case = Iteration(500, 2, 2, targets={"broken": 1}, peers=("honest",), rounds=1)
    found = case.run(bench(Fake("jaxem"), Broken("broken"), Fake("honest")))
    assert [bool(row.error) for row in found.rows] == [False, True, False]
    assert "no room" in found.rows[1].error and "no room" in found.figures[0].note


def test_a_failed_case_is_a_row_and_the_suite_goes_on(monkeypatch, tmp_path, capsys):
    class Bad:
        name = "bad"

        def run(self, bench):
            raise ArithmeticError("it went wrong")

    class Good(Bad):
        name = "good"

        def run(self, bench):
            return findings.Findings([findings.Row("good", "jaxem", "s", median=1.0)])

    suite = Suite("quick", None, ("jaxem",), ("float64",), 8, 8, (Bad(), Good()))
    monkeypatch.setitem(SUITES, "quick", suite)
    assert main(["--suite", "quick", "--out", str(tmp_path)]) == 1
    report = findings.read(tmp_path / "quick.json")
    assert [row.case for row in report.failed] == ["bad"]
    assert [row.case for row in report.findings.rows] == ["bad", "good"]
    assert "it went wrong" in capsys.readouterr().out


def test_after_its_time_a_suite_begins_no_case():
    class Late:
        name = "late"

        def run(self, bench):
            raise AssertionError("it ran")

    suite = Suite("quick", None, ("jaxem",), ("float64",), 8, 8, (Late(),), limit_s=0.0)
    report = run(suite, lambda report: None)
    assert "the time of the suite was spent" in report.failed[0].error


def test_what_cannot_run_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["--suite", "gpu", "--out", str(tmp_path)]) == 2
    (tmp_path / "file").write_text("")
    assert main(["--suite", "quick", "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert not out and len(lines) == 2
    assert "needs a gpu" in lines[0] and "file" in lines[1]


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_the_judge_is_right(structure):
    x = data.clusters(400, 3, 2, "float64")
    start = data.start(x, 2, structure)
    full = {
        "full": lambda c: c,
        "tied": lambda c: np.stack([c, c]),
        "diag": lambda c: np.stack([np.diag(v) for v in c]),
        "spherical": lambda c: np.stack([v * np.eye(3) for v in c]),
    }[structure](start.covariances)
    density = sum(
        w * stats.multivariate_normal(m, c).pdf(x)
        for w, m, c in zip(start.weights, start.means, full, strict=True)
    )
    found = judge.log_likelihood(x, start, structure)
    np.testing.assert_allclose(found, np.log(density).sum(), rtol=1e-12)


def test_parameters_that_are_no_mixture_agree_with_nothing():
    x = data.clusters(100, 2, 2, "float64")
    singular = data.start(x, 2, "full")._replace(covariances=np.zeros((2, 2, 2)))
    found = judge.log_likelihood(x, singular, "full")
    assert not judge.agree(found, found, 1.0) and not judge.agree(found, -100.0, 1.0)


def test_a_figure_is_met_on_its_side_of_the_target():
    assert Figure("f", "x", 5.0, 4.0).met and not Figure("f", "x", 3.0, 4.0).met
    assert Figure("f", "MB", 3.0, 4.0, at_least=False).met
    assert Figure("f", "s", None, 4.0).met is None and Figure("f", "s", 3.0).met is None


def test_rounds_end_with_their_budget_or_the_suite():
    assert list(Clock().rounds(3, 60.0)) == [0, 1, 2]
    assert list(Clock().rounds(3, -1.0)) == [0]
    assert list(Clock(limit_s=0.0).rounds(3, 60.0)) == [0]


def test_ratios_are_taken_within_a_round():
    assert median_ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0
    assert median_ratio([2.0, 1.0], [1.0, 0.0]) is None


def test_growth_is_the_worst_of_any_two_sizes():
    assert worst_growth([10, 20, 40], [2.0, 2.0, 5.0]) == pytest.approx(25.0)


def test_numbers_are_short():
    assert [table.short(v) for v in (None, 0.01234, 12.34, 1234.5)] == [
        "-",
        "0.0123",
        "12.3",
        "1,234",
    ]
