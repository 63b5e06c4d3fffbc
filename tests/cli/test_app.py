"""Whole commands, in this process; the fits share their shapes, so that few are compiled."""

import errno
import os
import re
import signal
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from outliers import SPOILT

import jaxem
from jaxem.cli import command, interval_table, main, options, progress
from jaxem.datasets import load_faithful
from jaxem.families import Gaussian, LogNormal

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
    assert err == f"jaxem: {faithful}: columns left out, not numeric: where\n" + (
        f"jaxem: {faithful}: --family auto fits columns of text too\n"
    )
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


@pytest.mark.slow
def test_a_search_makes_as_many_starts_as_it_takes(faithful, capsys):
    """As `fit` does by itself: the starts that it made are those that are told, and it is done."""
    given = ["fit", faithful, "--components", "2", "--covariance", "tied", "--starts", "auto"]
    assert main(given) == 0
    out, err = capsys.readouterr()
    assert "interrupted" not in err
    model = jaxem.Mixture(jaxem.families.Gaussian("tied"), 2)
    alone = jaxem.fit(model, load_faithful().x, key=jax.random.key(0))
    n_best, n_starts = int(alone.restarts.n_best), len(alone.restarts.status)
    assert re.search(rf"^starts at the best +{n_best} of {n_starts} ", out, re.MULTILINE), out
    for wrong in ("0", "some"):
        assert main([*given[:-1], wrong]) == 2
        assert f"{wrong!r}; give a number of starts from 1, or auto" in capsys.readouterr().err


def test_out_of_iterations_prints_all_the_same_and_exits_1(faithful, capsys):
    assert fit(faithful, "--max-iter", "3") == 1
    out, err = capsys.readouterr()
    assert fact(out, "status") == "MAX_ITER"
    assert fact(out, "iterations") == "3"
    assert len(components(out)) == 4
    assert "raise --max-iter or --tol" in err


@pytest.mark.slow
def test_float32_on_request(faithful, capsys):
    assert fit(faithful, "--dtype", "float32") == 0
    out = capsys.readouterr().out
    assert fact(out, "dtype") == "float32"
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, rel=1e-5)


@pytest.mark.slow
def test_outliers_are_noise_or_do_not_count(tmp_path, capsys):
    file = tmp_path / "spoilt.csv"
    np.savetxt(file, SPOILT, delimiter=",", header="a,b", comments="")
    assert fit(str(file), "--noise") == 0
    assert float(fact(capsys.readouterr().out, "rows that are noise")) == pytest.approx(
        0.1, abs=0.02
    )
    assert fit(str(file), "--trim", "0.1") == 0
    assert fact(capsys.readouterr().out, "rows that count") == "270"
    fit(str(file), "--trim", "0.1", "--standard-errors", "observed")
    assert "all rows have to count for them: leave out --trim" in capsys.readouterr().err


@pytest.mark.slow
def test_reg_covar_says_what_was_climbed(faithful, capsys):
    assert fit(faithful, "--reg-covar", "0.01") == 0
    out = capsys.readouterr().out
    likelihood, posterior = fact(out, "log-likelihood"), fact(out, "log-posterior")
    assert float(posterior) < float(likelihood) < BEST_OF_TWO


@pytest.mark.slow
def test_structures_of_mclust_are_fitted_by_their_names(faithful, capsys):
    assert fit(faithful, "--covariance", "VVE,VVV,full") == 0
    out = capsys.readouterr().out
    assert "is that of k = 2, VVE covariance." in out
    assert "-1132.113" in out and "-1130.264" in out
    assert options._structures("all") == STRUCTURES
    assert len(options._structures("all14,full")) == 14
    assert options._structures("tied-diag,EEI,VVI") == ("EEI", "diag")


@pytest.mark.slow(but=("spherical",))
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
    assert "is that of k = 2, full covariance." in out
    assert table(out)[2, "full"] == ("*", -1130.264, 2322.19, 11, "CONVERGED")
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, abs=1e-3)
    assert "…" not in out


