import jax
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

import jaxem
from jaxem.datasets import load_iris
from jaxem.families import Gaussian, GaussianParams


@pytest.fixture(scope="module", params=["full", "tied", "diag", "spherical"])
def fitted(request):
    x = load_iris().x
    theirs = GaussianMixture(3, covariance_type=request.param, random_state=0, tol=1e-8).fit(x)
    params = jaxem.MixtureParams(
        theirs.weights_ / theirs.weights_.sum(), GaussianParams(theirs.means_, theirs.covariances_)
    )
    return jaxem.Mixture(Gaussian(request.param), 3), params, x, theirs


def test_aic_and_bic_are_scikit_learns(fitted):
    model, params, x, theirs = fitted
    np.testing.assert_allclose(jaxem.aic(model, params, x), theirs.aic(x), rtol=1e-10)
    np.testing.assert_allclose(jaxem.bic(model, params, x), theirs.bic(x), rtol=1e-10)


def test_icl_adds_twice_the_entropy_of_the_responsibilities(fitted):
    model, params, x, theirs = fitted
    r = theirs.predict_proba(x)
    entropy = -np.sum(r * np.log(np.where(r > 0, r, 1)))
    np.testing.assert_allclose(jaxem.icl(model, params, x), theirs.bic(x) + 2 * entropy, rtol=1e-9)


def test_weights_are_frequencies(fitted):
    model, params, x, _ = fitted
    times = np.arange(150) % 3
    repeated = np.repeat(x, times, axis=0)
    for criterion in (jaxem.aic, jaxem.bic, jaxem.icl):
        np.testing.assert_allclose(
            criterion(model, params, x, sample_weight=times),
            criterion(model, params, repeated),
            rtol=1e-11,
        )


def test_a_fit_says_the_same_of_itself():
    x = load_iris().x
    model = jaxem.Mixture(Gaussian("full"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=2)
    np.testing.assert_allclose(jaxem.aic(model, result.params, x), result.aic, rtol=1e-12)
    np.testing.assert_allclose(jaxem.bic(model, result.params, x), result.bic, rtol=1e-12)
