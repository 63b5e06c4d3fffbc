"""Covariances whose eigenvalues are bounded against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import jaxem
from jaxem import datasets, families
from jaxem.families.gaussian import eigenvalue_bound
from jaxem.families.gaussian.structures import STRUCTURES

_clipped = jax.jit(eigenvalue_bound._clipped)


def _cost(lowest, v, weight, ratio):
    """Minus twice the expected log-likelihood of eigenvalues clipped so."""
    e = np.clip(v, lowest, ratio * lowest)
    return np.sum(weight * (np.log(e) + v / e))


@pytest.mark.parametrize("seed", range(12))
def test_clipped_eigenvalues_are_the_maximiser(seed):
    """The best lowest eigenvalue, looked for on a grid and by Brent's method."""
    rng = np.random.default_rng(seed)
    v, weight = np.exp(rng.normal(0, 3, 9)), rng.uniform(0, 2, 9)
    weight[:2] = 0, 1
    v[2] = 0 if seed % 3 == 0 else v[2]
    ratio = np.exp(rng.uniform(0, 5))
    within, found = _clipped(jnp.array(v), jnp.array(weight), jnp.array(ratio))
    there = weight > 0
    assert not within and np.max(v[there]) > ratio * np.min(v[there])
    logs = np.log(np.max(v)) + np.linspace(-30, 0.1, 3001)
    costs = [_cost(np.exp(at), v[there], weight[there], ratio) for at in logs]
    near = logs[np.argmin(costs)]
    best = minimize_scalar(
        lambda at: _cost(np.exp(at), v[there], weight[there], ratio),
        bounds=(near - 0.02, near + 0.02), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    own = np.asarray(found)[there]
    ours = np.sum(weight[there] * (np.log(own) + v[there] / own))
    assert ours <= best.fun + 1e-10 * abs(best.fun)
    assert np.max(own) <= ratio * np.min(own) * (1 + 1e-14)


@pytest.mark.slow
def test_what_is_within_the_bound_stays():
    v = jnp.array([1.0, 3.0, 2.9] * 3)
    within, _ = _clipped(v, jnp.ones(9), jnp.array(3.0))
    assert within
    c = np.array([[[2.0, 0.3], [0.3, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    rows = jnp.ones((2, 1, 1))
    same = eigenvalue_bound.bounded(STRUCTURES["full"], jnp.array(c), rows, jnp.array(4.0))
    np.testing.assert_array_equal(same, c)


def test_no_common_spectrum_within_the_bound_is_better():
    """EEV: against a search of scipy among spectra within the bound, along the scatters' axes."""
    rng, k, d, ratio = np.random.default_rng(4), 3, 4, 6.0
    rows = np.array([30.0, 50.0, 90.0])
    half = rng.normal(size=(k, d, 9)) * np.exp(rng.normal(0, 1.5, size=(k, d, 1)))
    sums = half @ np.swapaxes(half, 1, 2) * rows[:, None, None] / 9
    structure, weight = STRUCTURES["EEV"], jnp.asarray(rows)[:, None, None]
    free = structure.estimate(weight, jnp.asarray(sums), jnp.asarray(sums))
    found = np.asarray(eigenvalue_bound.bounded(structure, free, weight, jnp.array(ratio)))
    spectra = np.linalg.eigvalsh(found)
    np.testing.assert_allclose(spectra, spectra[:1].repeat(k, 0), rtol=1e-12)
    assert spectra[0, -1] == pytest.approx(ratio * spectra[0, 0], rel=1e-12)
    squares = np.linalg.eigvalsh(sums).sum(axis=0)

    def loss(logs):
        return logs.sum() + np.sum(squares / rows.sum() * np.exp(-logs))

    inside = [{"type": "ineq", "fun": lambda logs: np.log(ratio) - np.ptp(logs)}]
    start = np.full(d, np.log(squares.mean() / rows.sum()))
    within = list(zip(start - 5, start + 5, strict=True))
    best = minimize(loss, start, bounds=within, constraints=inside, options={"ftol": 1e-14})
    precisions = np.linalg.inv(found)
    ours = np.sum(rows * np.linalg.slogdet(found)[1]) + np.einsum("kij,kji", precisions, sums)
    assert ours / rows.sum() <= best.fun + 1e-8 * abs(best.fun)
    np.testing.assert_allclose(ours / rows.sum(), loss(np.log(spectra[0])), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EEV"])
def test_fit_within_the_bound(structure):
    """Every start is regular, within the bound, and none ends by a step that leads down."""
    x = np.asarray(datasets.load_faithful().x)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = jaxem.Mixture(families.Gaussian(structure), 3)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=8, max_eigenvalue_ratio=4.0)
    assert np.all(np.isin(result.restarts.status, (jaxem.Status.CONVERGED, jaxem.Status.PRECISION)))
    family, (k, d) = model.family, result.params.components.means.shape
    factors = family.covariance.cholesky(result.params.components.covariances, k, d)
    values = np.linalg.eigvalsh(np.asarray(factors) @ np.swapaxes(factors, 1, 2))
    assert np.max(values) <= 4 * np.min(values) * (1 + 1e-9)
    again = jaxem.em(
        model, result.params, x, max_eigenvalue_ratio=4.0, tol=1e-12, acceleration=None
    )
    assert again.log_likelihood - result.log_likelihood < 2e-6 * len(x)


@pytest.mark.slow
def test_starting_parameters_out_of_the_bound():
    """They are moved into it: the first step then leads down from nothing."""
    x = np.asarray(datasets.load_faithful().x)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = jaxem.Mixture(families.Gaussian("full"), 3)
    free = jaxem.fit(model, x, key=jax.random.key(0), n_init=8)
    bounded = jaxem.em(model, free.params, x, max_eigenvalue_ratio=4.0)
    assert bounded.converged and bounded.log_likelihood < free.log_likelihood


@pytest.mark.slow
def test_hidden_states_within_the_bound():
    x = np.asarray(datasets.load_faithful().x)[:100]
    model = jaxem.HMM(families.Gaussian("diag"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4, max_eigenvalue_ratio=9.0)
    variances = np.asarray(result.params.emissions.covariances)
    assert np.max(variances) <= 9 * np.min(variances) * (1 + 1e-9)
    assert result.converged


@pytest.mark.slow
def test_scales_of_t_components_within_the_bound():
    x = np.asarray(datasets.load_faithful().x)
    model = jaxem.Mixture(families.StudentT("diag", degrees_of_freedom=5), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4, max_eigenvalue_ratio=50.0)
    scales = np.asarray(result.params.components.scales)
    assert np.max(scales) == pytest.approx(50 * np.min(scales), rel=1e-9)
    assert result.converged


@pytest.mark.parametrize(
    ("family", "options", "told"),
    [
        (families.Gaussian("VEV"), {"max_eigenvalue_ratio": 3.0}, "linked .shapes alone are"),
        (families.Gaussian("VVE"), {"max_eigenvalue_ratio": 3.0}, "linked .axes alone are"),
        (families.Gaussian("full"), {"max_eigenvalue_ratio": 0.5}, "from 1"),
        (families.Poisson(), {"max_eigenvalue_ratio": 3.0}, "Poisson.* has none"),
        (families.Gaussian("full"), {"trim": 1.0}, "from 0 to under 1"),
    ],
)
def test_bad_bounds_are_refused(family, options, told):
    x = np.abs(np.round(np.asarray(datasets.load_faithful().x)))
    with pytest.raises(ValueError, match=told):
        jaxem.fit(jaxem.Mixture(family, 2), x, key=jax.random.key(0), n_init=2, **options)


def test_fixed_covariances_are_not_bounded():
    x = np.asarray(datasets.load_faithful().x)
    model = jaxem.Mixture(families.Gaussian("diag"), 2)
    part = families.GaussianParams(np.full((2, 2), np.nan), np.array([[1.0, 2.0], [np.nan] * 2]))
    with pytest.raises(ValueError, match="some of which are fixed"):
        jaxem.fit(
            model, x, key=jax.random.key(0), n_init=2, max_eigenvalue_ratio=3.0,
            fixed=jaxem.MixtureParams(None, part),
        )  # fmt: skip