def table(text):
    """-> {(k, covariance): (mark, log-likelihood, BIC, free parameters, status)} as printed."""
    row = r"^(\*?) +(\d) +(\w+) +(-?\d+\.\d+) +(\S+) +(\d+) +\d+/\d+ +\d+ +([A-Z_]+) +\S+$"
    return {
        (int(k), name): (
            mark,
            float(likelihood),
            bic if bic == "-" else float(bic),
            int(free),
            status,
        )
        for mark, k, name, likelihood, bic, free, status in re.findall(row, text, re.MULTILINE)
    }


def test_several_candidates_are_compared_as_select_does(faithful, tmp_path, capsys):
    path = tmp_path / "best.safetensors"
    options = ["--components", "1:3", "--covariance", "full,tied", "--starts", "4"]
    assert main(["fit", faithful, *options, "-o", str(path)]) == 0
    out = capsys.readouterr().out
    rows = table(out)
    models = [
        jaxem.Mixture(jaxem.families.Gaussian(name), k)
        for name in ("full", "tied")
        for k in (1, 2, 3)
    ]
    selection = jaxem.select(models, load_faithful().x, key=jax.random.key(0), n_init=4)
    assert list(rows) == [(m.n_components, m.family.covariance.name) for m in models]
    for i, candidate in enumerate(selection.candidates):
        mark, likelihood, bic, free, status = list(rows.values())[i]
        assert likelihood == pytest.approx(float(candidate.result.log_likelihood), abs=6e-4)
        assert bic == pytest.approx(candidate.bic, abs=6e-3)
        assert free == int(candidate.result.n_free_parameters)
        assert status == candidate.status.name
        assert (mark == "*") == (i == selection.index)
    best = jaxem.load(path)[1]
    order = np.argsort(-np.asarray(selection.best.params.weights))
    np.testing.assert_array_equal(best.weights, selection.best.params.weights[order])
    np.testing.assert_array_equal(
        best.components.means, selection.best.params.components.means[order]
    )
    k, name = selection.model.n_components, selection.model.family.covariance.name
    assert f"is that of k = {k}, {name} covariance." in out
    assert fact(out, "status") == "CONVERGED"


def test_a_degenerate_candidate_never_wins(tmp_path, capsys):
    path = tmp_path / "spike.csv"
    rows = [f"{i * 37 % 101},{i * 53 % 89}" for i in range(30)] + ["500,500"] * 10
    path.write_text("\n".join(["a,b", *rows]))
    assert main(["fit", str(path), "--components", "1:2", "--starts", "4"]) == 0
    rows = table(capsys.readouterr().out)
    assert rows[2, "full"][4] == "DEGENERATE" and rows[2, "full"][1] > rows[1, "full"][1]
    assert rows[1, "full"][0] == "*" and rows[2, "full"][2] == "-"


@pytest.mark.slow
def test_without_a_likelihood_nothing_is_written(tmp_path, capsys):
    path, model = tmp_path / "one row.csv", tmp_path / "m.safetensors"
    path.write_text("a,b\n1,2\n")
    assert main(["fit", str(path), "--components", "1", "--starts", "4", "-o", str(model)]) == 1
    err = capsys.readouterr().err
    assert "no fit has a likelihood, so nothing is written" in err
    assert "columns that are constant or duplicated" in err
    assert not model.exists()


def test_a_table_is_no_place_for_a_model(faithful, tmp_path, capsys):
    precious = tmp_path / "other.csv"
    precious.write_text("a\n1\n")
    assert fit(faithful, "-o", str(precious)) == 2
    assert "is a model file, not a table; give other.safetensors" in capsys.readouterr().err
    assert precious.read_text() == "a\n1\n"


def interrupted_at(n_components, monkeypatch):
    """Ctrl-C when the fit with so many components begins."""
    real = progress.run

    def run(job, line, *beside):
        if job.provenance.model.n_components == n_components:
            signal.raise_signal(signal.SIGINT)
        return real(job, line, *beside)

    monkeypatch.setattr(progress, "run", run)
    monkeypatch.setattr(command, "leave", lambda status: None)


