"""A tight clump beside a cloud: every start collapses onto it."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families

MODEL = jaxem.Mixture(families.Gaussian("full"), 2)


@pytest.fixture(scope="module")
def clump():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(200, 2))
    return np.vstack([cloud[:50], rng.normal(size=(4, 2)) * 1e-3 + [6, 6], cloud[50:]])


@pytest.fixture(scope="module")
def found(clump):
    return jaxem.fit(MODEL, clump, key=jax.random.key(0))


def test_best_constrained_optimum_is_found_and_told(clump, found):
    assert found.status == jaxem.Status.CONSTRAINED and not found.converged
    told = str(found)
    assert "rows 50, 51, 52, 53," in told and "4 of 204 rows and is at the bound" in told
    with pytest.raises(jaxem.FitError, match="CONSTRAINED"):
        found.raise_for_status()


def test_it_is_the_optimum_for_that_bound(clump, found):
    """As 20 starts of their own find it, and within the bound."""
    values = np.linalg.eigvalsh(found.params.components.covariances)
    assert np.max(values) == pytest.approx(1000 * np.min(values), rel=1e-9)
    own = jaxem.fit(MODEL, clump, key=jax.random.key(1), n_init=20, max_eigenvalue_ratio=1000.0)
    assert own.converged
    assert found.log_likelihood >= own.log_likelihood - 1e-6 * abs(own.log_likelihood)


def test_starts_by_number_and_priors_stay_as_they_end(clump):
    result = jaxem.fit(MODEL, clump, key=jax.random.key(0), n_init=20)
    assert result.status == jaxem.Status.DEGENERATE


@pytest.mark.slow
def test_linked_structures_and_constant_columns_stay_degenerate(clump):
    linked = jaxem.Mixture(families.Gaussian("VEV"), 2)
    result = jaxem.fit(linked, clump, key=jax.random.key(0))
    assert result.status == jaxem.Status.DEGENERATE
    twice = np.column_stack([clump[:, 0], clump[:, 0]])
    result = jaxem.fit(MODEL, twice, key=jax.random.key(0))
    assert result.status == jaxem.Status.DEGENERATE
