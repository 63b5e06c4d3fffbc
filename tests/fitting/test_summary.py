"""The table of components has the numbers of the parameters, by the names of the columns."""

import jax
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxem
from jaxem import families
from jaxem.core.capabilities import describing
from jaxem.core.column_table import ColumnTable
from jaxem.families import GaussianParams
from jaxem.fitting.summary import summary
from jaxem.models.mixture import MixtureParams
from laws.family_cases import FAMILY_CASES

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (20, 2)), RNG.normal(4, 1, (30, 2))])
MODEL = jaxem.Mixture(families.Gaussian("full"), 2)
MEANS = np.array([[1.0, 2.0], [3.0, 4.0]])
COVARIANCES = np.array([[[4.0, 1.0], [1.0, 1.0]], [[9.0, -2.0], [-2.0, 16.0]]])
WEIGHTS = np.array([0.3, 0.7])
PARAMS = MixtureParams(WEIGHTS, GaussianParams(MEANS, COVARIANCES))


def of(family, components, columns=None, model=jaxem.Mixture, weights=WEIGHTS):
    params = MixtureParams(weights, components)
    return summary(model(family, len(weights)), params, columns, None)


def values(table):
    return {name: np.asarray(own).tolist() for name, own in table.items()}


def test_a_row_for_each_component_by_falling_weight():
    """Roots of the variances, and covariances over their products, by hand."""
    table = summary(MODEL, PARAMS, ("a", "b"), None)
    assert values(table) == {
        "component": ["component_1", "component_0"],
        "weight": [0.7, 0.3],
        "a mean": [3.0, 1.0],
        "a std. deviation": [3.0, 2.0],
        "b mean": [4.0, 2.0],
        "b std. deviation": [4.0, 1.0],
        "a, b correlation": [-2 / 12, 1 / 2],
    }


@pytest.mark.parametrize(
    "kind", [pandas.DataFrame, polars.DataFrame, lambda x: pyarrow.table(dict(x)), dict]
)
def test_it_is_a_frame_of_the_kind_of_the_data(kind):
    columns = {"a": X[:, 0], "b": X[:, 1]}
    x = X if kind is dict else kind(columns)
    result = jaxem.fit(MODEL, x, key=jax.random.key(0), n_init=2)
    table = result.summary()
    assert type(table) is (ColumnTable if kind is dict else type(x))
    order = np.argsort(-np.asarray(result.params.weights))
    np.testing.assert_array_equal(np.asarray(table["weight"]), result.params.weights[order])
    mean = np.asarray(table["column 0 mean" if kind is dict else "a mean"])
    np.testing.assert_array_equal(mean, np.asarray(result.params.components.means)[order, 0])
    read = jaxem.fit(MODEL, jaxem.read(MODEL, x), key=jax.random.key(0), n_init=2).summary()
    assert type(read) is type(table)


@pytest.mark.slow(but=("tied", "EEE", "VVI"))
@pytest.mark.parametrize("covariance", ["tied", "diag", "spherical", "VEV", "EEE", "VVI"])
def test_deviations_of_every_structure(covariance):
    """Those of the normal distribution that the library draws from and conditions on."""
    family = families.Gaussian(covariance)
    model = jaxem.Mixture(family, 2)
    params = jaxem.fit(model, X, key=jax.random.key(0), n_init=1).params
    table = summary(model, params, ("a", "b"), None)
    for i, part in enumerate(table["component"]):
        k = int(part[-1])
        one = params._replace(weights=jax.nn.one_hot(k, 2, dtype=float))
        _, expected = jaxem.moments(model, one)
        found = [table["a std. deviation"][i], table["b std. deviation"][i]]
        np.testing.assert_allclose(np.square(found), np.diag(expected), rtol=1e-12)
        product = table["a, b correlation"][i] if "a, b correlation" in table else 0
        np.testing.assert_allclose(product * np.prod(found), expected[0, 1], atol=1e-12)


def test_states_have_their_transitions():
    chain = jaxem.HMM(families.Poisson(), 2, names=("calm", "wild"))
    law, moves = np.array([0.25, 0.75]), np.array([[0.9, 0.1], [0.3, 0.7]])
    params = jaxem.HMMParams(law, moves, families.PoissonParams(np.array([[2.0], [7.0]])))
    assert values(summary(chain, params, None, None)) == {
        "state": ["calm", "wild"],
        "initial": [0.25, 0.75],
        "to calm": [0.9, 0.3],
        "to wild": [0.1, 0.7],
        "x rate": [2.0, 7.0],
    }


def test_columns_of_other_families():
    answers = families.CategoricalParams((np.array([[0.2, 0.8], [0.6, 0.4]]),))
    assert values(of(families.Categorical(2), answers, ("item",)))["item P(1)"] == [0.4, 0.8]
    lines = families.LinearRegressionParams(MEANS, np.array([0.5, 1.5]))
    found = values(of(families.LinearRegression(), lines))
    assert found["(intercept) coefficient"] == [3.0, 1.0] and found["x coefficient"] == [4.0, 2.0]
    assert found["y error scale"] == [1.5, 0.5]
    tails = families.StudentTParams(MEANS, COVARIANCES, np.array([3.0, 5.0]))
    found = values(of(families.StudentT("full"), tails))
    assert found["degrees of freedom"] == [5.0, 3.0] and found["column 1 scale"] == [4.0, 1.0]
    sizes = families.GammaParams(MEANS, np.full((2, 2), 2.0))
    assert values(of(families.Gamma(), sizes))["column 1 mean"] == [2.0, 1.0]
    both = families.Product({"u": families.Gaussian("full"), "v": families.Poisson()})
    given = {"u": PARAMS.components, "v": families.PoissonParams(np.array([[2.0], [7.0]]))}
    found = values(of(both, given))
    assert found["u 1 mean"] == [4.0, 2.0] and found["v rate"] == [7.0, 2.0]


