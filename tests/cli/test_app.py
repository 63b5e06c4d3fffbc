"""Whole commands, in this process; the fits share their shapes, so that few are compiled."""

import re

import numpy as np
import pytest

import jaxem
from jaxem.cli import main
from jaxem.datasets import load_faithful

STRUCTURES = ("full", "tied", "diag", "spherical")
BEST_OF_TWO = -1130.26396  # Old Faithful, k = 2, full: R mclust and scikit-learn


@pytest.fixture
def faithful(tmp_path):
    path = tmp_path / "old faithful.csv"
    rows = [f"{a},old,{b}" for a, b in load_faithful().x]
    path.write_text("\n".join(["eruptions,where,waiting time [min]", *rows]))
    return str(path)


def fit(*arguments):
    return main(["fit", *arguments, "--components", "2", "--starts", "4"])


def fact(text, name):
    found = re.search(rf"^{re.escape(name)} +(\S+)", text, re.MULTILINE)
    assert found, text
    return found[1]


def components(text):
    """-> {(component, column): (weight, mean, deviation)} as printed."""
    cells, head = {}, None
    for line in text.splitlines():
        row = re.match(r" *(?:(\d+) +(\d\.\d+) +)?(\S.*?) +(-?\d\S*) +(\d\S*)$", line)
        if row and (row[1] or (head and line.startswith("          "))):
            head = (int(row[1]), float(row[2])) if row[1] else head
            cells[head[0], row[3]] = (head[1], float(row[4]), float(row[5]))
    return cells


def test_fit_prints_the_mixture_by_falling_weight(faithful, capsys):
    assert fit(faithful) == 0
    out, err = capsys.readouterr()
    assert err == f"jaxem: {faithful}: columns left out, not numeric: where\n"
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, abs=1e-3)
    assert float(fact(out, "AIC")) == pytest.approx(-2 * BEST_OF_TWO + 22, abs=2e-3)
    bic = -2 * BEST_OF_TWO + 11 * np.log(272)
    assert float(fact(out, "BIC")) == pytest.approx(bic, abs=2e-3)
    assert fact(out, "free parameters") == "11"
    assert fact(out, "dtype") == "float64"
    assert fact(out, "status") == "CONVERGED"
    cells = components(out)
    assert set(cells) == {(k, c) for k in (0, 1) for c in ("eruptions", "waiting time [min]")}
    # R mclust: weights 0.6441, 0.3559
    assert cells[0, "eruptions"][0] == pytest.approx(0.6441, abs=2e-4)
    assert cells[0, "waiting time [min]"][1] == pytest.approx(79.968, abs=2e-3)
    assert cells[1, "eruptions"][1] == pytest.approx(2.0364, abs=2e-4)


def test_the_same_seed_is_the_same_fit(faithful, capsys):
    outputs = []
    for _ in range(2):
        assert fit(faithful, "--seed", "7") == 0
        outputs.append(re.sub(r"(?m)^seconds.*$", "", capsys.readouterr().out))
    assert outputs[0] == outputs[1]


def test_out_of_iterations_prints_all_the_same_and_exits_1(faithful, capsys):
    assert fit(faithful, "--max-iter", "3") == 1
    out, err = capsys.readouterr()
    assert fact(out, "status") == "MAX_ITER"
    assert fact(out, "iterations") == "3"
    assert len(components(out)) == 4
    assert "raise --max-iter or --tol" in err


def test_float32_on_request(faithful, capsys):
    assert fit(faithful, "--dtype", "float32") == 0
    out = capsys.readouterr().out
    assert fact(out, "dtype") == "float32"
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, rel=1e-5)


