"""Pictures of hidden Markov models, and of columns that are not Gaussian, against their oracles."""

import jax
import matplotlib
import numpy as np
import pandas
import pytest
from scipy import stats

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import jaxem
from jaxem import HMM, HMMParams, Mixture, MixtureParams, datasets, plot
from jaxem.families import (
    Bernoulli,
    BernoulliParams,
    Beta,
    BetaParams,
    Binomial,
    BinomialParams,
    Categorical,
    CategoricalParams,
    Density,
    Exponential,
    ExponentialParams,
    Gamma,
    GammaParams,
    Gaussian,
    GaussianParams,
    InverseGaussian,
    InverseGaussianParams,
    LinearRegression,
    LinearRegressionParams,
    LogNormal,
    LogNormalParams,
    Multinomial,
    MultinomialParams,
    NegativeBinomial,
    NegativeBinomialParams,
    Poisson,
    PoissonParams,
    VonMises,
    VonMisesParams,
    Weibull,
    WeibullParams,
    ZeroInflatedPoisson,
    ZeroInflatedPoissonParams,
)
from jaxem.plot import evaluate, style

YEARS, COUNTS = datasets.load_earthquakes().x.T
RATES = np.array([13.0, 20.0, 30.0])
TRANSITION = np.array([[0.95, 0.03, 0.02], [0.04, 0.9, 0.06], [0.002, 0.198, 0.8]])
QUAKES = HMM(Poisson(), 3)
PARAMS = HMMParams(np.array([1.0, 0, 0]), TRANSITION, PoissonParams(RATES[:, None]))

