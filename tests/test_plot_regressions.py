"""Pictures of regressions and of weights by covariates: drawn curves against their equations."""

import jax
import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import special

import jaxem
from jaxem import families, plot
from jaxem.families import LinearRegressionParams, LogisticRegressionParams, PoissonRegressionParams

N = 60
B = np.array([[1.0, 3.0, -0.5], [2.0, -1.0, 1.5]])
WEIGHTS = np.array([0.4, 0.6])
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (N, 2))
GROUP = np.arange(N) % 2
ETA = (np.column_stack([np.ones(N), X]) * B[GROUP]).sum(axis=1)

CASES = {
    "linear": (
        families.LinearRegression(),
        LinearRegressionParams(B, np.array([0.3, 0.5])),
        ETA + RNG.normal(0, 0.3, N),
        lambda eta: eta,
    ),
    "logistic": (
        families.LogisticRegression(),
        LogisticRegressionParams(B),
        (RNG.random(N) < special.expit(ETA)).astype(float),
        special.expit,
    ),
    "poisson": (
        families.PoissonRegression(),
        PoissonRegressionParams(B),
        RNG.poisson(np.exp(ETA)).astype(float),
        np.exp,
    ),
}


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def curves(ax, k=2):
    return [np.asarray(line.get_xydata()) for line in ax.lines[:k]]


@pytest.mark.parametrize("case", CASES)
def test_curves_are_what_components_expect(case, ax):
    family, components, y, mean = CASES[case]
    model, params = jaxem.Mixture(family, 2), jaxem.MixtureParams(WEIGHTS, components)
    plot.regression(model, params, (X, y), regressor=1, names=["a", "b", "y"], ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "y")
    for k, drawn in enumerate(curves(ax)):
        eta = B[k, 0] + B[k, 1] * X[:, 0].mean() + B[k, 2] * drawn[:, 0]
        np.testing.assert_allclose(drawn[:, 1], mean(eta), rtol=1e-12)
        np.testing.assert_allclose(drawn[[0, -1], 0], [X[:, 1].min(), X[:, 1].max()])
    points = ax.collections[0].get_offsets()
    assert len(points) == N and "others at their means" in ax.get_title()
    np.testing.assert_array_equal(points[:, 0], X[:, 1])
    if case == "poisson":
        np.testing.assert_array_equal(points[:, 1], y)
    if case == "logistic":
        np.testing.assert_allclose(points[:, 1], y, atol=0.05)


def test_without_what_other_regressors_explain_points_lie_around_their_line(ax):
    """Of one component the responsibilities are 1: partial residuals."""
    family, components, y, _ = CASES["linear"]
    one = LinearRegressionParams(components.coefficients[:1], components.scales[:1])
    model, params = jaxem.Mixture(family, 1), jaxem.MixtureParams(np.ones(1), one)
    plot.regression(model, params, (X, y), regressor=0, ax=ax)
    expected = y - B[0, 2] * (X[:, 1] - X[:, 1].mean())
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], expected, rtol=1e-12)


def test_a_band_is_one_scale_wide(ax):
    family, components, y, _ = CASES["linear"]
    params = jaxem.MixtureParams(WEIGHTS, components)
    plot.regression(jaxem.Mixture(family, 2), params, (X, y), ax=ax)
    for k, band in enumerate(ax.collections[1:3]):
        corners = band.get_paths()[0].vertices
        at = corners[np.isclose(corners[:, 0], X[:, 0].max())][:, 1]
        np.testing.assert_allclose(np.ptp(at), 2 * components.scales[k], rtol=1e-6)


def test_the_regressor_that_responses_depend_on_most_comes_first(ax):
    family, components, y, _ = CASES["linear"]
    params = jaxem.MixtureParams(WEIGHTS, components)
    plot.regression(jaxem.Mixture(family, 2), params, (X, y), ax=ax)
    assert ax.get_xlabel() == "column 0"  # slopes 3 and -1 against -0.5 and 1.5


def test_weights_by_a_covariate_are_those_of_the_logit(ax):
    coefficients = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]])
    gaussians = families.GaussianParams(np.array([[0.0], [5.0]]), np.ones((2, 1)))
    params = jaxem.ConcomitantMixtureParams(WEIGHTS, gaussians, coefficients)
    model = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=2)
    plot.concomitant_weights(model, params, X, column=1, names=["age", "time"], ax=ax)
    first, second = curves(ax)
    eta = 1 - 2 * X[:, 0].mean() + 0.5 * second[:, 0]
    np.testing.assert_allclose(second[:, 1], special.expit(eta), rtol=1e-12)
    np.testing.assert_allclose(first[:, 1] + second[:, 1], 1, rtol=1e-12)
    assert ax.get_xlabel() == "time"


def test_a_picture_of_another_model_is_an_error(ax):
    gaussians = families.GaussianParams(np.array([[0.0], [5.0]]), np.ones((2, 1)))
    model, params = (
        jaxem.Mixture(families.Gaussian("diag"), 2),
        jaxem.MixtureParams(WEIGHTS, gaussians),
    )
    with pytest.raises(ValueError, match="no mixture of regressions; overview"):
        plot.regression(model, params, (X, X[:, 0]), ax=ax)
    with pytest.raises(ValueError, match="a mixture with concomitants"):
        plot.concomitant_weights(model, params, X, ax=ax)


def labels_of(figure):
    return [ax.get_xlabel() for ax in figure.axes]


@pytest.mark.slow(but=("linear",))
@pytest.mark.parametrize("case", CASES)
def test_the_overview_has_both_regressors_and_the_uncertainty(case):
    family, _, y, _ = CASES[case]
    model = jaxem.Mixture(family, 2)
    result = jaxem.fit(model, (X, y), key=jax.random.key(0), n_init=3)
    found = labels_of(plot.overview(result, (X, y), names=["a", "b", "y"]))
    assert found == ["a", "b", "row, in order of uncertainty", "3 starts, in order"]


@pytest.mark.slow
@pytest.mark.parametrize("noise", [False, True])
def test_the_overview_has_what_weights_depend_on(noise):
    pandas = pytest.importorskip("pandas")
    ages = pandas.DataFrame({"height": X[:, 1], "age": 30 * X[:, 0]})
    size = pandas.DataFrame({"size": GROUP * 5 + X[:, 1]})
    model = jaxem.Mixture(families.Gaussian("diag"), 2, noise=noise, concomitants=2)
    result = jaxem.fit(model, (size, ages), key=jax.random.key(0), n_init=3)
    figure = plot.overview(result, (size, ages))
    slopes = np.abs(np.asarray(result.params.coefficients)[:, 1:]).max(axis=0)
    telling = ("height", "age")[int(np.argmax(slopes * np.std(ages.to_numpy(), axis=0)))]
    assert labels_of(figure) == ["size", telling, "3 starts, in order"]


@pytest.mark.slow
def test_the_overview_of_regressions_whose_weights_depend_on_a_covariate():
    family, _, y, _ = CASES["linear"]
    model = jaxem.Mixture(family, 2, concomitants=1)
    x = ((X, y), GROUP + X[:, 0])
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=3)
    found = labels_of(plot.overview(result, x))
    assert found[:3] == ["column 0", "column 1", "covariate"]
