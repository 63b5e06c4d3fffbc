import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

import jaxem
from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.reference import gaussian_mixture as reference

MODEL = jaxem.Mixture(Gaussian("full"), 3)
PARAMS = jaxem.MixtureParams(
    np.array([0.5, 0.2, 0.3]),
    GaussianParams(
        np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]]),
        np.array([[[1.0, 0.3], [0.3, 2.0]], [[1.5, -0.2], [-0.2, 0.7]], [[0.9, 0.0], [0.0, 1.1]]]),
    ),
)


@pytest.fixture(scope="module")
def data():
    x, z = jaxem.sample(MODEL, PARAMS, jax.random.key(3), 120)
    return np.asarray(x), np.asarray(z)


def joint(weights, means, covariances, x):
    """(n, k) by scipy."""
    return np.stack(
        [
            np.log(w) + stats.multivariate_normal(m, c).logpdf(x)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )


def total(weights, means, covariances, x, sample_weight=1.0):
    density = np.exp(joint(weights, means, covariances, x)).sum(1)
    return float(np.sum(sample_weight * np.log(density)))


def test_log_likelihood_is_scipys(data):
    x, _ = data
    weight = np.arange(120) % 3
    expected = total(PARAMS.weights, *PARAMS.components, x)
    np.testing.assert_allclose(jaxem.log_likelihood(MODEL, PARAMS, x), expected, rtol=1e-12)
    expected = total(PARAMS.weights, *PARAMS.components, x, weight)
    np.testing.assert_allclose(jaxem.log_likelihood(MODEL, PARAMS, x, weight), expected, rtol=1e-12)


def test_complete_log_likelihood_takes_each_row_at_its_own_component(data):
    x, z = data
    own = joint(PARAMS.weights, *PARAMS.components, x)[np.arange(120), z]
    actual = jaxem.complete_log_likelihood(MODEL, PARAMS, x, z)
    np.testing.assert_allclose(actual, own.sum(), rtol=1e-12)
    assert actual < jaxem.log_likelihood(MODEL, PARAMS, x)


def test_the_complete_log_likelihood_is_maximal_at_its_closed_form(data):
    """With z known: shares, means and covariances of each group; nothing near is higher."""
    x, z = data
    groups = [x[z == j] for j in range(3)]
    best = jaxem.MixtureParams(
        np.array([len(group) for group in groups]) / len(x),
        GaussianParams(
            np.stack([group.mean(0) for group in groups]),
            np.stack([np.cov(group.T, bias=True) for group in groups]),
        ),
    )
    gradient = jax.grad(lambda c: jaxem.complete_log_likelihood(MODEL, c, x, z))(
        jax.tree.map(jnp.asarray, best)
    )
    for leaf in jax.tree.leaves(gradient.components):
        np.testing.assert_allclose(leaf, 0, atol=1e-8)
    # On the simplex the gradient of the weights has the same entry everywhere.
    np.testing.assert_allclose(gradient.weights, 120.0, rtol=1e-9)


@pytest.mark.parametrize(
    "z", [np.full(120, -1), np.full(120, 3), np.zeros(119, int), np.full(120, np.nan)]
)
def test_z_must_name_a_component_for_each_row(z, data):
    with pytest.raises(ValueError, match=r"^(z|labels) (is|has) "):
        jaxem.complete_log_likelihood(MODEL, PARAMS, data[0], z)


def replaced(path, value):
    weights, means, covariances = (a.copy() for a in jax.tree.leaves(PARAMS))
    if path[0] == "weights":
        others = np.arange(3) != path[1]
        weights[others] *= (1 - value) / weights[others].sum()
        weights[path[1]] = value
    elif path[1] == "means":
        means[path[2:]] = value
    else:
        covariances[path[2:]] = covariances[path[2], path[4], path[3]] = value
    return weights, means, covariances


SLICES = {
    "weights[1]": (("weights", 1), [0.05, 0.2, 0.7]),
    "components.means[2, 0]": (("components", "means", 2, 0), [-1.0, 1.2, 6.0]),
    "components.covariances[0, 1, 1]": (("components", "covariances", 0, 1, 1), [0.5, 2.0, 9.0]),
    "components.covariances[1, 0, 1]": (("components", "covariances", 1, 0, 1), [-0.9, 0.0, 0.8]),
}


@pytest.mark.parametrize("text", SLICES)
def test_a_slice_is_the_likelihood_with_one_number_replaced(text, data):
    x, _ = data
    path, grid = SLICES[text]
    expected = [total(*replaced(path, value), x) for value in grid]
    for spelled in (text, path, ".".join(str(part) for part in path)):
        found = jaxem.likelihood_slice(MODEL, PARAMS, x, spelled, grid)
        np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-11)
        np.testing.assert_array_equal(found.grid, grid)
        assert found.argmax == grid[int(np.argmax(expected))]