def test_interrupted_candidates_leave_the_best_of_the_others(
    monkeypatch, faithful, tmp_path, capsys
):
    interrupted_at(2, monkeypatch)
    path = tmp_path / "m.safetensors"
    options = ["--components", "1:2", "--starts", "4", "-o", str(path)]
    assert main(["fit", faithful, *options]) == 130
    out, err = capsys.readouterr()
    assert "interrupted: the best so far; 1 of 2 candidates had ended" in err
    assert list(table(out)) == [(1, "full")]
    assert jaxem.load(path)[0].n_components == 1


def test_interrupted_before_anything_is_computed_writes_nothing(
    monkeypatch, faithful, tmp_path, capsys
):
    interrupted_at(2, monkeypatch)
    path = tmp_path / "m.safetensors"
    assert fit(faithful, "-o", str(path)) == 130
    out, err = capsys.readouterr()
    assert out == "" and not path.exists()
    assert "interrupted: nothing is computed yet, so there is nothing to show or write" in err


def test_the_report_is_a_picture(faithful, tmp_path):
    pages = [tmp_path / "page.png", tmp_path / "page.pdf", tmp_path / "page.html"]
    assert fit(faithful, "--report", str(pages[0]), "--report", str(pages[2])) == 0
    assert "<title>" in pages[2].read_text()
    options = ["--components", "1:2", "--starts", "4", "--report", str(pages[1])]
    assert main(["fit", faithful, *options]) == 0
    assert pages[0].read_bytes().startswith(b"\x89PNG")
    assert pages[1].read_bytes().startswith(b"%PDF")


BAD_OPTIONS = {
    "--components 0": "--components.*at least 1 component",
    "--components 0:3": "--components.*at least 1 component",
    "--components x": "--components.*such as 3, or a range, such as 1:8",
    "--components 1:": "--components.*such as 3, or a range, such as 1:8",
    "--components 5:2": "--components.*give 2:5",
    "--components 273": "use at most",
    "--components 1:300": "use at most",
    "--starts 0": "--starts'.*from 1, or auto",
    "--starts many": "--starts'.*from 1, or auto",
    "--componets 3": "--componets; did you mean '--components'. see jaxem fit --help$",
    "--covariance ful": "--covariance.*did you mean 'full'",
    "--covariance full,digonal": "--covariance.*'digonal'; did you mean 'diag'",
    "--covariance zzz": "one of full, tied, diag, spherical, all",
    "--report page.docx": "docx files cannot be written; give one of .html, .png, .pdf, .svg$",
    "--report page": "page: has no extension; give one of .*.png",
    "-o no/such/m": "no/such/m: cannot be written: there is no such file or folder",
    "--report no/such/page.png": "no/such/page.png: cannot be written",
    "-o page.png --report ./page.png": "page.png: --report is the file of --output too",
    "--report a.png --report ./a.png": "a.png: --report is the file of --report too",
    "--dtype float16": "--dtype': 'float16' is not one of 'float64', 'float32'",
    "--tol -1": "--tol",
    "--tol nan": "tol",
    "--tol 1j": "--tol'.*it must be a number",
    "--max-iter -1": "--max-iter",
    "--reg-covar -1": "--reg-covar",
    "--seed -1": "--seed",
    "--separator ;;": "--separator.*give one character",
    "--columns eruption": "no column 'eruption'; did you mean 'eruptions'",
    "--columns where": "column where, which is not numeric, but gaussian",
    "--colour red": "--colour",
}