def test_a_family_that_says_nothing_of_itself():
    """Every number by its path."""
    params = families.WeibullParams(MEANS, 10 * MEANS)
    found = values(of(families.Weibull(), params, ("a", "b")))
    shapes, scales = (np.asarray(leaf)[[1, 0]] for leaf in params)
    assert found["a shape"] == list(shapes[:, 0]) and found["b scale"] == list(scales[:, 1])
    assert [*found] == ["component", "weight", "a shape", "a scale", "b shape", "b scale"]


def test_factors_are_told_column_by_column():
    """What the components share is in each row."""
    factors = families.FactorAnalyzer(n_factors=2, uniquenesses="shared")
    params = families.FactorAnalyzerParams(
        MEANS, np.arange(8.0).reshape(2, 2, 2), np.array([5.0, 6.0])
    )
    found = values(of(factors, params, ("a", "b")))
    assert found["a mean"] == [3.0, 1.0] and found["b loading 1"] == [7.0, 3.0]
    assert found["b uniqueness"] == [6.0, 6.0]
    assert [name.split()[0] for name in found] == ["component", "weight"] + ["a"] * 4 + ["b"] * 4


@pytest.mark.parametrize("name", FAMILY_CASES)
def test_every_family_tells_of_each_component_and_column(name):
    case = FAMILY_CASES[name]()
    params = jax.tree.map(np.asarray, case.params)
    columns = describing.column_names(case.family, params)
    lines = describing.lines(case.family, params, columns)
    assert len({line[:2] for line in lines}) == len(lines) > 0  # no two are called the same
    assert all(line.values.shape == (3,) and np.isfinite(line.values).all() for line in lines)
    others = {"", "(intercept)", ", ".join(columns)}
    told = {part for line in lines for part in line.column.split(", ")} - others
    assert told <= set(columns) and len(told) >= len(columns) - 1


def test_names_that_are_given():
    result = jaxem.fit(MODEL, X, key=jax.random.key(0), n_init=2)
    heavy = int(np.argmax(result.params.weights))
    names = ("u", "v")
    assert result.summary(names)["component"][0] == names[heavy]
    assert result.provenance.model.names is None
    with pytest.raises(ValueError, match="give 2 different names"):
        result.summary(("u",))


def test_what_has_no_summary():
    many = jaxem.fit_many(MODEL, np.stack([X, X + 1]), key=jax.random.key(0), n_init=1)
    with pytest.raises(ValueError, match=r"these are 2 fits; take one, results\[i\]"):
        many.summary()
    assert many[1].summary()["weight"].shape == (2,)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda x: jaxem.em(MODEL, PARAMS, x).summary())(X)


def test_it_prints_as_a_table():
    told = of(families.Gaussian("full"), PARAMS.components, ("a", "<b>"))
    lines = str(told).split("\n")
    assert lines[0].split() == ["component_1", "component_0"]
    assert lines[1].split() == ["weight", "0.7", "0.3"] and len(lines) == 7
    page = told._repr_html_()
    assert "&lt;b&gt; mean" in page and "<b>" not in page and page.count("<tr>") == 7
    assert pandas.DataFrame(told).shape == (2, 7)


def frames_of_pairs():
    """(X, y), ((X, y), Z) and (x, Z), with the columns that they are told by."""
    z = np.arange(60.0) % 7
    table = pandas.DataFrame({"dose": z, "age": (z * 3) % 5})
    y = pandas.Series(np.where(np.arange(60) % 2, z, 9 - z) + 0.1 * np.sin(np.arange(60)), name="y")
    sex = pandas.DataFrame({"sex": np.arange(60) % 3 // 2})
    lines = ["dose coefficient", "age coefficient", "y error scale"]
    odds = ["(intercept) log odds", "sex log odds"]
    numbers = ["dose mean", "age mean", "dose std. deviation", "age std. deviation"]
    linear, gaussian = families.LinearRegression(), families.Gaussian("diag")
    return {
        "regression": (jaxem.Mixture(linear, 2), (table, y), lines),
        "both": (jaxem.Mixture(linear, 2, concomitants=1), ((table, y), sex), lines + odds),
        "weights": (jaxem.Mixture(gaussian, 2, concomitants=1), (table, sex), numbers + odds),
    }


@pytest.mark.slow(but=("both",))
@pytest.mark.parametrize("kind", ["regression", "both", "weights"])
def test_pairs_of_frames_are_told_by_the_names_of_both(kind):
    model, x, expected = frames_of_pairs()[kind]
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2)
    found = result.summary()
    assert isinstance(found, pandas.DataFrame) and set(expected) <= set(found.columns)
    if "sex log odds" in expected:
        order = np.argsort(-np.asarray(result.params.weights), kind="stable")
        np.testing.assert_allclose(
            found[["(intercept) log odds", "sex log odds"]],
            np.asarray(result.params.coefficients)[order],
        )


def test_log_odds_of_arrays_are_told_by_numbers():
    model = jaxem.Mixture(families.Gaussian("full"), 2, concomitants=2)
    params = jaxem.ConcomitantMixtureParams(
        WEIGHTS, PARAMS.components, np.array([[0.0] * 3, [1, 2, 3]])
    )
    table = values(summary(model, params, None, None))
    odds = ("(intercept)", "covariate 0", "covariate 1")
    assert [table[f"{name} log odds"] for name in odds] == [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