def test_negative_indices_count_from_the_end(data):
    grid = [0.1, 0.3]
    a = jaxem.likelihood_slice(MODEL, PARAMS, data[0], "weights[-1]", grid)
    b = jaxem.likelihood_slice(MODEL, PARAMS, data[0], "weights[2]", grid)
    np.testing.assert_array_equal(a.log_likelihood, b.log_likelihood)


def test_slices_peak_where_a_direct_search_along_the_line_does(data):
    x, _ = data
    path = ("components", "means", 1, 1)
    direct = optimize.minimize_scalar(lambda v: -total(*replaced(path, v), x), (0.0, 1.0, 2.0))
    grid = np.linspace(0.0, 2.0, 401)
    found = jaxem.likelihood_slice(MODEL, PARAMS, x, path, grid)
    assert abs(float(found.argmax) - direct.x) <= 0.0025 + 1e-6


def test_values_outside_of_the_domain_are_nan(data):
    x, _ = data
    weights = jaxem.likelihood_slice(MODEL, PARAMS, x, "weights[0]", [-0.1, 0.5, 1.1])
    np.testing.assert_array_equal(np.isnan(weights.log_likelihood), [True, False, True])
    variance = jaxem.likelihood_slice(
        MODEL, PARAMS, x, "components.covariances[0,0,0]", [-1.0, 0.0, 1e-9]
    )
    assert np.isnan(variance.log_likelihood).all() and np.isnan(variance.argmax)


BAD_PATHS = {
    "weights": "weights has shape (3,); name one number of it, such as weights[0]",
    "weights[3]": "weights has shape (3,)",
    "weights[0, 0]": "weights has shape (3,)",
    "means[0, 0]": "there is no 'means'; give one, such as weights[0], components.means[0, 0]",
    "components": "which is no number",
    "components.means.x[0]": "there is no 'x'",
    "weights[0].means": "there is no 'means'",
    "": "which is no number",
}


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_is_no_number_says_what_there_is(path, data):
    with pytest.raises(ValueError) as error:
        jaxem.likelihood_slice(MODEL, PARAMS, data[0], path, [0.5])
    assert BAD_PATHS[path] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("grid", [0.5, [], [[0.1, 0.2]], ["a"]])
def test_a_grid_is_a_vector_of_numbers(grid, data):
    with pytest.raises(ValueError, match=r"^grid "):
        jaxem.likelihood_slice(MODEL, PARAMS, data[0], "weights[0]", grid)


def test_the_trace_is_the_references(data):
    x, _ = data
    trace = jaxem.em_trace(MODEL, PARAMS, x, 6)
    theta = reference.Mixture(PARAMS.weights, *PARAMS.components)
    for t in range(7):
        r, log_likelihood = reference.e_step(x, theta)
        np.testing.assert_allclose(trace.log_likelihood[t], log_likelihood, rtol=1e-11)
        for leaf, expected in zip(jax.tree.leaves(trace.params), theta, strict=True):
            np.testing.assert_allclose(leaf[t], expected, rtol=1e-9, atol=1e-12)
        theta = reference.m_step(x, theta, r, "full")
    np.testing.assert_array_equal(trace.log_posterior, trace.log_likelihood)
    assert np.all(np.diff(trace.log_likelihood) > 0)


@pytest.mark.slow
def test_the_trace_ends_where_a_fit_of_as_many_steps_does(data):
    x, _ = data
    weight = np.arange(120) % 3
    prior = jaxem.MixturePrior(2.0, GaussianPrior(reg_covar=0.1))
    trace = jaxem.em_trace(MODEL, PARAMS, x, 4, sample_weight=weight, prior=prior)
    fit = jaxem.em(
        MODEL, PARAMS, x, sample_weight=weight, prior=prior, max_iter=4, tol=0, acceleration=None
    )
    np.testing.assert_allclose(trace.log_likelihood[-1], fit.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(trace.log_posterior[-1], fit.log_posterior, rtol=1e-12)
    np.testing.assert_allclose(trace.params.weights[-1], fit.params.weights, rtol=1e-10)


def test_the_likelihood_has_a_gradient(data):
    """Central differences of scipy's value, in a mean and a weight direction."""
    x, _ = data
    params = jax.tree.map(jnp.asarray, PARAMS)
    gradient = jax.grad(lambda p: jaxem.log_likelihood(MODEL, p, x))(params)
    step = 1e-5
    path = ("components", "means", 2, 0)
    ends = [total(*replaced(path, 1.0 + s), x) for s in (step, -step)]
    np.testing.assert_allclose(
        gradient.components.means[2, 0], (ends[0] - ends[1]) / (2 * step), rtol=1e-6
    )