@pytest.mark.slow
@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options_are_one_line_and_exit_2(options, faithful, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", faithful, "--components", "2", "--starts", "4", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and os.listdir(tmp_path) == [os.path.basename(faithful)]
    last = err.splitlines()[-1]
    assert last.startswith("jaxem: ")
    assert re.search(BAD_OPTIONS[options], last)


def test_bad_files_are_one_line_and_exit_2(tmp_path, capsys):
    missing = tmp_path / "absent.csv"
    assert fit(str(missing)) == 2
    assert capsys.readouterr().err == f"jaxem: {missing}: there is no such file; check the path\n"
    assert fit(str(tmp_path / "hole.csv")) == 2
    assert capsys.readouterr().err.endswith("there is no such file; check the path\n")
    (tmp_path / "holes.csv").write_text("")
    assert fit(str(tmp_path / "hole.csv")) == 2
    assert "there is no such file; did you mean 'holes.csv'? check" in capsys.readouterr().err
    holes = tmp_path / "holes.csv"
    holes.write_text("a,b\n1,?\n2,3\n")
    assert fit(str(holes), "--missing", "error") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"jaxem: {holes}: has 1 missing cell in 1 of 2 rows, in columns: b (1);")
    assert err.count("\n") == 1


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxem {jaxem.__version__}\n"
    commands = ["fit", "predict", "sample", "show", "demo"]
    for arguments in ([], ["--help"], *([name, "--help"] for name in commands)):
        assert main(arguments) == 0
        assert f"Example: jaxem {''.join(arguments[:-1])}" in capsys.readouterr().out


def test_an_output_is_not_the_input(faithful, tmp_path, capsys):
    before = Path(faithful).read_text()
    link = tmp_path / "link.csv"
    link.symlink_to(faithful)
    for path in (faithful, str(link)):
        assert fit(faithful, "-o", path) == 2
        assert "--output is the input; give another name" in capsys.readouterr().err
    assert Path(faithful).read_text() == before


@pytest.mark.parametrize(("option", "package"), [("-o", "safetensors"), ("--report", "matplotlib")])
def test_a_missing_package_is_said_before_the_fit(option, package, faithful, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert fit(faithful, option, faithful + ".png") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"needs {package}, which is not installed; run: pip install 'jaxem[cli]'" in err


def test_a_full_disk_leaves_the_old_file(faithful, tmp_path, monkeypatch, capsys):
    path = tmp_path / "m.safetensors"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert fit(faithful, "-o", str(path)) == 2
    out, err = capsys.readouterr()
    assert fact(out, "status") == "CONVERGED"  # what was found is shown all the same
    assert f"{path}: cannot be written: the disk is full" in err.splitlines()[-1]
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_no_such_command(capsys):
    assert main(["fti"]) == 2
    err = capsys.readouterr().err
    assert "No such command 'fti'. Did you mean 'fit'? see jaxem --help" in err


@pytest.mark.slow
def test_standard_errors_are_printed_with_intervals(faithful, capsys):
    """R numDeriv: 0.0290891 of the weight, 0.4561857 and 0.5918738 of the means of the waiting."""
    assert fit(faithful, "--standard-errors", "observed") == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    at = {" ".join(row[:-4]): [float(cell) for cell in row[-4:]] for row in rows
          if len(row) > 4 and "[" in row[0]}  # fmt: skip
    assert len(at) == 12  # each covariance once
    assert at["weights[0]"][:2] == pytest.approx([0.64413, 0.0290891], rel=1e-4)
    assert at["means[0, waiting time [min]]"][1] == pytest.approx(0.4561857, rel=1e-4)
    estimate, error, low, high = at["means[1, waiting time [min]]"]
    assert error == pytest.approx(0.5918738, rel=1e-4)
    ends = [estimate - 1.95996 * error, estimate + 1.95996 * error]
    assert [low, high] == pytest.approx(ends, rel=1e-4)
    assert fit(faithful, "--max-iter", "1", "--standard-errors", "observed") != 0
    assert "no standard errors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "shape", "n_shown"),
    [
        (Gaussian("full"), (2, 2, 2), 6),
        (Gaussian("tied"), (2, 2), 3),
        (Gaussian("diag"), (2, 2), 4),
        (Gaussian("VEI"), (2, 2), 4),
        (Gaussian("VVE"), (2, 2, 2), 6),
        (Gaussian("spherical"), (2,), 2),
        (LogNormal(), (2, 2), 4),
    ],
)
def test_each_number_has_one_interval(family, shape, n_shown):
    _, spread = family.constraints
    assert np.sum(~interval_table.is_repeated(spread, np.ones(shape))) == n_shown


