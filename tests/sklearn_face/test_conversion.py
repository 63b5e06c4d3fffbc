"""Fits handed back and forth: what scikit-learn says of them is what jaxem says."""

import jax
import numpy as np
import pytest
from sklearn import mixture
from sklearn.exceptions import NotFittedError

import jaxem
from jaxem import datasets, families
from jaxem.sklearn import from_sklearn, to_sklearn

TYPES = ("full", "tied", "diag", "spherical")
X = datasets.load_iris().x


@pytest.mark.parametrize("covariance_type", TYPES)
def test_there_and_back(covariance_type):
    theirs = mixture.GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    model, params = from_sklearn(theirs)
    assert model == jaxem.Mixture(families.Gaussian(covariance_type), 3)
    np.testing.assert_allclose(
        jaxem.log_prob(model, params, X), theirs.score_samples(X), rtol=1e-11
    )
    np.testing.assert_allclose(
        jaxem.predict_proba(model, params, X), theirs.predict_proba(X), atol=1e-11
    )
    back = to_sklearn(model, params)
    names = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
    for name in names:
        np.testing.assert_allclose(getattr(back, name), getattr(theirs, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back.score_samples(X), theirs.score_samples(X), rtol=1e-11)
    np.testing.assert_allclose(back.bic(X), theirs.bic(X), rtol=1e-12)
    assert back.n_features_in_ == 4 and back.sample(5)[0].shape == (5, 4)


@pytest.mark.slow
def test_a_fit_of_jaxem_goes_over_and_goes_on():
    model = jaxem.Mixture(families.Gaussian("full"), 3)
    result = jaxem.fit(model, X, key=jax.random.key(0), n_init=2, tol=1e-12, max_iter=2000)
    theirs = to_sklearn(model, result.params)
    assert not theirs.converged_ and theirs.n_iter_ == 0
    np.testing.assert_allclose(theirs.score(X) * 150, result.log_likelihood, rtol=1e-12)
    theirs.set_params(warm_start=True, reg_covar=0, tol=1e-8).fit(X)
    np.testing.assert_allclose(theirs.means_, result.params.components.means, rtol=1e-4)


def test_the_dtype_stays():
    theirs = mixture.GaussianMixture(3, random_state=0).fit(X)
    with jax.enable_x64(False):
        back = to_sklearn(*from_sklearn(theirs))
    np.testing.assert_array_equal(back.covariances_, theirs.covariances_)
    single = mixture.GaussianMixture(3, random_state=0).fit(X.astype(np.float32))
    assert to_sklearn(*from_sklearn(single)).means_.dtype == single.means_.dtype


def test_what_cannot_be_converted():
    with pytest.raises(NotFittedError):
        from_sklearn(mixture.GaussianMixture())
    with pytest.raises(ValueError, match="BayesianGaussianMixture; give a fitted"):
        from_sklearn(mixture.BayesianGaussianMixture())
    model, params = from_sklearn(mixture.GaussianMixture(3, random_state=0).fit(X))
    with pytest.raises(ValueError, match="Gaussian alone"):
        to_sklearn("mixture", params)
    with pytest.raises(ValueError, match="2 components"):
        to_sklearn(model.with_n_components(2), params)
    singular = params.components._replace(covariances=np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="no inverse"):
        to_sklearn(model, params._replace(components=singular))