BELLS = HMM(Gaussian("diag"), 2)
MEANS, VARIANCES = np.array([[0.0, 1.0], [4.0, 1.0]]), np.array([[1.0, 2.0], [0.5, 2.0]])
BELL_PARAMS = HMMParams(
    np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]), GaussianParams(MEANS, VARIANCES)
)


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture(scope="module")
def series():
    """Three sequences of 30 steps, in which 5 steps were not observed."""
    rng = np.random.default_rng(0)
    states = (np.arange(90) // 10) % 2
    x = (MEANS + np.sqrt(VARIANCES) * rng.normal(size=(90, 2, 2)))[np.arange(90), states]
    x[40:45] = np.nan
    return x.reshape(3, 30, 2)


def starting(ax, label):
    return [line for line in ax.lines if line.get_label().startswith(label)]


def points(ax):
    """-> {time: (value, state by its colour)} of the points that are seen."""
    colours = [style.colour(i) for i in range(20)]
    found = {}
    for line in ax.lines:
        if line.get_marker() == "." and len(line.get_xdata()):
            state = colours.index(line.get_color())
            seen = np.isfinite(line.get_ydata())
            for time, value in zip(line.get_xdata()[seen], line.get_ydata()[seen], strict=True):
                assert time not in found
                found[time] = value, state
    return found


def dashes(ax):
    return {
        time: value
        for line in ax.lines
        if line.get_marker() == "_"
        for time, value in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def grey(ax):
    return [line for line in ax.lines if line.get_color() == "0.75"]


class TestDecoded:
    def test_points_have_the_colours_of_the_path(self, ax):
        assert plot.decoded(QUAKES, PARAMS, COUNTS, times=YEARS, ax=ax) is ax
        path = np.asarray(jaxem.viterbi(QUAKES, PARAMS, COUNTS)[0])
        assert len(set(path)) == 3
        assert points(ax) == dict(zip(YEARS, zip(COUNTS, path, strict=True), strict=True))
        assert dashes(ax) == dict(zip(YEARS, RATES[path], strict=True))
        for i, n in enumerate(np.bincount(path)):
            assert len(starting(ax, f"state {i} ({n} steps)")) == 1
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("time", "x")

    def test_a_long_series_is_thinned_and_says_so(self, ax, monkeypatch):
        monkeypatch.setattr(evaluate, "MOST_ROWS", 50)
        plot.decoded(QUAKES, PARAMS, COUNTS, ax=ax)
        path = np.asarray(jaxem.viterbi(QUAKES, PARAMS, COUNTS)[0])
        drawn = points(ax)
        assert len(drawn) == 50 and not grey(ax)
        assert all(drawn[t] == (COUNTS[t], path[t]) for t in drawn)
        assert "50 of 107 steps" in ax.get_title()
        assert starting(ax, f"state 0 ({np.sum(path == 0)} steps)")

    @pytest.mark.parametrize("form", ["batch", "list"])
    def test_one_sequence_of_several(self, series, ax, form):
        lengths = [30, 25, 30]
        x = list(series) if form == "list" else series
        if form == "list":
            x[1] = x[1][:25]
        given = {} if form == "list" else {"lengths": lengths}
        plot.decoded(BELLS, BELL_PARAMS, x, column=0, sequence=1, ax=ax, **given)
        path = np.asarray(jaxem.viterbi(BELLS, BELL_PARAMS, x, **given)[0][1])
        drawn, seen = points(ax), [t for t in range(25) if not 10 <= t < 15]
        assert sorted(drawn) == seen and "sequence 1 of 3" in ax.get_title()
        assert all(drawn[t] == (series[1, t, 0], path[t]) for t in seen)
        (line,) = grey(ax)
        np.testing.assert_array_equal(line.get_ydata(), series[1, :25, 0])  # NaN breaks it
        assert [dashes(ax)[t] for t in range(25)] == MEANS[path[:25], 0].tolist()

    def test_times_may_be_dates(self, series, ax):
        days = np.datetime64("2020-01-01") + np.arange(30)
        plot.decoded(BELLS, BELL_PARAMS, series[0], times=days, names=("a", "b"), column=1, ax=ax)
        ax.figure.savefig("/dev/null", format="png", dpi=30)
        assert sorted(points(ax)) == list(days)
        assert ax.get_ylabel() == "b"

    def test_a_response_and_more_states_than_a_legend_names(self, ax):
        k, rng = 10, np.random.default_rng(0)
        coefficients = np.stack([5.0 * np.arange(k), np.zeros(k)], axis=1)
        params = HMMParams(
            np.full(k, 0.1),
            np.full((k, k), 0.1),
            LinearRegressionParams(coefficients, np.full(k, 0.1)),
        )
        y = np.repeat(5.0 * np.arange(k), 3)
        x = rng.normal(size=(30, 1)), y
        plot.decoded(HMM(LinearRegression(), k), params, x, column=-1, ax=ax)
        assert points(ax) == {t: (y[t], t // 3) for t in range(30)} and not dashes(ax)
        assert starting(ax, "and 3 rarer states")


class TestTransitionMatrix:
    def test_cells_are_the_probabilities(self, ax):
        assert plot.transition_matrix(QUAKES, PARAMS, ax=ax) is ax
        text = {text.get_position(): text.get_text() for text in ax.texts}
        for (i, j), p in np.ndenumerate(TRANSITION):
            assert text[j, i] == ("<.01" if p == 0.002 else f"{p:.2f}")
        np.testing.assert_array_equal(ax.images[0].get_array(), TRANSITION)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("to state", "from state")

    def test_text_is_read_on_its_cell(self, ax):
        k = 12
        matrix = np.full((k, k), 1 / k)
        matrix[:, :2] = np.linspace(0, 1, k)[:, None] * [1.0, -1.0] + [0.0, 1.0]
        plot.transition_matrix(HMM(Poisson(), k), PARAMS._replace(transition=matrix), ax=ax)
        (image,) = ax.images
        assert len(ax.texts) == k * k

        def luminance(colour):
            light = np.asarray(to_rgb(colour))
            light = np.where(light <= 0.04, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
            return light @ [0.2126, 0.7152, 0.0722] + 0.05

        for text in ax.texts:
            j, i = text.get_position()
            pair = luminance(text.get_color()), luminance(image.to_rgba(matrix[i, j])[:3])
            assert max(pair) / min(pair) > 4.5  # as WCAG asks of text

    def test_what_cannot_be_is_blank_and_what_came_to_0_is_told(self, ax):
        matrix = np.array([[0.999, 0.001, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
        plot.transition_matrix(
            HMM(Poisson(), 3, transitions="cyclic"), PARAMS._replace(transition=matrix), ax=ax
        )
        told = {text.get_position(): text.get_text() for text in ax.texts}
        assert told == {(0, 0): ">.99", (1, 0): "<.01", (1, 1): "1", (2, 1): "0",
                        (0, 2): "0.50", (2, 2): "0.50"}  # fmt: skip
        shut = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], bool)
        np.testing.assert_array_equal(np.ma.getmaskarray(ax.images[0].get_array()), shut)

    def test_one_state_and_many(self, ax):
        plot.transition_matrix(
            HMM(Poisson(), 1), PARAMS._replace(transition=np.ones((1, 1))), ax=ax
        )
        assert [text.get_text() for text in ax.texts] == ["1"]
        ax = Figure(layout="constrained").subplots()
        many = PARAMS._replace(transition=np.full((20, 20), 0.05))
        plot.transition_matrix(HMM(Poisson(), 20), many, ax=ax)
        assert not ax.texts and ax.figure.axes[1].get_ylabel() == "probability"


def shares_of(model, params, x, seen, **lengths):
    found = jaxem.smooth(model, params, x, **lengths)
    rows = np.concatenate([np.asarray(own) for own in found]) if isinstance(x, list) else found
    return np.asarray(rows)[seen].mean(0)


class TestDensity:
    def test_of_counts_with_the_shares_of_the_states(self, ax):
        assert plot.density(QUAKES, PARAMS, COUNTS, ax=ax) is ax
        shares = shares_of(QUAKES, PARAMS, COUNTS, slice(None))
        grid, total = starting(ax, "probability of all states")[0].get_data()
        expected = shares * stats.poisson.pmf(np.asarray(grid)[:, None], RATES)
        np.testing.assert_array_equal(grid, np.arange(len(grid)))
        np.testing.assert_allclose(total, expected.sum(1), rtol=1e-9)
        np.testing.assert_allclose(np.sum(total), 1, atol=1e-3)
        states = starting(ax, "state")
        np.testing.assert_allclose([s.get_ydata() for s in states], expected.T, rtol=1e-9)
        assert [s.get_color() for s in states] == [style.colour(i) for i in range(3)]
        assert all(f"share {w:.2g}" in s.get_label() for w, s in zip(shares, states, strict=True))
        assert ax.get_ylabel() == "probability"

    def test_bars_are_relative_frequencies(self, ax):
        plot.density(QUAKES, PARAMS, COUNTS, ax=ax)
        for bar in ax.patches:
            value = bar.get_x() + bar.get_width() / 2
            np.testing.assert_allclose(bar.get_height(), np.mean(np.round(value) == COUNTS))
        np.testing.assert_allclose(sum(bar.get_height() for bar in ax.patches), 1)

    def test_wide_counts_share_bars(self, ax):
        x = np.array([3.0, 250.0, 252.0, 700.0] * 5)
        params = MixtureParams(np.array([0.3, 0.7]), PoissonParams(np.array([[30.0], [400.0]])))
        plot.density(Mixture(Poisson(), 2), params, x, ax=ax)
        labels = ax.get_legend_handles_labels()[1]
        assert len(ax.patches) <= 100 and "20 rows, 7 numbers a bar" in labels
        np.testing.assert_allclose(sum(7 * bar.get_height() for bar in ax.patches), 1)

    def test_of_a_list_leaves_out_what_was_not_observed(self, series, ax):
        x = [series[0], series[1], series[2]]
        plot.density(BELLS, BELL_PARAMS, x, column=0, ax=ax)
        rows = series.reshape(-1, 2)
        seen = ~np.isnan(rows[:, 0])
        shares = shares_of(BELLS, BELL_PARAMS, x, seen)
        grid, total = starting(ax, "density of all states")[0].get_data()
        bells = stats.norm.pdf(np.asarray(grid)[:, None], MEANS[:, 0], np.sqrt(VARIANCES[:, 0]))
        np.testing.assert_allclose(total, bells @ shares, rtol=1e-9)
        np.testing.assert_allclose(np.trapezoid(total, grid), 1, atol=1e-3)
        (bars,) = ax.patches
        assert bars.get_label() == "85 steps"
        assert bars.get_data().edges[-1] == np.nanmax(rows[:, 0])

    WEIGHTS = np.array([0.3, 0.7])
    TWO = np.array([[1.0, 0.5], [2.0, 3.0]])
    KINDS = (
        (Gamma(), GammaParams(TWO + 1, TWO), lambda x: stats.gamma.pdf(x, [1.5, 4], 0, [2, 1 / 3])),
        (Exponential(), ExponentialParams(TWO), lambda x: stats.expon.pdf(x, 0, [2, 1 / 3])),
        (VonMises(), VonMisesParams(TWO, TWO), lambda x: stats.vonmises.pdf(x, [0.5, 3], [0.5, 3])),
        (
            LogNormal(),
            LogNormalParams(TWO, TWO / 3),
            lambda x: stats.lognorm.pdf(x, [1 / 6, 1], scale=[0.5, 3]),
        ),
        (
            Weibull(),
            WeibullParams(TWO + 1, TWO),
            lambda x: stats.weibull_min.pdf(x, [1.5, 4], scale=[0.5, 3]),
        ),
        (
            InverseGaussian(),
            InverseGaussianParams(TWO, TWO),
            lambda x: stats.invgauss.pdf(x, 1, scale=[0.5, 3]),
        ),
        (
            Beta(),
            BetaParams(TWO / TWO / 2, 2 * TWO + 2),
            lambda x: stats.beta.pdf(x, [1.5, 4], [1.5, 4]),
        ),
        (
            NegativeBinomial(),
            NegativeBinomialParams(4 * TWO, 4 * TWO),
            lambda x: stats.nbinom.pmf(x, [2, 12], 0.5),
        ),
        (
            ZeroInflatedPoisson(),
            ZeroInflatedPoissonParams(TWO / 5, TWO),
            lambda x: (
                np.array([0.1, 0.6]) * (x == 0)
                + np.array([0.9, 0.4]) * stats.poisson.pmf(x, [0.5, 3])
            ),
        ),
        (Binomial(7), BinomialParams(TWO / 5), lambda x: stats.binom.pmf(x, 7, [0.1, 0.6])),
        (
            Bernoulli(),
            BernoulliParams(TWO / 5),
            lambda x: stats.bernoulli.pmf(x, [0.1, 0.6]),
        ),
        (
            Categorical((2, 3)),
            CategoricalParams((np.full((2, 2), 0.5), np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]))),
            lambda x: np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])[:, x[:, 0].astype(int)].T,
        ),
    )

    @pytest.mark.slow(but=("VonMises-VonMisesParams-function",))
    @pytest.mark.parametrize(
        ("family", "components", "oracle"), KINDS, ids=lambda v: type(v).__name__
    )
    def test_of_one_column_of_other_families(self, ax, getkey, family, components, oracle):
        model, params = Mixture(family, 2), MixtureParams(self.WEIGHTS, components)
        x = np.array(jaxem.sample(model, params, getkey(), 60)[0])
        x[:3, 1] = np.nan
        plot.density(model, params, x, column=1, ax=ax)
        (whole,) = starting(ax, "mixture")
        grid, total = map(np.asarray, whole.get_data())
        expected = self.WEIGHTS * oracle(grid[:, None])
        np.testing.assert_allclose(total, expected.sum(1), rtol=1e-8)
        drawn = [line.get_ydata() for line in starting(ax, "component")]
        np.testing.assert_allclose(drawn, expected.T, rtol=1e-8)
        discrete = np.all(x[:, 1][3:] % 1 == 0)
        sums = np.sum(total) if discrete else np.trapezoid(total, grid)
        np.testing.assert_allclose(sums, 1, atol=2e-2)
        assert ax.get_ylabel() == ("probability" if discrete else "density")
        assert any("57 rows" in label for label in ax.get_legend_handles_labels()[1])

    def test_angles_are_drawn_within_one_turn(self, ax):
        model = Mixture(VonMises(), 2)
        params = MixtureParams(self.WEIGHTS, VonMisesParams(self.TWO[:, :1], self.TWO[:, :1]))
        x = np.array([-3.0, 0.5, 3.0]) + 2 * np.pi * np.array([1, -1, 1])
        plot.density(model, params, x, ax=ax)
        edges = ax.patches[0].get_data().edges
        np.testing.assert_allclose([edges[0], edges[-1]], [-3, 3], atol=1e-9)

    def test_of_a_density_of_ones_own(self, ax):
        family = Density(_laplace, lambda x, weight: x[0, 0])
        params = MixtureParams(self.WEIGHTS, np.array([0.0, 6.0]))
        x = np.r_[np.linspace(-15, 15, 30), 6.0]
        plot.density(Mixture(family, 2), params, x, ax=ax)
        grid, total = starting(ax, "mixture density")[0].get_data()
        expected = stats.laplace.pdf(np.asarray(grid)[:, None], [0, 6]) @ self.WEIGHTS
        np.testing.assert_allclose(total, expected, rtol=1e-9)


def _laplace(centre, x):
    return -abs(x[:, 0] - centre) - np.log(2.0).item()


@pytest.fixture(scope="module")
def fitted():
    return jaxem.fit(QUAKES, COUNTS, key=jax.random.key(0), n_init=4, tol=1e-3)


class TestOverview:
    @pytest.mark.slow
    def test_of_counts(self, fitted, tmp_path):
        heights = np.asarray(fitted.restarts.log_likelihood)
        ax = Figure().subplots()
        assert plot.starts(fitted, ax) is ax
        marks = [line for line in ax.lines if line.get_linestyle() == "None"]
        drawn = [line.get_ydata() for line in marks if not line.get_label().startswith("best")]
        np.testing.assert_array_equal(np.sort(np.concatenate(drawn)), np.sort(heights))
        candidate = jaxem.analysis.select.Candidate(QUAKES, fitted, 1.0, 2.0, 3.0)
        other = HMM(Poisson(), 2, transitions="left-right")
        selection = jaxem.analysis.select.Selection(
            (candidate, candidate._replace(model=other, bic=5.0)), "bic", 0
        )
        figure = plot.overview(fitted, COUNTS, selection, ["quakes"])
        figure.savefig(tmp_path / "chain.png", dpi=50)
        named = {ax.get_xlabel() for ax in figure.axes}
        assert named == {"step", "quakes", "to state", "4 starts, in order", "number of states k"}
        labels = {label for ax in figure.axes for label in ax.get_legend_handles_labels()[1]}
        assert {f"{Poisson()!r}, free, full", f"{Poisson()!r}, free, left-right"} <= labels
        assert "107 steps" in figure.get_suptitle()
        shared = [text.get_text() for text in figure.legends[0].get_texts()]
        assert sum(text.startswith("state 0") for text in shared) == 1

    @pytest.mark.slow
    def test_panels_do_not_overlap(self, fitted):
        figure = plot.overview(fitted, COUNTS)
        figure.savefig("/dev/null", format="png")
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        boxes += [figure.legends[0].get_window_extent()]
        for i, box in enumerate(boxes):
            assert not any(box.shrunk(0.98, 0.98).overlaps(other) for other in boxes[:i])

    @pytest.mark.slow
    def test_of_sequences_shows_the_column_that_separates(self, fitted, series):
        provenance = type(fitted.provenance)(BELLS, 90, 2, None, "float64")
        result = fitted._replace(params=BELL_PARAMS, provenance=provenance)
        turned = series[:, :, ::-1]
        emissions = GaussianParams(MEANS[:, ::-1], VARIANCES[:, ::-1])
        result = result._replace(params=BELL_PARAMS._replace(emissions=emissions))
        figure = plot.overview(result, turned, lengths=[30, 20, 30])
        assert {ax.get_ylabel() for ax in figure.axes} >= {"column 1", "density", "from state"}
        assert "80 steps of 3 sequences" in figure.get_suptitle()

    def test_leaves_the_density_out_where_there_is_none(self, fitted):
        model = HMM(Multinomial(), 2)
        odds = MultinomialParams(np.array([[0.2, 0.8], [0.7, 0.3]]))
        result = fitted._replace(
            params=BELL_PARAMS._replace(emissions=odds),
            provenance=type(fitted.provenance)(model, 30, 2, None, "float64"),
        )
        x = np.array([[1.0, 3.0], [4.0, 0.0]] * 15)
        figure = plot.overview(result, x)
        assert {ax.get_ylabel() for ax in figure.axes} == {
            "column 0", "from state", "log-likelihood",
        }  # fmt: skip

    @pytest.mark.slow
    def test_without_x64(self, fitted):
        result = jax.tree.map(
            lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, fitted
        )
        with jax.enable_x64(False):
            figure = plot.overview(result, COUNTS)
        path = np.asarray(jaxem.viterbi(QUAKES, fitted.params, COUNTS)[0])
        drawn = points(figure.axes[0])
        assert [drawn[t][1] for t in range(107)] == path.tolist()


MIXED = Mixture(Poisson(), 3), MixtureParams(np.full(3, 1 / 3), PoissonParams(RATES[:, None]))

NONE = PARAMS._replace(emissions=PoissonParams(np.zeros((3, 1))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda: plot.decoded(*MIXED, COUNTS), "this picture is of an HMM"),
        (lambda: plot.transition_matrix(*MIXED), "this picture is of an HMM"),
        (lambda: plot.transition_matrix(QUAKES, MIXED[1]), "params is a MixtureParams; give HMM"),
        (lambda: plot.transition_matrix(HMM(Poisson(), 2), PARAMS), r"shape \(3, 3\), .* 2 states"),
        (lambda: plot.decoded(QUAKES, PARAMS, COUNTS, sequence=1), "sequence is 1; x has 1"),
        (lambda: plot.decoded(QUAKES, PARAMS, [COUNTS] * 2, sequence=2), "from 0 to 1"),
        (lambda: plot.decoded(QUAKES, PARAMS, COUNTS, times=YEARS[1:]), r"\(106,\), .* 107 steps"),
        (lambda: plot.decoded(QUAKES, PARAMS, COUNTS, column=1), "column is 1"),
        (lambda: plot.density(QUAKES, PARAMS, COUNTS, names=("a", "b")), "names has 2 names"),
        (lambda: plot.density(*MIXED, COUNTS, lengths=[107]), "a mixture's rows have no order"),
        (lambda: plot.clusters(QUAKES, PARAMS, COUNTS), "decoded and transition_matrix"),
        (lambda: plot.clusters(BELLS, BELL_PARAMS, np.zeros((9, 2))), "decoded and transition_"),
        (lambda: plot.density(QUAKES, NONE, COUNTS), "step 0 of sequence 0 is impossible"),
        (lambda: plot.decoded(QUAKES, NONE, COUNTS), "step 0 of sequence 0 is impossible"),
        (
            lambda: plot.density(
                Mixture(Multinomial(), 2),
                MixtureParams(np.full(2, 0.5), MultinomialParams(np.full((2, 2), 0.5))),
                np.ones((9, 2)),
            ),
            "no distribution of one column alone; density draws Gaussian",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(draw, says):
    with pytest.raises(ValueError, match=says):
        draw()
    pyplot.close("all")


@pytest.mark.slow
def test_a_dataset_is_drawn_as_what_it_was_read_from(series):
    frame = pandas.DataFrame(datasets.load_faithful().x, columns=["eruption", "wait"])
    two = Mixture(Gaussian("diag"), 2)
    params = MixtureParams(
        np.array([0.4, 0.6]), GaussianParams(np.array([[2.0, 54], [4.3, 80]]), np.ones((2, 2)))
    )
    given = {"x": np.stack([own[:20] for own in series]), "lengths": [20, 15, 7]}
    pictures = [
        (plot.clusters, two, params, {"x": frame}),
        (plot.density, two, params, {"x": frame}),
        (plot.density, BELLS, BELL_PARAMS, given),
        (plot.decoded, BELLS, BELL_PARAMS, given | {"sequence": 1}),
    ]
    for draw, model, params, given in pictures:
        own = {name: given.pop(name) for name in ("x", "lengths") if name in given}
        plain = draw(model, params, **own, **given, ax=Figure().subplots())
        found = draw(model, params, jaxem.read(model, **own), **given, ax=Figure().subplots())
        assert found.get_xlabel() == plain.get_xlabel() and len(found.lines) == len(plain.lines)
        for a, b in zip(found.lines, plain.lines, strict=True):
            np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())
