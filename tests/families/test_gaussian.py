import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.families.gaussian import pairs
from jaxem.models import MixtureParams
from laws.gaussian_cases import STRUCTURES, dense, gaussian, stored

FORMS = (*STRUCTURES, "EEI", "EII")  # of all others one is that of full or of diag


def test_spec_hashes_by_value_and_names_the_choices():
    assert Gaussian("full") == Gaussian() and hash(Gaussian("full")) == hash(Gaussian())
    assert Gaussian("full") != Gaussian("diag")
    assert repr(Gaussian("tied")) == "Gaussian('tied')"
    with pytest.raises(ValueError, match=r"'ful'.*'full', 'tied', 'diag', 'spherical'"):
        Gaussian("ful")
    with pytest.raises(ValueError, match="must be one of"):
        Gaussian(3)


@pytest.mark.slow(but=("EII",))
@pytest.mark.parametrize("covariance", FORMS)
def test_an_offset_of_the_data_costs_no_digits(covariance):
    """float32, columns 1e5 standard deviations from 0: one M-step as exact as at the origin."""
    rng = np.random.default_rng(3)
    # Multiples of 2^-6 stay exact in float32 at this offset: the data themselves lose nothing.
    x = np.round(rng.normal(size=(300, 2)) * 64) / 64
    model = jaxem.Mixture(Gaussian(covariance), 2)
    labels = (x[:, 0] > 0).astype(np.int32)

    def fitted(offset):
        data = jnp.asarray(x + offset, jnp.float32)
        return jaxem.fit(model, data, key=jax.random.key(0), n_init=1, labels=labels).params

    near, far = fitted(0.0), fitted(np.array([1e5, 0.0]))
    np.testing.assert_allclose(far.components.covariances, near.components.covariances, rtol=1e-5)
    np.testing.assert_allclose(
        far.components.means[:, 1], near.components.means[:, 1], rtol=2e-6, atol=1e-7
    )


def test_prior_numbers_are_checked():
    x = jnp.ones((5, 2))
    family = Gaussian("full")
    for prior, text in (
        (GaussianPrior(degrees_of_freedom=5.0), "scale is missing"),
        (GaussianPrior(scale=1.0), "degrees_of_freedom is missing"),
        (GaussianPrior(mean_precision=1.0), "mean is missing"),
        (GaussianPrior(mean=np.ones(2)), "mean_precision is missing"),
        (GaussianPrior(mean_precision="a"), "real numbers"),
        (GaussianPrior(degrees_of_freedom=-500.0, scale=1.0), "above 1"),
        (GaussianPrior(degrees_of_freedom=5.0, scale=-1.0), "not positive definite"),
        (GaussianPrior(degrees_of_freedom=5.0, scale=[[1.0, 9.0], [9.0, 1.0]]), "not positive"),
        (GaussianPrior(degrees_of_freedom=5.0, scale=[[1.0, 0.9], [0.0, 1.0]]), "symmetric"),
        (GaussianPrior(degrees_of_freedom=5.0, scale=[1.0, 2.0]), r"give \(2, 2\) or a number"),
        (GaussianPrior(mean_precision=-1.0), "at least 0"),
        (GaussianPrior(reg_covar=-1.0), "reg_covar"),
        (GaussianPrior(mean=np.ones(3), mean_precision=1.0), r"\(3,\).*\(3, 2\)"),
        (GaussianPrior(degrees_of_freedom=np.nan, scale=1.0), "is nan"),
        ({"mean": 0.0}, "give GaussianPrior"),
    ):
        with pytest.raises(ValueError, match=text):
            family.as_prior(prior, None, x, 3)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7])
def test_every_pair_of_columns_is_kept_once(d, getkey):
    a, x = jax.random.normal(getkey(), (d, d)), jax.random.normal(getkey(), (d, 3))
    symmetric = a + a.T
    packed = pairs.pack(symmetric)
    np.testing.assert_array_equal(pairs.unpack(packed, d), symmetric)
    times = pairs.multiplicity(d)
    assert times.sum() == d**2
    quadratic = (times * np.asarray(packed)) @ np.asarray(pairs.products(x))
    np.testing.assert_allclose(quadratic, np.einsum("in,ij,jn->n", x, symmetric, x), atol=1e-12)


