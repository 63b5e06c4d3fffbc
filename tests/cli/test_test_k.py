"""jaxem test-k, in this process."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from jaxem.cli import main
from jaxem.datasets import load_faithful

FEW = ["--replicates", "9", "--starts", "3", "--replicate-starts", "1"]


@pytest.fixture
def faithful(tmp_path):
    path = tmp_path / "faithful.csv"
    rows = [f"{a},{b}" for a, b in load_faithful().x]
    path.write_text("\n".join(["eruptions,waiting", *rows]))
    return str(path)


@pytest.mark.slow
def test_the_table_has_a_line_for_each_test(faithful, capsys):
    assert main(["test-k", faithful, "--max-components", "1", *FEW]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    cells = re.search(r"^ +1 +2 +(\S+) +(\S+) +(\S+) +(\S+) +(\d+)$", out, re.MULTILINE)
    null, other, statistic, p = (float(cells[i]) for i in range(1, 5))
    assert statistic == pytest.approx(319.065, abs=2e-3)
    assert 2 * (other - null) == pytest.approx(statistic, abs=3e-3) and p == 0.1
    assert "272 rows, 2 columns; full covariance; 9 data sets" in out
    assert "The tests call for k = 1" in out  # nine data sets cannot reject at 0.05
    assert main(["test-k", faithful, "--max-components", "1", "--level", "0.2", *FEW]) == 0
    assert "Every k is rejected at 0.2: the tests call for at least 2" in capsys.readouterr().out


@pytest.mark.slow
def test_holes_are_fitted_around_and_drawn_again(capsys):
    air = str(Path(__file__).parent / "airquality.csv")
    few = ["--max-components", "1", "--columns", "Ozone,Wind,Temp", *FEW]
    assert main(["test-k", air, *few]) == 0
    out, err = capsys.readouterr()
    assert "153 rows, 3 columns" in out and "37 missing cells in 37 of 153 rows" in err
    assert re.search(r"^ +1 +2 +-\d+\.\d+ +-\d+\.\d+ +\d+\.\d+ +\S+ +0$", out, re.MULTILINE)
    assert main(["test-k", air, "--missing", "error", *few]) == 2
    assert "--missing drop" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fit_that_did_not_converge_is_told(faithful, capsys):
    assert main(["test-k", faithful, "--max-components", "1", "--max-iter", "3", *FEW]) == 1
    assert re.search(r"components?: MAX_ITER.*raise --max-iter", capsys.readouterr().err)


def test_bad_input_is_one_line(faithful, tmp_path, capsys):
    path = tmp_path / "short.csv"
    np.savetxt(path, np.arange(6.0).reshape(3, 2), delimiter=",", header="a,b", comments="")
    for arguments, words in (
        ([str(path)], "3 distinct rows"),
        ([faithful, "--covariance", "full,tied"], "--covariance names several; give one"),
        ([faithful, "--replicates", "0"], "--replicates"),
    ):
        assert main(["test-k", *arguments]) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1 and "Traceback" not in err, err


@pytest.mark.slow
def test_weights_may_depend_on_columns(faithful, capsys):
    """The log-likelihood of one component has no covariate in it."""
    given = ["--columns", "waiting", "--concomitants", "eruptions", "--max-components", "1"]
    assert main(["test-k", faithful, *given, *FEW]) == 0
    out = capsys.readouterr().out
    null, other = map(float, re.search(r"^ +1 +2 +(\S+) +(\S+)", out, re.MULTILINE).groups())
    waiting = load_faithful().x[:, 1]
    expected = stats.norm.logpdf(waiting, waiting.mean(), waiting.std()).sum()
    assert null == pytest.approx(expected, abs=1e-3) and other > null + 50
