"""The examples run, and print what is published beside what they find."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_a_density_and_a_family_of_its_own_end_in_the_same_optimum(capsys):
    import example_new_family

    a, b = example_new_family.main()
    assert a.converged and b.converged
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-9)
    order = np.argsort(np.asarray(a.params.weights)), np.argsort(np.asarray(b.params.weights))
    for one, other in zip(a.params.components, b.params.components, strict=True):
        np.testing.assert_allclose(one[order[0]], other[order[1]], rtol=1e-4)
    np.testing.assert_allclose(np.sort(a.params.components.shape), [0.8, 6.0], rtol=0.1)
    assert "a family of its own" in capsys.readouterr().out


def test_a_new_family_is_a_short_file():
    lines = (SCRIPTS / "example_weibull_family.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80


def test_latent_classes(capsys, tmp_path):
    import example_latent_classes as example

    result, report = example.main(str(tmp_path / "profiles.png"))
    found = (float(result.log_likelihood), report.g2, report.chi2)
    np.testing.assert_allclose(found, list(example.PUBLISHED.values()), rtol=1e-5)
    assert (tmp_path / "profiles.png").stat().st_size > 5000
    assert "published" in capsys.readouterr().out
    plt.close("all")


def test_counts(capsys):
    import example_mixtures_of_counts as example

    ours = example.main()
    np.testing.assert_allclose(list(ours.values()), list(example.PUBLISHED.values()), atol=6e-5)
    capsys.readouterr()


def test_a_mixture_of_regressions(capsys, tmp_path):
    import example_mixture_of_regressions as example

    result = example.main()
    assert result.converged
    b, scales = result.params.components
    order = np.argsort(np.asarray(b[:, 0]))
    np.testing.assert_allclose(b[order][:, 1:], np.array(example.DESIGN)[:, 1:], atol=0.3)
    np.testing.assert_allclose(scales, 3.0, rtol=0.05)
    x, y = example.drawn(60)
    rows = "\n".join(f"{a},{b}" for a, b in zip(x, y, strict=True))
    (tmp_path / "npreg.csv").write_text(f"x,yn\n{rows}\n")
    example.main(str(tmp_path / "npreg.csv"))
    assert "published" in capsys.readouterr().out


def test_mixed_columns(capsys):
    import example_mixed_columns as example

    result, counts = example.main()
    assert result.converged and counts.max(1).sum() >= 198  # the kinds of the publication
    out = capsys.readouterr().out
    assert "published species" in out
    assert [line[0] for line in out.splitlines() if "n_components=4" in line] == ["*"]


def test_earthquakes(capsys):
    import example_earthquakes as example

    ours = example.main(largest=3)
    np.testing.assert_allclose([ours[2], ours[3]], [342.3183, 329.4603], atol=6e-5)
    assert "most likely path" in capsys.readouterr().out
