"""Directions: on the circle they are angles; what is no direction is told."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.core.bessel import log_bessel, ratio_gap

KEY = jax.random.key(0)
GRID = np.linspace(-1.7, 1.7, 40)  # standard deviations from the mean
SPHERE = families.VonMisesFisher()


def fit(family, x, k=1, **options):
    options = {"key": KEY, "n_init": 2, "tol": 1e-9, **options}
    return jaxem.fit(jaxem.Mixture(family, k), x, **options)


@pytest.mark.parametrize("order", [0.0, 0.5, 4.0, 499.0])
def test_bessel_functions_are_mpmaths(order):
    c = np.array([1e-9, 1e-3, 0.5, 20.0, 1e3, 1e12])
    with mpmath.workdps(60):
        each = [[mpmath.besseli(order + i, value) for value in map(mpmath.mpf, c)] for i in (0, 1)]
        gaps = [float(1 - above / own) for own, above in zip(*each, strict=True)]
        logs = [
            float(mpmath.log(own) - value - order * mpmath.log(value))
            for value, own in zip(map(mpmath.mpf, c), each[0], strict=True)
        ]
    np.testing.assert_allclose(ratio_gap(order + 1, jnp.asarray(c)), gaps, rtol=1e-13)
    np.testing.assert_allclose(log_bessel(order, jnp.asarray(c)), logs, rtol=1e-12, atol=1e-12)


def on_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "narrow", "within"), [(np.float64, 1e-5, 1e-8), (np.float32, 1e-3, 2e-3)]
)
def test_on_the_circle_it_is_von_mises(dtype, narrow, within):
    """Of as many concentrated angles, each with the digits that its data has."""
    angles = 2.0 + narrow * GRID
    found, expected = fit(SPHERE, on_circle(angles).astype(dtype)), fit(families.VonMises(), angles)
    assert found.converged and found.dtype == np.dtype(dtype).name
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, atol=40 * within)
    own, other = found.params.components, expected.params.components
    np.testing.assert_allclose(own.concentrations, other.concentrations[:, 0], rtol=within)
    np.testing.assert_allclose(own.directions, on_circle(other.directions[0]), rtol=1e-6)


@pytest.mark.slow
def test_directions_without_any():
    """Opposite vectors: the concentration is 0, and the density that of the sphere's surface."""
    x = np.concatenate([np.eye(3), -np.eye(3)] * 4)
    result = fit(SPHERE, x)
    assert result.converged and result.params.components.concentrations[0] < 1e-6
    np.testing.assert_allclose(result.log_likelihood, -24 * np.log(4 * np.pi), rtol=1e-9)


@pytest.mark.slow
def test_equal_directions_are_degenerate():
    x = np.tile([[0.6, 0.0, 0.8]], (30, 1))
    assert fit(SPHERE, x).status == jaxem.Status.DEGENERATE


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, 0.0], [0.6, 0.7], [0.0, 1.0]], r"1 rows whose length is not 1.*row 1.*linalg.norm"),
        ([[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]], "length is not 1.*3 in row 1"),
        ([[1.0, 0.0], [np.nan, 1.0], [0.0, 1.0]], "missing or infinite.*nan in row 1"),
        ([[1.0], [1.0], [-1.0]], "asks for 2 or more"),
    ],
)
def test_rows_that_are_no_directions(x, message):
    with pytest.raises(ValueError, match=message):
        fit(SPHERE, np.array(x))


def test_parameters_that_are_no_directions():
    model, kind = jaxem.Mixture(SPHERE, 1), families.VonMisesFisherParams
    log_prob = partial(jaxem.log_prob, model, x=np.eye(2))
    with pytest.raises(ValueError, match=r"directions\[0\] has length 5; give vectors of length 1"):
        log_prob(jaxem.MixtureParams(np.ones(1), kind(np.array([[3.0, 4.0]]), np.ones(1))))
    with pytest.raises(ValueError, match="observes its rows whole"):
        params = jaxem.MixtureParams(np.ones(1), kind(np.array([[0.6, 0.8]]), np.ones(1)))
        jaxem.impute(model, params, np.eye(2))
