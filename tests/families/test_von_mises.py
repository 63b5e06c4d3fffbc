"""Angles in degrees, which are taken in radians, are told; whole turns are none of them."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families

MODEL = jaxem.Mixture(families.VonMises(), 1)
WINDS = np.random.default_rng(0).vonmises(1.0, 2.0, (50, 2))


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [np.rad2deg(WINDS), np.mod(np.rad2deg(WINDS), 360)])
def test_degrees_are_told(degrees):
    x = np.stack([degrees[:, 0], WINDS[:, 1]], axis=1)
    x[0, 0] = np.nan
    with pytest.warns(UserWarning, match="columns 0 have angles up to .*np.deg2rad"):
        jaxem.fit(MODEL, x, key=jax.random.key(0), n_init=1, max_iter=3)


@pytest.mark.slow
@pytest.mark.parametrize("turned", [WINDS, np.mod(WINDS, 2 * np.pi), WINDS + 2 * np.pi,
                                    WINDS + 400, 1000 * WINDS])  # fmt: skip
def test_radians_of_any_turn_are_not(turned):
    jaxem.fit(MODEL, turned, key=jax.random.key(0), n_init=1, max_iter=3)
