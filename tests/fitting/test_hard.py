"""Data on which a mixture goes wrong: right answers or a named status."""

import jax
import numpy as np
import pytest
from plans import planned

import jaxem
from jaxem import Status, datasets
from jaxem.families import Gaussian, GaussianPrior
from jaxem.fitting.driver import uncut
from laws.gaussian_cases import dense


def fit(x, k, covariance="full", n_init=20, **options):
    model = jaxem.Mixture(Gaussian(covariance), k)
    return jaxem.fit(model, x, key=jax.random.key(0), n_init=n_init, **options)


def test_galaxies_winner_is_regular_although_collapsed_starts_are_higher():
    """k = 6, unequal variances, Roeder's velocities; best known regular optimum: mclust's."""
    result = fit(datasets.load_galaxies().x, 6, n_init=200, tol=1e-9, max_iter=5000)
    restarts = result.restarts
    degenerate = np.asarray(restarts.status) == Status.DEGENERATE
    assert result.converged and not np.any(np.asarray(result.health.count) < 2.5)
    assert float(result.log_likelihood) > -194.96122022 * (1 + 1e-6)
    higher = np.asarray(restarts.log_likelihood)[degenerate] > float(result.log_likelihood)
    assert higher.sum() > 10


@pytest.mark.slow(but=("spherical",))
@pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
def test_thin_but_well_supported_clusters_are_regular(covariance):
    """Standard deviations that differ 100 times, 200 rows each."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(3, 0.01, (200, 2))])
    result = fit(x, 2, covariance)
    assert result.converged
    order = np.argsort(-result.params.components.means[:, 0])
    np.testing.assert_allclose(result.params.components.means[order[0]], [3, 3], atol=0.005)
    np.testing.assert_allclose(result.params.weights, 0.5, atol=0.03)


@pytest.mark.slow(but=("full",))
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_clusters_1e4_deviations_apart_in_float32(covariance):
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], [300, 200])
    x = rng.normal(size=(500, 2)) + 1e4 * truth[:, None]
    result = fit(x.astype(np.float32), 2, covariance)
    assert result.converged and result.dtype == np.float32
    model = jaxem.Mixture(Gaussian(covariance), 2)
    found = np.asarray(jaxem.predict(model, result.params, x.astype(np.float32)))
    flip = found[0] != 0
    np.testing.assert_array_equal(found ^ flip, truth)
    order = [1, 0] if flip else [0, 1]
    means = np.asarray(result.params.components.means)[order]
    np.testing.assert_allclose(means, [x[:300].mean(0), x[300:].mean(0)], atol=2e-3)
    exact = fit(x, 2, covariance, n_init=5)
    spread = np.sort(np.ravel(exact.params.components.covariances))
    np.testing.assert_allclose(
        np.sort(np.ravel(result.params.components.covariances)), spread, rtol=2e-3, atol=2e-3
    )


@pytest.mark.slow(but=("diag-float32",))
@pytest.mark.parametrize(
    ("covariance", "dtype"),
    [("full", np.float64), ("full", np.float32), ("tied", np.float64), ("diag", np.float32)],
)
def test_an_offset_of_1e5_deviations_in_one_column(covariance, dtype):
    rng = np.random.default_rng(2)
    x = np.round((rng.normal(size=(400, 2)) + 6.0 * (np.arange(400) % 2)[:, None]) * 64) / 64
    result = fit((x + np.array([1e5, 0.0])).astype(dtype), 2, covariance, n_init=6)
    exact = fit(x, 2, covariance, n_init=6)
    assert result.converged
    np.testing.assert_allclose(float(result.log_likelihood), float(exact.log_likelihood), rtol=2e-6)


@pytest.mark.slow
def test_a_duplicated_column_is_named():
    """Every full covariance is singular and every density infinite; diag is not troubled."""
    x = np.random.default_rng(0).normal(size=(100, 2))
    twice = np.concatenate([x, x[:, :1]], axis=1)
    for dtype, covariance in ((np.float64, "full"), (np.float32, "tied")):
        result = fit(twice.astype(dtype), 2, covariance, n_init=6)
        assert result.status == Status.DEGENERATE
        assert "duplicated" in result.explanation()
    assert fit(twice, 2, "diag").converged


@pytest.mark.slow(but=("spherical-60",))
@pytest.mark.parametrize(
    ("covariance", "n"), [("full", 60), ("spherical", 60), ("full", 7), ("tied", 7), ("diag", 7)]
)
def test_a_prior_makes_regular_what_would_be_singular(covariance, n):
    """A constant column, and fewer rows than columns: already the starts have the prior."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8)) + 4.0 * (np.arange(n) % 2)[:, None]
    x[:, 3] = 1.0
    scale = {"full": 0.1, "tied": 0.1, "diag": np.full(8, 0.1), "spherical": 0.1}[covariance]
    model = jaxem.Mixture(Gaussian(covariance), 2)
    proper = jaxem.MixturePrior(2.0, GaussianPrior(degrees_of_freedom=10.0, scale=scale))
    for least, options in ((1e-3, {"reg_covar": 1e-3}), (0.0, {"prior": proper})):
        fit = jaxem.fit(model, x, key=jax.random.key(0), n_init=4, min_count=1.0, **options)
        assert fit.converged, fit
        smallest = np.linalg.eigvalsh(dense(covariance, fit.params.components)).min()
        assert smallest > least * (1 - 1e-6)  # C = S / N + reg_covar


