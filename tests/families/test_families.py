"""What is particular to each family; the laws of all are in tests/laws."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import families

# ---- holes


def test_a_hole_drops_out_of_the_product():
    """The density of the cells that are there is that of those columns alone."""
    family = families.Poisson()
    rates = jnp.array([[1.0, 5.0], [4.0, 2.5]])
    both = jaxem.Mixture(family, 2)
    params = jaxem.MixtureParams(jnp.array([0.3, 0.7]), families.PoissonParams(rates))
    first = jaxem.MixtureParams(params.weights, families.PoissonParams(rates[:, :1]))
    counts = np.array([[3.0, np.nan], [0.0, np.nan]])
    np.testing.assert_allclose(
        jaxem.log_prob(both, params, counts), jaxem.log_prob(both, first, counts[:, :1])
    )


def test_minus_one_is_a_hole_of_categories():
    family = families.Categorical((2, 3))
    table = [[0, -1], [1, 2]], [[0, np.nan], [1, 2]]
    a, b = (np.asarray(family.read(np.array(x))) for x in table)
    np.testing.assert_array_equal(a, b)


# ---- boundaries


@pytest.mark.slow
def test_probabilities_of_zero_are_optima():
    """Two kinds of rows that share no answer: all probabilities end at 0 or 1, no NaN."""
    x = np.array([[0, 1, 1]] * 30 + [[1, 0, 2]] * 20, float)
    model = jaxem.Mixture(families.Categorical((2, 2, 3)), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=6)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, 30 * np.log(0.6) + 20 * np.log(0.4))
    assert len(result.boundary) == 14
    assert "components.probabilities[0][0, 0]" in result.boundary
    assert "at the boundary 14" in str(result)


def test_what_is_impossible_has_no_density():
    params = jaxem.MixtureParams(
        jnp.array([0.5, 0.5]), families.BernoulliParams(jnp.array([[1.0, 0.3], [1.0, 0.6]]))
    )
    model = jaxem.Mixture(families.Bernoulli(), 2)
    log_density = jaxem.log_prob(model, params, np.array([[0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(log_density, [-np.inf, np.log(0.45)])


@pytest.mark.slow
def test_a_rate_of_zero_stays():
    model = jaxem.Mixture(families.Poisson(), 1)
    result = jaxem.fit(model, np.zeros((9, 2)), key=jax.random.key(0), n_init=1, init="k-means++")
    np.testing.assert_array_equal(result.params.components.rates, np.zeros((1, 2)))
    assert float(result.log_likelihood) == 0.0 and result.converged


def test_a_prior_keeps_off_the_boundary():
    x = np.array([[1.0, 1.0]] * 8 + [[0.0, 0.0]] * 4)
    prior = jaxem.MixturePrior(components=families.BernoulliPrior(2.0, 2.0))
    model = jaxem.Mixture(families.Bernoulli(), 1)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, prior=prior)
    np.testing.assert_allclose(result.params.components.probabilities, 9 / 14)
    assert not result.boundary


# ---- generalized EM


def _poisson_responses(n=300):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 1))
    eta = np.where(rng.random(n) < 0.4, 1.5 + 0.8 * X[:, 0], 0.5 - 1.0 * X[:, 0])
    return X, rng.poisson(np.exp(eta)).astype(float)


@pytest.mark.slow
def test_one_component_is_the_generalized_linear_model():
    """The score is zero at the fit: Newton steps end where a regression program does."""
    X, y = _poisson_responses()
    model = jaxem.Mixture(families.PoissonRegression(), 1)
    b = jaxem.fit(model, (X, y), key=jax.random.key(0), n_init=1, tol=1e-12)
    u = np.c_[np.ones(len(y)), X]
    score = u.T @ (y - np.exp(u @ np.asarray(b.params.components.coefficients[0])))
    np.testing.assert_allclose(score, 0, atol=1e-5)


@dataclass(frozen=True)
class TooLong(families.PoissonRegression):
    """Goes five times as far as Newton's step: down, unless the step is halved."""

    def m_step(self, params, statistics, prior, live):
        new = families.PoissonRegression.m_step(self, params, statistics, prior, live)
        return jax.tree.map(lambda a, b: a + 5 * (b - a), params, new)


