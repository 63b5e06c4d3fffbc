"""Every family of columns in units from far too small to far too large, and far from the origin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from families import cases
from families.test_gaussian import STRUCTURES, case_of
from jaxem import families
from jaxem.families import GaussianParams
from laws.units import Units, check_units

SCALES = (1e-12, 1e-6, 1e6, 1e12)
WEIGHTS = np.array([0.3, 0.25, 0.45])


def seen(x):
    return ~np.isnan(np.asarray(x)).reshape(len(x), -1)


def scaled(b):
    """Columns in units of b, one each; rates are per unit."""
    b = np.asarray(b)

    def per_unit(params):
        return params._replace(rates=np.asarray(params.rates) / b)

    return Units(lambda x: np.asarray(x) * b, per_unit, lambda x: seen(x) @ np.log(b))


def exposed(b):
    """Exposures in units of b; counts have none."""
    return Units(
        lambda x: (np.asarray(x[0]), np.asarray(x[1]) * b),
        lambda params: params._replace(rates=np.asarray(params.rates) / b),
        lambda x: np.zeros(len(x[0])),
    )


def turned(a):
    """Angles from another direction, which is 0 up to whole turns."""

    def directions(params):
        there = np.asarray(params.directions) + a
        return params._replace(directions=there - 2 * np.pi * np.round(there / (2 * np.pi)))

    return Units(lambda x: np.asarray(x) + a, directions, lambda x: np.zeros(len(x)))


def affine(structure, a, b):
    """Columns in units of b, from another origin."""
    a, b = np.asarray(a), np.asarray(b)

    def params(own):
        means, covariances = map(np.asarray, own)
        square = {
            "full": b[:, None] * b, "tied": b[:, None] * b, "diag": b**2, "spherical": b[0] ** 2,
        }[structure]  # fmt: skip
        return GaussianParams(a + b * means, covariances * square)

    return Units(lambda x: a + b * np.asarray(x), params, lambda x: seen(x) @ np.log(b))


def check(case, family, x, units, digits=1e-9):
    params = jaxem.MixtureParams(WEIGHTS, jax.tree.map(np.asarray, case.params))
    check_units(jaxem.Mixture(family, 3), params, x, units, digits)


def check_singly(case, family, x, units):
    """In float32: rows and their change are rounded to it."""
    single = Units(lambda x: units.x(x).astype(np.float32), units.params, units.log_slope)
    check(case, family, np.asarray(x, np.float32), single, digits=2e-4)


@pytest.mark.parametrize("name", ["gamma", "exponential"])
def test_positive_columns(name):
    case = getattr(cases, name)()
    for b in SCALES:
        check(case, case.family, case.x, scaled([b, 1 / b]))
        check_singly(case, case.family, case.x, scaled([b, 1 / b]))


def test_exposures():
    case = cases.poisson_with_exposure()
    for b in SCALES:
        check(case, case.family, case.x, exposed(b))


@pytest.mark.filterwarnings("ignore:columns .* have angles")
def test_angles():
    case = cases.von_mises()
    labels = jnp.arange(300, dtype=jnp.int32) % 3
    x = np.asarray(case.family.sample(jax.random.key(0), case.params, labels))
    for a in (1.0, np.pi, -5.0, 40 * np.pi):
        check(case, case.family, x, turned(a))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_gaussians(structure, missing):
    case, rng = case_of(structure, 2), np.random.default_rng(1)
    x = rng.normal(size=(90, 2)) @ [[1.0, 0.4], [0.0, 0.7]] + 6 * rng.integers(0, 3, (90, 1))
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    family = families.Gaussian(structure, missing=missing)
    for b in SCALES:
        other = b if structure == "spherical" else 1 / b
        check(case, family, x, affine(structure, [0.0, 0.0], [b, other]))
        if not missing:
            check_singly(case, family, x, affine(structure, [0.0, 0.0], [b, other]))
    grid = np.round(x * 2.0**20) / 2.0**20  # of which no digit is lost far from the origin
    far = affine(structure, [2.0**26, -(2.0**24)], [1.0, 1.0])
    check(case, family, grid, far, digits=1e-7)