@pytest.mark.slow
def test_absent_components_are_no_part_of_what_is_measured():
    """Theirs keep the constant column's variance of 0, which the prior lifts for the others."""
    x = np.random.default_rng(0).normal(size=(60, 8)) + 4.0 * (np.arange(60) % 2)[:, None]
    x[:, 3] = 1.0
    model, options = jaxem.Mixture(Gaussian("full"), 2), {"n_init": 4, "reg_covar": 1e-3}
    alone, beside = (
        uncut(planned(model, x, key=jax.random.key(0), padded_k=k, **options)) for k in (2, 4)
    )
    assert alone.converged and beside.converged
    np.testing.assert_allclose(beside.health.variance_ratio, alone.health.variance_ratio, rtol=1e-8)


@pytest.mark.slow
def test_a_single_component_cannot_leave_rows():
    x = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0]])
    fit = jaxem.fit(jaxem.Mixture(Gaussian("full"), 1), x, key=jax.random.key(0), n_init=1)
    assert fit.converged
    np.testing.assert_allclose(fit.params.components.covariances[0], np.cov(x.T, bias=True))


@pytest.mark.slow
def test_a_constant_column_is_named():
    x = np.random.default_rng(0).normal(size=(100, 2))
    x[:, 1] = 1e5 / 3
    for covariance in ("full", "tied", "diag"):
        result = fit(x, 2, covariance, n_init=6)
        assert result.status == Status.DEGENERATE and not result.converged
    assert fit(x, 2, "spherical", n_init=6).converged


@pytest.mark.slow
def test_nine_tenths_duplicate_rows_are_a_point_mass():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.full((900, 2), 1.25), rng.normal(size=(100, 2))])
    result = fit(x, 2)
    assert result.status == Status.DEGENERATE
    assert "point mass of equal rows" in result.explanation()
    regular = np.asarray(result.restarts.status) != Status.DEGENERATE
    assert not np.any(np.asarray(result.restarts.status)[regular] == Status.CONVERGED)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32])
def test_as_many_components_as_rows(dtype):
    x = np.random.default_rng(0).normal(size=(6, 2)).astype(dtype)
    for covariance in ("full", "diag", "spherical"):
        result = fit(x, 6, covariance)
        assert result.status in (Status.DEGENERATE, Status.NONFINITE)
        assert np.isfinite(float(result.log_likelihood))
    with pytest.warns(UserWarning, match="6 distinct values"):
        tied = fit(x, 6, "tied")
    assert tied.status in (Status.DEGENERATE, Status.NONFINITE) or tied.converged


@pytest.mark.slow
def test_one_component_is_the_closed_form():
    x = np.random.default_rng(0).normal(size=(50, 3))
    result = fit(x, 1, n_init=2)
    assert result.converged
    np.testing.assert_allclose(result.params.components.means[0], x.mean(0))
    np.testing.assert_allclose(result.params.components.covariances[0], np.cov(x.T, bias=True))


@pytest.mark.slow
def test_float32_says_converged_or_precision_never_decreased():
    """Rounding of the objective is neither a fall nor progress."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(5000) < 0.3, rng.normal(1, 2, 5000), rng.normal(9, 3, 5000))
    result = fit(x.astype(np.float32), 2, n_init=9)
    assert np.all(np.isin(result.restarts.status, [Status.CONVERGED, Status.PRECISION]))
    exact = fit(x, 2, n_init=9, tol=1e-9)
    gap = float(exact.log_likelihood) - float(result.log_likelihood)
    assert abs(gap) < 5000 * 1e-5  # 1e-5 a row


# 30 numbers with ties, from a question to the users of pomegranate (jmschrei/pomegranate #800).
TIED = np.repeat(
    [-0.40140454, 0.49622524, 0.83528929, 0.88974429, 0.92377272, 0.97575146, 0.99331936,
     1.01446097, 1.02613552, 1.03733207, 1.05436459, 1.07113867, 1.18369007],
    [1, 1, 2, 2, 2, 2, 2, 5, 1, 1, 7, 2, 2],
)  # fmt: skip


@pytest.mark.slow
def test_a_few_rows_far_apart_are_no_collapse():
    """mixtools' normalmixEM has 21.7053 with 2.2 rows of sd 0.50; mclust 18.4515."""
    k = jaxem.Mixture(Gaussian("full"), 2)
    fit = jaxem.fit(k, TIED, key=jax.random.key(0), n_init=30)
    assert fit.converged and abs(float(fit.log_likelihood) - 21.7053) < 1e-3
    models = [jaxem.Mixture(Gaussian("full"), n) for n in (1, 2)]
    assert jaxem.select(models, TIED, key=jax.random.key(0), n_init=30).best.provenance.model == k


def test_few_rows_near_each_other_are_one():
    """Two rows 0.01 apart beside 30 normal ones: no start that ends on them wins."""
    x = np.concatenate([np.linspace(-2, 2, 30), [5.0, 5.01]])
    fit = jaxem.fit(jaxem.Mixture(Gaussian("full"), 2), x, key=jax.random.key(0), n_init=30)
    spiked = np.asarray(fit.restarts.params.components.covariances).min(axis=(1, 2, 3)) < 1e-3
    assert spiked.any()
    assert (np.asarray(fit.restarts.status)[spiked] == jaxem.Status.DEGENERATE).all()
