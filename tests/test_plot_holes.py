"""The picture of missing cells says what the counts say."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import jaxem
from jaxem import plot
from jaxem.analysis.patterns import missing_patterns
from jaxem.families import Gaussian, GaussianParams
from jaxem.plot import holes


@pytest.fixture(scope="module")
def x():
    x = np.random.default_rng(0).normal(size=(120, 3)) + 5 * (np.arange(120) % 2)[:, None]
    x[np.random.default_rng(1).random(x.shape) < [0.1, 0.3, 0]] = np.nan
    return x


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_cells_bars_and_numbers_are_the_counts(x, ax):
    found = missing_patterns(x)
    assert plot.missing_patterns(x, names=["a", "b $", "c"], ax=ax) is ax
    cells = ax.collections[0].get_array()
    np.testing.assert_array_equal(np.reshape(cells, found.missing.shape), found.missing)
    bars = [bar for bar in ax.patches if to_hex(bar.get_facecolor()) == holes._GONE.lower()]
    heights = np.abs([bar.get_height() for bar in bars])
    np.testing.assert_allclose(heights / heights.max(), found.cells / found.cells.max())
    widths = np.array([bar.get_width() for bar in ax.patches if bar not in bars])
    np.testing.assert_allclose(widths / widths.max(), found.rows / found.rows.max())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", r"b \$", "c"]
    for rows in found.rows:
        assert any(text.startswith(f"{rows} row") for text in texts(ax))
    total = f"{found.cells.sum()} of 360\ncells missing,\nin {found.n_incomplete} of 120 rows"
    assert total in texts(ax)


def test_rare_patterns_are_counted_together(x, ax):
    found = missing_patterns(x)
    plot.missing_patterns(x, most=2, ax=ax)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 3 and labels[-1] == f"{len(found.rows) - 2} others"
    assert any(text.startswith(f"{found.rows[2:].sum()} rows") for text in texts(ax))


@pytest.mark.parametrize("shape", [(3, 1), (40, 70), (500, 20)])
def test_it_is_drawn_whatever_the_shape(shape, ax, tmp_path):
    x = np.random.default_rng(2).normal(size=shape)
    x[np.random.default_rng(3).random(shape) < 0.2] = np.nan
    plot.missing_patterns(x, ax=ax)
    ax.figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_bad_input(x, ax):
    for most in (0, 1.5):
        with pytest.raises(ValueError, match="most is"):
            plot.missing_patterns(x, most=most, ax=ax)
    with pytest.raises(ValueError, match="names has 1 names"):
        plot.missing_patterns(x, names=["a"], ax=ax)


@pytest.mark.slow
def test_clusters_leave_out_rows_that_lack_one_of_the_two(x, ax):
    components = GaussianParams(np.array([[0.0] * 3, [5.0] * 3]), np.stack([np.eye(3)] * 2))
    params = jaxem.MixtureParams(np.array([0.5, 0.5]), components)
    model = jaxem.Mixture(Gaussian("full", missing=True), 2)
    plot.clusters(model, params, x, ax=ax)
    whole = ~np.isnan(x[:, :2]).any(1)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), x[whole, :2])
    assert ax.get_title() == f"{(~whole).sum()} rows lack one of the two"