def test_reg_covar_says_what_was_climbed(faithful, capsys):
    assert fit(faithful, "--reg-covar", "0.01") == 0
    out = capsys.readouterr().out
    likelihood, posterior = fact(out, "log-likelihood"), fact(out, "log-posterior")
    assert float(posterior) < float(likelihood) < BEST_OF_TWO


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_standard_deviations_of_every_structure(covariance, tmp_path, capsys):
    rng = np.random.default_rng(1)
    groups = [rng.normal(size=(24, 2)) @ rng.normal(size=(2, 2)) for _ in range(2)]
    groups[1] = groups[1][:16] + 1000.0  # so far off that every row is of one component
    path = tmp_path / "two.csv"
    np.savetxt(path, np.concatenate(groups), delimiter=",", header="a,b", comments="")
    assert fit(str(path), "--covariance", covariance) == 0
    cells = components(capsys.readouterr().out)

    variances = np.array([group.var(0) for group in groups])
    expected = {
        "full": variances,
        "diag": variances,
        "tied": np.tile(np.average(variances, axis=0, weights=[24, 16]), (2, 1)),
        "spherical": np.tile(variances.mean(1)[:, None], (1, 2)),
    }[covariance]
    for k in range(2):
        for j, name in enumerate("ab"):
            weight, mean, deviation = cells[k, name]
            assert weight == [0.6, 0.4][k]
            assert mean == pytest.approx(groups[k][:, j].mean(), abs=deviation * 1e-3)
            assert deviation == pytest.approx(np.sqrt(expected[k, j]), rel=1e-3)


def test_a_degenerate_fit_names_the_component_of_the_table(tmp_path, capsys):
    path = tmp_path / "spike.csv"
    rows = [f"{i * 37 % 101},{i * 53 % 89}" for i in range(30)] + ["500,500"] * 10
    path.write_text("\n".join(["a,b", *rows]))
    assert fit(str(path)) == 1
    out, err = capsys.readouterr()
    assert fact(out, "status") == "DEGENERATE"
    assert fact(out, "degenerate starts") == "4"
    assert "component 1 (10 of 40 rows) is singular" in err


def test_demo_names_the_winner_by_bic(capsys):
    assert main(["demo", "--max-components", "2", "--starts", "4"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "is that of k = 2." in out
    assert re.search(r"^2 +-1130\.264 +2322\.19 +11 +\d/4 +\d +CONVERGED", out, re.MULTILINE)
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, abs=1e-3)
    assert "…" not in out


def test_demo_interrupted_shows_what_there_is(monkeypatch, capsys):
    from jaxem.cli import progress

    real, left = progress.run, []

    def once(job, line):
        if job.model.n_components == 2:
            raise KeyboardInterrupt
        return real(job, line)

    monkeypatch.setattr(progress, "run", once)
    monkeypatch.setattr(progress, "leave", left.append)
    assert main(["demo", "--max-components", "2", "--starts", "4"]) == 130
    assert left == [130]
    out, err = capsys.readouterr()
    assert "interrupted: the best so far, of 1 fit that ended" in err
    assert "is that of k = 1." in out


BAD_OPTIONS = {
    "--components 0": "--components",
    "--components x": "--components",
    "--components 273": "use at most",
    "--starts 0": "--starts",
    "--covariance ful": "--covariance.*did you mean 'full'",
    "--covariance zzz": "one of full, tied, diag, spherical",
    "--dtype float16": "--dtype.*float16",
    "--tol -1": "--tol",
    "--tol nan": "tol",
    "--tol 1j": "--tol",
    "--max-iter -1": "--max-iter",
    "--reg-covar -1": "--reg-covar",
    "--seed -1": "--seed",
    "--separator ;;": "--separator.*give one character",
    "--columns eruption": "no column 'eruption'; did you mean 'eruptions'",
    "--columns where": "no numbers in the columns where",
    "--colour red": "--colour",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options_are_one_line_and_exit_2(options, faithful, capsys):
    assert main(["fit", faithful, "--components", "2", "--starts", "4", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("jaxem: ")
    assert re.search(BAD_OPTIONS[options], last)


def test_bad_files_are_one_line_and_exit_2(tmp_path, capsys):
    missing = tmp_path / "absent.csv"
    assert fit(str(missing)) == 2
    assert capsys.readouterr().err == f"jaxem: {missing}: there is no such file; check the path\n"
    holes = tmp_path / "holes.csv"
    holes.write_text("a,b\n1,?\n2,3\n")
    assert fit(str(holes)) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"jaxem: {holes}: has 1 missing cells, in columns: b (1); drop those")
    assert err.count("\n") == 1


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxem {jaxem.__version__}\n"
    for arguments in ([], ["--help"], ["fit", "--help"], ["demo", "--help"]):
        assert main(arguments) == 0
        assert "Example: jaxem " in capsys.readouterr().out


def test_no_such_command(capsys):
    assert main(["fti"]) == 2
    assert "No such command 'fti'" in capsys.readouterr().err
