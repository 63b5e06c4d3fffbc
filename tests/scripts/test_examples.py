"""The examples run, and print what is published beside what they find."""

import inspect
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats

import jaxem

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.slow
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
    assert len(lines) < 60


@pytest.mark.slow
def test_latent_classes(capsys, tmp_path):
    import example_latent_classes as example

    result, report = example.main(str(tmp_path / "profiles.png"))
    found = (float(result.log_likelihood), report.g2, report.chi2)
    np.testing.assert_allclose(found, list(example.PUBLISHED.values()), rtol=1e-5)
    assert (tmp_path / "profiles.png").stat().st_size > 5000
    assert "published" in capsys.readouterr().out
    plt.close("all")


@pytest.mark.slow
def test_counts(capsys):
    import example_mixtures_of_counts as example

    ours = example.main()
    np.testing.assert_allclose(list(ours.values()), list(example.PUBLISHED.values()), atol=6e-5)
    capsys.readouterr()


@pytest.mark.slow
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


@pytest.mark.slow
def test_mixed_columns(capsys):
    import example_mixed_columns as example

    result, counts = example.main()
    assert result.converged and counts.max(1).sum() >= 198  # the kinds of the publication
    out = capsys.readouterr().out
    assert "published species" in out
    assert [line[0] for line in out.splitlines() if "n_components=4" in line] == ["*"]


@pytest.mark.slow
def test_earthquakes(capsys):
    import example_earthquakes as example

    ours = example.main(largest=3)
    np.testing.assert_allclose([ours[2], ours[3]], [342.3183, 329.4603], atol=6e-5)
    assert "most likely path" in capsys.readouterr().out


def linkage_by_hand(counts):
    """The root of the score, a quadratic, and -d2/dt2 of the log-likelihood there."""
    y1, y2, y3, y4 = counts
    theta = max(np.roots([sum(counts), -(y1 - 2 * (y2 + y3) - y4), -2 * y4]))
    observed = y1 / (2 + theta) ** 2 + (y2 + y3) / (1 - theta) ** 2 + y4 / theta**2
    return theta, observed


def linkage_density(theta, x):
    p = np.array([2 + theta, 1 - theta, 1 - theta, theta]) / 4
    return scipy.stats.multinomial.logpmf(x, np.sum(x, axis=-1), p)


@pytest.mark.slow
def test_genetic_linkage(capsys):
    import example_linkage as example

    iterates, studies = example.main()
    np.testing.assert_allclose(iterates, example.PUBLISHED, atol=1e-9)
    assert "published" in capsys.readouterr().out
    for (counts,), found in zip((example.COUNTS, example.SLOW), studies, strict=True):
        theta, observed = linkage_by_hand(counts)
        result = found.result
        assert result.converged and result.restarts.n_best == 20
        np.testing.assert_allclose(result.params.theta, theta, rtol=1e-12)
        np.testing.assert_allclose(result.log_likelihood, linkage_density(theta, counts))
        np.testing.assert_allclose(result.total_weight, sum(counts))
        np.testing.assert_allclose(found.observed, observed, rtol=1e-10)
        np.testing.assert_allclose(found.rate, 1 - observed / found.complete, rtol=1e-9)
    small, large = studies
    of_louis = small.complete, small.complete - small.observed, small.observed
    np.testing.assert_allclose(of_louis, (435.3, 57.8, 377.5), atol=0.05)
    assert large.squarem < large.plain  # where more is missing


def test_a_model_of_its_own_has_what_needs_no_more_and_refuses_the_rest(tmp_path):
    import example_linkage as example

    model, params, x = example.MODEL, example.Theta(0.5), [*example.COUNTS, *example.SLOW]
    np.testing.assert_allclose(jaxem.log_prob(model, params, x), linkage_density(0.5, x))
    np.testing.assert_array_equal(jaxem.predict_proba(model, params, x), np.ones((2, 1)))
    assert jaxem.n_free_parameters(model, params) == 1 and np.isnan(jaxem.icl(model, params, x))
    sliced = jaxem.likelihood_slice(model, params, x, "theta", [0.1, 0.5])
    expected = [linkage_density(theta, x).sum() for theta in (0.1, 0.5)]
    np.testing.assert_allclose(sliced.log_likelihood, expected)
    key = jax.random.key(0)
    assert jaxem.select([model], x, key=key).model == model
    for says, refused in {
        "columns": lambda: jaxem.em(model, params, [(1, 2, 3)]),
        "negative counts": lambda: jaxem.em(model, params, [(1, 2, 3, -4)]),
        "theta has shape": lambda: jaxem.em(model, example.Theta(np.ones(1)), x),
        "params is a tuple": lambda: jaxem.em(model, (0.5,), x),
        "neither labels": lambda: jaxem.fit(model, x, key=key, labels=[0, 0]),
        "no reg_covar": lambda: jaxem.fit(model, x, key=key, reg_covar=0.1),
        "parts alone": lambda: model.with_n_components(2),
        "`sample`": lambda: jaxem.sample(model, params, key, 2),
        "a model file cannot hold": lambda: jaxem.save(tmp_path / "m", model, params),
    }.items():
        with pytest.raises(ValueError, match=says):
            refused()


def test_a_model_of_its_own_is_short():
    import example_linkage as example

    assert len(inspect.getsource(example.Linkage).splitlines()) < 50