@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_steps_that_are_too_long_are_halved(acceleration):
    """The objective rises all the same, to the optimum of the steps as they should be."""
    X, y = _poisson_responses()
    model = jaxem.Mixture(TooLong(), 2)
    apart = families.PoissonRegressionParams(jnp.array([[1.0, 0.5], [0.0, -0.5]]))
    start = jaxem.MixtureParams(jnp.array([0.5, 0.5]), apart)
    last = -np.inf
    for max_iter in (1, 5, 12, 2000):
        result = jaxem.em(
            model, start, (X, y), max_iter=max_iter, tol=1e-9, acceleration=acceleration
        )
        assert float(result.log_likelihood) >= last
        last = float(result.log_likelihood)
    assert result.converged
    plain = jaxem.Mixture(families.PoissonRegression(), 2)
    best = jaxem.fit(plain, (X, y), key=jax.random.key(0), n_init=8, tol=1e-10)
    np.testing.assert_allclose(last, best.log_likelihood, rtol=1e-7)


@pytest.mark.slow
def test_separated_answers_end_finite():
    X = np.linspace(-1, 1, 40)[:, None]
    model = jaxem.Mixture(families.LogisticRegression(), 1)
    data = (X, (X[:, 0] > 0).astype(float))
    result = jaxem.fit(model, data, key=jax.random.key(0), n_init=1)
    assert np.isfinite(result.params.components.coefficients).all()
    assert result.converged and -1e-2 < result.log_likelihood <= 0
    prior = jaxem.MixturePrior(components=families.RegressionPrior(precision=1.0))
    kept = jaxem.fit(model, data, key=jax.random.key(0), n_init=1, prior=prior, tol=1e-10)
    assert kept.converged and abs(float(kept.params.components.coefficients[0, 1])) < 10


# ---- what a person does wrong


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (families.Bernoulli(), [[0.0, 2.0]] * 3, r"not 0 or 1.*1 \(3\)"),
        (families.Poisson(), [[1.0], [-1.0], [2.5]], r"2 values that are not whole.*-1 in row 1"),
        (families.Categorical((2, 2)), [[0, 2], [1, 1], [0, 0]], r"number of categories.*row 0"),
        (families.Categorical((2,)), [[0, 1]] * 3, "x has 2 columns, n_categories has 1"),
        (families.Multinomial(), [[1.0, np.nan]] * 3, "not whole numbers"),
        (families.Gamma(), [[1.0], [0.0], [2.0]], "not above 0"),
        (families.Exponential(), [[1.0], [np.inf], [2.0]], "not above 0"),
        (families.Poisson(exposure=True), np.ones((3, 2)), r"\(counts, exposure\)"),
        (families.LinearRegression(), np.ones((3, 2)), r"give the tuple \(X, y\)"),
        (families.LinearRegression(), (np.ones((3, 2)), np.ones(4)), r"y has shape \(4,\)"),
        (families.LogisticRegression(), (np.eye(3), [0.0, 1.0, 3.0]), "not 0 or 1"),
        (families.Product({"a": families.Poisson()}), {"b": np.ones(3)}, r"\['b'\].*with a"),
        (families.Product({"a": families.Poisson()}), {"a": [-1.0, 2, 3]}, "block 'a': .*-1 in"),
    ],
)
def test_data_of_the_wrong_kind(family, x, message):
    with pytest.raises(ValueError, match=message):
        jaxem.fit(jaxem.Mixture(family, 1), x, key=jax.random.key(0), n_init=1)


def test_specs_are_plain_values():
    assert families.Categorical([2, 3]) == families.Categorical((2, 3))
    blocks = {"b": families.Poisson(), "a": families.Bernoulli()}
    one, other = families.Product(blocks), families.Product(dict(reversed(blocks.items())))
    assert one == other and hash(one) == hash(other)
    for wrong in (lambda: families.Categorical(0), lambda: families.Product({}),
                  lambda: families.Product({"a": 3}), lambda: families.Poisson(exposure="yes"),
                  lambda: families.Density(1, 2)):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()


def test_reg_covar_is_for_covariances():
    with pytest.raises(ValueError, match="reg_covar is for covariances"):
        jaxem.fit(
            jaxem.Mixture(families.Poisson(), 1), np.ones((4, 1)), key=jax.random.key(0),
            reg_covar=0.1,
        )  # fmt: skip
