"""Values of mpmath with 60 digits, at the arguments as doubles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.core import special

VALUES = [  # function, arguments, value
    (special.log1p_excess, (-0.9,), -1.40258509299404588),
    (special.log1p_excess, (-0.3,), -0.0566749439387323742),
    (special.log1p_excess, (1e-9,), -4.99999999666666729e-19),
    (special.log1p_excess, (0.1,), -0.00468982019567514046),
    (special.log1p_excess, (2.5,), -1.247237031504632),
    (special.stirling, (0.25,), 0.272510401213432061),
    (special.stirling, (3.0,), 0.0276779256849983391),
    (special.stirling, (10.0,), 0.00833056343336287126),
    (special.stirling, (1e5,), 8.33333333330555556e-7),
    (special.stirling, (1e12,), 8.33333333333333333e-14),
    (special.log_less_digamma, (0.25,), 2.84115917225637479),
    (special.log_less_digamma, (3.0,), 0.175827953569642552),
    (special.log_less_digamma, (10.0,), 0.0508325039273245764),
    (special.log_less_digamma, (1e5,), 5.00000833333333325e-6),
    (special.log_less_digamma, (1e12,), 5.00000000000083333e-13),
    (special.log_poisson, (0.0, 3.0), -3.0),
    (special.log_poisson, (2.0, 2.5), -1.36056571681163518),
    (special.log_poisson, (1e6, 1000500.0), -7.95165224447222906),
    (special.log_poisson, (1e12, 1e12 + 1e6), -15.2344487578359468),
    (special.log_poisson, (7.0, 1e-3), -56.8804483139403735),
    (special.length_gap, (0.5,), 0.757500387419198055),
    (special.length_gap, (12.0,), 0.042618594604757762),
    (special.length_gap, (40.0,), 0.0125801586636493415),
    (special.length_gap, (1e6,), 5.00000125000125e-7),
    (special.length_gap, (1e12,), 5.00000000000125e-13),
    (special.log_i0e, (0.5,), -0.438450280814518696),
    (special.log_i0e, (40.0,), -2.76021313864764315),
    (special.log_i0e, (1e12,), -14.7344490911688218),
]
SLOPES = [
    (special.log1p_excess, 1e-9, -9.99999999e-10),
    (special.log_less_digamma, 3.0, -0.0616007335148931031),
    (special.log_less_digamma, 1e5, -5.00001666666666633e-11),
    (special.log_less_digamma, 1e12, -5.00000000000166667e-25),
    (special.length_gap, 12.0, -0.00363906082049398343),
    (special.length_gap, 1e6, -5.00000250000375001e-13),
    (special.length_gap, 1e12, -5.0000000000025e-25),
    (special.log_i0e, 40.0, -0.0125801586636493415),
    (special.log_i0e, 1e6, -5.00000125000125e-7),
]


def _name(value):
    return value.__name__ if callable(value) else None


@pytest.mark.parametrize(("function", "at", "expected"), VALUES, ids=_name)
def test_values(function, at, expected):
    np.testing.assert_allclose(function(*map(jnp.float64, at)), expected, rtol=2e-13)
    if all(float(np.float32(a)) == a for a in at):
        single = function(*map(jnp.float32, at))
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, expected, rtol=2e-5)


@pytest.mark.parametrize(("function", "at", "expected"), SLOPES, ids=_name)
def test_slopes(function, at, expected):
    np.testing.assert_allclose(jax.grad(function)(jnp.asarray(at)), expected, rtol=1e-12)


def test_what_is_impossible():
    counts, means = jnp.array([0.0, 3.0]), jnp.zeros(2)
    np.testing.assert_array_equal(special.log_poisson(counts, means), [0.0, -np.inf])
    slopes = jax.grad(lambda m: special.log_poisson(counts[0], m))(means[0])
    assert float(slopes) == -1.0
