import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxem
from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from laws.family import ALL, FamilyCase, check_family

STRUCTURES = ("full", "tied", "diag", "spherical")


def dense(covariance, params):
    """The k covariance matrices of any structure."""
    k, d = params.means.shape
    c = np.asarray(params.covariances)
    if covariance == "full":
        return c
    if covariance == "tied":
        return np.stack([c] * k)
    if covariance == "diag":
        return np.stack([np.diag(v) for v in c])
    return np.stack([v * np.eye(d) for v in c])


def case_of(covariance, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(45, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    means = rng.normal(size=(3, d))
    a = rng.normal(size=(3, d, d))
    matrices = a @ np.swapaxes(a, 1, 2) + np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.stack([np.diag(m) for m in matrices]),
        "spherical": matrices[:, 0, 0],
    }[covariance]

    def log_prob(params, x):
        matrices = dense(covariance, params)
        return np.stack(
            [
                scipy.stats.multivariate_normal(np.asarray(m), c).logpdf(np.asarray(x))
                for m, c in zip(params.means, matrices, strict=True)
            ]
        )

    def mle(r, x):
        x = np.asarray(x)
        means = np.stack([np.average(x, axis=0, weights=w) for w in r])
        matrices = np.stack([np.cov(x.T, aweights=w, bias=True).reshape(d, d) for w in r])
        covariances = {
            "full": matrices,
            "tied": np.average(matrices, axis=0, weights=r.sum(1)),
            "diag": np.stack([np.diag(m) for m in matrices]),
            "spherical": np.array([np.trace(m) / d for m in matrices]),
        }[covariance]
        return GaussianParams(means, covariances)

    prior = GaussianPrior(
        mean=rng.normal(size=d), mean_precision=0.7, degrees_of_freedom=d + 3.0, scale=1.5,
        reg_covar=0.2,
    )  # fmt: skip
    params = GaussianParams(jnp.asarray(means), jnp.asarray(covariances))
    shared = GaussianParams(False, covariance == "tied")
    return FamilyCase(Gaussian(covariance), params, jnp.asarray(x), log_prob, mle, prior, shared)


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_laws(covariance, d, getkey):
    check_family(case_of(covariance, d), getkey())


def test_spec_hashes_by_value_and_names_the_choices():
    assert Gaussian("full") == Gaussian() and hash(Gaussian("full")) == hash(Gaussian())
    assert Gaussian("full") != Gaussian("diag")
    assert repr(Gaussian("tied")) == "Gaussian('tied')"
    with pytest.raises(ValueError, match=r"'ful'.*full, tied, diag, spherical"):
        Gaussian("ful")
    with pytest.raises(ValueError, match="must be one of"):
        Gaussian(3)


@pytest.mark.parametrize("covariance", STRUCTURES)
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
    np.testing.assert_array_equal(far.components.means[:, 1], near.components.means[:, 1])


def test_sampled_rows_have_the_moments_of_the_parameters(getkey):
    for covariance in STRUCTURES:
        case = case_of(covariance, 2)
        x = case.family.sample(getkey(), case.params, jnp.full(40_000, 1, jnp.int32))
        matrix = dense(covariance, case.params)[1]
        error = 5 * np.sqrt(np.diag(matrix).max() / 40_000)
        np.testing.assert_allclose(np.mean(x, 0), case.params.means[1], atol=error)
        np.testing.assert_allclose(np.cov(np.asarray(x).T), matrix, atol=0.04 * matrix.max())


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_the_variance_around_the_old_mean_is_not_the_m_step(covariance):
    """A scatter around m_old instead of m_new does not maximise: the law's gradient finds it."""
    case = case_of(covariance, 2)
    r = jnp.ones((3, 45)) / 3
    prepared = case.family.prepare(case.params, None)
    _, cache = case.family.evaluate(prepared, case.x)
    statistics = case.family.statistics(prepared, case.x, cache, r)
    exact = case.family.m_step(case.params, statistics, None, ALL)
    stale = case.family.m_step(case.params, statistics._replace(first=jnp.zeros((3, 2))), None, ALL)

    def expected(params):
        return float(
            jnp.sum(r * case.family.evaluate(case.family.prepare(params, None), case.x)[0])
        )

    assert expected(exact) > expected(exact._replace(covariances=stale.covariances)) + 1


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
