"""What a change of units does to a model of rows: it changes the units of its parameters, no more.

With u the change, x' = u(x), and theta' the parameters in the new units:

    log p(x'; theta') = log p(x; theta) - log |du/dx|
    EM's step from theta' on x' is that from theta on x, in the new units
    the best fit of x' is as likely as that of x, but for the units

Every family of columns, in units from far too small to far too large, and far from the origin.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.families import GaussianParams
from laws.family_cases import FAMILY_CASES
from laws.gaussian_cases import STRUCTURES, gaussian

SCALES = (1e-12, 1e-6, 1e6, 1e12)
IN_UNITS = {"rates", "medians"}
WEIGHTS = np.array([0.3, 0.25, 0.45])


class Units(NamedTuple):
    x: Callable[[Any], Any]  # rows in the new units
    params: Callable[[Any], Any]  # those of the components
    log_slope: Callable[[Any], Any]  # log |du/dx| of each row, (n,)


def check_units(model: Any, params: Any, x: Any, units: Units, digits: float) -> None:
    """digits: the relative error allowed; x holds as many as its dtype has in both units."""
    there, moved = units.x(x), params._replace(components=units.params(params.components))
    dtype = jax.tree.leaves(there)[0].dtype
    params, moved = (
        jax.tree.map(lambda leaf: np.asarray(leaf, dtype), of) for of in (params, moved)
    )
    slope = units.log_slope(x)
    old, new = (np.asarray(jaxem.log_prob(model, *of)) for of in ((params, x), (moved, there)))
    np.testing.assert_allclose(new + slope, old, rtol=digits, atol=digits)
    stepped = _step(model, params, x)
    stepped = stepped._replace(components=units.params(stepped.components))
    jax.tree.map(lambda a, b: _near(a, b, digits), _step(model, moved, there), stepped)
    one, other = (
        jaxem.fit(model, of, key=jax.random.key(0), n_init=4, tol=1e-9) for of in (x, there)
    )
    assert one.converged and other.converged, (one.status, other.status)
    likely = float(other.log_likelihood) + float(np.sum(slope))
    np.testing.assert_allclose(likely, one.log_likelihood, rtol=digits, atol=len(slope) * digits)


def _step(model: Any, params: Any, x: Any) -> Any:
    return jax.device_get(jaxem.m_step(model, params, jaxem.e_step(model, params, x)[0]))


def _near(a: Any, b: Any, digits: float) -> None:
    """To that share of what each column of a component, or of all, has largest."""
    most = np.max(np.abs(b), axis=0, keepdims=np.ndim(b) > 0)
    assert np.all(np.abs(a - b) <= digits * most), (a, b)


def seen(x):
    return ~np.isnan(np.asarray(x)).reshape(len(x), -1)


def scaled(b):
    """Columns in units of b, one each; rates are per unit, and what is no rate is in that unit."""
    b = np.asarray(b)

    def there(params):
        has = {name: np.asarray(getattr(params, name)) for name in IN_UNITS & set(params._fields)}
        return params._replace(**{n: v / b if n == "rates" else v * b for n, v in has.items()})

    return Units(lambda x: np.asarray(x) * b, there, lambda x: seen(x) @ np.log(b))


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


@pytest.mark.slow(but=("exponential",))
@pytest.mark.parametrize("name", ["gamma", "exponential", "log_normal"])
def test_positive_columns(name):
    case = FAMILY_CASES[name]()
    for b in SCALES:
        check(case, case.family, case.x, scaled([b, 1 / b]))
        check_singly(case, case.family, case.x, scaled([b, 1 / b]))


@pytest.mark.slow
def test_exposures():
    case = FAMILY_CASES["poisson_with_exposure"]()
    for b in SCALES:
        check(case, case.family, case.x, exposed(b))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:columns .* have angles")
def test_angles():
    case = FAMILY_CASES["von_mises"]()
    labels = jnp.arange(300, dtype=jnp.int32) % 3
    x = np.asarray(case.family.sample(jax.random.key(0), case.params, labels))
    for a in (1.0, np.pi, -5.0, 40 * np.pi):
        check(case, case.family, x, turned(a))


@pytest.mark.slow(but=("full-False",))
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_gaussians(structure, missing):
    case, rng = gaussian(structure, 2), np.random.default_rng(1)
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
