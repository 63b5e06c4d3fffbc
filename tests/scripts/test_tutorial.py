"""The numbers that the tutorial tells are true, and its figures are there."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

SCRIPT = Path(__file__).parents[2] / "scripts" / "tutorial.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """-> (the script, its folder, the numbers, the text)."""
    spec = importlib.util.spec_from_file_location("tutorial", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder = tmp_path_factory.mktemp("tutorial")
    numbers = script.tell(folder)
    return script, folder, numbers, (folder / "tutorial.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_figure_of_the_text_is_there_and_none_is_left_over(told):
    _, folder, _, text = told
    shown = set(re.findall(r"!\[[^]]+]\((\w+\.png)\)", text))
    assert shown == {path.name for path in folder.glob("*.png")}
    assert all((folder / name).stat().st_size > 5000 for name in shown)


@pytest.mark.slow
def test_the_likeliest_slope_is_the_least_squares_slope(told):
    line = told[2]["line"]
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 10.0, 50)
    y = 1.7 * x + rng.normal(0.0, 2.0, 50)
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert abs(line["peak"] - slope) <= 0.0005  # half a step of the grid
    np.testing.assert_allclose(line["least_squares"], slope, rtol=1e-12)


def test_the_likelihood_of_the_truth_is_scipys(told):
    script, _, numbers, _ = told
    x, _ = script.the_data()
    density = 0.3 * stats.norm(1, 2).pdf(x) + 0.7 * stats.norm(9, 3).pdf(x)
    np.testing.assert_allclose(numbers["log_likelihood_of_truth"], np.log(density).sum())


def test_all_slices_peak_at_the_truth_within_three_standard_errors(told):
    script, _, numbers, text = told
    assert set(numbers["slices"]) == set(script.TRUE)
    for name, true in script.TRUE.items():
        found = numbers["slices"][name]
        assert 0 < found["standard_error"] < 0.1
        assert abs(found["peak"] - true) < 3 * found["standard_error"]
        assert f"| {name} | {true:g} | {found['peak']:.3f} |" in text


def test_em_recovers_all_five(told):
    script, _, numbers, _ = told
    assert numbers["em_converged"]
    assert numbers["em_rises"] > -1e-9
    assert numbers["em_log_likelihood"] > numbers["log_likelihood_of_truth"]
    for name, true in script.TRUE.items():
        # Conditional standard errors are smaller than those of all five together: allow four.
        assert abs(numbers["em"][name] - true) < 4 * numbers["slices"][name]["standard_error"]
        assert abs(numbers["z_known"][name] - true) < 4 * numbers["slices"][name]["standard_error"]
    assert numbers["z_known_gradient"] < 1e-9


def test_responsibilities_are_0_below_1_above_and_a_half_between(told):
    share = told[2]["responsibilities"]
    assert share["below"] < 0.01 and share["above"] > 0.99
    assert 3.0 < share["border"] < 5.0
    assert share["far"] > 0.9


def test_the_bad_start_converges_to_a_lower_top(told):
    local = told[2]["local"]
    assert local["stuck_converged"]
    assert local["stuck"] < local["good"] - 100
    np.testing.assert_allclose(local["many"], local["good"], rtol=1e-6)
    assert 10 < local["n_best"] < 50


def test_hard_assignment_is_biased(told):
    """Cut tails: both spreads too small, the means pushed apart, by many standard errors."""
    script, _, numbers, _ = told
    hard, errors = numbers["hard"], {k: v["standard_error"] for k, v in numbers["slices"].items()}
    for name in ("sigma1", "sigma2"):
        assert hard[name] < script.TRUE[name] - 3 * errors[name]
    assert hard["mu2"] > script.TRUE["mu2"] + 2 * errors["mu2"]


def test_the_beans_are_found_up_to_their_order(told):
    beans = told[2]["beans"]
    assert sorted(beans["match"]) == [0, 1, 2]
    assert beans["share_right"] > 0.95
    np.testing.assert_allclose(beans["means"], beans["true_means"], atol=0.15)
    np.testing.assert_allclose(beans["known_means"], beans["group_means"], rtol=1e-10)
    np.testing.assert_allclose(beans["known_covariances"], beans["group_covariances"], rtol=1e-8)


def test_the_stale_variance_is_no_maximum_and_ours_is(told):
    m_step = told[2]["m_step"]
    assert m_step["exact"] < 1e-9 < 1 < m_step["stale"]
    assert m_step["expected_exact"] > m_step["expected_stale"]
    assert m_step["likelihood_exact"] > m_step["likelihood_stale"]


def test_the_command_line_wants_a_folder(told, capsys):
    script = told[0]
    assert script.main([]) == 2 and script.main(["--help"]) == 2
    assert "usage: python scripts/tutorial.py FOLDER" in capsys.readouterr().err
