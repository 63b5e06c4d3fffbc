"""`LatentClassAnalysis`: classes of rows of categories, by scikit-learn's names."""

from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import validation

from jaxem.analysis import predict
from jaxem.core import parameters
from jaxem.families import Categorical
from jaxem.models.mixture import Mixture
from jaxem.sklearn.fitted import as_rows
from jaxem.sklearn.searched import CONSTRAINTS, searched


class LatentClassAnalysis(DensityMixin, BaseEstimator):
    """Latent classes of rows of categories, within which the columns are independent.

    p(x) = sum_k weights_[k] prod_j probabilities_[j][k, x_j]

    Categories are text, whole numbers or anything that sorts; None and NaN are missing cells, which
    tell nothing.

    Parameters
    ----------
    n_components : int, default=2
        Latent classes.
    n_init, tol, max_iter, random_state :
        As `jaxem.fit` takes them: "auto" makes starts until few better optima are to be expected.

    Attributes
    ----------
    weights_ (k,) : shares of the classes, the largest first.
    probabilities_ : a list with (k, c) for each column: of each class, of each category.
    categories_ : a list with the categories of each column, sorted.
    model_, params_ : the jaxem model, and its parameters.
    n_iter_, converged_, log_likelihood_, bic_ : of the fit.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Source: Goodman (1974), Biometrika 61, 215-231.
    """

    _parameter_constraints: ClassVar[dict] = CONSTRAINTS

    def __init__(
        self,
        n_components: Any = 2,
        *,
        n_init: Any = "auto",
        tol: Any = 1e-6,
        max_iter: Any = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "LatentClassAnalysis":
        """X: (n, d) categories; y is ignored; sample_weight: (n,) frequencies.

        Errors: ValueError for bad input, and for a column of missing cells alone.
        """
        X = _cells(self, X, ensure_min_samples=2)
        weight = validation._check_sample_weight(sample_weight, X)
        X, weight = X[weight > 0], weight[weight > 0]  # a row of weight 0 brings no category
        self._encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1
        ).fit(X)
        self.categories_ = [_known(of) for of in self._encoder.categories_]
        for j, of in enumerate(self.categories_):
            if not len(of):
                raise ValueError(f"column {j} of X has missing cells alone: drop that column")
        family = Categorical(tuple(len(of) for of in self.categories_))
        self.model_ = Mixture(family, self.n_components)
        with jax.enable_x64(True):
            found = searched(self, self.model_, self._encoder.transform(X), sample_weight=weight)
        order = np.argsort(-found.params.weights, kind="stable")
        self.params_ = parameters.take(self.model_.constraints, found.params, order)
        self.bic_ = float(found.bic)
        self.weights_ = np.array(self.params_.weights)
        self.probabilities_ = [np.array(of) for of in self.params_.components.probabilities]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        return self._of_rows(predict.predict, X).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """P(class | row), (n, k); rows sum to 1. A category that is new tells nothing."""
        return self._of_rows(predict.predict_proba, X)

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of each row, (n,)."""
        return self._of_rows(predict.log_prob, X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`; y is ignored."""
        return float(np.mean(self.score_samples(X)))

    def _of_rows(self, verb: Any, X: Any) -> np.ndarray:
        validation.check_is_fitted(self)
        codes = self._encoder.transform(_cells(self, X, reset=False))
        with jax.enable_x64(True):
            return np.array(verb(self.model_, self.params_, codes))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        return tags


def _known(categories: np.ndarray) -> np.ndarray:
    """Without what stands for a missing cell, which the encoder lists last."""
    missing = [of is None or of != of for of in categories]
    return categories[~np.array(missing, bool)]


def _cells(estimator: Any, X: Any, **options: Any) -> Any:
    return as_rows(estimator, X, dtype=None, ensure_all_finite=False, **options)