@pytest.mark.slow
def test_standard_errors_by_refits(faithful, capsys, monkeypatch):
    """Of 100 refits, within a third of those by the information."""
    monkeypatch.setattr(interval_table, "REFITS", 100)
    assert fit(faithful, "--standard-errors", "bootstrap") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    (cells,) = ([float(c) for c in row[-4:]] for row in rows if row[:1] == ["weights[0]"])
    estimate, error, low, high = cells
    assert error == pytest.approx(0.0290891, rel=0.3)
    assert low < estimate - error < estimate + error < high


@pytest.mark.slow
def test_rows_are_spread_over_devices(faithful, capsys):
    given = ["fit", faithful, "--components", "1:2", "--starts", "3"]
    assert main(given) == main([*given, "--devices", "4"]) == 0
    first, second = re.findall(r"log-likelihood +(\S+)", capsys.readouterr().out)
    assert first == second
    assert main([*given, "--devices", "9"]) == 2
    assert "--devices 9: there are 4" in capsys.readouterr().err


@pytest.mark.slow
def test_probabilities_have_intervals_by_the_names_of_their_levels(tmp_path, capsys):
    """One of twelve is red: 1/12 -+ 1.96 sqrt(11 / 12^3) begins below 0, which is said."""
    rows = [f"{'red' if i == 0 else 'green' if i < 6 else 'blue'},{'ny'[i % 2]}" for i in range(12)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["colour,paid", *rows]) + "\n")
    arguments = ["fit", str(path), "--components", "1", "--starts", "1", "--family", "auto"]
    assert main([*arguments, "--standard-errors", "observed"]) == 0
    out, err = capsys.readouterr()
    cells = re.search(r"P\(colour = red\)\[0\] +(\S+) +(\S+) +(\S+) +(\S+)", out).groups()
    found = [float(cell) for cell in cells]
    np.testing.assert_allclose(found[:3], [1 / 12, 0.079786, -0.073044], rtol=1e-3)
    assert "P(paid = y)[0]" in out and "P(colour = blue)[0]" in out and "probabilities[" not in out
    assert "Wald intervals leave the range of" in err
    assert "--standard-errors bootstrap stays within" in err


def test_the_commands_come_in_the_order_of_a_first_use(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("Commands:") + 1
    commands = [line.split() for line in lines[first : lines.index("", first)]]
    assert [words[0] for words in commands[:3]] == ["fit", "predict", "show"]
    assert not [words for words in commands if words[-1].endswith("...")]  # none is cut


def test_an_option_without_its_value_sends_to_the_help_of_its_command(capsys):
    assert main(["fit", "x.csv", "--components"]) == 2
    assert capsys.readouterr().err.endswith("requires an argument; see jaxem fit --help\n")


def test_columns_that_were_not_told_apart(tmp_path, capsys):
    file = tmp_path / "spaces.txt"
    file.write_text("a b\n1 2\n3 4\n")
    assert fit(str(file)) == 2
    assert capsys.readouterr().err.endswith("give --separator ' '\n")
    file.write_text("a,b\nx,y\nz,w\n")
    assert fit(str(file)) == 2
    assert "another --family, such as auto" in capsys.readouterr().err


def test_a_table_on_the_standard_input(faithful, monkeypatch, capsys):
    with open(faithful) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert fit("-") == 0
    out = capsys.readouterr().out
    assert float(fact(out, "log-likelihood")) == pytest.approx(BEST_OF_TWO, abs=1e-3)


def test_nobody_to_complain_to(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["show", "no such file"]) == 2
