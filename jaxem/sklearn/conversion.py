"""A fit of scikit-learn as a model and parameters of jaxem, and the other way."""

from typing import Any

import jax
import numpy as np
from sklearn import mixture
from sklearn.utils.validation import check_is_fitted

from jaxem.core import checks
from jaxem.families import Gaussian
from jaxem.families.gaussian.gaussian import GaussianParams
from jaxem.families.gaussian.structures import FOUR
from jaxem.models.mixture import Mixture, MixtureParams
from jaxem.sklearn.precisions import precisions, precisions_cholesky


def as_jaxem(
    covariance_type: str, weights: Any, means: Any, covariances: Any
) -> tuple[Mixture, MixtureParams]:
    """-> (model, params), of the arrays as they are: the shapes are the same."""
    model = Mixture(Gaussian(covariance_type), len(weights))
    return model, MixtureParams(weights, GaussianParams(means, covariances))


def from_sklearn(estimator: Any) -> tuple[Mixture, MixtureParams]:
    """-> (model, params) of a fitted `sklearn.mixture.GaussianMixture`; NumPy arrays, copied.

    Errors: NotFittedError before `fit`; ValueError for any other estimator.
    """
    if not isinstance(estimator, mixture.GaussianMixture):
        raise ValueError(
            f"estimator is a {type(estimator).__name__}; give a fitted "
            "sklearn.mixture.GaussianMixture"
        )
    check_is_fitted(estimator)
    fitted = (estimator.weights_, estimator.means_, estimator.covariances_)
    return as_jaxem(estimator.covariance_type, *(np.array(leaf) for leaf in fitted))


def to_sklearn(model: Any, params: Any) -> mixture.GaussianMixture:
    """A `sklearn.mixture.GaussianMixture` at these parameters, ready to predict, score and sample.

    It has iterated nothing: n_iter_ is 0 and converged_ False. A component of weight 0 stays, and
    scikit-learn warns of its logarithm.
    Errors: ValueError for a model that is no Gaussian mixture, for parameters that do not fit it,
    and for singular covariances.
    """
    plain = isinstance(model, Mixture) and model.params_type is MixtureParams
    if not plain or not isinstance(model.family, Gaussian):
        raise ValueError(f"model is {model!r}; scikit-learn has mixtures of Gaussian alone")
    name = model.family.covariance.name
    checks.one_of(name, FOUR, "the covariance of a model for scikit-learn")
    with jax.enable_x64(True):  # float64 stays so; other parameters keep their own dtype
        weights, (means, covariances) = model.as_params(params, None)
    estimator: Any = mixture.GaussianMixture(model.n_components, covariance_type=name)
    estimator.weights_ = np.array(weights)
    estimator.means_ = np.array(means)
    estimator.covariances_ = np.array(covariances)
    try:
        estimator.precisions_cholesky_ = precisions_cholesky(estimator.covariances_, name)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"a covariance has no inverse ({error}); fit with a reg_covar") from None
    estimator.precisions_ = precisions(estimator.precisions_cholesky_, name)
    estimator.n_features_in_ = estimator.means_.shape[1]
    estimator.converged_, estimator.n_iter_ = False, 0
    estimator.lower_bound_, estimator.lower_bounds_ = -np.inf, []
    return estimator