def forms(case, dtype, r):
    """-> for the residuals and the products: (log densities, collected sums)."""
    params, x, r = jax.tree.map(lambda a: jnp.asarray(a, dtype), (case.params, case.x, r))
    products = case.family.prepare(params, None)
    for own in (products.residuals, products):
        log_density, cache = case.family.evaluate(own, x)
        yield (
            log_density,
            case.family.finalize_statistics(own, case.family.statistics(own, x, cache, r)),
        )


@pytest.mark.slow(but=("EEI",))
@pytest.mark.parametrize("covariance", FORMS)
def test_both_forms_are_the_same_densities_and_sums(covariance):
    r = np.random.default_rng(0).random((3, 48))
    (density, sums), (fast_density, fast_sums) = forms(gaussian(covariance, 5), np.float64, r)
    np.testing.assert_allclose(fast_density, density, rtol=1e-11)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), fast_sums, sums
    )


def apart(covariance, d, distance):
    """Two unit components at -distance and distance along every column."""
    covariances = stored(covariance, np.stack([np.eye(d)] * 2))
    means = np.stack([np.full(d, -distance), np.full(d, distance)])
    return GaussianParams(*(jnp.asarray(a, jnp.float32) for a in (means, covariances)))


@pytest.mark.slow(but=("spherical",))
@pytest.mark.parametrize("covariance", FORMS)
def test_products_are_taken_while_they_lose_little(covariance):
    """On the near side of the bound float32 densities are good to 1e-3, on the far side as well."""
    d, n, family = 5, 400, Gaussian(covariance)
    rng = np.random.default_rng(1)
    noise, side = rng.normal(size=(n, d)), np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    seen = set()
    for distance in (3.0, 15.0, 20.0, 1000.0, 5000.0):
        params = apart(covariance, d, distance)
        x = jnp.asarray(noise + side * distance, jnp.float32)
        prepared = family.prepare(params, None)
        loses_precision, residuals = family.stable_form(prepared)
        seen.add(bool(loses_precision))
        assert bool(loses_precision) == (distance > 17)
        prepared = residuals if loses_precision else prepared
        log_density, _ = family.evaluate(prepared, x)
        own = np.max(log_density, axis=0)
        exact = np.asarray(x, np.float64) - side * np.float32(distance)
        expected = -0.5 * (np.sum(exact**2, 1) + d * np.log(2 * np.pi))
        np.testing.assert_allclose(own, expected, atol=2e-3)
    assert seen == {True, False}


@pytest.mark.slow(but=("EII",))
@pytest.mark.parametrize("covariance", FORMS)
def test_clusters_far_apart_come_out_right_in_float32(covariance):
    """10,000 standard deviations apart."""
    d, n = 5, 600
    rng = np.random.default_rng(2)
    noise, labels = rng.normal(size=(n, d)), np.arange(n) % 2
    x = (noise + 1e4 * labels[:, None]).astype(np.float32)
    model = jaxem.Mixture(Gaussian(covariance), 2)
    fit = jaxem.fit(model, x, key=jax.random.key(0), n_init=4)
    assert fit.converged
    found = np.argsort(fit.params.components.means[:, 0])
    variances = np.stack([np.diag(c) for c in dense(covariance, fit.params.components)])[found]
    groups = [x[labels == j].astype(np.float64) for j in (0, 1)]
    expected = np.stack([group.var(0) for group in groups])
    axes = {"tied": 0, "EEI": 0, "spherical": 1, "EII": (0, 1)}
    if covariance in axes:
        mean = expected.mean(axes[covariance], keepdims=True)
        expected = np.broadcast_to(mean, expected.shape)
    np.testing.assert_allclose(variances, expected, rtol=2e-3)


@pytest.mark.slow
def test_one_lane_far_apart_takes_all_to_the_residuals_and_none_runs_both():
    model = jaxem.Mixture(Gaussian("full"), 2)
    near, far = (apart("full", 5, distance) for distance in (2.0, 500.0))
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), near, far)
    x = jnp.asarray(np.random.default_rng(3).normal(size=(40, 5)), jnp.float32)

    def density(components):
        params = MixtureParams(jnp.full((2,), 0.5, x.dtype), components)
        return jaxem.log_prob(model, params, x)

    together = jax.vmap(density)(both)
    for lane, params in zip(together, (near, far), strict=True):
        np.testing.assert_allclose(lane, density(params), rtol=1e-4)
    assert " cond[" in str(jax.make_jaxpr(jax.vmap(density))(both))
