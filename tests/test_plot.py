"""Pictures say what the numbers say: every drawn curve, point and mark against its oracle."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from scipy import stats

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure

import jaxem
from jaxem import Status, datasets, families, plot
from jaxem.analysis.select import Candidate, Selection
from jaxem.families import Gaussian, GaussianParams
from jaxem.plot import style

VELOCITIES = datasets.load_galaxies().x
GEYSER = datasets.load_faithful().x
FLOWERS = np.hstack([datasets.load_iris().x, np.random.default_rng(0).normal(size=(150, 1))])


@pytest.fixture(scope="module")
def galaxies():
    model = jaxem.Mixture(Gaussian("full"), 6)
    return jaxem.fit(model, VELOCITIES, key=jax.random.key(0), n_init=30, tol=1e-4)


def result_of(galaxies, model, params, x, status=Status.CONVERGED):
    """A result with the starts of another: a picture does not ask where numbers come from."""
    params = jax.tree.map(jnp.asarray, params)
    provenance = type(galaxies.provenance)(model, *x.shape, None, "float64")
    status = jnp.asarray(status, jnp.int32)
    return galaxies._replace(params=params, status=status, provenance=provenance)


def of_groups(galaxies, x, labels):
    """Means and covariances of given groups of rows."""
    groups = [x[labels == i] for i in range(3)]
    covariances = np.stack([np.cov(group.T) for group in groups])
    components = GaussianParams(np.stack([group.mean(0) for group in groups]), covariances)
    params = jaxem.MixtureParams(np.bincount(labels) / len(x), components)
    return result_of(galaxies, jaxem.Mixture(Gaussian("full"), 3), params, x)


@pytest.fixture(scope="module")
def geyser(galaxies):
    return of_groups(galaxies, GEYSER, np.digitize(GEYSER[:, 1], [55, 70]))


@pytest.fixture(scope="module")
def flowers(galaxies):
    return of_groups(galaxies, FLOWERS, datasets.load_iris().labels)


@pytest.fixture
def selection(galaxies):
    """Two structures and three k, in no order, with a degenerate candidate that is lowest."""
    criteria = {("full", 3): 9.0, ("diag", 5): 2.0, ("full", 1): 12.0, ("diag", 1): 11.0,
                ("full", 5): 8.0, ("diag", 3): 10.0}  # fmt: skip
    candidates = []
    for (structure, k), bic in criteria.items():
        status = Status.DEGENERATE if bic == 2.0 else Status.CONVERGED
        result = galaxies._replace(status=jnp.asarray(status, jnp.int32))
        model = jaxem.Mixture(Gaussian(structure), k)
        candidates.append(Candidate(model, result, bic - 1, bic, bic + 1))
    return Selection(tuple(candidates), "bic", 4)


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def lines(ax, label):
    return [line for line in ax.lines if line.get_label().startswith(label)]


def line(ax, label):
    (found,) = lines(ax, label)
    return found


def components_of(ax):
    return [line.get_ydata() for line in lines(ax, "component")]


def labelled(figure):
    return all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def one_column(params, column):
    """Weights, means and standard deviations of one column."""
    components = params.components
    deviations = np.sqrt(np.asarray(components.covariances)[:, column, column])
    return np.asarray(params.weights), np.asarray(components.means)[:, column], deviations


class TestDensity:
    @pytest.mark.slow
    @pytest.mark.parametrize("column", [0, 1])
    def test_equals_scipy(self, geyser, ax, column):
        assert (
            plot.density(geyser.provenance.model, geyser.params, GEYSER, column=column, ax=ax) is ax
        )
        grid, total = line(ax, "mixture density").get_data()
        weights, means, deviations = one_column(geyser.params, column)
        expected = weights * stats.norm.pdf(np.asarray(grid)[:, None], means, deviations)
        np.testing.assert_allclose(total, expected.sum(1), rtol=1e-9)
        np.testing.assert_allclose(components_of(ax), expected.T, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(np.trapezoid(total, grid), 1, atol=1e-3)
        assert ax.get_xlabel() == f"column {column}" and labelled(ax.figure)

    def test_histogram_has_area_one_and_holds_all_rows(self, galaxies, ax):
        plot.density(galaxies.provenance.model, galaxies.params, VELOCITIES, ax=ax)
        (bars,) = ax.patches
        heights, edges, _ = bars.get_data()
        np.testing.assert_allclose(np.sum(heights * np.diff(edges)), 1)
        assert edges[0] == VELOCITIES.min() and edges[-1] == VELOCITIES.max()

    def test_narrow_component_is_seen_and_cut(self, ax):
        params = jaxem.MixtureParams([0.5, 0.5], GaussianParams([[0.0], [0.4]], [1.0, 1e-12]))
        x = np.random.default_rng(1).normal(size=50)
        plot.density(jaxem.Mixture(Gaussian("spherical"), 2), params, x, ax=ax)
        grid, total = line(ax, "mixture density").get_data()
        np.testing.assert_allclose(np.trapezoid(total, grid), 1, atol=2e-3)
        assert ax.get_ylim()[1] < 10 < np.max(total) and "cut" in ax.get_title()

    def test_mixing_weights(self, geyser):
        axes = Figure().subplots(1, 3)
        weights = (0.1, 0.5, 1.0)
        drawn = plot.mixing_weights(geyser.provenance.model, geyser.params, weights, axes=axes)
        assert drawn.shape == (3,) and all(a is b for a, b in zip(drawn, axes, strict=True))
        fitted_weights, means, deviations = one_column(geyser.params, 0)
        for ax, weight in zip(drawn, weights, strict=True):
            grid, total = line(ax, "mixture density").get_data()
            others = fitted_weights[1:] * (1 - weight) / fitted_weights[1:].sum()
            expected = stats.norm.pdf(np.asarray(grid)[:, None], means, deviations)
            np.testing.assert_allclose(total, expected @ [weight, *others], rtol=1e-9)
            assert f"{weight:g}" in ax.get_title()
        assert labelled(axes[0].figure)


class TestClimbs:
    PATH = "weights[0]"

    def test_slice_marks_its_maximum(self, geyser, ax):
        grid = np.linspace(0.05, 0.95, 19)
        model, params = geyser.provenance.model, geyser.params
        values = jaxem.likelihood_slice(model, params, GEYSER, self.PATH, grid)
        assert plot.likelihood_slice(values, self.PATH, true=0.3, ax=ax) is ax
        highest = [float(values.argmax), float(np.max(values.log_likelihood))]
        assert line(ax, "maximum").get_xydata().tolist() == [highest]
        assert set(line(ax, "true").get_xdata()) == {0.3}
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), values.log_likelihood)
        assert ax.get_xlabel() == self.PATH and labelled(ax.figure)

    def test_slice_outside_the_domain_has_no_maximum(self, geyser, ax):
        grid = np.full(19, 2.0)
        model, params = geyser.provenance.model, geyser.params
        values = jaxem.likelihood_slice(model, params, GEYSER, self.PATH, grid)
        assert not lines(plot.likelihood_slice(values, ax=ax), "maximum")

    def test_trace_shows_every_parameter(self, geyser):
        model, true = geyser.provenance.model, geyser.params
        start = true._replace(weights=true.weights[::-1])
        trace = jaxem.em_trace(model, start, GEYSER, 7)
        axes = Figure().subplots(3, 2)
        drawn = plot.trace(model, trace, true=true, names=("eruption", "wait"), axes=axes)
        assert drawn.shape == (3, 2) and drawn[2, 1] is axes[2, 1]
        np.testing.assert_array_equal(drawn[0, 1].lines[0].get_ydata(), trace.log_likelihood)
        weights, (means, covariances) = trace.params
        values = {(0, 0): (weights, true.weights)}
        for j in range(2):
            values[1 + j, 0] = means[:, :, j], true.components.means[:, j]
            values[1 + j, 1] = (
                np.sqrt(covariances[:, :, j, j]),
                np.sqrt(true.components.covariances[:, j, j]),
            )
        for place, (over_time, truth) in values.items():
            curves, flat = drawn[place].lines[0:6:2], drawn[place].lines[1:6:2]
            np.testing.assert_allclose([c.get_ydata() for c in curves], np.transpose(over_time))
            np.testing.assert_allclose([c.get_ydata()[0] for c in flat], truth)
        assert labelled(axes[0, 0].figure) and "wait" in drawn[2, 0].get_ylabel()


class TestRows:
    def test_responsibilities_of_one_column_are_curves(self, galaxies, ax):
        model, params = galaxies.provenance.model, galaxies.params
        assert plot.responsibilities(model, params, VELOCITIES, ax=ax) is ax
        points = [line for line in ax.lines if len(line.get_xdata()) == 82]
        order = np.argsort(VELOCITIES[:, 0])
        expected = np.asarray(jaxem.predict_proba(model, params, VELOCITIES))[order]
        np.testing.assert_array_equal(points[0].get_xdata(), VELOCITIES[order, 0])
        np.testing.assert_allclose([p.get_ydata() for p in points], expected.T, atol=1e-12)
        np.testing.assert_allclose(np.sum(components_of(ax), axis=0), 1)
        assert [p.get_color() for p in points] == [style.colour(i) for i in range(6)]
        assert labelled(ax.figure)

    def test_responsibilities_of_more_columns_are_points(self, flowers, ax):
        model, params = flowers.provenance.model, flowers.params
        plot.responsibilities(model, params, FLOWERS, column=2, ax=ax)
        order = np.argsort(FLOWERS[:, 2], kind="stable")
        expected = np.asarray(jaxem.predict_proba(model, params, FLOWERS))[order]
        np.testing.assert_allclose(components_of(ax), expected.T, atol=1e-12)

    @pytest.mark.parametrize("columns", [(0, 1), (3, 2)])
    def test_ellipses_are_at_their_distance(self, geyser, flowers, ax, columns):
        result, x = (geyser, GEYSER) if columns == (0, 1) else (flowers, FLOWERS)
        model, (_, (means, covariances)) = result.provenance.model, result.params
        assert plot.clusters(model, result.params, x, columns=columns, ax=ax) is ax
        ellipses = [line for line in ax.lines if len(line.get_xdata()) == 181]
        place = np.ix_(columns, columns)
        for i in range(3):
            centre = np.asarray(means)[i, list(columns)]
            inverse = np.linalg.inv(np.asarray(covariances)[i][place])
            for ellipse, form in zip(ellipses[2 * i : 2 * i + 2], ("-", "--"), strict=True):
                residual = ellipse.get_xydata() - centre
                distance = np.sqrt(np.einsum("ni,ij,nj->n", residual, inverse, residual))
                np.testing.assert_allclose(distance, {"-": 1, "--": 2}[form])
                assert ellipse.get_linestyle() == form
        assert labelled(ax.figure)

    def test_ellipses_are_not_cut(self, geyser, ax):
        model, params = geyser.provenance.model, geyser.params
        few = GEYSER[(GEYSER[:, 1] > 50) & (GEYSER[:, 1] < 90)]  # within the ellipses
        plot.clusters(model, params, few, ax=ax)
        ends = np.concatenate([own.get_xydata() for own in ax.lines if len(own.get_xdata()) == 181])
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < ends[:, 0].min() and ends[:, 0].max() < right
        assert bottom < ends[:, 1].min() and ends[:, 1].max() < top
        wide = params.components._replace(covariances=1e6 * params.components.covariances)
        figure = Figure()
        plot.clusters(model, params._replace(components=wide), few, ax=figure.subplots())
        low, high = figure.axes[0].get_ylim()
        assert high - low < 3 * np.ptp(few[:, 1])

    def test_rows_without_doubt_are_said_to_be_so(self, geyser, ax):
        model, params = geyser.provenance.model, geyser.params
        narrow = params.components._replace(covariances=1e-3 * params.components.covariances)
        centres = np.asarray(params.components.means)
        plot.uncertainty(model, params._replace(components=narrow), centres, columns=(), ax=ax)
        assert "every row is certain" in ax.get_title()
        other = Figure().subplots()
        plot.uncertainty(model, params, GEYSER, columns=(), ax=other)
        assert "certain" not in other.get_title()

    def test_points_have_the_mixed_colours(self, geyser, ax):
        model, params = geyser.provenance.model, geyser.params
        plot.clusters(model, params, GEYSER, ax=ax)
        points, contours = ax.collections
        np.testing.assert_array_equal(points.get_offsets(), GEYSER)
        shares = np.asarray(jaxem.predict_proba(model, params, GEYSER))
        palette = np.array([matplotlib.colors.to_rgb(style.colour(i)) for i in range(3)])
        np.testing.assert_allclose(points.get_facecolors()[:, :3], shares @ palette, atol=1e-9)
        log_density = np.asarray(jaxem.log_prob(model, params, GEYSER))
        inside = [np.mean(log_density >= level) for level in contours.levels]
        np.testing.assert_allclose(inside, [0.95, 0.75, 0.5, 0.25], atol=1 / 272)

    @pytest.mark.parametrize("columns", [(0,), (0, 1), ()])
    def test_uncertainty(self, geyser, ax, columns):
        model, params = geyser.provenance.model, geyser.params
        assert plot.uncertainty(model, params, GEYSER, columns=columns, ax=ax) is ax
        doubt = 1 - np.asarray(jaxem.predict_proba(model, params, GEYSER)).max(1)
        if len(columns) == 2:
            (points,) = ax.collections
            order = np.argsort(doubt, kind="stable")
            np.testing.assert_array_equal(points.get_offsets(), GEYSER[order])
            sizes = points.get_sizes()
            assert len(sizes) == 272 and (np.diff(sizes) >= 0).all() and sizes[-1] > 5 * sizes[0]
        else:
            drawn = np.concatenate([line.get_xydata() for line in ax.lines])
            drawn = drawn[np.argsort(drawn[:, 1], kind="stable")]
            np.testing.assert_allclose(drawn[:, 1], np.sort(doubt), atol=1e-12)
            x = np.sort(GEYSER[:, 0]) if columns else np.arange(1, 273)
            np.testing.assert_array_equal(np.sort(drawn[:, 0]), x)
        assert labelled(ax.figure)

    @pytest.mark.parametrize("function", [plot.clusters, plot.uncertainty, plot.responsibilities])
    def test_long_table_is_sampled_and_says_so(self, geyser, ax, function):
        x = np.resize(GEYSER, (20_000, 2))
        function(geyser.provenance.model, geyser.params, x, ax=ax)
        if function is plot.responsibilities:
            assert {len(line.get_xdata()) for line in lines(ax, "component")} == {5000}
        else:
            assert len(ax.collections[0].get_offsets()) == 5000
        assert "5,000 of 20,000 rows" in ax.get_title()


class TestFits:
    def test_starts_are_marked_by_how_they_ended(self, galaxies, ax):
        assert plot.starts(galaxies, ax=ax) is ax
        heights = np.asarray(galaxies.restarts.log_likelihood)
        status = np.asarray(galaxies.restarts.status)
        degenerate = status == Status.DEGENERATE
        assert 0 < degenerate.sum() < len(status)
        (marked,) = [a for a in ax.lines if a.get_label().endswith(" degenerate")]
        assert marked.get_label() == f"{degenerate.sum()} degenerate"
        np.testing.assert_array_equal(np.sort(marked.get_ydata()), np.sort(heights[degenerate]))
        marks = [a for a in ax.lines if a.get_linestyle() == "None"]
        drawn = [a.get_ydata() for a in marks if not a.get_label().startswith("best")]
        np.testing.assert_array_equal(np.sort(np.concatenate(drawn)), np.sort(heights))
        best = float(galaxies.log_likelihood)
        assert line(ax, "best").get_xydata().tolist() == [[1 + np.sum(heights > best), best]]
        levels = [a.get_ydata()[0] for a in ax.lines if a.get_linestyle() == ":"]
        optima = galaxies.restarts.optima
        assert levels[0] == best and set(levels) <= set(optima.log_likelihood)
        names = [text.get_text() for text in ax.texts]
        assert names[0] == f"{optima.count[0]}, first start {optima.first[0]}"
        assert labelled(ax.figure)

    def test_degenerate_starts_far_above_the_others_leave_the_picture_to_them(self, galaxies, ax):
        status = np.asarray(galaxies.restarts.status)
        (lost,) = np.flatnonzero(status == Status.DEGENERATE)[:1]
        heights = galaxies.restarts.log_likelihood.at[lost].set(1e6)
        restarts = galaxies.restarts._replace(log_likelihood=heights)
        plot.starts(galaxies._replace(restarts=restarts), ax)
        low, high = ax.get_ylim()
        assert low < float(galaxies.log_likelihood) < high < 0

    def test_starts_without_a_value_are_lowest(self, galaxies, ax):
        heights = galaxies.restarts.log_likelihood.at[0].set(jnp.nan)
        status = galaxies.restarts.status.at[0].set(Status.NONFINITE)
        restarts = galaxies.restarts._replace(log_likelihood=heights, status=status)
        plot.starts(galaxies._replace(restarts=restarts), ax)
        (lost,) = line(ax, "1 not finite").get_xydata()
        assert lost[0] == 30 and lost[1] < np.nanmin(heights)

    def test_criterion(self, selection, ax):
        assert plot.criterion(selection, ax=ax) is ax
        for structure in ("full", "diag"):
            k, values = line(ax, f"Gaussian('{structure}')").get_data()
            expected = {
                c.model.n_components: c.bic
                for c in selection.candidates
                if c.model.family == Gaussian(structure)
            }
            assert list(k) == [1, 3, 5] and list(values) == [expected[i] for i in k]
        assert ax.get_ylabel().startswith("BIC") and labelled(ax.figure)

    def test_criterion_of_one_kind_is_named_for_itself(self, selection, ax):
        full = [own for own in selection.candidates if own.model.family == Gaussian("full")]
        plot.criterion(Selection(tuple(full), "bic", 2), ax=ax)
        assert [own.get_label() for own in ax.lines] == ["BIC", "best, k = 5"]

    def test_criterion_tells_products_by_what_differs(self, selection, ax):
        def product(own):
            blocks = {"size": own.model.family, "sex": families.Bernoulli()}
            return own._replace(
                model=jaxem.Mixture(families.Product(blocks), own.model.n_components)
            )

        candidates = tuple(map(product, selection.candidates))
        plot.criterion(Selection(candidates, "bic", 4), ax=ax)
        labels = [own.get_label() for own in ax.lines]
        assert labels[:2] == ["Gaussian('full')", "Gaussian('diag')"]
        assert "best, Gaussian('full'), k = 5" in labels

    def test_criterion_marks_degenerate_candidates(self, selection, ax):
        plot.criterion(selection, ax)
        assert line(ax, "degenerate").get_xydata().tolist() == [[5, 2.0]]
        assert line(ax, "best").get_xydata().tolist() == [[5, 8.0]]

    def test_batch_is_refused(self, geyser):
        batch = geyser._replace(status=jnp.zeros(2, jnp.int32))
        with pytest.raises(ValueError, match=r"holds \(2,\) fits"):
            plot.starts(batch)


class TestOverview:
    @pytest.mark.parametrize("d", [1, 2, 5])
    @pytest.mark.parametrize("kind", ["png", "pdf"])
    def test_is_saved(self, galaxies, geyser, flowers, selection, tmp_path, d, kind):
        result = {1: galaxies, 2: geyser, 5: flowers}[d]
        x = {1: VELOCITIES, 2: GEYSER, 5: FLOWERS}[d]
        names = [f"price of thing {j} in $, $ and more $" for j in range(d)]
        open_before = pyplot.get_fignums()
        figure = plot.overview(result, x, selection if kind == "png" else None, names)
        path = tmp_path / f"fit.{kind}"
        figure.savefig(path, dpi=50)
        assert path.read_bytes()[:4] == {"png": b"\x89PNG", "pdf": b"%PDF"}[kind]
        assert len(figure.axes) == (3 if d < 3 else 5) + (kind == "png")
        assert labelled(figure) and pyplot.get_fignums() == open_before
        title = figure.get_suptitle()
        for fact in (f"{len(x)} rows", f"{float(result.bic):.2f}", Status(int(result.status)).name):
            assert fact in title

    def test_panels_do_not_overlap(self, flowers, selection):
        figure = plot.overview(flowers, FLOWERS, selection)
        figure.savefig("/dev/null", format="png")
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        boxes += [figure.legends[0].get_window_extent()]
        for i, box in enumerate(boxes):
            assert not any(box.shrunk(0.98, 0.98).overlaps(other) for other in boxes[:i])
        assert all(ax.get_position().width > 0.2 for ax in figure.axes)

    def test_shows_the_columns_that_separate(self, flowers):
        figure = plot.overview(flowers, FLOWERS)
        labels = {ax.get_xlabel() for ax in figure.axes[:3]}
        assert labels | {ax.get_ylabel() for ax in figure.axes[:3]} <= {
            "column 0", "column 2", "column 3",
        }  # fmt: skip
        assert "column 0, column 2, column 3" in figure.get_suptitle()

    COUNTS: ClassVar = np.random.default_rng(0).poisson([1.0, 3.0, 9.0, 2.0], (50, 4)).astype(float)

    def test_counts_have_the_columns_that_separate(self, galaxies):
        model = jaxem.Mixture(families.Poisson(), 2)
        rates = np.array([[1.0, 3.0, 9.0, 2.0], [5.0, 3.1, 2.0, 9.0]])
        params = jaxem.MixtureParams(np.array([0.5, 0.5]), families.PoissonParams(rates))
        result = result_of(galaxies, model, params, self.COUNTS)
        names = ["starts", "b", "criterion", "a long name, longer than 28 letters, of the last 4"]
        figure = plot.overview(result, self.COUNTS, names=names)
        assert [ax.get_xlabel() for ax in figure.axes[:2]] == ["starts", "criterion"]
        assert figure.axes[2].get_xlabel() == "a long name, longe…he last 4"
        assert "(of 4 columns)" in figure.get_suptitle()

    def test_classes_have_their_answers_and_mixed_columns_their_levels(self, galaxies):
        x = self.COUNTS[:, :1].clip(0, 1)
        tables = families.CategoricalParams((np.array([[0.2, 0.8], [0.6, 0.4]]),))
        weights, levels = np.array([0.5, 0.5]), {"paid": ("no", "yes")}
        model = jaxem.Mixture(families.Categorical(2), 2)
        result = result_of(galaxies, model, jaxem.MixtureParams(weights, tables), x)
        figure = plot.overview(result, x, names=["paid"], levels=levels)
        assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["paid = yes"]

        of = families.Product({"a": families.Categorical(2), "b": families.Poisson()})
        rates = families.PoissonParams(np.array([[1.0], [9.0]]))
        params = jaxem.MixtureParams(weights, {"a": tables, "b": rates})
        result = result_of(galaxies, jaxem.Mixture(of, 2), params, np.zeros((50, 2)))
        both = {"a": x, "b": self.COUNTS[:, 1:2]}
        figure = plot.overview(result, both, names=["paid", "visits"], levels=levels)
        ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
        assert ticks == ["no", "yes"] and figure.axes[1].get_xlabel() == "visits"

    SINGULAR: ClassVar = {
        "full": np.zeros((3, 2, 2)) + np.array([1.0, 0.0, 0.0])[:, None, None] * np.eye(2),
        "tied": np.array([[1.0, 1.0], [1.0, 1.0]]),
        "diag": np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
        "spherical": np.array([1.0, 0.0, 0.0]),
    }

    @pytest.mark.parametrize("structure", SINGULAR)
    def test_singular_covariances(self, galaxies, structure, tmp_path):
        model = jaxem.Mixture(Gaussian(structure), 3)
        components = GaussianParams(GEYSER[:3], self.SINGULAR[structure])
        params = jaxem.MixtureParams(np.array([0.9, 0.1, 0.0]), components)
        result = result_of(galaxies, model, params, GEYSER, Status.DEGENERATE)
        figure = plot.overview(result, GEYSER)
        figure.savefig(tmp_path / "fit.png", dpi=50)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert any("component 1" in text and "singular" in text for text in texts)
        assert not any("component 2" in text for text in texts)
        for column in range(2):
            plot.density(model, params, GEYSER, column=column, ax=Figure().subplots())

    def test_constant_column(self, galaxies, tmp_path):
        x = np.full((9, 1), 3.0)
        params = jaxem.MixtureParams(np.ones(1), GaussianParams(np.array([[3.0]]), np.zeros(1)))
        model = jaxem.Mixture(Gaussian("spherical"), 1)
        result = result_of(galaxies, model, params, x, Status.DEGENERATE)
        restarts = galaxies.restarts
        nothing = jnp.full_like(restarts.log_likelihood, jnp.nan)
        result = result._replace(restarts=restarts._replace(log_likelihood=nothing))
        plot.overview(result, x).savefig(tmp_path / "fit.png", dpi=50)

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_without_x64(self, geyser, tmp_path, dtype):
        result = jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype == np.float64 else leaf, geyser
        )
        assert result.dtype == dtype
        with jax.enable_x64(False):
            figure = plot.overview(result, GEYSER)
        figure.savefig(tmp_path / "fit.png", dpi=50)
        points = figure.axes[0].collections[0].get_facecolors()[:, :3]
        shares = np.asarray(jaxem.predict_proba(geyser.provenance.model, geyser.params, GEYSER))
        eps = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(points, shares @ style.colours(3), atol=eps)


class TestStyle:
    def test_first_colours_are_okabe_and_ito_and_twenty_differ(self):
        okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00",
                     "#CC79A7"}  # fmt: skip
        assert {style.colour(i) for i in range(8)} == okabe_ito
        assert len({style.colour(i) for i in range(20)}) == 20

    def test_legend_of_many_components_names_the_heaviest(self, ax):
        weights = np.arange(1.0, 21.0) / 210
        params = jaxem.MixtureParams(
            weights, GaussianParams(np.arange(20.0)[:, None], np.ones(20) / 9)
        )
        x = np.linspace(-1, 20, 50)
        plot.density(jaxem.Mixture(Gaussian("spherical"), 20), params, x, ax=ax)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        named = {text.partition(" (")[0] for text in texts if text.startswith("component")}
        assert named == {f"component {i}" for i in range(13, 20)}
        assert "and 13 lighter components" in texts

    def test_names_come_from_the_frame(self, geyser, ax):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(GEYSER, columns=["eruption", "wait"])
        plot.clusters(geyser.provenance.model, geyser.params, frame, ax=ax)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruption", "wait")

    def test_no_axes_means_the_current_ones(self, selection):
        figure, current = pyplot.subplots()
        assert plot.criterion(selection) is current
        pyplot.close(figure)


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda m, p: plot.density(m, p, GEYSER, column=2), "column is 2; give .* 0 to 1"),
        (lambda m, p: plot.density(m, p, GEYSER, names=["a"]), "names has 1 names"),
        (lambda m, p: plot.clusters(m, p, GEYSER, columns=(0,)), "give two"),
        (lambda m, p: plot.uncertainty(m, p, GEYSER, columns=(0, 1, 0)), "none, one or two"),
        (lambda m, p: plot.mixing_weights(m, p, [1.5]), "give probabilities"),
        (lambda m, p: plot.mixing_weights(m, p, axes=[None] * 3), "axes has 3 axes; give 5"),
        (lambda m, p: plot.density(m, p, GEYSER[:, :1]), "x has 1 columns, params .* 2"),
    ],
)
def test_bad_input_is_named(geyser, draw, says):
    with pytest.raises(ValueError, match=says):
        draw(geyser.provenance.model, geyser.params)
    pyplot.close("all")


@pytest.mark.slow
def test_without_matplotlib_the_remedy_is_named():
    code = "import sys; sys.modules['matplotlib'] = None; import jaxem; import jaxem.plot"
    root = Path(__file__).parent.parent
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "ModuleNotFoundError" in out.stderr and "pip install 'jaxem[plot]'" in out.stderr


@pytest.mark.slow
def test_forest_has_an_interval_for_each_component():
    model = jaxem.Mixture(Gaussian("full"), 2)
    result = jaxem.fit(model, GEYSER, key=jax.random.key(0), n_init=4)
    found = jaxem.confidence_intervals(model, result.params, GEYSER)
    ax = Figure().subplots()
    assert plot.forest(model, result.params, GEYSER, column=1, names=["a", "b"], ax=ax) is ax
    lines = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    expected = np.stack([found.lower.components.means[:, 1], found.upper.components.means[:, 1]], 1)
    np.testing.assert_allclose(lines, expected, rtol=1e-6)
    assert ax.get_xlabel() == "components.means, b" and "95 %" in ax.get_title()
    assert labelled(ax.figure) and ax.get_ylabel() == "component"
    unknown = found._replace(lower=found.lower._replace(weights=np.array([np.nan, 0.3])))
    ax = plot.forest(model, result.params, unknown, path="weights", ax=Figure().subplots())
    assert sum(len(line.get_xdata()) == 2 for line in ax.lines) == 1 and "hollow" in ax.get_title()
    with pytest.raises(ValueError, match=r"path is 'means'; give one of weights, components.means"):
        plot.forest(model, result.params, found, path="means")


@pytest.mark.slow
def test_bootstrap_clouds_have_a_point_for_each_refit_that_converged(ax):
    rng = np.random.default_rng(0)
    n_boot, status = 30, np.full(30, int(jaxem.Status.CONVERGED), np.int32)
    status[:2] = int(jaxem.Status.DEGENERATE)
    estimate = jaxem.MixtureParams(
        np.array([0.7, 0.3]),
        GaussianParams(np.array([[0.0, 1], [5, 6]]), np.tile(np.eye(2), (2, 1, 1))),
    )
    refits = jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.normal(size=(n_boot, *leaf.shape)), estimate
    )
    found = jaxem.Bootstrap(refits, np.zeros(n_boot), status, estimate, False)
    plot.bootstrap(found, names=["a", "b"], ax=ax)
    clouds = [line for line in ax.lines if len(line.get_xdata()) == 28]
    assert len(clouds) == 2 and (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    np.testing.assert_array_equal(clouds[1].get_ydata(), refits.components.means[2:, 1, 1])
    texts = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    assert "28 refits" in texts and "2 failed and left out" in texts
    limits = ax.get_xlim()
    assert plot.bootstrap(found, ax=ax).get_xlim() == limits
    with pytest.raises(ValueError, match="two columns"):
        plot.bootstrap(found, columns=(0,))
